"""What stands in this process for tollspan: settler, span processor, stand-in provider, counters."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from tollspan import calls, ended
from tollspan.config import settings
from tollspan.guard import quietly
from tollspan.limits import meters

from . import background, deliveries, exporters, first_sdk, first_use, standin

if TYPE_CHECKING:
    from .metrics import Counting

__all__ = ["Installation", "current", "install", "remove", "sends_elsewhere"]


@dataclass(slots=True)
class Installation:
    """Everything that `uninstrument()` takes away again."""

    meter_provider: metrics.MeterProvider | None = None
    given: trace.TracerProvider | None = None
    """The provider that `instrument()` was last called with."""
    stand_in: standin.StandIn | None = None
    counting: Counting | None = None
    adopted: list[trace.TracerProvider] = field(default_factory=list)
    undo: list[Callable[[], None]] = field(default_factory=list)
    pid: int = field(default_factory=os.getpid)
    """The process that called `instrument()`; another one now means a forked worker."""


current: Installation | None = None
_lock = threading.RLock()


def sends_elsewhere(provider: trace.TracerProvider) -> bool:
    """Whether calls go to another provider than `provider` now."""
    return current is not None and current.given is not provider


def install(
    tracer_provider: trace.TracerProvider | None, meter_provider: metrics.MeterProvider | None
) -> None:
    """Put everything in place, or add `tracer_provider` and `meter_provider` to what stands."""
    global current
    if current is None:
        current = Installation()
        _prepare()
        if settings().budgets or settings().budgets_url:
            _hold_to_budgets(meter_provider)
        if settings().backends or settings().health_url:
            background.in_background(_watch_backends)
        if settings().most_attempts or settings().most_retries_percent:
            _cap_retries()
    if meter_provider is not None:
        _measure(meter_provider)
    if tracer_provider is not None:
        current.given = tracer_provider
        _adopt(tracer_provider)
        return
    standin.notice(_arrived)
    existing = trace.get_tracer_provider()
    if not isinstance(existing, trace.ProxyTracerProvider):
        _complete()
        _adopt(existing)
        return
    if asked := exporters.names("traces", default="otlp"):
        current.stand_in = _stand_in(asked)
        standin.take_the_place(current.stand_in)
    first_sdk.when_imported(_complete)


_prepared = False


def _prepare() -> None:
    """The doctor's last word, and what is loaded in the background."""
    global _prepared
    background.in_background(_warm)
    background.in_background(_measure_alone)
    if _prepared:
        return
    _prepared = True
    # Registered before our provider registers its shutdown, so it runs after it and sees its end.
    atexit.register(_last_word)
    from . import leaving  # which knows us

    leaving.watch()
    background.before_threads_end(_catch_up)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_unlock)


def _catch_up() -> None:
    """A program that is shorter than our loading has calls to tell of all the same."""
    ended.settle_all(ended.LAST_S)
    with quietly:
        if current is not None and current.counting is not None and current.counting.released:
            background.finish()


def _unlock() -> None:
    """A thread of the parent may have held it, and that thread is not here."""
    global _lock
    _lock = threading.RLock()


def _warm() -> None:
    from tollspan.processors import adoption, book, settle  # noqa: F401  (first needed at an end)

    book.warm()


_own_meters: metrics.MeterProvider | None = None


def _measure_alone() -> None:
    """Metrics of our own where `OTEL_METRICS_EXPORTER` asks for some and nobody else makes any."""
    global _own_meters
    if current is None or current.meter_provider is not None or not settings().metrics:
        return
    asked = exporters.names("metrics", default="none")
    if not asked or "Proxy" not in type(metrics.get_meter_provider()).__name__:
        return
    if _own_meters is None:
        made = _own_meters = exporters.meter_provider(asked)
        atexit.register(made.shutdown, timeout_millis=exporters.EXIT_MS)
    _measure(_own_meters)


def _measure(meter_provider: metrics.MeterProvider) -> None:
    with _lock:
        if current is None:
            return
        current.meter_provider = meter_provider
        if settings().budgets or settings().budgets_url:
            from tollspan.limits import budgets_metrics

            budgets_metrics.measure_with(meter_provider)
        meters.measure_with(meter_provider)
        if current.counting is not None and settings().metrics:
            current.counting.measure_with(meter_provider)


def _last_word() -> None:
    if settings().doctor:
        with quietly:
            from . import doctor

            doctor.write()


def _stand_in(asked: list[str]) -> standin.StandIn:
    provider = standin.StandIn(before_use=_complete)
    for name in asked:
        exporter = first_use.OnFirstUse(name)
        background.in_background(exporter.prepare)
        provider.add_span_processor(exporters.Batched(exporter))
    return provider


def _complete() -> None:
    """Settle calls, and stand in front of our own provider: before its first tracer or the first
    SDK, whichever is earlier. The processors take 30 ms to import, which `import tollspan.auto`
    leaves to that moment."""
    if current is None:
        return
    with _lock:
        _settle()
        if current.stand_in is not None:
            _adopt(current.stand_in)


def _settle() -> None:
    """Settle and count calls, with or without a provider."""
    assert current is not None
    if current.counting is not None:
        return
    from tollspan.processors import spans

    from .metrics import Counting

    calls.price = _asking_price

    alone = spans.TollspanProcessor(SpanProcessor())
    alone.install()
    current.undo.append(alone.uninstall)
    current.counting = Counting(alone, current.meter_provider, record=settings().metrics)
    calls.install(current.counting)


def _asking_price(
    provider: str,
    model: str,
    tier: str | None,
    input_tokens: int,
    output_tokens: int,
    host: str | None,
    geo: str | None,
) -> float | None:
    from tollspan.processors.asking_price import asking_price  # only budgets ask

    return asking_price(provider, model, tier, input_tokens, output_tokens, host, geo)


def _arrived(provider: trace.TracerProvider) -> None:
    """The application has set its own global provider."""
    if current is None or provider is current.stand_in or provider in current.adopted:
        return
    _complete()
    _adopt(provider)
    if current.stand_in is not None:
        current.stand_in.give_way(provider)


def _hold_to_budgets(meter_provider: metrics.MeterProvider | None) -> None:
    assert current is not None
    from tollspan.limits import budgets, budgets_metrics

    budgets.hold_to_settings()
    budgets_metrics.measure_with(meter_provider)
    current.undo.append(budgets.let_go)


def _watch_backends() -> None:
    """Where the settings name backends, whether or not the application asks for their health."""
    from tollspan.limits import health

    health.listen()


def _cap_retries() -> None:
    assert current is not None
    from tollspan.limits import retries

    retries.cap_by_settings()
    current.undo.append(retries.uncap)


def _adopt(provider: trace.TracerProvider) -> None:
    """Put the span processor in front of the exporters of `provider`, and ourselves around it."""
    assert current is not None
    sdk = _sdk_provider(provider)
    with _lock:
        _settle()
        if sdk is None or provider in current.adopted:
            return
        from tollspan.processors import spans

        current.adopted.append(provider)
        current.undo.append(spans.adopt_provider(sdk))
        counting = current.counting
        if counting is not None:
            if calls.settler is not None and calls.settler is not counting:
                counting.inner = calls.settler
            calls.install(counting)
        deliveries.watch_provider(sdk)


def _sdk_provider(provider: Any) -> TracerProvider | None:
    """The SDK's provider, also inside a wrapper that keeps it as `provider`; else None."""
    for found in (provider, getattr(provider, "provider", None)):
        if isinstance(found, TracerProvider):
            return found
    return None


def remove() -> None:
    global current
    standin.unnotice()
    first_sdk.forget()
    installed, current = current, None
    if installed is None:
        return
    ended.settle_all()
    if installed.counting is not None:
        # Each processor takes itself away only where it is the settler.
        calls.install(installed.counting.inner)
        installed.counting.stop()
    while installed.undo:
        with quietly:
            installed.undo.pop()()
    calls.install(None)
    calls.price = None
    if installed.stand_in is not None:
        if trace.get_tracer_provider() is installed.stand_in:
            standin.take_the_place(None)
        installed.stand_in.give_way(None)
        installed.stand_in.shutdown()
    deliveries.forget()
