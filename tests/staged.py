"""What the collector stage makes of spans that came over OTLP, in memory: its rows without a ledger."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from tollspan import semconv
from tollspan.collector import wire
from tollspan.collector.foreign import normalised, settled
from tollspan.collector.stage import Call, Remembered, Stage

__all__ = ["amount", "calls", "owning"]


def calls(bodies: Iterable[bytes]) -> list[Call]:
    """The calls that OTLP requests tell of, as the ledger would have them at the end."""
    stage = Stage(settled, normalised, lambda trace_ids: Remembered())
    last: dict[str, Call] = {}
    for body in bodies:
        for call in stage.take(list(wire.traces(body).spans)):
            there = last.get(call.call_id)
            if there is None or call.version >= there.version:
                last[call.call_id] = call
    return [call for call in last.values() if call.role != "gone"]


def owning(bodies: Iterable[bytes]) -> list[Call]:
    """Those of them that own money."""
    return [call for call in calls(bodies) if call.role == "owner"]


def amount(found: Iterable[Call]) -> Decimal:
    """The sum over all of them, in USD."""
    stated = (call.attributes.get(semconv.COST_AMOUNT) for call in found)
    return sum((Decimal(repr(each)) for each in stated if each is not None), Decimal(0))
