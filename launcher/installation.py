"""What stands in this process for tollspan: settler, span processor, stand-in provider, counters."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from tollspan import calls, ended
from tollspan.config import settings
from tollspan.guard import quietly

from . import background, exporters, first_sdk, limited, standin

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

    from .metrics import Counting

__all__ = ["Installation", "current", "install", "remove", "sends_elsewhere"]


class Installation:
    """Everything that `uninstrument()` takes away again."""

    def __init__(self) -> None:
        self.meter_provider: MeterProvider | None = None
        self.given: trace.TracerProvider | None = None
        """The provider that `instrument()` was last called with."""
        self.stand_in: standin.StandIn | None = None
        self.asked: Sequence[str] = ()
        """Names of the exporters of the stand-in."""
        self.counting: Counting | None = None
        self.adopted: list[trace.TracerProvider] = []
        self.undo: list[Callable[[], None]] = []
        self.pid = os.getpid()
        """The process that called `instrument()`; another one now means a forked worker."""


current: Installation | None = None
_lock = threading.RLock()


def sends_elsewhere(provider: trace.TracerProvider) -> bool:
    """Whether calls go to another provider than `provider` now."""
    return current is not None and current.given is not provider


def install(
    tracer_provider: trace.TracerProvider | None, meter_provider: MeterProvider | None
) -> None:
    """Put everything in place, or add `tracer_provider` and `meter_provider` to what stands."""
    global current
    if current is None:
        current = Installation()
        _prepare()
        current.undo += limited.begin(meter_provider)
    if meter_provider is not None:
        _measure(meter_provider)
    if tracer_provider is not None:
        current.given = tracer_provider
        _adopt(tracer_provider)
        return
    standin.notice(_arrived)
    existing = trace.get_tracer_provider()
    if existing is current.stand_in:
        return
    if not isinstance(existing, trace.ProxyTracerProvider):
        _complete()
        _adopt(existing)
        return
    if asked := exporters.names("traces", default="otlp"):
        current.asked = asked
        current.stand_in = standin.StandIn(_complete)
        standin.take_the_place(current.stand_in)
    calls.unready = _complete


_prepared = False


def _prepare() -> None:
    """The doctor's last word, and what is loaded in the background."""
    global _prepared
    background.in_background(_make_ready)
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
    """A program that is shorter than our loading has calls to tell of all the same, and threads that
    are left may still make some: what they need cannot be imported any later."""
    ended.settle_all(ended.LAST_S)
    with quietly:
        counting = current.counting if current is not None else None
        is_due = counting is None and calls.unready is not None and background.others_run()
        if is_due or (counting is not None and counting.released):
            background.finish()


def _unlock() -> None:
    """A thread of the parent may have held it, and that thread is not here."""
    global _lock
    _lock = threading.RLock()


def _warm() -> None:
    from opentelemetry import propagate  # noqa: F401  (first needed on the way to a gateway)

    from tollspan.processors import adoption, book, settle  # noqa: F401  (first needed at an end)

    book.warm()
    if current is not None and current.stand_in is not None and current.stand_in.made is not None:
        from .first_use import prepare

        for name in current.asked:
            prepare(name)


def _measure_alone() -> None:
    """Metrics of our own where `OTEL_METRICS_EXPORTER` asks for some and nobody else makes any."""
    if current is None or current.meter_provider is not None or not settings().metrics:
        return
    asked = exporters.names("metrics", default="none")
    if not asked:
        return
    from opentelemetry import metrics

    if "Proxy" not in type(metrics.get_meter_provider()).__name__:
        return
    _measure(exporters.own_meters(tuple(asked)))


def _measure(meter_provider: MeterProvider) -> None:
    with _lock:
        if current is None:
            return
        current.meter_provider = meter_provider
        limited.measure_with(meter_provider)
        if current.counting is not None and settings().metrics:
            current.counting.measure_with(meter_provider)


def _last_word() -> None:
    if settings().doctor:
        with quietly:
            from . import doctor

            doctor.write()


def _make_ready() -> None:
    """What the first call would wait for. A program at its end lets nobody start a thread."""
    try:
        if calls.unready is not None:
            calls.unready()
    except RuntimeError:
        if threading.main_thread().is_alive():
            raise


def _complete() -> None:
    """Settle calls, and stand in front of our own provider: before its first span or the first call,
    whichever is earlier. What this imports takes as long as all else that `import tollspan.auto`
    does, which leaves it to a thread of its own."""
    background.load_for_calls()
    with _lock:
        if current is None:
            return
        try:
            _settle()
            _make_own()
        finally:
            calls.unready = None


def _make_own() -> None:
    """The provider that the stand-in stands for, unless another one has come."""
    assert current is not None
    stand_in = current.stand_in
    if stand_in is None or stand_in.made is not None or stand_in.has_given_way:
        return
    from .own_provider import made

    stand_in.made = made(current.asked)
    _stand_before(stand_in)


def _settle() -> None:
    """Settle and count calls, with or without a provider."""
    assert current is not None
    if current.counting is not None:
        return
    from opentelemetry.sdk.trace import SpanProcessor

    from tollspan.processors import spans

    from .metrics import Counting

    alone = spans.TollspanProcessor(SpanProcessor())
    alone.install()
    current.undo.append(alone.uninstall)
    current.counting = Counting(alone, current.meter_provider, record=settings().metrics)
    calls.install(current.counting)


def _arrived(provider: trace.TracerProvider) -> None:
    """The application has set its own global provider."""
    if current is None or provider is current.stand_in or provider in current.adopted:
        return
    _adopt(provider)
    if current.stand_in is not None:
        current.stand_in.give_way(provider)


def _adopt(provider: trace.TracerProvider) -> None:
    """Put the span processor in front of the exporters of `provider`, and ourselves around it."""
    background.load_for_calls()
    with _lock:
        if current is not None:
            _settle()
            _stand_before(provider)


def _stand_before(provider: trace.TracerProvider) -> None:
    assert current is not None
    sdk = _sdk_provider(provider)
    if sdk is None or provider in current.adopted:
        return
    from tollspan.processors import spans

    from . import deliveries

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
    from opentelemetry.sdk.trace import TracerProvider

    if type(provider) is standin.StandIn:
        return provider.made
    for found in (provider, getattr(provider, "provider", None)):
        if isinstance(found, TracerProvider):
            return found
    return None


def remove() -> None:
    global current
    standin.unnotice()
    first_sdk.forget()
    with _lock:
        installed, current = current, None
        calls.unready = None
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
        if installed.stand_in.made is not None:
            installed.stand_in.made.shutdown()
    if deliveries := sys.modules.get(f"{__package__}.deliveries"):
        deliveries.forget()
