"""The metric `tollspan.budget.ratio`: what part of each budget is spent, as this machine counts."""

from __future__ import annotations

from collections.abc import Iterable
from weakref import WeakSet

from opentelemetry import metrics

from tollspan import __version__, semconv
from tollspan.config import settings
from tollspan.guard import quietly

from . import budgets

__all__ = ["measure_with"]

_MOST = 500
_asked: WeakSet[metrics.MeterProvider] = WeakSet()


def measure_with(meter_provider: metrics.MeterProvider | None) -> None:
    """Tell `meter_provider`, too; None is the global one, also if it is set later. Once for each:
    the SDK keeps the callback of the first."""
    given = meter_provider or metrics.get_meter_provider()
    if given in _asked or not settings().metrics:
        return
    _asked.add(given)
    meter = metrics.get_meter(semconv.SCOPE, __version__, meter_provider=meter_provider)
    meter.create_observable_gauge(
        semconv.METRIC_BUDGET_RATIO,
        callbacks=[_observed],
        unit="1",
        description="Part of a budget's limit that was spent in its period",
    )


def _observed(_: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
    found: list[metrics.Observation] = []
    with quietly:
        for keeper in list(budgets.keepers):
            found += [
                metrics.Observation(
                    standing.spent / book.limit, {semconv.BUDGET_NAME: book.budget.name}
                )
                for book, standing in keeper.standings()[:_MOST]
            ]
    return found
