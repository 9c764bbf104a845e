"""What the settings ask of `limits`: budgets, the health of backends, a cap on retries.

Each is imported only where a setting names it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tollspan import calls
from tollspan.config import settings
from tollspan.limits import meters

from . import background

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

__all__ = ["begin", "measure_with"]


def begin(meter_provider: MeterProvider | None) -> list[Callable[[], None]]:
    """Hold calls to what is set; gives what undoes it."""
    undo: list[Callable[[], None]] = []
    calls.price = _asking_price
    found = settings()
    if found.budgets or found.budgets_url:
        from tollspan.limits import budgets, budgets_metrics

        budgets.hold_to_settings()
        budgets_metrics.measure_with(meter_provider)
        undo.append(budgets.let_go)
    if found.backends or found.health_url:
        background.in_background(_watch_backends)
    if found.most_attempts or found.most_retries_percent:
        from tollspan.limits import retries

        retries.cap_by_settings()
        undo.append(retries.uncap)
    return undo


def measure_with(meter_provider: MeterProvider) -> None:
    """Measure on `meter_provider` from now on."""
    if settings().budgets or settings().budgets_url:
        from tollspan.limits import budgets_metrics

        budgets_metrics.measure_with(meter_provider)
    meters.measure_with(meter_provider)


def _watch_backends() -> None:
    """Where the settings name backends, whether or not the application asks for their health."""
    from tollspan.limits import health

    health.listen()


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
