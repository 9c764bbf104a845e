"""The front door: `instrument()` and the hooks by which `opentelemetry-instrument` calls it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tollspan.config import settings
from tollspan.guard import quietly

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

__all__ = ["instrument", "post_instrument", "uninstrument", "watch_here"]

_lock = threading.RLock()
_alone: TracerProvider | None = None
"""Exports nothing: SDKs are watched for this process itself, until somebody calls `instrument()`."""


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
        TypeError: an argument is of the wrong kind, such as a name in the place of a provider.
    """
    _able("tracer_provider", tracer_provider, "get_tracer")
    _able("meter_provider", meter_provider, "get_meter")
    wanted = _known(providers)
    if settings().disabled:
        return
    from . import background, first_sdk, installation

    with _lock:
        _give_way()
        is_plain = tracer_provider is None and wanted is None
        if not is_plain:
            _patch(tracer_provider, wanted)
        with quietly:
            installation.install(tracer_provider, meter_provider)
        if is_plain:
            # There is nothing to patch before an SDK is imported, and the engine takes a while to
            # load. Our provider stands by then, so that tracers are of it and not of the API's proxy.
            first_sdk.when_imported(_patch)
        _print_calls()
        first_sdk.when_imported(background.start)


def _print_calls() -> None:
    if settings().print_calls:
        with quietly:
            from . import printing

            printing.start()


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


def watch_here() -> bool:
    """Patch the SDKs where `instrument()` has not, for what this process wants to know of its own
    calls: nothing is sent. Gives whether that was to be done."""
    global _alone
    from . import installation

    with _lock:
        if installation.current is not None or settings().disabled:
            return False
        from opentelemetry.sdk.trace import TracerProvider

        made = TracerProvider(shutdown_on_exit=False)
        instrument(tracer_provider=made)
        _alone = made
        return True


def _give_way() -> None:
    """What `watch_here` made gives way to what the application asks for."""
    if _alone is not None:
        uninstrument()


def uninstrument() -> None:
    """Undo `instrument()`: SDK methods, processors and providers are what they were before."""
    global _alone
    from tollspan import instrumentation

    from . import installation

    with _lock:
        _alone = None
        with quietly:
            installation.remove()
        if printing := sys.modules.get(f"{__name__}.printing"):
            printing.stop()
        with quietly:
            instrumentation.uninstrument()


def post_instrument() -> None:
    """What `opentelemetry-instrument` runs last: the SDKs are patched by then, one entry point each."""
    if settings().disabled:
        return
    with _lock, quietly:
        _give_way()
        from . import background, first_sdk, installation

        installation.install(None, None)
        _print_calls()
        first_sdk.when_imported(background.start)


def _able(argument: str, given: object, method: str) -> None:
    """Say so at once where a name was written for a provider: no call would ever be seen."""
    if given is not None and not hasattr(given, method):
        raise TypeError(
            f"{argument}={given!r} is no OpenTelemetry provider; SDKs to patch are named as "
            'providers=["openai"]'
        )


def _known(providers: Sequence[str] | None) -> Sequence[str] | None:
    if providers is None:
        return None
    import difflib

    from tollspan import instrumentation

    if isinstance(providers, str):
        raise TypeError(f"providers={providers!r}: write a list, e.g. [{providers!r}]")
    if not isinstance(providers, Iterable):
        raise TypeError(f'providers={providers!r}: write a list of names, e.g. ["openai"]')
    for name in providers:
        if name not in instrumentation.PROVIDERS:
            near = difflib.get_close_matches(str(name), instrumentation.PROVIDERS, 1, 0.4)
            meant = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(
                f"providers names {name!r}, which tollspan does not know: {meant}"
                f"It knows {', '.join(instrumentation.PROVIDERS)}"
            )
    return list(providers)
