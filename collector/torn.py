"""Traces of which a part went elsewhere: what can be told from what is here, and what cannot."""

from __future__ import annotations

from tollspan import semconv

from .across import Trace
from .call import Call
from .known import Part

__all__ = ["has_lost_its_call", "is_torn"]


def has_lost_its_call(trace: Trace) -> bool:
    """Whether a part of a call is here and the call is not: another stage may have that."""
    return any(
        known.span is not None
        and known.parent_id not in trace.spans
        and (known.part in (Part.HOP, Part.PROOF) or semconv.ATTEMPT in known.span.attributes)
        for known in trace.spans.values()
    )


def is_torn(trace: Trace, call: Call) -> bool:
    """Whether a span above a foreign call is missing, and the trace has other calls."""
    known = trace.spans.get(call.span.span_id)
    if known is None or known.part != Part.FOREIGN or len(trace.calls) < 2:
        return False
    seen: set[str] = set()
    while known is not None and known.parent_id and known.parent_id not in seen:
        seen.add(known.parent_id)
        known = trace.spans.get(known.parent_id)
    return known is None
