"""What `opentelemetry-instrument` loads: an instrumentor for each provider.

A module of its own, as OpenTelemetry's base class takes longer to import than all of the engine,
and `tollspan.instrument()` does not need it.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from functools import cache
from typing import Any

from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]
    BaseInstrumentor,
)

from . import _patching
from ._sdks import SDKS, Sdk

__all__ = ["SdkInstrumentor", "instrumentor"]


class SdkInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Watches one SDK while instrumented.

    `instrument(tracer_provider=None)`: spans go to `tracer_provider`, or to the global one, also if
    that is set later. `uninstrument()` restores every attribute to the identical object.
    """

    sdk: Sdk

    def instrumentation_dependencies(self) -> Collection[str]:
        return self.sdk.requires

    @property
    def _is_instrumented_by_opentelemetry(self) -> bool:
        return _patching.is_watched(self.sdk)

    @_is_instrumented_by_opentelemetry.setter
    def _is_instrumented_by_opentelemetry(self, _: bool) -> None:
        """The base class notes what it did; `tollspan.uninstrument()` may have undone it."""

    def _instrument(self, **kwargs: Any) -> None:
        _patching.watch(self.sdk, kwargs.get("tracer_provider"))

    def _uninstrument(self, **kwargs: Any) -> None:
        _patching.unwatch(self.sdk)


@cache
def instrumentor(module: str) -> type[SdkInstrumentor]:
    """The class that an SDK's entry point names: `module` of this package declares the SDK."""
    return type(
        "Instrumentor",
        (SdkInstrumentor,),
        {
            "sdk": SDKS[module.rpartition(".")[2]],
            "__module__": module,
            "__doc__": sys.modules[module].__doc__,
        },
    )
