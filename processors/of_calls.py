"""What becomes of the calls of this process when they end: settled, then forwarded with all their spans.

A call's span arrives with cost and path on it. Attempts and hops that nobody else has a span for get
theirs here; spans that were held until their call was settled go out with what it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from tollspan import calls, semconv
from tollspan.guard import quietly

from . import attempts
from .ancestry import owner_of
from .bounded import Bounded
from .others import MOST, Others
from .released import made_of
from .sdk import all_batch, attributes_of, front_of, rewritten
from .unsampled import drivers, is_kept, sampled

__all__ = ["OfCalls"]

if TYPE_CHECKING:
    from .settle import Inner, Settled

# Prices and paths are imported where they are first needed: they take a sixth of the time that
# `import tollspan.auto` may take, and the thread that warms the price book is mostly there earlier.


class OfCalls(Others):
    """The part of the span processor that deals with calls of ours: the settler of this process."""

    def __init__(self, downstream: SpanProcessor, kinds: dict[str, int]) -> None:
        super().__init__(downstream, kinds)
        self._active = getattr(downstream, "_active", None)
        self._processors: Any = None
        """Of `_active`, for which `_all_batch` is known: another tuple as soon as one is added."""
        self._all_batch = False
        self._taken: Bounded[calls.Attempt] = Bounded(MOST)
        """By `id` of an open call: the last of its attempts that got its span."""
        self._late: Bounded[dict[str, Any]] = Bounded(MOST)
        """Settled attributes of adopted spans that have not ended yet."""

    def settle(self, call: calls.OpenCall) -> Mapping[str, Any]:
        """What `call` cost and its path: attributes to add; fills `call.hops`."""
        settled = (_settle or _find_settle())(
            call.attributes,
            [attempt.attributes for attempt in call.attempts],
            [_as_inner(each) for each in call.inner] if call.inner else (),
            start_ns=call.start_ns,
            end_ns=call.end_ns or None,
            last_ns=call.attempts[-1].start_ns if call.attempts else None,
        )
        if settled.hops:
            call.hops = settled.hops
        return settled.attributes

    def postpone(self, call: calls.OpenCall) -> bool:
        """Whether `call`, which ends now, may be settled and released in a moment; if so, remember
        what stands around it. Nobody sees a difference where spans go to batch processors only."""
        span = call.span
        # What is known has to stand on somebody's span before he ends it; one that has ended is held.
        if span.is_recording() if call.adopted else call.held:
            return False
        front = self._front_of(span)
        if front is None or not front._sends_batches():
            return False
        if isinstance(span, ReadableSpan) and span._parent is not None:
            front._around.keep_line(span)
        return True

    def _sends_batches(self) -> bool:
        """Whether every processor behind this one is a batch processor; they may change."""
        try:
            processors = self._active._span_processors  # type: ignore[union-attr]
        except AttributeError:
            processors = None
        if processors is not self._processors:
            self._processors = processors
            self._all_batch = type(processors) is tuple and all_batch(processors)
        return self._all_batch

    def release(self, call: calls.OpenCall) -> None:
        """Forward what was held for `call`, and the spans of its hops."""
        (self._front_of(call.span) or self)._release(call)

    def _front_of(self, span: object) -> OfCalls | None:
        """The one of us in front of the provider that made `span`: nearly always this one."""
        if self._active is not None and getattr(span, "_span_processor", None) is self._active:
            return self
        front = front_of(span)
        return front if isinstance(front, OfCalls) else None

    def _release(self, call: calls.OpenCall) -> None:
        if self._taken:
            self._taken.pop(id(call), None)
        if call.held:
            self._forward_held(call)
        span = call.span
        if not isinstance(span, ReadableSpan):
            if self._waiting:
                self._forward_waiting(call.span_id)
            return
        role = call.attributes.get(semconv.COST_ROLE)
        if call.outer is None and (semconv.COST_GRADE in call.attributes or role == "restated"):
            owner = owner_of(call)
            self._around.cover(span, owner)
            if owner != call.span_id:
                self._around.owners.put(call.span_id, owner)
            self._answers.add_call(call, owner)
        if self._waiting:
            self._forward_waiting(call.span_id)
        if call.adopted and call.span_id in self._live:
            self._late.put(call.span_id, dict(call.attributes))
        if span.context.trace_flags.sampled:
            for made in made_of(call, span):
                self._then.on_end(made)
        elif is_kept() and drivers.is_top(call.attributes):
            for made in made_of(call, span):
                self._then.on_end(sampled(made))

    def _forward_held(self, call: calls.OpenCall) -> None:
        held, call.held = call.held, []
        for span, attempt in held:
            out = span
            with quietly:
                if attempt is not None:
                    out = rewritten(span, attempts.enriched(attributes_of(span), attempt))
                else:
                    from .adoption import merged

                    out = merged(span, call.attributes)
            self._then.on_end(out)


_settle: Callable[..., Settled] | None = None


def _find_settle() -> Callable[..., Settled]:
    """Once: to import a name costs a microsecond even where it has been imported."""
    global _settle
    from .settle import settle

    _settle = settle
    return settle


def _as_inner(call: calls.OpenCall) -> Inner:
    from .settle import Inner

    known = {**call.attributes, **call.usage} if call.usage else call.attributes
    return Inner(known, [attempt.attributes for attempt in call.attempts])
