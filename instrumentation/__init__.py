"""Auto-instrumentation: one module per provider SDK, all run by one engine.

Importing this package imports neither an SDK nor any provider's module.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from ._record import record as record

__all__ = ["PROVIDERS", "instrument", "record", "uninstrument"]

_logger = logging.getLogger(__name__)

PROVIDERS: Mapping[str, str] = {
    "openai": "tollspan.instrumentation.openai",
    "anthropic": "tollspan.instrumentation.anthropic",
    "litellm": "tollspan.instrumentation.litellm",
}
"""Every provider SDK that can be watched, and the module whose `Instrumentor` does it."""


def instrument(
    tracer_provider: TracerProvider | None = None, providers: Iterable[str] | None = None
) -> list[str]:
    """Watch the SDKs of `providers`, or all that are installed; gives the names of those watched.

    SDKs are never imported: one that is imported later is watched from then on. What is watched
    already stays as it is.

    Raises:
        ValueError: `providers` names one that is not in `PROVIDERS`.
    """
    chosen = list(PROVIDERS) if providers is None else list(providers)
    for name in chosen:
        if name not in PROVIDERS:
            raise ValueError(f"provider {name!r} is unknown: write one of {', '.join(PROVIDERS)}")
    from ._patching import use

    use(tracer_provider)
    return [name for name in chosen if _instrumented(name, tracer_provider, providers is not None)]


def _instrumented(name: str, tracer_provider: TracerProvider | None, asked: bool) -> bool:
    from opentelemetry.instrumentation.dependencies import DependencyConflictError

    instrumentor = _instrumentor(name)
    if instrumentor.is_instrumented_by_opentelemetry:
        return True
    try:
        instrumentor.instrument(tracer_provider=tracer_provider, raise_exception_on_conflict=True)
    except DependencyConflictError as conflict:
        _logger.log(logging.WARNING if asked else logging.DEBUG, "%s: %s", name, conflict)
    return bool(instrumentor.is_instrumented_by_opentelemetry)


def _instrumentor(name: str) -> Any:
    return import_module(PROVIDERS[name]).Instrumentor()


def uninstrument() -> None:
    """Restore every SDK to what it was."""
    for name in PROVIDERS:
        instrumentor = _instrumentor(name)
        if instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.uninstrument()


def __getattr__(name: str) -> Any:
    if name != "record":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._record import record

    globals()[name] = record
    return record
