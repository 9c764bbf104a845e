"""`/status` of a stage: whether it works, and for whom it does not, for somebody with a terminal."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tollspan import __version__, semconv
from tollspan.collector.counters import STARTED_S
from tollspan.collector.senders import Sender, Tally
from tollspan.processors.dialect_gateways import gateway_of
from tollspan.processors.models import undated

if TYPE_CHECKING:
    from .stage_process import StageProcess

__all__ = ["status_page"]

MOST_ROWS = 200
MOST_TOLD = 5
"""Pairs of instrumentations that are named."""
HEAD = ("service", "instrumentation", "model", "calls", "restated", "failed", "cost USD")
RIGHT = frozenset({"calls", "restated", "failed", "cost USD"})


def status_page(running: StageProcess) -> str:
    """The page of a stage that runs."""
    holding, senders = running.holding, running.holding.senders.all()
    to = running.to
    why = running.why_not_ready()
    held = (
        f"held       {len(holding.windows)} traces; calls are counted {running.window_s:.0f} s after "
        "the first span of theirs"
    )
    lines = [
        f"tollspan stage {running.name}, {__version__}, since {_time(STARTED_S)}",
        f"ready      {'no: ' + why if why else 'yes'}",
        f"sends on   to {to.address} (OTLP/{'gRPC' if to.is_grpc else 'HTTP'})",
        f"prices     {running.prices}",
        f"spans      {_counts(running, 'received_spans', 'forwarded_spans', 'refused_spans')}",
        f"records    {_counts(running, 'records')} told",
        held,
        "",
    ]
    if not senders:
        return "\n".join([*lines, _nobody(running), ""])
    rows = [_row(*each) for each in senders[:MOST_ROWS]]
    lines += _table([(*HEAD, "not priced", "last"), *rows])
    if len(senders) > MOST_ROWS:
        lines.append(f"… and {len(senders) - MOST_ROWS} more, in /metrics")
    lines += _perhaps_twice(senders) + _told_by_two(senders)
    return "\n".join(
        [*lines, "", "The ledger has the exact numbers; these begin with this process.", ""]
    )


def _row(sender: Sender, tally: Tally) -> tuple[str, ...]:
    failed = tally.calls - tally.statuses["success"]
    unpriced = ", ".join(f"{number} {why}" for why, number in sorted(tally.unpriced.items()))
    return (
        sender.service or "?",
        sender.scope or "?",
        "/".join(each for each in (sender.provider, sender.model) if each) or "?",
        str(tally.calls),
        str(tally.restated or ""),
        str(failed or ""),
        tally.cost_usd.rstrip("0").rstrip(".") if tally.cost_steps else "",
        unpriced,
        _time(tally.last_s),
    )


def _perhaps_twice(senders: Iterable[tuple[Sender, Tally]]) -> list[str]:
    """What to look at where gateways own calls, and another tracer tells of calls as well: what neither a
    trace nor an id joins cannot be known to be one answer."""
    gateways: Counter[str] = Counter()
    others = 0
    for sender, tally in senders:
        gateway = gateway_of({}, sender.scope)
        if gateway is not None:
            gateways[gateway.name] += tally.calls
        elif sender.scope != semconv.SCOPE:
            others += tally.calls
    named = ", ".join(f"{count} of {name}" for name, count in sorted((+gateways).items()))
    if not named or not others:
        return []
    said = (
        f"Calls that a gateway's own span owns: {named}. If the applications in front are traced by what "
        "sends no traceparent and tells no id of the answer (OpenInference), each of these answers may "
        "be here twice, and be priced twice: docs/gateways.md, other tracers in front."
    )
    return ["", *textwrap.wrap(said, 100)]


def _told_by_two(senders: Iterable[tuple[Sender, Tally]]) -> list[str]:
    """What to look at where two instrumentations own calls of one model in one service: in traces of
    their own nothing joins what a framework's callbacks tell to what the SDK's span tells."""
    owned: dict[tuple[str, str], Counter[str]] = {}
    for sender, tally in senders:
        if tally.calls and sender.model and gateway_of({}, sender.scope) is None:
            who = owned.setdefault((sender.service, undated(sender.model)), Counter())
            who[sender.scope] += tally.calls
    both = [(*what, who) for what, who in sorted(owned.items()) if len(who) > 1]
    if not both:
        return []
    told = "; ".join(
        f"{model} in {service or '?'}: "
        + ", ".join(f"{count} of {scope or '?'}" for scope, count in sorted(who.items()))
        for service, model, who in both[:MOST_TOLD]
    )
    more = f"; and {len(both) - MOST_TOLD} more" if len(both) > MOST_TOLD else ""
    said = (
        f"Calls of one model that two instrumentations own: {told}{more}. If both tell of the same "
        "answers, each in a trace of its own, they are here twice, and priced twice: a span around them "
        "puts them in one trace, or switch one off (docs/gateways.md, other tracers in front)."
    )
    return ["", *textwrap.wrap(said, 100)]


def _nobody(running: StageProcess) -> str:
    """What it means that no call was counted."""
    count = running.counters.count
    if not count("received_spans"):
        return "No span has come yet: point an OTLP exporter here."
    if count("priced_spans") or count("records"):
        return "Calls have come; they are counted when the window of their trace has passed."
    return (
        "Spans have come, none of them about a call to a model: those are known by gen_ai.*, llm.*, "
        "ai.* and the like, which an instrumentation of the SDK has to write."
    )


def _counts(running: StageProcess, *names: str) -> str:
    words = {
        "received_spans": " received",
        "forwarded_spans": " forwarded",
        "refused_spans": " refused",
    }
    return ", ".join(f"{running.counters.count(name):,.0f}{words.get(name, '')}" for name in names)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right = [name in RIGHT for name in rows[0]]
    return [
        "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]


def _time(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
