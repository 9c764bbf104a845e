"""The five instruments, their buckets and their units.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from opentelemetry import metrics, trace

from tollspan import __version__, semconv

from .histogram import Value, record_all

if TYPE_CHECKING:
    from .metrics import Counting

__all__ = ["Instruments", "Series", "Values", "instruments"]

SECONDS: Final = tuple(0.01 * 2**power for power in range(14))
"""Bucket boundaries of durations: 10 ms to 81.92 s, doubling."""

TOKENS: Final = tuple(4**power for power in range(14))
"""Bucket boundaries of token counts: 1 to 67,108,864, by fours."""


class Series:
    """One set of labels, and what has been counted under it."""

    __slots__ = ("cost_usd", "input", "labels", "output", "unpriced")

    def __init__(self, labels: dict[str, Any]) -> None:
        self.labels = labels
        self.input = {**labels, semconv.TOKEN_TYPE: "input"}
        self.output = {**labels, semconv.TOKEN_TYPE: "output"}
        self.cost_usd = 0.0
        self.unpriced: Counter[str] = Counter()


Values = tuple[Series, trace.SpanContext, float, "float | None", "int | None", "int | None"]
"""What one call adds to the histograms: series, span, seconds that it took and until its first chunk,
input and output tokens."""


class Instruments:
    """The five instruments on one meter provider; None is the global one, also if set later.

    Made once for each provider, because the SDK keeps the callbacks of the first; `owner` is who is
    asked now.
    """

    def __init__(self, meter_provider: metrics.MeterProvider | None) -> None:
        self.owner: Counting | None = None
        meter = metrics.get_meter(semconv.SCOPE, __version__, meter_provider=meter_provider)
        self.duration = meter.create_histogram(
            semconv.METRIC_DURATION,
            unit="s",
            description="From the start of a call to its end, streams to their last chunk",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self.tokens = meter.create_histogram(
            semconv.METRIC_TOKENS,
            unit="{token}",
            description="Tokens of one call, input and output apart",
            explicit_bucket_boundaries_advisory=TOKENS,
        )
        self.first_chunk = meter.create_histogram(
            semconv.METRIC_TIME_TO_FIRST_CHUNK,
            unit="s",
            description="From the start of a streamed call to its first chunk",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        meter.create_observable_counter(
            semconv.METRIC_COST,
            callbacks=[lambda _: self.owner.observed_cost() if self.owner else ()],
            unit="USD",
            description="What calls cost, as far as it is known",
        )
        meter.create_observable_counter(
            semconv.METRIC_UNPRICED,
            callbacks=[lambda _: self.owner.observed_unpriced() if self.owner else ()],
            unit="{call}",
            description="Calls without an amount: their model or their usage is unknown",
        )

    def record(self, waiting: Iterable[Values]) -> None:
        """Add what calls have measured to the histograms."""
        by_series: dict[Series, list[Values]] = {}
        for values in waiting:
            by_series.setdefault(values[0], []).append(values)
        for series, calls in by_series.items():
            _, spans, durations, first_chunks, asked, answered = zip(*calls, strict=True)
            labels = series.labels
            record_all(self.duration, _stated(durations, spans), labels, SECONDS)
            record_all(self.first_chunk, _stated(first_chunks, spans), labels, SECONDS)
            record_all(self.tokens, _stated(asked, spans), series.input, TOKENS)
            record_all(self.tokens, _stated(answered, spans), series.output, TOKENS)


def _stated(values: Sequence[float | None], spans: Sequence[trace.SpanContext]) -> list[Value]:
    pairs = zip(values, spans, strict=True)
    return [(value, span) for value, span in pairs if value is not None]


_made: WeakKeyDictionary[metrics.MeterProvider, Instruments] = WeakKeyDictionary()
_made_globally: list[Instruments] = []


def instruments(meter_provider: metrics.MeterProvider | None) -> Instruments:
    if meter_provider is None:
        if not _made_globally:
            _made_globally.append(Instruments(None))
        return _made_globally[0]
    found = _made.get(meter_provider)
    if found is None:
        found = _made[meter_provider] = Instruments(meter_provider)
    return found
