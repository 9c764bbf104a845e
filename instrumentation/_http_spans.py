"""HTTP spans that other instrumentations make of the requests of a call: theirs stay the only ones."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.context import Context

from tollspan import semconv

__all__ = ["http_span_in"]

_MARKS = frozenset(
    {
        "opentelemetry.instrumentation.requests",
        "opentelemetry.instrumentation.aiohttp_client",
        "opentelemetry.instrumentation.urllib3",
    }
)
"""Scopes of HTTP spans that are open around the request when it reaches us."""


def http_span_in(context: Context) -> trace.Span | None:
    """The span that an HTTP instrumentation above made for this request, if it is still free.

    One such span covers a request with its redirects: it is the first attempt's.
    """
    span = trace.get_current_span(context)
    scope = getattr(span, "instrumentation_scope", None)
    if scope is None or scope.name not in _MARKS:
        return None
    return None if semconv.ATTEMPT in (getattr(span, "attributes", None) or ()) else span
