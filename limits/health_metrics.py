"""Metrics of backends: whether they are up, how their circuits stand, how long probes take.

`tollspan.backend.up` is 1 or 0, as the collector's `httpcheck.status` of good classes is;
`tollspan.backend.circuit` is 0 closed, 1 half-open, 2 open. Labels are names of a file that people
wrote, and of backends that calls have shown, of which no more than `watched` remembers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Final

from opentelemetry import metrics

from tollspan import __version__, semconv
from tollspan.guard import quietly

from . import meters
from .probes import Result
from .probing import UNKNOWN, UP, Standing
from .watched import Known, Where

__all__ = ["CircuitMetrics", "ProbeMetrics"]

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bucket boundaries of a probe's duration."""

LEVELS: Final = {"closed": 0, "half_open": 1, "open": 2}


def labels(name: str, where: Where) -> dict[str, str | int]:
    """Labels of one backend: its name, and what is known of its provider and address."""
    found: dict[str, str | int] = {semconv.BACKEND: name or str(where)}
    if where.provider:
        found[semconv.PROVIDER] = where.provider
    if where.address:
        found[semconv.SERVER_ADDRESS] = where.address
    if where.port:
        found[semconv.SERVER_PORT] = where.port
    return found


class ProbeMetrics:
    """What one prober measures, until `stop`. `standings` are asked at each collection."""

    def __init__(self, standings: Callable[[], Iterable[Standing]]) -> None:
        self._standings = standings
        _make_instruments()
        _probers.append(self)

    def stop(self) -> None:
        _probers.remove(self)

    def add(self, standing: Standing, result: Result) -> None:
        backend = standing.backend
        known = labels(backend.name, backend.where)
        known[semconv.PROBE_KIND] = result.kind
        known[semconv.PROBE_OK] = result.ok
        _durations[0].record(result.duration_s, known)

    def up(self) -> Iterator[metrics.Observation]:
        for each in self._standings():
            if each.state != UNKNOWN:
                known = labels(each.backend.name, each.backend.where)
                yield metrics.Observation(int(each.state == UP), known)


class CircuitMetrics:
    """How the circuits of `known` stand, until `stop`."""

    def __init__(self, known: Known) -> None:
        self._known = known
        _make_instruments()
        _circuits.append(self)

    def stop(self) -> None:
        _circuits.remove(self)

    def states(self) -> Iterator[metrics.Observation]:
        for each in self._known.every():
            now = each.snapshot()
            yield metrics.Observation(LEVELS[now.state], labels(now.name, now.where))


_probers: list[ProbeMetrics] = []
_circuits: list[CircuitMetrics] = []
_durations: list[metrics.Histogram] = []
"""The histogram of now, once there is one."""


def _make_instruments() -> None:
    if not _durations:
        meters.measure(_measure_with)


def _measure_with(provider: metrics.MeterProvider | None) -> None:
    """Make the instruments on `provider`. The SDK keeps the first callbacks of a name for good, so they
    belong to nobody, and say nothing once another provider measures."""
    meter = metrics.get_meter(semconv.SCOPE, __version__, provider)

    def told(
        observations: Callable[[], Iterable[metrics.Observation]],
    ) -> Callable[[metrics.CallbackOptions], list[metrics.Observation]]:
        def callback(options: metrics.CallbackOptions) -> list[metrics.Observation]:
            found: list[metrics.Observation] = []
            if meters.current is provider:
                with quietly:
                    found = list(observations())
            return found

        return callback

    _durations[:] = [
        meter.create_histogram(
            semconv.METRIC_PROBE_DURATION,
            unit="s",
            description="From the start of a probe to its answer or its failure",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
    ]
    meter.create_observable_gauge(
        semconv.METRIC_BACKEND_UP,
        callbacks=[told(lambda: chain.from_iterable(each.up() for each in list(_probers)))],
        unit="{backend}",  # "1" would make Prometheus call it a ratio
        description="1 where a backend's probes are answered, 0 where it is down",
    )
    meter.create_observable_gauge(
        semconv.METRIC_BACKEND_CIRCUIT,
        callbacks=[told(lambda: chain.from_iterable(each.states() for each in list(_circuits)))],
        unit="{state}",
        description="0: closed, 1: half-open, 2: open",
    )
