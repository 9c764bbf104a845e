"""The live span of a call: an SDK span on which the call's own dict of attributes stands.

Half of what a span costs is to clean its attributes one by one and to copy them; those of a call
are clean when they are gathered, and one dict is enough. Another SDK than we know, and one with
limits that could bite, makes the span its own way.
https://github.com/open-telemetry/opentelemetry-python/blob/main/opentelemetry-sdk/src/opentelemetry/sdk/trace/__init__.py
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Span, SpanLimits, Tracer, _Span
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags

__all__ = ["start_span", "write"]

_CLEAN = frozenset({str, int, float, bool, tuple})
"""Tuples are ours, of strings: nothing that comes from outside is one."""
_IS_KNOWN = "record_end_metrics" in (Span.__init__.__kwdefaults__ or {}) and hasattr(
    IdGenerator, "is_trace_id_random"
)
"""This is an SDK whose way to start a span is the one below."""
_RANDOM = 0x02
"""The flag of a random trace id, which older SDKs have no name for (W3C Trace Context Level 2)."""
_FLAGS = {
    (False, False): TraceFlags(TraceFlags.DEFAULT),
    (False, True): TraceFlags(_RANDOM),
    (True, False): TraceFlags(TraceFlags.SAMPLED),
    (True, True): TraceFlags(TraceFlags.SAMPLED | _RANDOM),
}
"""By whether the span is sampled, and whether the id of its trace is random."""
_ROOM = 64
"""Attributes that a call gathers after its start, at most."""


def start_span(
    tracer: trace.Tracer, name: str, attributes: dict[str, Any], start_ns: int
) -> trace.Span:
    """`tracer.start_span` of a client span on which `attributes` itself stands, not a copy.

    Samplers and processors see the attributes as ever.
    """
    if (
        not _IS_KNOWN
        or type(tracer) is not Tracer
        or not _has_room(tracer._span_limits, attributes)
        or not tracer._is_enabled()
    ):
        return tracer.start_span(
            name, kind=SpanKind.CLIENT, attributes=attributes, start_time=start_ns
        )
    above = trace.get_current_span().get_span_context()
    ids = tracer.id_generator
    if above.is_valid:
        parent: SpanContext | None = above
        trace_id, random = above.trace_id, above.trace_flags.random_trace_id
    else:
        parent = None
        trace_id, random = ids.generate_trace_id(), ids.is_trace_id_random()
    sampled = tracer.sampler.should_sample(None, trace_id, name, SpanKind.CLIENT, attributes, ())
    decision: Any = sampled.decision
    context = SpanContext(
        trace_id,
        ids.generate_span_id(),
        is_remote=False,
        trace_flags=_FLAGS[decision.is_sampled(), random],
        trace_state=sampled.trace_state,
    )
    ended = tracer._tracer_metrics.start_span(parent, decision)
    if not decision.is_recording():
        return NonRecordingSpan(context)
    span = _Span(
        name=name,
        context=context,
        parent=parent,
        sampler=tracer.sampler,
        resource=tracer.resource,
        span_processor=tracer.span_processor,
        kind=SpanKind.CLIENT,
        instrumentation_info=tracer.instrumentation_info,
        limits=tracer._span_limits,
        instrumentation_scope=tracer._instrumentation_scope,
        record_end_metrics=ended,
    )
    if sampled.attributes != attributes:  # a sampler may add some, or drop them all
        span.set_attributes(sampled.attributes)
    else:
        bounded: Any = span._attributes
        bounded._dict = attributes
    span.start(start_time=start_ns)
    return span


def _has_room(limits: SpanLimits, attributes: Mapping[str, Any]) -> bool:
    most = limits.max_span_attributes
    return limits.max_span_attribute_length is None and (
        most is None or len(attributes) + _ROOM <= most
    )


def write(span: trace.Span, attributes: Mapping[str, Any]) -> None:
    """See to it that `attributes`, all of a call's, stand on its span.

    Ours are strings, numbers, booleans and lists of strings; with anything else, and where
    `attributes` are not what stands there already, the span's own method does it.
    """
    bounded: Any = getattr(span, "_attributes", None)
    if type(bounded) is not BoundedAttributes or bounded._dict is not attributes:
        span.set_attributes(attributes)
    elif not _is_clean(bounded._dict, bounded.maxlen):
        bounded._dict = {}
        span.set_attributes(attributes)


def _is_clean(attributes: dict[str, Any], most: int | None) -> bool:
    """Whether this is what cleaning would give; lists become tuples on the way."""
    if most is not None and len(attributes) > most:
        return False
    if _CLEAN.issuperset(map(type, attributes.values())):
        return True
    for name, value in attributes.items():
        if type(value) is list and all(type(each) is str for each in value):
            attributes[name] = tuple(value)
    return _CLEAN.issuperset(map(type, attributes.values()))
