"""What becomes of the spans of other tracers: they own an answer, tell one again, or wait to know.

Which it is, their parents say, the context in which they started, or what they tell.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import StatusCode

from tollspan import attribution, calls

from .ancestry import Ancestry, owner_of
from .beside import Answer, Answers, Waiting, contradicts, open_calls_like
from .bounded import Bounded
from .dialect_gateways import is_extra
from .foreign import standard
from .sdk import rewritten

__all__ = ["GENAI", "MOST", "OTHER", "OURS", "Foreign", "Others", "scope_of"]

_SUPPRESSED = otel_context._SUPPRESS_INSTRUMENTATION_KEY
OTHER, OURS, GENAI = range(3)
"""What spans of a scope are: nobody's here, those of calls, those that tell of answers."""
MOST = 10_000
"""Live spans, owners and late spans that are remembered; the oldest go first."""


class Foreign(NamedTuple):
    attribution: Mapping[str, str]
    owner: int
    """Span id of the open call of ours that it started in, or 0."""


def scope_of(span: ReadableSpan) -> str:
    scope = span.instrumentation_scope
    return scope.name if scope is not None else ""


class Others(SpanProcessor):
    """The part of the span processor that deals with spans of others."""

    def __init__(self, downstream: SpanProcessor, kinds: dict[str, int]) -> None:
        self._then = downstream
        self._kinds = kinds
        """By scope."""
        self._around = Ancestry()
        self._live = self._around.live
        self._covered = self._around.covered
        self._foreign: Bounded[Foreign] = Bounded(MOST)
        self._answers = Answers()
        self._waiting: deque[Waiting] = deque()
        self._beside: Bounded[int] = Bounded(MOST)
        """Live spans of others in whose context a call of ours started: span id to the owner's."""

    def _hushed_by(self, span: Span) -> int:
        """The span around `span` whose maker suppresses instrumentation inside, or 0.

        Logfire does: what is made there all the same may never be exported, and must not own.
        """
        if otel_context.get_value(_SUPPRESSED):
            for span_id in self._around.parents(span):
                scope = above._instrumentation_scope if (above := self._live.get(span_id)) else None
                if scope is not None and self._kinds.get(scope.name) == GENAI:
                    return span_id
        return 0

    def _is_beside(self, span: Span, others: Sequence[int]) -> None:
        """The span of a call starts while `others` may be open in its context."""
        call = calls.current_call.get()
        owner = owner_of(call) if call is not None else 0
        owner = owner or span.get_span_context().span_id
        for other in others:
            if other in self._live and other not in self._beside:
                self._beside.put(other, owner)

    def _ended_foreign(
        self, span: ReadableSpan, span_id: int, attributes: Mapping[str, Any], covered: int | None
    ) -> ReadableSpan | None:
        kept = self._foreign.pop(span_id, None)
        scope = span._instrumentation_scope
        if scope is not None and self._kinds.get(scope.name) == OTHER:
            self._kinds[scope.name] = GENAI  # from now on its attribution is read at its start
        owner = (kept.owner if kept else 0) or covered or self._around.owner_above(span)
        owner = owner or self._owner_beside(span, span_id, attributes)
        if is_extra(attributes):
            owner = 0  # a gateway's own work: spent besides the answer
        if owner:
            self._around.owners.put(span_id, owner)
            from .ownership import restated

            return rewritten(span, restated(attributes, owner))
        named = kept.attribution if kept else attribution.current()
        if calls.open_calls and (about := open_calls_like(span, attributes)):
            self._waiting.append(Waiting(span, attributes, named, about))
            return None
        return self._owning(span, attributes, named)

    def _owning(
        self, span: ReadableSpan, attributes: Mapping[str, Any], named: Mapping[str, str]
    ) -> ReadableSpan:
        """A copy of a span of others that owns its answer."""
        assert span._context is not None
        span_id = span._context.span_id
        self._around.cover(span, span_id)
        from .ownership import owned

        own = owned(
            attributes,
            named,
            failed=span.status.status_code is StatusCode.ERROR,
            start_ns=span.start_time,
        )
        times = span.start_time or 0, span.end_time or 0
        self._answers.add(Answer(span_id, *times, own, frozenset({scope_of(span)})))
        return rewritten(span, own)

    def _forward_waiting(self, ended: int = 0) -> None:
        """Forward what waited for the call `ended`, and for no other; 0 is for all of them."""
        from .ownership import restated

        for _ in range(len(self._waiting)):
            each = self._waiting.popleft()
            each.calls.discard(ended)
            owner = self._answers.told_by(each.span, each.attributes, scope_of(each.span))
            if owner:
                self._then.on_end(rewritten(each.span, restated(each.attributes, owner)))
            elif each.calls and ended:
                self._waiting.append(each)
            else:
                self._then.on_end(self._owning(each.span, each.attributes, each.attribution))

    def _owner_beside(self, span: ReadableSpan, span_id: int, attributes: Mapping[str, Any]) -> int:
        """The owner of the answer that `span` tells again, where no parentage says so; or 0."""
        owner = self._beside.pop(span_id, 0) if self._beside else 0
        if owner:
            call = calls.open_calls.get(owner)
            answer = self._answers.of(owner) if call is None else None
            known = call or answer
            if known is not None and not contradicts(standard(attributes), known.attributes):
                if answer is not None:
                    answer.scopes |= {scope_of(span)}
                return owner
        return self._answers.told_by(span, attributes, scope_of(span))
