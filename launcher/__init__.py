"""The front door: `instrument()` and the hooks by which `opentelemetry-instrument` calls it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tollspan.config import settings
from tollspan.guard import quietly

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

__all__ = ["instrument", "post_instrument", "uninstrument"]

_lock = threading.RLock()


def instrument(
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    providers: Sequence[str] | None = None,
) -> None:
    """Patch the LLM SDKs, installed or to come, and put the processors in front of the exporters.

    Without `tracer_provider` the global one is used, also one that is set later. Where there is
    none, spans go out over OTLP as the `OTEL_*` variables say (default: http://localhost:4318, which
    is where `tollspan up` listens). Calling it again changes nothing, unless it names another
    provider: calls go to the one that was named last.

    Args:
        tracer_provider: an SDK provider; gets the span processor.
        meter_provider: for the metrics; default: the global one, also one that is set later.
        providers: only these SDKs, e.g. `["openai"]`; default: all that tollspan knows.

    Raises:
        ValueError: `providers` names one that tollspan does not know.
    """
    wanted = _known(providers)
    if settings().disabled:
        return
    from . import background, first_sdk, installation

    with _lock:
        if tracer_provider is None and wanted is None:
            # There is nothing to patch before an SDK is imported, and the engine takes a while to
            # load.
            first_sdk.when_imported(_patch)
        else:
            _patch(tracer_provider, wanted)
        with quietly:
            installation.install(tracer_provider, meter_provider)
        first_sdk.when_imported(background.start)


def _patch(
    tracer_provider: TracerProvider | None = None, providers: Sequence[str] | None = None
) -> None:
    from tollspan import instrumentation

    from . import installation

    if tracer_provider is not None and installation.sends_elsewhere(tracer_provider):
        with quietly:
            instrumentation.uninstrument()
    with quietly:
        instrumentation.instrument(providers=providers, tracer_provider=tracer_provider)


def uninstrument() -> None:
    """Undo `instrument()`: SDK methods, processors and providers are what they were before."""
    from tollspan import instrumentation

    from . import installation

    with _lock:
        with quietly:
            installation.remove()
        with quietly:
            instrumentation.uninstrument()


def post_instrument() -> None:
    """What `opentelemetry-instrument` runs last: the SDKs are patched by then, one entry point each."""
    if settings().disabled:
        return
    with _lock, quietly:
        from . import background, first_sdk, installation

        installation.install(None, None)
        first_sdk.when_imported(background.start)


def _known(providers: Sequence[str] | None) -> Sequence[str] | None:
    if providers is None:
        return None
    import difflib

    from tollspan import instrumentation

    if isinstance(providers, str):
        raise TypeError(f"providers={providers!r}: write a list, e.g. [{providers!r}]")
    for name in providers:
        if name not in instrumentation.PROVIDERS:
            near = difflib.get_close_matches(str(name), instrumentation.PROVIDERS, 1, 0)
            raise ValueError(
                f"providers names {name!r}, which tollspan does not know: did you mean {near[0]!r}? "
                f"It knows {', '.join(instrumentation.PROVIDERS)}"
            )
    return list(providers)
