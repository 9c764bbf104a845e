"""Traces whose window has passed, in short: enough to fold a late span as if they were still held.

A span that comes late must not be taken for a call of its own, which would be paid twice. So what
the fold knew of a trace is kept for a while, packed: some hundred bytes for each call. When memory
is short the oldest are only known by name.
"""

from __future__ import annotations

import marshal
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable

from .across import Trace
from .known import Known
from .span import Event, Span
from .stage import Remembered

__all__ = ["Past"]

NAME_BYTES = 200
"""What a dictionary takes for a trace, beside what is packed."""


class Past:
    """Traces that were released, for `ttl_s` seconds and within `most_bytes`."""

    def __init__(self, ttl_s: float, most_bytes: int, clock: Callable[[], float]) -> None:
        self._ttl_s = ttl_s
        self._most = most_bytes
        self._most_names = max(100, most_bytes // (4 * NAME_BYTES))
        self._clock = clock
        self._packed: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._names: OrderedDict[str, float] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._packed) + len(self._names)

    def knows(self, trace_id: str) -> bool:
        """Whether a trace was released lately; spans of it that come now are late."""
        return trace_id in self._packed or trace_id in self._names

    def put(self, trace_id: str, trace: Trace) -> None:
        """Remember what is known of a trace. One that has no part in any call is not worth it."""
        if not any(known.span is not None for known in trace.spans.values()):
            return
        self._forget(trace_id)
        packed = _packed(trace)
        self._packed[trace_id] = (self._clock() + self._ttl_s, packed)
        self._bytes += len(packed) + NAME_BYTES
        while self._bytes > self._most:
            oldest, (until, blob) = self._packed.popitem(last=False)
            self._bytes -= len(blob) + NAME_BYTES
            self._names[oldest] = until
        while len(self._names) > self._most_names:
            self._names.popitem(last=False)
        self._expire()

    def take_out(self, trace_id: str) -> Remembered | None:
        """What was known of a trace, for the fold to go on with; None where only the name is left."""
        found = self._packed.get(trace_id)
        self._forget(trace_id)
        if found is None or found[0] < self._clock():
            return None
        return _unpacked(trace_id, found[1])

    def _forget(self, trace_id: str) -> None:
        packed = self._packed.pop(trace_id, None)
        if packed is not None:
            self._bytes -= len(packed[1]) + NAME_BYTES
        self._names.pop(trace_id, None)

    def _expire(self) -> None:
        now = self._clock()
        while self._packed:
            trace_id, (until, _) = next(iter(self._packed.items()))
            if until > now:
                break
            self._forget(trace_id)
        while self._names:
            trace_id, until = next(iter(self._names.items()))
            if until > now:
                break
            self._forget(trace_id)


def _packed(trace: Trace) -> bytes:
    spans = [
        _span(known.span) if known.span is not None else _place(span_id, known)
        for span_id, known in trace.spans.items()
    ]
    hops = {key: sorted(places) for key, places in trace.hops.items()}
    return zlib.compress(marshal.dumps((spans, hops)), 1)


def _span(span: Span) -> tuple[object, ...]:
    return (
        span.span_id,
        span.parent_id,
        span.version,
        span.name,
        span.kind,
        span.start_ns,
        span.end_ns,
        dict(span.attributes),
        dict(span.resource),
        span.scope,
        span.scope_version,
        span.status,
        span.status_message,
        [(event.name, event.time_ns, event.attributes) for event in span.events],
    )


def _place(span_id: str, known: Known) -> tuple[object, ...]:
    """A span that only says what lies below what."""
    return (span_id, known.parent_id, known.version)


def _unpacked(trace_id: str, packed: bytes) -> Remembered:
    spans, hops = marshal.loads(zlib.decompress(packed))
    return Remembered([_restored(trace_id, each) for each in spans], hops)


def _restored(trace_id: str, packed: tuple[object, ...]) -> Span:
    span_id, parent_id, version, *rest = packed
    if not rest:
        rest = ["", "unspecified", 0, 0, {}]
    *plain, events = rest if len(rest) > 5 else [*rest, {}, "", "", "unset", "", ()]
    span = Span(trace_id, span_id, parent_id, *plain)  # type: ignore[arg-type]
    span.stored_version = version  # type: ignore[assignment]
    span.events = [Event(*each) for each in _events(events)]
    return span


def _events(events: object) -> Iterable[tuple[str, int, dict[str, object]]]:
    return events if isinstance(events, list) else ()
