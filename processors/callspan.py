"""The live span of a call: an SDK span on which the call's own dict of attributes stands.

Half of what a span costs is to clean its attributes one by one and to copy them; those of a call
are clean when they are gathered, and one dict is enough. Another SDK than we know, and one with
limits that could bite, makes the span its own way.
https://github.com/open-telemetry/opentelemetry-python/blob/main/opentelemetry-sdk/src/opentelemetry/sdk/trace/__init__.py
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from functools import lru_cache
from time import time_ns
from typing import Any
from weakref import WeakKeyDictionary

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, Tracer, _Span
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Decision
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    TraceFlags,
    TraceState,
)
from opentelemetry.trace.propagation import _SPAN_KEY

from tollspan import contexts
from tollspan import ids as drawn

from .sdk import tracer_behind
from .spanparts import Gathered, Later, LockLater
from .unsampled import is_kept

__all__ = ["CallSpan", "start_span", "write"]

_logger = logging.getLogger("tollspan")
_CLEAN = frozenset({str, int, float, bool, tuple})
"""Tuples are ours, of strings: nothing that comes from outside is one."""
_RANDOM = 0x02
"""The flag of a random trace id, which older SDKs have no name for (W3C Trace Context Level 2)."""
_SAMPLED_FLAGS = TraceFlags(TraceFlags.SAMPLED), TraceFlags(TraceFlags.SAMPLED | _RANDOM)
_DROPPED_FLAGS = TraceFlags(TraceFlags.DEFAULT), TraceFlags(_RANDOM)
"""The second where the id of the trace is random."""
_ROOM = 64
"""Attributes that a call gathers after its start, at most."""
_SAMPLED, _DROPPED = Decision.RECORD_AND_SAMPLE, Decision.DROP
_UNSET = Status()
_NO_STATE = trace.INVALID_SPAN_CONTEXT.trace_state


def start_span(
    tracer: trace.Tracer, name: str, attributes: dict[str, Any], start_ns: int
) -> trace.Span:
    """`tracer.start_span` of a client span on which `attributes` itself stands, not a copy.

    Samplers and processors see the attributes as ever.
    """
    if type(tracer) is not Tracer:
        tracer = tracer_behind(tracer)
    known = _known
    if known is None or known[0] is not tracer:
        known = _learn(tracer)
        if known is None:
            return _started_by_sdk(tracer, name, attributes, start_ns)
    tracer, kind, room, counted = known
    if (room is not None and len(attributes) > room) or not tracer._is_enabled():
        return _started_by_sdk(tracer, name, attributes, start_ns)
    here = contexts.current()
    is_inside = here.get(_SPAN_KEY) is not None
    above = trace.get_current_span(here).get_span_context() if is_inside else None
    ids = tracer.id_generator
    ours = type(ids) is RandomIdGenerator  # whose steps are these two
    span_id = drawn.span_id() if ours else ids.generate_span_id()
    if above is not None and above.is_valid:
        parent: SpanContext | None = above
        trace_id, random = above.trace_id, above.trace_flags.random_trace_id
    else:
        parent = None
        trace_id = drawn.trace_id() if ours else ids.generate_trace_id()
        random = ours or ids.is_trace_id_random()
    added: Mapping[str, Any] | None = None
    if tracer.sampler is DEFAULT_ON:  # the usual one, whose answer is known
        decision: Any = _SAMPLED if parent is None or parent.trace_flags.sampled else _DROPPED
        state = parent.trace_state if parent is not None else None
    else:
        asked = tracer.sampler.should_sample(here, trace_id, name, SpanKind.CLIENT, attributes, ())
        decision, state, added = asked.decision, asked.trace_state, asked.attributes
    flags = (_SAMPLED_FLAGS if decision is _SAMPLED else _DROPPED_FLAGS)[1 if random else 0]
    named = trace_id, span_id, flags, state if state is not None else _NO_STATE
    ended = counted(parent, decision) if counted is not None else None
    if decision is _DROPPED and not is_kept():
        return NonRecordingSpan(_context(*named))
    span = _new(kind)
    span.begin(name, named, parent, attributes, start_ns, ended)
    if added is not None and added != attributes:  # a sampler may add some, or drop them all
        bounded: Any = span._attributes
        bounded._dict = {}
        span.set_attributes(added)
    tracer.span_processor.on_start(span, parent_context=None)
    return span


def _started_by_sdk(
    tracer: trace.Tracer, name: str, attributes: dict[str, Any], start_ns: int
) -> trace.Span:
    return tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes, start_time=start_ns)


def _context(trace_id: int, span_id: int, flags: TraceFlags, state: TraceState) -> SpanContext:
    """`SpanContext` of ids that are known to be valid."""
    return tuple.__new__(SpanContext, (trace_id, span_id, False, flags, state, True))


Ids = tuple[int, int, TraceFlags, TraceState]
"""Of a trace and of a span, the span's flags and its trace state: what a `SpanContext` is made of."""


class ContextLater:
    """The context of a span, made when somebody asks for it: mostly when the call is settled."""

    def __get__(self, span: Any, owner: type) -> Any:
        if span is None:
            return self
        return span.__dict__.setdefault("_context", _context(*span.ids))


_new = object.__new__

_ending = threading.Lock()
"""Held for the moment in which a span ends: one for all, which spares each a lock of its own."""


class CallSpan(_Span):
    """What the SDK's constructor and `start` make, without their eight steps.

    What the spans of one tracer have in common stands on a class of its own: see `_made_for`. When a
    span has ended it is what goes to the exporters itself: nothing changes it any more.
    """

    ids: Ids
    _context: Any = ContextLater()
    _kind = SpanKind.CLIENT
    _lock: Any = LockLater()
    _end_time = None
    _status = _UNSET
    _trace_config = None
    _record_exception = True
    _set_status_on_exception = True
    _events: Any = Later("_events", "max_events")
    _links: Any = Later("_links", "max_links")

    def begin(
        self,
        name: str,
        ids: Ids,
        parent: SpanContext | None,
        attributes: dict[str, Any],
        start_ns: int,
        ended: Any,
    ) -> None:
        """What `__init__` would do, without the steps of the SDK's `__new__` before it."""
        self._name = name
        self.ids = ids
        self._parent = parent
        self._start_time = start_ns
        self._attributes = gathered = _new(Gathered)
        gathered._dict = attributes
        most = self._limits.max_span_attributes
        if most is not None:
            gathered.maxlen = most
        self._record_end_metrics = ended

    def get_span_context(self) -> SpanContext:
        return self._context  # type: ignore[no-any-return]

    def _readable_span(self) -> ReadableSpan:
        return self

    def end(self, end_time: int | None = None) -> None:
        with _ending:
            if self._end_time is None:
                self._end_time = end_time if end_time is not None else time_ns()
                self._attributes._immutable = True  # type: ignore[union-attr]
                is_first = True
            else:
                is_first = False
        if not is_first:
            _logger.warning("Calling end() on an ended span.")
            return
        if self._record_end_metrics:
            self._record_end_metrics()
        self._span_processor._on_ending(self)
        self._span_processor.on_end(self)


def _made_for(tracer: Any) -> type[CallSpan]:
    """The class of the spans that `tracer` starts."""
    common = {
        "_instrumentation_info": tracer.instrumentation_info,
        "_instrumentation_scope": tracer._instrumentation_scope,
        "_resource": tracer.resource,
        "_sampler": tracer.sampler,
        "_span_processor": tracer.span_processor,
        "_limits": tracer._span_limits,
    }
    return type("CallSpan", (CallSpan,), {**common, "__module__": __name__})


class _Specimen:
    """A tracer, as far as `CallSpan` reads it."""

    instrumentation_info = _instrumentation_scope = sampler = span_processor = None
    resource = Resource({})

    def __init__(self, limits: SpanLimits) -> None:
        self._span_limits = limits


@lru_cache(maxsize=1)
def _is_known(kind: type[_Span]) -> bool:
    """Whether this is an SDK whose spans are what `CallSpan` is, and start as above."""
    if "record_end_metrics" not in (Span.__init__.__kwdefaults__ or {}) or not hasattr(
        IdGenerator, "is_trace_id_random"
    ):
        return False
    context, limits = trace.INVALID_SPAN_CONTEXT, SpanLimits()
    ids = 0, 0, TraceFlags(TraceFlags.DEFAULT), _NO_STATE
    theirs = kind("", context, resource=_Specimen.resource, limits=limits)
    ours = _new(_made_for(_Specimen(limits)))
    ours.begin("", ids, None, {}, 0, None)
    flags = TraceFlags(TraceFlags.SAMPLED)
    if _context(1, 2, flags, _NO_STATE) != SpanContext(1, 2, is_remote=False, trace_flags=flags):
        return False
    return all(
        isinstance(getattr(ours, name, ...), type(value))
        for name, value in vars(theirs).items()
        if name not in ("_kind", "_span_processor", "_start_time")
    ) and vars(theirs).keys() >= vars(ours).keys() - {"_events", "_links", "ids"}


_Known = tuple[Tracer, type[CallSpan], "int | None", "Callable[[Any, Any], Any] | None"]
"""A tracer that makes spans as above, with limits that do not bite; their class; how many attributes
a span of it may start with; and what counts them, where the SDK measures itself."""

_kinds: WeakKeyDictionary[trace.Tracer, type[CallSpan]] = WeakKeyDictionary()
_known: _Known | None = None
"""The last one that was asked for: one assignment, whatever other threads ask for."""


def _learn(tracer: trace.Tracer) -> _Known | None:
    """What is to be known of `tracer`; None where its spans cannot be made here."""
    global _known
    if type(tracer) is not Tracer or not _is_known(_Span):
        return None
    limits = tracer._span_limits
    if limits.max_span_attribute_length is not None:
        return None
    kind = _kinds.get(tracer)
    if kind is None:
        kind = _kinds[tracer] = _made_for(tracer)
    metrics = tracer._tracer_metrics
    counted = None if type(metrics).__name__ == "NoOpTracerMetrics" else metrics.start_span
    most = limits.max_span_attributes
    _known = known = tracer, kind, None if most is None else most - _ROOM, counted
    return known


def write(span: trace.Span, attributes: Mapping[str, Any]) -> None:
    """See to it that `attributes`, all of a call's, stand on its span.

    Ours are strings, numbers, booleans and lists of strings; with anything else, and where
    `attributes` are not what stands there already, the span's own method does it.
    """
    bounded: Any = getattr(span, "_attributes", None)
    if type(bounded) is not Gathered or bounded._dict is not attributes:
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
