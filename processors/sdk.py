"""The internals of the OpenTelemetry SDK that the span processor needs, but for `callspan`.

An ended span is read-only, and processors run in the order they were added in; both are worked
around here and nowhere else. Tested on the oldest and the newest SDK that we support.
https://github.com/open-telemetry/opentelemetry-python/blob/main/opentelemetry-sdk/src/opentelemetry/sdk/trace/__init__.py
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode

from tollspan import __version__, calls, semconv

__all__ = [
    "Pipeline",
    "all_batch",
    "attempt_span",
    "attributes_of",
    "front_of",
    "hop_span",
    "rewritten",
    "tracer_behind",
]

_SCOPE = InstrumentationScope(semconv.SCOPE, __version__)
_FAILED, _UNSET = Status(StatusCode.ERROR), Status(StatusCode.UNSET)
_METHODS = ("on_start", "on_end", "shutdown", "force_flush")


def tracer_behind(tracer: Any) -> Any:
    """The tracer behind the API's proxy, and behind that of the launcher's stand-in."""
    if type(tracer) is trace.ProxyTracer:
        tracer = tracer._tracer
    return getattr(tracer, "real", tracer)


def attributes_of(span: ReadableSpan) -> Mapping[str, Any]:
    """The attributes of a span, without the copy and the lock that `span.attributes` costs."""
    attributes = span._attributes
    plain = getattr(attributes, "_dict", None)
    if plain is not None:
        return plain  # type: ignore[no-any-return]
    return attributes if attributes is not None else {}


class Rewritten(ReadableSpan):
    """A copy of an ended span with other attributes; it still counts what the original dropped."""

    _dropped = 0

    @property
    def dropped_attributes(self) -> int:
        return self._dropped


def rewritten(span: ReadableSpan, attributes: Mapping[str, Any]) -> ReadableSpan:
    """`span` with `attributes` in place of its own; identity, times, events and links stay."""
    copy = Rewritten(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        events=span._events,
        links=span._links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
    copy._dropped = span.dropped_attributes
    return copy


def hop_span(
    call: ReadableSpan, attributes: Mapping[str, Any], start_ns: int, end_ns: int, failed: bool
) -> ReadableSpan:
    """The span of one hop behind the application, a child of the call's span.

    Its id is a function of the call's span and the hop's index: a replay makes the same span.
    """
    parent = call.context
    index = attributes[semconv.HOP_INDEX]
    seed = parent.span_id.to_bytes(8, "big") + int(index).to_bytes(2, "big")
    digest = blake2b(seed, digest_size=8, person=b"tollspan").digest()
    own = SpanContext(
        trace_id=parent.trace_id,
        span_id=int.from_bytes(digest, "big") or 1,
        is_remote=False,
        trace_flags=parent.trace_flags,
        trace_state=parent.trace_state,
    )
    return ReadableSpan(
        name=f"hop {attributes[semconv.HOP_NAME]}",
        context=own,
        parent=parent,
        resource=call.resource,
        attributes=attributes,
        kind=SpanKind.INTERNAL,
        status=_FAILED if failed else _UNSET,
        start_time=start_ns,
        end_time=end_ns,
        instrumentation_scope=_SCOPE,
    )


def attempt_span(call: ReadableSpan, attempt: calls.Attempt) -> ReadableSpan:
    """The span of one HTTP attempt, a child of the call's span, under the id that it was sent with."""
    return _AttemptSpan(call, attempt)


class _AttemptSpan(ReadableSpan):
    """What the SDK's constructor makes, without its thirteen steps: what all of these spans have in
    common stands on the class."""

    def __init__(self, call: ReadableSpan, attempt: calls.Attempt) -> None:
        assert attempt.span is not None
        attributes = attempt.attributes
        self._name = attributes[semconv.HTTP_METHOD]
        self._context = attempt.span.get_span_context()
        self._parent = call._context
        self._resource = call._resource
        self._attributes = attributes
        self._start_time = attempt.start_ns
        self._end_time = attempt.end_ns or call._end_time
        if semconv.ERROR_TYPE in attributes:
            self._status = _FAILED


for _name, _value in vars(
    ReadableSpan("", kind=SpanKind.CLIENT, resource=Resource({}), instrumentation_scope=_SCOPE)
).items():
    setattr(_AttemptSpan, _name, _value)


def front_of(span: object) -> SpanProcessor | None:
    """The processor in front of the provider that made the live span `span`, if one stands there.

    Several providers may have one each; what belongs to a span goes out where the span does.
    """
    active = getattr(span, "_span_processor", None)
    return None if active is None else getattr(vars(active).get("on_end"), "__self__", None)


_AS_BATCHES = ("on_start", "_on_ending", "on_end")


def all_batch(processors: tuple[SpanProcessor, ...]) -> bool:
    """Whether all of them do with an ended span what the SDK's batch processor does: keep it until
    its thread sends it, so that none sees when it ends."""
    return bool(processors) and all(
        isinstance(each, BatchSpanProcessor)
        and not any(
            name in vars(each) or getattr(type(each), name) is not getattr(BatchSpanProcessor, name)
            for name in _AS_BATCHES
        )
        for each in processors
    )


class Pipeline(SpanProcessor):
    """Everything that a provider's processors do, as one processor: what stands behind ours.

    Ours is put in front by taking the place of the methods of the provider's own multi-processor.
    That one keeps its list, so processors added later stand behind ours too, in their order.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._active = provider._active_span_processor
        for name in (*_METHODS, "_on_ending"):
            method = getattr(type(self._active), name)
            setattr(self, name, method.__get__(self._active))

    @property
    def front(self) -> SpanProcessor | None:
        """The processor that stands in front of this provider's, if one does."""
        method = vars(self._active).get("on_end")
        return getattr(method, "__self__", None)

    def put_in_front(self, processor: SpanProcessor) -> None:
        for name in _METHODS:
            setattr(self._active, name, getattr(processor, name))

    def take_away(self) -> None:
        for name in _METHODS:
            vars(self._active).pop(name, None)
