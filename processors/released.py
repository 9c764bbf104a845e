"""The spans that are made when a call is released: of its attempts and of its hops."""

from __future__ import annotations

from collections.abc import Iterator

from opentelemetry.sdk.trace import ReadableSpan

from tollspan import calls, semconv

from .sdk import attempt_span, hop_span

__all__ = ["made_of"]


def made_of(call: calls.OpenCall, span: ReadableSpan) -> Iterator[ReadableSpan]:
    """Spans of the attempts of `call` that the recorder left to us, then those of its hops.

    `span` is the call's own, ended and sampled.
    """
    for attempt in call.attempts:
        if attempt.is_to_be_made and attempt.parent_id == call.span_id:
            yield attempt_span(span, attempt)
    if call.hops:
        yield from _hops(call, span)


def _hops(call: calls.OpenCall, span: ReadableSpan) -> Iterator[ReadableSpan]:
    """As long as the attempt that gave the answer, and within the call."""
    start = span.start_time or call.start_ns
    end = span.end_time or call.end_ns or start
    if call.attempts:
        last = call.attempts[-1]
        start = min(max(start, last.start_ns), end)
        end = max(min(end, last.end_ns or end), start)
    failed = call.attributes.get(semconv.STATUS) == "error"
    for hop in call.hops:
        yield hop_span(span, hop, start, end, failed)
