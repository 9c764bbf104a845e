"""Spans that went straight into the ledger a moment ago, as bytes, opened only when asked for.

Most spans that come late come soon: the request around a call ends just after it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from tollspan.collector.sealed import Sealed
from tollspan.collector.span import Span
from tollspan.collector.stage import REMEMBERED_SPANS

from .keys import Keys
from .spread import Places

__all__ = ["Joins", "Lately"]

Place = tuple[Sealed, int]
Joins = Sequence[tuple[Keys, Callable[[], Sequence[str]]]]
"""Keys, and what tells the trace of each: seldom asked."""


class _Batch:
    """Spans of one pass."""

    def __init__(self, spans: Sequence[tuple[Sealed, Places]], keys: Joins) -> None:
        self._spans = spans
        self.keys = keys
        self._by_trace: dict[bytes, list[Place]] | None = None

    def __len__(self) -> int:
        return sum(len(places) for _, places in self._spans)

    def take_out(self, trace_id: bytes) -> list[Place]:
        if self._by_trace is None:
            self._by_trace = {}
            for sealed, places in self._spans:
                for place in places.tolist():
                    trace = sealed.raw(place)[2:18]
                    self._by_trace.setdefault(trace, []).append((sealed, place))
        return self._by_trace.pop(trace_id, [])


class Lately:
    """At most `REMEMBERED_SPANS`, and one pass more."""

    def __init__(self) -> None:
        self._batches: deque[_Batch] = deque()
        self._new: list[_Batch] = []
        self._count = 0

    def note(self, spans: Sequence[tuple[Sealed, Places]], keys: Joins) -> None:
        """Spans that are being committed, and the traces of their keys."""
        batch = _Batch(spans, keys)
        self._new.append(batch)
        self._batches.append(batch)
        self._count += len(batch)

    def committed(self, *, is_safe: bool) -> None:
        """What was noted stands in the ledger now; or never will, and is forgotten."""
        if not is_safe:
            for batch in self._new:
                self._batches.remove(batch)
                self._count -= len(batch)
        for batch in self._new:
            batch.keys = ()
        self._new = []
        while len(self._batches) > 1 and self._count - len(self._batches[0]) >= REMEMBERED_SPANS:
            self._count -= len(self._batches.popleft())

    def take_out(self, trace_ids: Sequence[str]) -> tuple[list[Span], list[str]]:
        """Spans of these traces that are still here; and the traces of which none are.

        Whoever asks holds them from then on: asked again, the ledger has all that came since, too.
        """
        spans: list[Span] = []
        others: list[str] = []
        for trace_id in trace_ids:
            places = self._places(bytes.fromhex(trace_id))
            if not places:
                others.append(trace_id)
            spans += (sealed.opened(place) for sealed, place in places)
        return spans, others

    def _places(self, trace_id: bytes) -> list[Place]:
        for batch in reversed(self._batches):
            if places := batch.take_out(trace_id):
                return places
        return []

    def linked(self, keys: Sequence[str]) -> list[str]:
        """Traces of these keys, of those that are being committed."""
        asked = set(keys)
        return [
            trace_id
            for batch in self._new
            for keys, traces in batch.keys
            if not asked.isdisjoint(told := keys.texts())
            for key, trace_id in zip(told, traces(), strict=True)
            if key in asked
        ]
