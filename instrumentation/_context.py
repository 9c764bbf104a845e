"""The OpenTelemetry context, read once where the API's functions would read it time and again."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context
from opentelemetry.trace.propagation import _SPAN_KEY

__all__ = ["SUPPRESSED", "SUPPRESSED_PLAINLY", "entered"]

SUPPRESSED = _SUPPRESS_INSTRUMENTATION_KEY
SUPPRESSED_PLAINLY = "suppress_instrumentation"
"""Keys of a context in which nothing is to be instrumented, as `is_instrumentation_enabled` has it."""


def entered(
    context: Context, span: trace.Span | None, key: str = "", value: object = None
) -> Context:
    """`context` with `span` as the current one, if given, and `value` under `key`, if given."""
    inside = Context(context)
    if span is not None:
        dict.__setitem__(inside, _SPAN_KEY, span)  # as `contexts.added` does
    if key:
        dict.__setitem__(inside, key, value)
    return inside
