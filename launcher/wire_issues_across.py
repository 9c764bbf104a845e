"""What several captured exchanges show together: storms of retries, haste, changed backends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from hashlib import sha256

from tollspan.wirefile import Exchange

from .wire_answer import Answer, Issue

__all__ = ["across"]

STORM = 3
"""Requests that are the same before they are a storm."""

WITHIN = timedelta(minutes=5)


def across(exchanges: Sequence[Exchange]) -> Iterator[Issue]:
    """Findings, each on the exchange with which it became one."""
    yield from _storms(exchanges)
    yield from _hasty(exchanges)
    yield from _changed_backends(exchanges)


def _storms(exchanges: Sequence[Exchange]) -> Iterator[Issue]:
    """The same request time and again: by its idempotency key, else by call and body."""
    alike: dict[tuple[str, ...], list[Exchange]] = {}
    for each in exchanges:
        key = each.header("idempotency-key", of_request=True)
        body = str(each.request.get("body") or "")
        call = str(each.head.get("request_id") or each.head.get("trace_id") or each.id)
        digest = sha256(body.encode("utf-8", "replace")).hexdigest()
        sign: tuple[str, ...] = ("key", key) if key else ("body", call, digest)
        alike.setdefault(sign, []).append(each)
    for sign, group in alike.items():
        close = [each for each in group if began(each) - began(group[0]) <= WITHIN]
        if len(close) >= STORM:
            what = "with the same idempotency key" if sign[0] == "key" else "with the same body"
            statuses = ", ".join(str((e.response or {}).get("status") or "none") for e in close[:8])
            length = (began(close[-1]) - began(close[0])).total_seconds()
            text = f"{len(close)} requests {what} in {length:.1f} s, answered {statuses}"
            yield Issue(close[-1].id, "retry_storm", text)


def _hasty(exchanges: Sequence[Exchange]) -> Iterator[Issue]:
    """A request of the same call that came earlier than the answer before it asked for."""
    last: dict[str, Exchange] = {}
    for each in exchanges:
        call = str(each.head.get("request_id") or each.id)
        before = last.get(call)
        last[call] = each
        if before is None:
            continue
        asked = before.header("retry-after")
        if not asked.replace(".", "", 1).isdecimal():
            continue
        over = began(before) + timedelta(seconds=float(before.end.get("offset_s") or 0.0))
        waited_s = (began(each) - over).total_seconds()
        if waited_s < float(asked) - 0.05:
            text = f"the answer before asked to wait {asked} s, and {waited_s:.1f} s were waited"
            yield Issue(each.id, "retried_early", text)


def _changed_backends(exchanges: Sequence[Exchange]) -> Iterator[Issue]:
    known: dict[tuple[str, str], str] = {}
    for each in exchanges:
        answer = Answer(each)
        print_, model = answer.said("system_fingerprint"), answer.said("model")
        if not (isinstance(print_, str) and isinstance(model, str)):
            continue
        key = (str(each.head.get("provider")), model)
        before = known.get(key)
        known[key] = print_
        if before is not None and before != print_:
            text = f"system_fingerprint of {model[:60]} was {before[:40]} and is {print_[:40]} now"
            yield Issue(each.id, "backend_changed", text)


def began(exchange: Exchange) -> datetime:
    """When the request was sent, as the file says."""
    try:
        return datetime.fromisoformat(str(exchange.head.get("time")))
    except ValueError:
        return datetime.fromisoformat("1970-01-01T00:00:00+00:00")
