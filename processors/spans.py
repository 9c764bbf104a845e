"""The one span processor: settles our calls, adopts native spans, prices those of others.

Our own call spans arrive with cost and path on them. What others make is read-only once it has
ended, so what is added goes on a copy, which only the processors behind this one see.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.trace import NonRecordingSpan, StatusCode

from tollspan import attribution, calls, semconv
from tollspan.guard import quietly

from . import attempts
from .adoption import adopt, merged
from .ancestry import Ancestry, outermost
from .bounded import Bounded
from .callspan import start_span, write
from .foreign import scope_is_genai, states_usage
from .ownership import owned, restated
from .sdk import Pipeline, attempt_span, attributes_of, front_of, hop_span, rewritten
from .settle import Inner, settle

__all__ = ["TollspanProcessor", "adopt_provider"]

_NATIVE = "com.anthropic.sdk.python"
_OTHER, _OURS, _HTTP, _ADOPTABLE, _GENAI = range(5)
_MOST = 10_000
"""Live spans, owners and late spans that are remembered; the oldest go first."""


class _Foreign(NamedTuple):
    attribution: Mapping[str, str]
    owner: int
    """Span id of the open call of ours that it started in, or 0."""


class TollspanProcessor(SpanProcessor):
    """Stands in front of `downstream`, the processors that export.

    Never raises into the application; costs about a microsecond for a span that is not ours.
    `install` makes it the settler of the calls of this process.
    """

    def __init__(self, downstream: SpanProcessor) -> None:
        self._then = downstream
        self._kinds: dict[str, int] = {semconv.SCOPE: _OURS, _NATIVE: _ADOPTABLE}
        self._around = Ancestry()
        self._live = self._around.live
        self._covered = self._around.covered
        self._http: Bounded[tuple[calls.OpenCall, calls.Attempt]] = Bounded(_MOST)
        self._taken: Bounded[calls.Attempt] = Bounded(_MOST)
        """By `id` of an open call: the last of its attempts that got its span."""
        self._foreign: Bounded[_Foreign] = Bounded(_MOST)
        self._late: Bounded[dict[str, Any]] = Bounded(_MOST)
        """Settled attributes of adopted spans that have not ended yet."""

    def install(self) -> None:
        """Settle the calls of this process, and name endpoints by the spans that are open."""
        calls.install(self)
        calls.adopts = True
        calls.start_with(start_span, write)
        attribution.endpoint_of_framework = self._around.endpoint

    def uninstall(self) -> None:
        """Take back what `install` did, as far as nobody has put something else there."""
        if calls.settler is self:
            calls.install(None)
        if attribution.endpoint_of_framework == self._around.endpoint:
            attribution.endpoint_of_framework = attribution._endpoint_unknown
            calls.adopts = False
            calls.start_with(None, None)

    # --- spans ----------------------------------------------------------------------------------

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self._then.on_start(span, parent_context)
        with quietly:
            scope = span._instrumentation_scope
            name = scope.name if scope is not None else ""
            kind = self._kinds.get(name)
            if kind is None:
                kind = self._learn(name)
            self._live.put(span.get_span_context().span_id, span)
            if kind > _OURS:
                self._started(span, kind)

    def _on_ending(self, span: Span) -> None:
        self._then._on_ending(span)

    def on_end(self, span: ReadableSpan) -> None:
        out: ReadableSpan | None = span
        with quietly:
            out = self._ended(span)
        if out is not None:
            self._then.on_end(out)

    def shutdown(self) -> None:
        with quietly:
            for call in list(calls.open_calls.values()):
                if call.span_id in self._live:
                    call.abandon()
                self._forward_held(call)
        self._then.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._then.force_flush(timeout_millis)

    def _learn(self, scope: str) -> int:
        kind = _OTHER
        if scope in attempts.SCOPES:
            kind = _HTTP
        elif scope_is_genai(scope):
            kind = _GENAI
        if len(self._kinds) < 1000:
            self._kinds[scope] = kind
        return kind

    def _started(self, span: Span, kind: int) -> None:
        call = calls.current_call.get()
        if kind == _HTTP:
            if call is None:
                return
            attempt = attempts.linked(call, self._taken.get(id(call)))
            if attempt is not None:
                self._taken.put(id(call), attempt)
                self._http.put(span.get_span_context().span_id, (call, attempt))
                for name in (semconv.ATTEMPT, semconv.HTTP_RESEND_COUNT):
                    if name in attempt.attributes:
                        span.set_attribute(name, attempt.attributes[name])
            return
        if kind == _ADOPTABLE and call is not None and not call.span_id:
            adopt(call, span)
            return
        owner = outermost(call).span_id if call is not None else 0
        self._foreign.put(span.get_span_context().span_id, _Foreign(attribution.current(), owner))

    def _ended(self, span: ReadableSpan) -> ReadableSpan | None:
        """The span to forward now, or None where it is held until its call is released."""
        context = span._context
        if context is None:
            return span
        span_id = context.span_id
        self._live.pop(span_id, None)
        scope = span._instrumentation_scope
        kind = self._kinds.get(scope.name, _OTHER) if scope is not None else _OTHER
        if kind == _OURS:
            if self._covered:
                self._covered.pop(span_id, None)
            return span
        if kind == _HTTP and (pair := self._http.pop(span_id, None)) is not None:
            return self._ended_attempt(span, *pair)
        call = calls.open_calls.get(span_id)
        if call is not None and call.adopted:
            call.held.append((span, None))
            return None
        if self._late and (settled := self._late.pop(span_id, None)) is not None:
            return merged(span, settled)
        covered = self._covered.pop(span_id, None) if self._covered else None
        attributes = attributes_of(span)
        if kind != _HTTP and states_usage(attributes) and semconv.COST_ROLE not in attributes:
            return self._ended_foreign(span, span_id, attributes, covered)
        if self._foreign:
            self._foreign.pop(span_id, None)
        return span

    def _ended_attempt(
        self, span: ReadableSpan, call: calls.OpenCall, attempt: calls.Attempt
    ) -> ReadableSpan | None:
        attempts.complete(attempt, attributes_of(span), span.end_time or 0)
        if calls.open_calls.get(call.span_id) is call:
            call.held.append((span, attempt))  # the recorder sees the headers after this
            return None
        return rewritten(span, attempts.enriched(attributes_of(span), attempt))

    def _ended_foreign(
        self, span: ReadableSpan, span_id: int, attributes: Mapping[str, Any], covered: int | None
    ) -> ReadableSpan:
        kept = self._foreign.pop(span_id, None)
        scope = span._instrumentation_scope
        if scope is not None and self._kinds.get(scope.name) == _OTHER:
            self._kinds[scope.name] = _GENAI  # from now on its attribution is read at its start
        owner = (kept.owner if kept else 0) or covered or self._around.owner_above(span)
        if owner:
            self._around.owners.put(span_id, owner)
            return rewritten(span, restated(attributes, owner))
        self._around.cover(span, span_id)
        return rewritten(
            span,
            owned(
                attributes,
                kept.attribution if kept else attribution.current(),
                failed=span.status.status_code is StatusCode.ERROR,
                start_ns=span.start_time,
            ),
        )

    # --- calls ----------------------------------------------------------------------------------

    def settle(self, call: calls.OpenCall) -> Mapping[str, Any]:
        """What `call` cost and its path: attributes to add; fills `call.hops`."""
        settled = settle(
            call.attributes,
            [attempt.attributes for attempt in call.attempts],
            [_as_inner(each) for each in call.inner] if call.inner else (),
            start_ns=call.start_ns,
        )
        if settled.hops:
            call.hops = list(settled.hops)
        return settled.attributes

    def release(self, call: calls.OpenCall) -> None:
        """Forward what was held for `call`, and the spans of its hops."""
        front = front_of(call.span)
        own = front if isinstance(front, TollspanProcessor) else self
        with quietly:
            own._release(call)

    def _release(self, call: calls.OpenCall) -> None:
        self._taken.pop(id(call), None)
        self._forward_held(call)
        span = call.span
        if not isinstance(span, ReadableSpan):
            return
        if call.outer is None and semconv.COST_GRADE in call.attributes:
            self._around.cover(span, call.span_id)
        if call.adopted and call.span_id in self._live:
            self._late.put(call.span_id, dict(call.attributes))
        if span.context.trace_flags.sampled:
            for attempt in call.attempts:
                if attempt.parent_id == call.span_id and _is_to_be_made(attempt):
                    self._then.on_end(attempt_span(span, attempt))
            for hop in _hops(call, span) if call.hops else ():
                self._then.on_end(hop)

    def _forward_held(self, call: calls.OpenCall) -> None:
        held, call.held = call.held, []
        for span, attempt in held:
            out = span
            with quietly:
                if attempt is not None:
                    out = rewritten(span, attempts.enriched(attributes_of(span), attempt))
                else:
                    out = merged(span, call.attributes)
            self._then.on_end(out)


def adopt_provider(provider: TracerProvider) -> Callable[[], None]:
    """Put a `TollspanProcessor` in front of all processors of `provider`, also ones added later.

    Returns what undoes it. A provider that has one already keeps it, and nothing is undone twice.
    """
    pipeline = Pipeline(provider)
    if isinstance(pipeline.front, TollspanProcessor):
        processor = pipeline.front
    else:
        processor = TollspanProcessor(pipeline)
        pipeline.put_in_front(processor)
    processor.install()

    def undo() -> None:
        processor.uninstall()
        if pipeline.front is processor:
            pipeline.take_away()

    return undo


def _is_to_be_made(attempt: calls.Attempt) -> bool:
    """Whether the recorder left the attempt's span to us: it gave it an id and nothing else."""
    return isinstance(attempt.span, NonRecordingSpan)


def _as_inner(call: calls.OpenCall) -> Inner:
    known = {**call.attributes, **call.usage} if call.usage else call.attributes
    return Inner(known, [attempt.attributes for attempt in call.attempts])


def _hops(call: calls.OpenCall, span: ReadableSpan) -> list[ReadableSpan]:
    """Spans of the hops, as long as the attempt that gave the answer and within the call."""
    start = span.start_time or call.start_ns
    end = span.end_time or call.end_ns or start
    if call.attempts:
        last = call.attempts[-1]
        start = min(max(start, last.start_ns), end)
        end = max(min(end, last.end_ns or end), start)
    failed = call.attributes.get(semconv.STATUS) == "error"
    return [hop_span(span, hop, start, end, failed) for hop in call.hops]
