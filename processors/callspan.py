"""The live span of a call: an SDK span on which the call's own dict of attributes stands.

Half of what a span costs is to clean its attributes one by one and to copy them; those of a call
are clean when they are gathered, and one dict is enough. Another SDK than we know, and one with
limits that could bite, makes the span its own way.
https://github.com/open-telemetry/opentelemetry-python/blob/main/opentelemetry-sdk/src/opentelemetry/sdk/trace/__init__.py
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, SpanLimits, Tracer, _Span
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Decision
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, TraceFlags
from opentelemetry.trace.propagation import _SPAN_KEY

from tollspan import contexts

__all__ = ["start_span", "write"]

_CLEAN = frozenset({str, int, float, bool, tuple})
"""Tuples are ours, of strings: nothing that comes from outside is one."""
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
_SAMPLED, _DROPPED = Decision.RECORD_AND_SAMPLE, Decision.DROP
_UNSET = Status()


def start_span(
    tracer: trace.Tracer, name: str, attributes: dict[str, Any], start_ns: int
) -> trace.Span:
    """`tracer.start_span` of a client span on which `attributes` itself stands, not a copy.

    Samplers and processors see the attributes as ever.
    """
    if (
        type(tracer) is not Tracer
        or not _is_known(_Span)
        or not _has_room(tracer, attributes)
        or not tracer._is_enabled()
    ):
        return tracer.start_span(
            name, kind=SpanKind.CLIENT, attributes=attributes, start_time=start_ns
        )
    here = contexts.current()
    above = trace.get_current_span(here).get_span_context() if _SPAN_KEY in here else None
    ids = tracer.id_generator
    if above is not None and above.is_valid:
        parent: SpanContext | None = above
        trace_id, random = above.trace_id, above.trace_flags.random_trace_id
    else:
        parent = None
        trace_id, random = ids.generate_trace_id(), ids.is_trace_id_random()
    added: Mapping[str, Any] | None = None
    if tracer.sampler is DEFAULT_ON:  # the usual one, whose answer is known
        decision: Any = _SAMPLED if parent is None or parent.trace_flags.sampled else _DROPPED
        state = parent.trace_state if parent is not None else None
    else:
        asked = tracer.sampler.should_sample(here, trace_id, name, SpanKind.CLIENT, attributes, ())
        decision, state, added = asked.decision, asked.trace_state, asked.attributes
    context = SpanContext(
        trace_id,
        ids.generate_span_id(),
        is_remote=False,
        trace_flags=_FLAGS[decision is _SAMPLED, random],
        trace_state=state,
    )
    ended = tracer._tracer_metrics.start_span(parent, decision)
    if decision is _DROPPED:
        return NonRecordingSpan(context)
    span = _started(tracer, name, context, parent, attributes, start_ns, ended)
    if added is not None and added != attributes:  # a sampler may add some, or drop them all
        bounded: Any = span._attributes
        bounded._dict = {}
        span.set_attributes(added)
    tracer.span_processor.on_start(span, parent_context=None)
    return span


def _started(
    tracer: Any,
    name: str,
    context: SpanContext,
    parent: SpanContext | None,
    attributes: dict[str, Any],
    start_ns: int,
    ended: Any,
) -> Span:
    """What the SDK's constructor and `start` make, without their eight steps."""
    limits = tracer._span_limits
    bounded = BoundedAttributes(limits.max_span_attributes, immutable=False)
    bounded._dict = attributes
    span = object.__new__(_Span)
    span._name = name
    span._context = context
    span._kind = SpanKind.CLIENT
    span._instrumentation_info = tracer.instrumentation_info
    span._instrumentation_scope = tracer._instrumentation_scope
    span._parent = parent
    span._start_time = start_ns
    span._end_time = None
    span._attributes = bounded
    span._events = BoundedList(limits.max_events)
    span._links = BoundedList(limits.max_links)
    span._resource = tracer.resource
    span._status = _UNSET
    span._sampler = tracer.sampler
    span._trace_config = None
    span._record_exception = True
    span._set_status_on_exception = True
    span._span_processor = tracer.span_processor
    span._limits = limits
    span._lock = threading.Lock()
    span._record_end_metrics = ended
    return span


class _Specimen:
    """A tracer, as far as `_started` reads it."""

    instrumentation_info = _instrumentation_scope = sampler = span_processor = None
    resource = Resource({})

    def __init__(self, limits: SpanLimits) -> None:
        self._span_limits = limits


@lru_cache(maxsize=1)
def _is_known(kind: type[_Span]) -> bool:
    """Whether this is an SDK whose spans are what `_started` makes, and start as above."""
    if "record_end_metrics" not in (Span.__init__.__kwdefaults__ or {}) or not hasattr(
        IdGenerator, "is_trace_id_random"
    ):
        return False
    context, limits = trace.INVALID_SPAN_CONTEXT, SpanLimits()
    theirs = kind("", context, resource=_Specimen.resource, limits=limits)
    ours = _started(_Specimen(limits), "", context, None, {}, 0, None)
    return (
        all(
            type(vars(ours).get(name, ...)) is type(value)
            for name, value in vars(theirs).items()
            if name not in ("_kind", "_span_processor", "_start_time")
        )
        and vars(ours).keys() == vars(theirs).keys()
    )


def _has_room(tracer: Tracer, attributes: Mapping[str, Any]) -> bool:
    limits = tracer._span_limits
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
