"""The current OpenTelemetry context, read and set where the API keeps it.

A call asks for it a dozen times, and the API's own functions take three steps to the context
variable each time. Another runtime context than the API's (`OTEL_PYTHON_CONTEXT`) is asked its way.
https://github.com/open-telemetry/opentelemetry-python/tree/main/opentelemetry-api/src/opentelemetry/context
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from opentelemetry import context
from opentelemetry.context import _RUNTIME_CONTEXT, Context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext

__all__ = ["added", "attach", "current", "put_back"]


def _variable() -> ContextVar[Context] | None:
    found = getattr(_RUNTIME_CONTEXT, "_current_context", None)
    known = type(_RUNTIME_CONTEXT) is ContextVarsRuntimeContext and isinstance(found, ContextVar)
    return found if known else None


_kept = _variable()

current: Callable[[], Context] = context.get_current if _kept is None else _kept.get
attach: Callable[[Context], object] = context.attach if _kept is None else _kept.set


def added(context: Context, key: str, value: object) -> Context:
    """`context` with `value` under `key`, in one copy where the API makes two."""
    inside = Context(context)
    dict.__setitem__(inside, key, value)  # it refuses to be changed, but nobody has seen it yet
    return inside


def put_back(before: Context, attached: Context) -> None:
    """Go back to `before`, unless something else than `attached` is current by now.

    By the value, not by the token of `attach`: whoever drops a generator or a coroutine has it
    finished in a copy of its context, where the token is not valid.
    """
    if current() is attached:
        attach(before)
