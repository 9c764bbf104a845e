"""Which requests behind a proxy belong to which request of the application."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import unquote

from tollspan import semconv
from tollspan.chaos.tap import SEEN_BY
from tollspan.wirefile import Exchange

__all__ = ["Behind", "behind"]


class Behind(NamedTuple):
    """The requests that a proxy made for one of the application."""

    exchanges: tuple[Exchange, ...] = ()
    by: str = ""
    """`request_id` that travels with it, else `trace`, else `time`; '' for none."""
    why: str = "no request behind the proxy belongs to it"
    """Why there are none."""


def behind(sent: Sequence[Exchange], received: Sequence[Exchange]) -> list[Behind]:
    """What belongs to each exchange of the application, in their order.

    Most gateways hand on no id and no trace. What a tap saw on this machine while one call of the
    application was under way, and no other, belongs to that call.
    """
    found = [_by_id(each, received) for each in sent]
    taken = {each.id for one in found for each in one.exchanges}
    spans = [_span(each) if not one.by else None for each, one in zip(sent, found, strict=True)]
    seen: list[list[Exchange]] = [[] for _ in sent]
    shared = [False] * len(sent)
    for each in received:
        began = _began(each)
        if each.id in taken or began is None or each.head.get("seen_by") != SEEN_BY:
            continue
        within = [n for n, span in enumerate(spans) if span and span[0] <= began <= span[1]]
        for number in within:
            seen[number].append(each)
            shared[number] = shared[number] or len(within) > 1
    for number, exchanges in enumerate(seen):
        if shared[number]:
            found[number] = Behind(why=_SHARED)
        elif exchanges:
            found[number] = Behind(tuple(exchanges), "time", "")
    return found


_SHARED = (
    "other calls were under way at the same time: have the proxy forward `traceparent`, or make one "
    "call after the other"
)


def _by_id(sent: Exchange, received: Sequence[Exchange]) -> Behind:
    own = sent.head.get("request_id")
    if own:
        by_id = [each for each in received if own in (each.head.get("request_id"), _told_id(each))]
        if by_id:
            return Behind(tuple(by_id), "request_id", "")
    by_trace = tuple(_of_trace(sent.head.get("trace_id"), received))
    return Behind(by_trace, "trace", "") if by_trace else Behind()


def _of_trace(trace: object, received: Sequence[Exchange]) -> Iterator[Exchange]:
    for each in received:
        parts = each.header("traceparent", of_request=True).split("-")
        if trace and trace in (each.head.get("trace_id"), parts[1] if len(parts) == 4 else ""):
            yield each


def _told_id(exchange: Exchange) -> str:
    for pair in exchange.header("baggage", of_request=True).split(","):
        name, _, value = pair.strip().partition("=")
        if name == semconv.REQUEST_ID:
            return unquote(value)
    return ""


def _began(exchange: Exchange) -> float | None:
    """Seconds since the epoch."""
    try:
        return datetime.fromisoformat(str(exchange.head.get("time"))).timestamp()
    except ValueError:
        return None


def _span(exchange: Exchange) -> tuple[float, float] | None:
    """When it was under way."""
    began, offset_s = _began(exchange), exchange.end.get("offset_s")
    if began is None or not isinstance(offset_s, (int, float)):
        return None
    return began, began + offset_s
