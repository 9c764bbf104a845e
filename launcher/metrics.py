"""Metrics of every call that owns its money, counted whether or not its span is sampled.

Names, units and buckets of the `gen_ai.client.*` instruments follow the conventions:
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
Labels are bounded: whatever callers put into a tag or a model name, no more than a fixed number of
distinct values becomes a time series; the rest counts as `other`.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final
from weakref import WeakSet

from opentelemetry import metrics

from tollspan import calls, ended, semconv
from tollspan.config import settings
from tollspan.guard import quietly

from .instruments import Instruments, Series, Values, instruments

__all__ = ["Counting"]

OTHER: Final = "other"
"""What a label says once its distinct values are used up, and for tenants that are not named."""

LIMITS: Final[Mapping[str, int]] = {
    semconv.OPERATION: 30,
    semconv.PROVIDER: 30,
    semconv.REQUEST_MODEL: 100,
    semconv.RESPONSE_MODEL: 100,
    semconv.SERVER_ADDRESS: 50,
    semconv.SERVER_PORT: 50,
    semconv.ERROR_TYPE: 50,
    semconv.ENDPOINT_TAG: 200,
    semconv.PROMPT_VERSION: 100,
    semconv.DATA_MODE: 5,
    semconv.TENANT: 1000,
}
"""Labels of every metric, and how many distinct values each may have in one process."""

_LABELS: Final = len(LIMITS)
_READ: Final = (
    *LIMITS,
    semconv.COST_ROLE,
    semconv.COST_GRADE,
    semconv.UNPRICED_REASON,
    semconv.COST_AMOUNT,
    semconv.TIME_TO_FIRST_CHUNK,
    semconv.INPUT_TOKENS,
    semconv.OUTPUT_TOKENS,
)
"""What counting reads of a call: its labels first."""

_MOST_SERIES: Final = 4000
_OVERFLOW: Final = {"otel.metric.overflow": True}
"""Label of what comes after `_MOST_SERIES` label sets, as the metrics specification names it."""

_MOST_WAITING: Final = 8192
"""Calls whose histogram values wait for the next collection; see `Counting`."""


class Counting:
    """A settler that counts each released call, and leaves settling to the one inside.

    Recording one histogram value costs the SDK about 10 µs, most of it to clean and hash ten
    labels. A call has three or four, so they wait in a short queue until a reader collects, and are
    recorded together in the reader's thread; a full queue records in the caller's. Counters are
    summed here and observed.
    """

    def __init__(
        self,
        inner: calls.Settler,
        meter_provider: metrics.MeterProvider | None = None,
        *,
        record: bool = True,
    ) -> None:
        self.inner = inner
        self.settle = inner.settle
        self.released = 0
        self._tenants = frozenset(settings().metric_tenants)
        self._known: dict[str, set[Any]] = {name: set() for name in LIMITS}
        self._by_values: dict[tuple[Any, ...], Series] = {}
        self._by_labels: dict[frozenset[tuple[str, Any]], Series] = {}
        self._overflow = Series(_OVERFLOW)
        self._waiting: deque[Values] = deque()
        # Reentrant: an abandoned stream ends its call in the garbage collector, at any allocation.
        self._lock = threading.RLock()
        self._instruments: Instruments | None = None
        if record:
            self.measure_with(meter_provider)
        _countings.add(self)

    def measure_with(self, meter_provider: metrics.MeterProvider | None) -> None:
        """Record on `meter_provider` from now on; None is the global one."""
        if self._instruments is not None:
            self._instruments.owner = None
        self._instruments = instruments(meter_provider)
        self._instruments.owner = self

    def stop(self) -> None:
        """Measure nothing any more; what waits has been recorded."""
        if self._instruments is not None and self._instruments.owner is self:
            self._record_waiting(self._instruments)
            self._instruments.owner = None
        self._instruments = None

    def release(self, call: calls.OpenCall) -> None:
        try:
            self.inner.release(call)
        finally:
            with quietly:
                self._count(call)

    def _count(self, call: calls.OpenCall) -> None:
        read = tuple(map(call.attributes.get, _READ))
        role, grade, reason, amount, first_chunk_s, asked, answered = read[_LABELS:]
        if role == "restated":
            return
        self.released += 1
        if self._instruments is None:
            return
        of_labels = read[:_LABELS]
        series = self._by_values.get(of_labels)
        if series is None:
            series = self._series(of_labels)
        if grade == "unpriced":
            with self._lock:
                series.unpriced[reason or ""] += 1
        elif amount:
            with self._lock:
                series.cost_usd += amount
        duration_s = max(call.end_ns - call.start_ns, 0) / 1e9
        span = call.span.get_span_context()
        values: Values = series, span, duration_s, first_chunk_s, asked, answered
        if len(self._waiting) < _MOST_WAITING:
            self._waiting.append(values)
        else:
            self._instruments.record((values,))

    def _series(self, values: tuple[Any, ...]) -> Series:
        with self._lock:
            series = self._bounded(values)
            if len(self._by_values) < _MOST_SERIES:
                self._by_values[values] = series
        return series

    def _bounded(self, values: tuple[Any, ...]) -> Series:
        """The series of `values`, each of which may have become `other`."""
        labels: dict[str, Any] = {}
        for (name, limit), value in zip(LIMITS.items(), values, strict=True):
            if value is None:
                continue
            if name == semconv.TENANT and value not in self._tenants:
                value = OTHER
            known = self._known[name]
            if value not in known:
                if len(known) < limit:
                    known.add(value)
                else:
                    value = OTHER
            labels[name] = value
        key = frozenset(labels.items())
        series = self._by_labels.get(key)
        if series is None:
            if len(self._by_labels) >= _MOST_SERIES:
                return self._overflow
            series = self._by_labels[key] = Series(labels)
        return series

    def _all_series(self) -> list[Series]:
        with self._lock:
            return [*self._by_labels.values(), self._overflow]

    def observed_cost(self) -> Iterable[metrics.Observation]:
        """Called at each collection: also the moment to record what waits."""
        found: list[metrics.Observation] = []
        with quietly:
            ended.settle_all()
            if self._instruments is not None:
                self._record_waiting(self._instruments)
            found = [
                metrics.Observation(series.cost_usd, series.labels)
                for series in self._all_series()
                if series.cost_usd
            ]
        return found

    def observed_unpriced(self) -> Iterable[metrics.Observation]:
        found: list[metrics.Observation] = []
        with quietly:
            for series in self._all_series():
                for reason, count in list(series.unpriced.items()):
                    more = {semconv.UNPRICED_REASON: reason} if reason else {}
                    found.append(metrics.Observation(count, {**series.labels, **more}))
        return found

    def _record_waiting(self, to: Instruments) -> None:
        waiting: list[Values] = []
        with suppress(IndexError):  # another reader collects at the same time
            # As many as there are now: calls that end meanwhile must not hold the reader for ever.
            for _ in range(len(self._waiting)):
                waiting.append(self._waiting.popleft())
        to.record(waiting)

    def _forget(self) -> None:
        """After a fork: what the parent counted is the parent's to report."""
        self._lock = threading.RLock()
        self._waiting.clear()
        self.released = 0
        for series in self._all_series():
            series.cost_usd = 0.0
            series.unpriced.clear()


_countings: WeakSet[Counting] = WeakSet()


def _forget_all() -> None:
    for counting in list(_countings):
        counting._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
