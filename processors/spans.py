"""The one span processor: settles our calls, adopts native spans, prices those of others.

Our own call spans arrive with cost and path on them. What others make is read-only once it has
ended, so what is added goes on a copy, which only the processors behind this one see.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind, StatusCode

from tollspan import attribution, calls, semconv
from tollspan.guard import quietly

from . import attempts
from .adoption import adopt, merged
from .ancestry import Ancestry, owner_of
from .beside import Answer, Answers, Waiting, contradicts, open_calls_like, opened, opened_here
from .bounded import Bounded
from .callspan import start_span, write
from .dialect_gateways import is_extra
from .foreign import scope_is_genai, standard, states_usage
from .ownership import owned, restated
from .released import made_of
from .sdk import Pipeline, attributes_of, front_of, rewritten
from .settle import Inner, settle

__all__ = ["TollspanProcessor", "adopt_provider"]

_SUPPRESSED = otel_context._SUPPRESS_INSTRUMENTATION_KEY
_NATIVE = "com.anthropic.sdk.python"
_NATIVE_EACH = "mistralai_sdk_tracer"
"""Scopes of spans that SDKs make for a call themselves; the second for each HTTP request."""
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
        self._kinds: dict[str, int] = {
            semconv.SCOPE: _OURS,
            _NATIVE: _ADOPTABLE,
            _NATIVE_EACH: _ADOPTABLE,
        }
        self._around = Ancestry()
        self._live = self._around.live
        self._covered = self._around.covered
        self._http: Bounded[tuple[calls.OpenCall, calls.Attempt]] = Bounded(_MOST)
        self._taken: Bounded[calls.Attempt] = Bounded(_MOST)
        """By `id` of an open call: the last of its attempts that got its span."""
        self._foreign: Bounded[_Foreign] = Bounded(_MOST)
        self._late: Bounded[dict[str, Any]] = Bounded(_MOST)
        """Settled attributes of adopted spans that have not ended yet."""
        self._answers = Answers()
        self._waiting: deque[Waiting] = deque()
        self._beside: Bounded[int] = Bounded(_MOST)
        """Live spans of others in whose context a call of ours started: span id to the owner's."""

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
            elif kind == _OURS:
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
            for call in list(calls.open_calls.values()):
                if call.span_id in self._live:
                    call.abandon()
                self._forward_held(call)
            self._forward_waiting()
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
        if kind == _ADOPTABLE and call is not None and _is_of(call, span):
            self._forward_given_up(call)
            adopt(call, span)
            if others := opened_here():
                self._is_beside(span, others)
            return
        owner = owner_of(call) if call is not None else self._hushed_by(span)
        span_id = span.get_span_context().span_id
        self._foreign.put(span_id, _Foreign(attribution.current(), owner))
        if not owner:
            opened(span_id, self._live)

    def _hushed_by(self, span: Span) -> int:
        """The span around `span` whose maker suppresses instrumentation inside, or 0.

        Logfire does: what is made there all the same may never be exported, and must not own.
        """
        if otel_context.get_value(_SUPPRESSED):
            for span_id in self._around.parents(span):
                scope = above._instrumentation_scope if (above := self._live.get(span_id)) else None
                if scope is not None and self._kinds.get(scope.name) == _GENAI:
                    return span_id
        return 0

    def _forward_given_up(self, call: calls.OpenCall) -> None:
        """Forward the ended span of a request that the SDK repeats: the call gets another one."""
        given_up = [span for span, attempt in call.held if attempt is None]
        if given_up:
            call.held = [pair for pair in call.held if pair[1] is not None]
        for span in given_up:
            self._then.on_end(span)

    def _is_beside(self, span: Span, others: Sequence[int]) -> None:
        """The span of a call starts while `others` may be open in its context."""
        call = calls.current_call.get()
        owner = owner_of(call) if call is not None else 0
        owner = owner or span.get_span_context().span_id
        for other in others:
            if other in self._live and other not in self._beside:
                self._beside.put(other, owner)

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

    def _ended_foreign(
        self, span: ReadableSpan, span_id: int, attributes: Mapping[str, Any], covered: int | None
    ) -> ReadableSpan | None:
        kept = self._foreign.pop(span_id, None)
        scope = span._instrumentation_scope
        if scope is not None and self._kinds.get(scope.name) == _OTHER:
            self._kinds[scope.name] = _GENAI  # from now on its attribution is read at its start
        owner = (kept.owner if kept else 0) or covered or self._around.owner_above(span)
        owner = owner or self._owner_beside(span, span_id, attributes)
        if is_extra(attributes):
            owner = 0  # a gateway's own work: spent besides the answer
        if owner:
            self._around.owners.put(span_id, owner)
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
        own = owned(
            attributes,
            named,
            failed=span.status.status_code is StatusCode.ERROR,
            start_ns=span.start_time,
        )
        times = span.start_time or 0, span.end_time or 0
        self._answers.add(Answer(span_id, *times, own, {_scope(span)}))
        return rewritten(span, own)

    def _forward_waiting(self, ended: int = 0) -> None:
        """Forward what waited for the call `ended`, and for no other; 0 is for all of them."""
        for _ in range(len(self._waiting)):
            each = self._waiting.popleft()
            each.calls.discard(ended)
            owner = self._answers.told_by(each.span, each.attributes, _scope(each.span))
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
                    answer.scopes.add(_scope(span))
                return owner
        return self._answers.told_by(span, attributes, _scope(span))

    # --- calls ----------------------------------------------------------------------------------

    def settle(self, call: calls.OpenCall) -> Mapping[str, Any]:
        """What `call` cost and its path: attributes to add; fills `call.hops`."""
        settled = settle(
            call.attributes,
            [attempt.attributes for attempt in call.attempts],
            [_as_inner(each) for each in call.inner] if call.inner else (),
            start_ns=call.start_ns,
            end_ns=call.end_ns or None,
            last_ns=call.attempts[-1].start_ns if call.attempts else None,
        )
        if settled.hops:
            call.hops = list(settled.hops)
        return settled.attributes

    def release(self, call: calls.OpenCall) -> None:
        """Forward what was held for `call`, and the spans of its hops."""
        front = front_of(call.span)
        own = front if isinstance(front, TollspanProcessor) else self
        own._release(call)

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


def _is_of(call: calls.OpenCall, span: Span) -> bool:
    """Whether an SDK's own span is to be that of `call`: its first, or that of a later request of
    an SDK that makes one for each, and no span within it (a tool that the provider ran)."""
    if not call.span_id:
        return True
    if not call.adopted or _scope(span) != _NATIVE_EACH:
        return False
    return span.parent is None or span.parent.span_id != call.span_id


def _scope(span: ReadableSpan) -> str:
    scope = span.instrumentation_scope
    return scope.name if scope is not None else ""


def _as_inner(call: calls.OpenCall) -> Inner:
    known = {**call.attributes, **call.usage} if call.usage else call.attributes
    return Inner(known, [attempt.attributes for attempt in call.attempts])
