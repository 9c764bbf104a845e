"""The one span processor: settles our calls, adopts native spans, prices those of others.

Our own call spans arrive with cost and path on them. What others make is read-only once it has
ended, so what is added goes on a copy, which only the processors behind this one see.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeGuard

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind

from tollspan import attribution, calls, ended, semconv
from tollspan.guard import quietly

from . import attempts
from .ancestry import owner_of
from .beside import opened, opened_here
from .bounded import Bounded
from .callspan import CallSpan, start_span, write
from .foreign import scope_is_genai, states_usage
from .of_calls import OfCalls
from .others import GENAI, MOST, OTHER, OURS, Foreign, scope_of
from .sdk import Pipeline, attributes_of, rewritten
from .unsampled import told

__all__ = ["TollspanProcessor", "adopt_provider"]

_NATIVE = "com.anthropic.sdk.python"
_NATIVE_EACH = "mistralai_sdk_tracer"
"""Scopes of spans that SDKs make for a call themselves; the second for each HTTP request."""
_HTTP, _ADOPTABLE = range(GENAI + 1, GENAI + 3)


class TollspanProcessor(OfCalls):
    """Stands in front of `downstream`, the processors that export.

    Never raises into the application; costs about a microsecond for a span that is not ours.
    `install` makes it the settler of the calls of this process.
    """

    def __init__(self, downstream: SpanProcessor) -> None:
        kinds = {semconv.SCOPE: OURS, _NATIVE: _ADOPTABLE, _NATIVE_EACH: _ADOPTABLE}
        super().__init__(downstream, kinds)
        self._http: Bounded[tuple[calls.OpenCall, calls.Attempt]] = Bounded(MOST)

    def install(self) -> None:
        """Settle the calls of this process, and name endpoints by the spans that are open."""
        calls.install(self)
        calls.adopts = True
        calls.postpone = self.postpone
        calls.start_with(start_span, write)
        attribution.endpoint_of_framework = self._around.endpoint

    def uninstall(self) -> None:
        """Take back what `install` did, as far as nobody has put something else there."""
        ended.settle_all()
        if calls.settler is self:
            calls.install(None)
        if attribution.endpoint_of_framework == self._around.endpoint:
            attribution.endpoint_of_framework = attribution._endpoint_unknown
            calls.adopts = False
            calls.postpone = None
            calls.start_with(None, None)

    # --- spans ----------------------------------------------------------------------------------

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if not self._sends_batches():
            self._then.on_start(span, parent_context)
        with quietly:
            if _is_of_call(span):
                self._live.put(span.ids[1], span)
                if others := opened_here():
                    self._is_beside(span, others)
                return
            scope = span._instrumentation_scope
            name = scope.name if scope is not None else ""
            kind = self._kinds.get(name)
            if kind is None:
                kind = self._learn(name)
            self._live.put(span.get_span_context().span_id, span)
            if kind > OURS:
                self._started(span, kind)
            elif kind == OURS:
                if others := opened_here():
                    self._is_beside(span, others)
            elif span._kind is SpanKind.SERVER and (caller := attribution.owner()):
                self._around.callers.put(span.get_span_context().span_id, int(caller, 16))

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
            ended.settle_all()
            for call in list(calls.open_calls.values()):
                if call.span_id in self._live:
                    call.abandon()
                self._forward_held(call)
            self._forward_waiting()
        self._then.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        with quietly:
            ended.settle_all(timeout_millis / 1000)
        return self._then.force_flush(timeout_millis)

    def _learn(self, scope: str) -> int:
        kind = OTHER
        if scope in attempts.SCOPES:
            kind = _HTTP
        elif scope_is_genai(scope):
            kind = GENAI
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
        if kind == _ADOPTABLE and call is not None and _is_of(call, span):
            self._forward_given_up(call)
            from .adoption import adopt

            adopt(call, span)
            if others := opened_here():
                self._is_beside(span, others)
            return
        owner = owner_of(call) if call is not None else self._hushed_by(span)
        span_id = span.get_span_context().span_id
        self._foreign.put(span_id, Foreign(attribution.current(), owner))
        if not owner:
            opened(span_id, self._live)

    def _forward_given_up(self, call: calls.OpenCall) -> None:
        """Forward the ended span of a request that the SDK repeats: the call gets another one."""
        given_up = [span for span, attempt in call.held if attempt is None]
        if given_up:
            call.held = [pair for pair in call.held if pair[1] is not None]
        for span in given_up:
            self._then.on_end(span)

    def _ended(self, span: ReadableSpan) -> ReadableSpan | None:
        """The span to forward now, or None where it is held until its call is released."""
        context = span._context
        if context is None:
            return span
        span_id = context.span_id
        kind = OURS
        if not _is_of_call(span):
            scope = span._instrumentation_scope
            kind = self._kinds.get(scope.name, OTHER) if scope is not None else OTHER
        if kind == OURS:
            self._live.pop(span_id, None)
            if self._covered:
                self._covered.pop(span_id, None)
            return span if context.trace_flags.sampled else told(span)
        call = calls.open_calls.get(span_id)
        if call is not None and call.adopted:
            self._live.pop(span_id, None)
            call.held.append((span, None))
            return None
        attributes = attributes_of(span)
        tells = kind != _HTTP and states_usage(attributes) and semconv.COST_ROLE not in attributes
        if tells:
            ended.settle_all()  # whose answer this is, calls that have ended say
        self._live.pop(span_id, None)
        if kind == _HTTP and (pair := self._http.pop(span_id, None)) is not None:
            return self._ended_attempt(span, *pair)
        if self._late and (settled := self._late.pop(span_id, None)) is not None:
            from .adoption import merged

            return merged(span, settled)
        covered = self._covered.pop(span_id, None) if self._covered else None
        if tells:
            return self._ended_foreign(span, span_id, attributes, covered)
        if self._foreign:
            self._foreign.pop(span_id, None)
        if self._beside:
            self._beside.pop(span_id, None)
        return span

    def _ended_attempt(
        self, span: ReadableSpan, call: calls.OpenCall, attempt: calls.Attempt
    ) -> ReadableSpan | None:
        attempts.complete(attempt, attributes_of(span), span.end_time or 0)
        if calls.open_calls.get(call.span_id) is call:
            call.held.append((span, attempt))  # the recorder sees the headers after this
            return None
        return rewritten(span, attempts.enriched(attributes_of(span), attempt))


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


def _is_of_call(span: ReadableSpan) -> TypeGuard[CallSpan]:
    """`isinstance(span, CallSpan)`, which goes through the Python of an abstract class."""
    return CallSpan in type(span).__mro__


def _is_of(call: calls.OpenCall, span: Span) -> bool:
    """Whether an SDK's own span is to be that of `call`: its first, or that of a later request of
    an SDK that makes one for each, and no span within it (a tool that the provider ran)."""
    if not call.span_id:
        return True
    if not call.adopted or scope_of(span) != _NATIVE_EACH:
        return False
    return span.parent is None or span.parent.span_id != call.span_id
