"""The current OpenTelemetry context, read and set where the API keeps it.

A call asks for it a dozen times, and the API's own functions take three steps to the context
variable each time. Another runtime context than the API's (`OTEL_PYTHON_CONTEXT`) is asked its way.
https://github.com/open-telemetry/opentelemetry-python/tree/main/opentelemetry-api/src/opentelemetry/context
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Any

from opentelemetry import context
from opentelemetry.context import _RUNTIME_CONTEXT, Context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext

__all__ = ["added", "attach", "current", "detach"]


def _variable() -> ContextVar[Context] | None:
    found = getattr(_RUNTIME_CONTEXT, "_current_context", None)
    known = type(_RUNTIME_CONTEXT) is ContextVarsRuntimeContext and isinstance(found, ContextVar)
    return found if known else None


_kept = _variable()

current: Callable[[], Context] = context.get_current if _kept is None else _kept.get
attach: Callable[[Context], Any] = context.attach if _kept is None else _kept.set
"""Gives the token that `detach` takes."""


def added(context: Context, key: str, value: object) -> Context:
    """`context` with `value` under `key`, in one copy where the API makes two."""
    inside = Context(context)
    dict.__setitem__(inside, key, value)  # it refuses to be changed, but nobody has seen it yet
    return inside


def detach(token: Any, attached: Context) -> None:
    """Go back to what was before `attached`, unless something else is current.

    In silence where that cannot be done: a generator that is dropped is finished by another task, in
    a copy of the context that it entered. The token is not valid there, and the API would log an
    error for nothing.
    """
    if current() is not attached:
        return
    if not isinstance(token, Token):
        context.detach(token)
        return
    try:  # noqa: SIM105  (`suppress` costs as much as all the rest of this)
        token.var.reset(token)
    except ValueError:
        pass
