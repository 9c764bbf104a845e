"""Calls that came as records or events, as spans that the stage joins and prices like any other.

A record has no span of its own: its ids are made from the id that its sender gave it, so that the
same record makes the same span however often it comes. What it states decides its version, not when
it came; a higher `revision` stands over a lower one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, NamedTuple

from tollspan import semconv

from .span import EARLIEST_NS, LATEST_NS, Span

__all__ = [
    "MOST_REVISIONS",
    "Fault",
    "Told",
    "Untold",
    "nanoseconds",
    "span_id",
    "told",
    "trace_id",
]

MOST_REVISIONS = 1 << 16
_OTHERS = 1 << 56
"""Of the version of a span that nobody has settled: see `span.version_of`."""
_REVISION_BITS, _HASH_BYTES = 40, 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SEPARATOR = "\0"


class Fault(NamedTuple):
    """What is wrong with a record, and where: `usage.prompt_tokens`; '' is the whole."""

    path: str
    error: str


class NoTime(ValueError):
    """A value is no time; the sentence goes on behind the field's name."""


class Untold(ValueError):
    """A record cannot be taken; `faults` are all that is wrong with it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(fault.error for fault in faults))
        self.faults = faults


@dataclass(slots=True)
class Told:
    """One call that was told.

    `span.start_ns` is 0 where nobody says when it was: then it ended when it came, and what is
    known of it before stands.
    """

    span: Span
    took_ns: int | None = None

    identity: str = ""
    """The field that makes two records the same."""
    beside: Sequence[Span] = ()
    """Spans that belong to it: of its hops."""

    def dated(self, now_ns: int, start_ns: int = 0) -> Span:
        """The span; where it is not dated, it started at `start_ns`, or else ended now."""
        span = self.span
        if not span.start_ns:
            span.start_ns = start_ns or now_ns - (self.took_ns or 0)
            span.end_ns = span.start_ns + self.took_ns if self.took_ns is not None else 0
        return span

    def conflict(self) -> Fault:
        """What is wrong where another call is there under the same id."""
        return Fault(
            self.identity,
            f"{self.identity or 'this'} was told before, and said something else: send the "
            "correction with a higher revision, or another id",
        )


def revision_of(version: int) -> int:
    """The revision of a told span, by its version."""
    return version >> _REVISION_BITS & MOST_REVISIONS - 1


def trace_id(source: str, key: str) -> str:
    """The id of the trace of what `source` calls `key`."""
    return _digest(source, key, 16)


def span_id(source: str, key: str) -> str:
    return _digest(source, f"span{_SEPARATOR}{key}", 8)


def _digest(source: str, key: str, size: int) -> str:
    made = blake2b(
        f"{source}{_SEPARATOR}{key}".encode("utf-8", "replace"),
        digest_size=size,
        person=b"tollspan told",
    )
    return made.hexdigest()


def told(
    source: str,
    *,
    trace: str,
    key: str,
    attributes: Mapping[str, Any],
    resource: Mapping[str, str],
    scope: str,
    start_ns: int = 0,
    took_ns: int | None = None,
    revision: int = 0,
    identity: str = "",
) -> Told:
    """The call that `source` tells of under `key`, in the trace of `trace`.

    `attributes` by semantic-convention name, None where not known.
    """
    said = {name: value for name, value in attributes.items() if value is not None}
    said[semconv.TOLD_FROM] = source
    operation, model = said.get(semconv.OPERATION), said.get(semconv.REQUEST_MODEL)
    span = Span(
        trace_id=trace_id(source, trace),
        span_id=span_id(source, key),
        parent_id="",
        name=f"{operation} {model or ''}".strip(),
        kind="client",
        start_ns=start_ns,
        end_ns=start_ns + took_ns if start_ns and took_ns is not None else 0,
        attributes=said,
        resource=dict(resource),
        scope=scope,
        status="error" if said.get(semconv.STATUS) == "error" else "unset",
    )
    content = repr((sorted(said.items()), sorted(span.resource.items()), start_ns, took_ns))
    digest = blake2b(content.encode("utf-8", "replace"), digest_size=_HASH_BYTES).digest()
    # As an attribute it comes along wherever the span goes: see `span.version_of`.
    said[semconv.TOLD_VERSION] = revision << _REVISION_BITS | int.from_bytes(digest)
    span.stored_version = _OTHERS | said[semconv.TOLD_VERSION]
    return Told(span, took_ns, identity)


def nanoseconds(value: Any, now_ns: int) -> int:
    """A time, ISO-8601 with its offset or milliseconds since 1970, as nanoseconds since then.

    Raises:
        NoTime: it is none, or cannot be.
    """
    if isinstance(value, str):
        found = _of_text(value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        if not abs(value) < 1e16:
            raise NoTime("is no time: write milliseconds since 1970, or 2026-01-31T12:00:00Z")
        found = round(value * 1000) * 1000
    else:
        raise NoTime("is no time: write 2026-01-31T12:00:00Z, or milliseconds since 1970")
    if not EARLIEST_NS <= found < LATEST_NS:
        raise NoTime("lies outside the years 2000 to 2199: are these milliseconds?")
    if found > now_ns + 24 * 3600 * 10**9:
        raise NoTime("lies more than a day in the future")
    return found


def _of_text(value: str) -> int:
    try:
        at = datetime.fromisoformat(value.strip())
    except ValueError:
        raise NoTime("is no time: write 2026-01-31T12:00:00Z") from None
    if at.tzinfo is None:
        raise NoTime("has no time zone: write 2026-01-31T12:00:00Z")
    try:
        return (at - _EPOCH) // timedelta(microseconds=1) * 1000
    except OverflowError:
        raise NoTime("lies outside the years 2000 to 2199") from None
