"""The attempts of a call: which requests are watched, from when on, and when one is over.

What watches the HTTP clients (`_http_clients`) asks here whether a call is open, and creates a
`Flight` (`_flight`) for each request on the wire.
"""

from __future__ import annotations

from collections.abc import Callable
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from tollspan import contexts, semconv
from tollspan.calls import Attempt, OpenCall, current_call
from tollspan.config import settings

from ._context import SUPPRESSED, SUPPRESSED_PLAINLY

if TYPE_CHECKING:
    from ._wire import Recording

__all__ = ["close", "end", "install", "open_call", "owner_of", "tracer", "uninstall", "wire"]

tracer: trace.Tracer | None = None
"""Makes the spans of attempts."""

wire: Callable[[OpenCall, Attempt, Any], Recording] | None = None
"""Opens the record of an exchange, while wire capture is on."""


def install(tracer_provider: trace.TracerProvider | None = None) -> None:
    """Watch the HTTP clients that are imported, and those that will be. Idempotent."""
    global tracer
    from . import _http_clients

    tracer = trace.get_tracer(semconv.SCOPE, tracer_provider=tracer_provider)
    _http_clients.install()
    if settings().wire:
        from . import _wire

        _wire.begin_as_set()


def uninstall() -> None:
    """Give every HTTP client its own methods back."""
    from . import _http_clients

    _http_clients.uninstall()
    if wire is not None:
        from . import _wire

        _wire.end()


def end(attempt: Attempt) -> None:
    """The body has been read, or closed, or will not come. Only the first end counts."""
    if attempt.end_ns:
        return
    attempt.end_ns = time_ns()
    if attempt.span is not None and not attempt.is_to_be_made:
        attempt.span.end(attempt.end_ns)


def close(call: OpenCall) -> None:
    """End the attempts of `call` that are still open: their responses were dropped unread."""
    for attempt in call.attempts:
        if not attempt.end_ns:
            end(attempt)


def owner_of(outer: OpenCall) -> str:
    """Id of the span that owns the money of `outer`, which may be in a caller's process."""
    named = outer.attributes.get(semconv.OWNER_SPAN_ID)
    if isinstance(named, str):
        return named
    return f"{outer.span_id:016x}" if outer.span_id else ""


def open_call() -> OpenCall | None:
    """The call whose requests are to be watched here: none where instrumentation is suppressed, as
    it is while an exporter sends (from inside a call, when spans are exported as they end)."""
    call = current_call.get()
    if call is None or call.end_ns:  # a task may outlive the call in which it was made
        return None
    context = contexts.current()
    return None if context.get(SUPPRESSED) or context.get(SUPPRESSED_PLAINLY) else call
