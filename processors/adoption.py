"""A span that an SDK makes for its call itself: it becomes the call's span, and gets what we know.

The anthropic SDK makes one: https://github.com/anthropics/anthropic-sdk-python/blob/main/src/anthropic/_tracing.py
The mistralai SDK makes one for each request, and never ends that of a request that it repeats:
https://github.com/mistralai/client-python/blob/main/src/mistralai/client/_hooks/tracing.py
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, Span

from tollspan import attribution, calls, semconv

from .ownership import restated
from .sdk import attributes_of, rewritten

__all__ = ["adopt", "merged"]


def adopt(call: calls.OpenCall, span: Span) -> None:
    """Make the SDK's own span that of `call`; it is live, so attribution goes on it at once.

    One that the call had before is that of a request which the SDK repeats.
    """
    given_up = call.span_id
    if given_up:
        calls.open_calls.pop(given_up, None)
    call.carry(span)
    call.adopted = True
    for attempt in call.attempts:
        if attempt.parent_id == given_up:
            attempt.parent_id = call.span_id
    calls.open_calls[call.span_id] = call
    span.set_attributes(attribution.outgoing_baggage(call.attributes))


def merged(span: ReadableSpan, settled: Mapping[str, Any]) -> ReadableSpan:
    """An adopted span with what we know of its call; where both speak, ours stands."""
    attributes = {**attributes_of(span), **settled}
    if settled.get(semconv.COST_ROLE) == "restated":
        owner = settled.get(semconv.OWNER_SPAN_ID)
        attributes = restated(attributes, int(owner, 16) if isinstance(owner, str) else 0)
    return rewritten(span, attributes)
