"""What `opentelemetry-instrument` loads: an instrumentor for each provider.

A module of its own, as OpenTelemetry's base class takes longer to import than all of the engine,
and `tollspan.instrument()` does not need it.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any

from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]
    BaseInstrumentor,
)

from . import _patching
from ._spec import Provider

__all__ = ["SdkInstrumentor", "instrumentor"]


class SdkInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Watches one provider's SDK while instrumented.

    `instrument(tracer_provider=None)`: spans go to `tracer_provider`, or to the global one, also if
    that is set later. `uninstrument()` restores every attribute to the identical object.
    """

    provider: Provider

    def instrumentation_dependencies(self) -> Collection[str]:
        return self.provider.requires

    @property
    def _is_instrumented_by_opentelemetry(self) -> bool:
        return _patching.is_watched(self.provider)

    @_is_instrumented_by_opentelemetry.setter
    def _is_instrumented_by_opentelemetry(self, _: bool) -> None:
        """The base class notes what it did; `tollspan.uninstrument()` may have undone it."""

    def _instrument(self, **kwargs: Any) -> None:
        _patching.watch(self.provider, kwargs.get("tracer_provider"))

    def _uninstrument(self, **kwargs: Any) -> None:
        _patching.unwatch(self.provider)


@cache
def instrumentor(provider_module: str) -> type[SdkInstrumentor]:
    """The class that the entry point of a provider names: `provider_module` declares `PROVIDER`."""
    from importlib import import_module

    made = import_module(provider_module)
    return type(
        "Instrumentor",
        (SdkInstrumentor,),
        {"provider": made.PROVIDER, "__module__": provider_module, "__doc__": made.__doc__},
    )
