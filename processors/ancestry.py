"""Which spans are open around which, and whose answer they hold.

The SDK tells a processor the ids of parents only, so live spans are remembered until they end.
"""

from __future__ import annotations

from collections.abc import Iterator

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from tollspan import calls, semconv

from .bounded import Bounded
from .sdk import attributes_of

__all__ = ["Ancestry", "owner_of"]

_MOST = 10_000
_DEEPEST = 64
_ENDPOINTS = (semconv.HTTP_ROUTE, semconv.CELERY_TASK, semconv.MESSAGING_DESTINATION)


class Ancestry:
    """Live spans of this process, and the owners of answers among them and inside them."""

    __slots__ = ("_lines", "callers", "covered", "live", "owners")

    def __init__(self) -> None:
        self.live: Bounded[ReadableSpan] = Bounded(_MOST)
        self.covered: Bounded[int] = Bounded(_MOST)
        """Live spans around an answer that is owned: span id to the owner's."""
        self.owners: Bounded[int] = Bounded(_MOST)
        """Ended spans that own or restate an answer: what ends inside them later restates it."""
        self._lines: Bounded[tuple[int, ...]] = Bounded(_MOST)
        """Live spans around a call that has ended and waits to be settled, by its span's id."""
        self.callers: Bounded[int] = Bounded(_MOST)
        """Server spans of requests that a call in another process made: span id to its owner's."""

    def parents(self, span: ReadableSpan) -> Iterator[int]:
        """Ids of the local spans around `span`, innermost first, as far as they are known."""
        above: ReadableSpan | None = span
        for _ in range(_DEEPEST):
            parent = above._parent if above is not None else None
            if parent is None or parent.is_remote:
                return
            yield parent.span_id
            above = self.live.get(parent.span_id)

    def owner_above(self, span: ReadableSpan) -> int:
        """The owner among the spans around `span`, or 0."""
        for span_id in self.parents(span):
            if (call := calls.open_calls.get(span_id)) is not None:
                return owner_of(call)
            if (owner := self.owners.get(span_id)) is not None:
                return owner
            if self.callers and (owner := self.callers.get(span_id)) is not None:
                return owner
        return 0

    def keep_line(self, span: ReadableSpan) -> None:
        """Remember for `cover` which live spans are around `span` now: they may end before it."""
        line = tuple([span_id for span_id in self.parents(span) if span_id in self.live])
        if line and span._context is not None:
            self._lines.put(span._context.span_id, line)

    def cover(self, span: ReadableSpan, owner: int) -> None:
        """Remember that `owner` owns an answer, and that the spans around `span` hold it."""
        self.owners.put(owner, owner)
        if span._parent is None or span._context is None:
            return
        line = self._lines.pop(span._context.span_id, None) if self._lines else None
        for span_id in self.parents(span) if line is None else line:
            if span_id in self.live:
                self.covered.put(span_id, owner)

    def endpoint(self) -> str | None:
        """What the framework calls the work around the current span: its route, task or queue."""
        span = self.live.get(trace.get_current_span().get_span_context().span_id)
        if span is None:
            return None
        for each in (span, *(self.live.get(span_id) for span_id in self.parents(span))):
            if each is not None and each._kind in (SpanKind.SERVER, SpanKind.CONSUMER):
                attributes = attributes_of(each)
                for name in _ENDPOINTS:
                    if value := attributes.get(name):
                        return str(value)
        return None


def owner_of(call: calls.OpenCall) -> int:
    """Span id of the owner of what `call` is a part of: the outermost call, or the one in another
    process that this work is done for."""
    while call.outer is not None:
        call = call.outer
    named = call.attributes.get(semconv.OWNER_SPAN_ID)
    return int(named, 16) if isinstance(named, str) else call.span_id
