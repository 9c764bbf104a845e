"""One measured process: a real SDK answered from memory, under one tracer.

    python -m bench.subject SUBJECT SDK SCENARIO

writes a line when it is warm. Then each line on its standard input is a turn: so many calls, and an
answer when they are made, so that several such processes take turns. At the end of its input it prints
the CPU seconds that it has used since it was warm, all threads counted, its waiting included.
Spans go to a batch processor and metrics to a periodic reader, the same for all; under tollspan, calls
are therefore settled in batches. Both providers are flushed once, before the clock stops: what a
subject puts off until later, from one turn to the next or to the end, is its cost all the same.
`bare` runs the SDK alone, with the same providers set up; what a subject (`tollspan`, `peer`) adds
is its figure less that of `bare`.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult


class Discard(SpanExporter):
    """Takes spans as a real exporter would, and keeps none."""

    def export(self, spans: Any) -> SpanExportResult:
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None: ...


class DiscardMetrics(MetricExporter):
    """Takes metrics as a real exporter would, and keeps none."""

    def export(self, metrics_data: Any, timeout_millis: float = 0, **kwargs: Any) -> Any:
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 0) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 0, **kwargs: Any) -> None: ...


def start(subject: str, asked: ModuleType) -> tuple[TracerProvider, MeterProvider]:
    """Set up the providers, the same for all, and switch `subject` on."""
    tracers = TracerProvider()
    tracers.add_span_processor(BatchSpanProcessor(Discard(), max_queue_size=65536))
    reader = PeriodicExportingMetricReader(DiscardMetrics(), export_interval_millis=1000)
    meters = MeterProvider(metric_readers=[reader])
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(meters)
    if subject == "tollspan":
        import tollspan

        tollspan.instrument(tracer_provider=tracers, meter_provider=meters)
    elif subject == "peer":
        asked.peer(tracers, meters)
    elif subject != "bare":
        raise SystemExit(f"unknown subject {subject}: bare, tollspan or peer")
    return tracers, meters


def call_of(subject: str, asked: ModuleType, scenario: str) -> Callable[[], None]:
    """One call; a plain one under tollspan with attribution, as an application would have it."""
    call = partial(getattr(asked, scenario), asked.client())
    if subject != "tollspan" or scenario != "chat":
        return call
    import tollspan

    def attributed() -> None:
        call()

    return tollspan.attribute(
        endpoint="checkout.ai_summary", prompt="summary", prompt_version="v3", tenant="acme"
    )(attributed)


WARMING = {"chat": 150, "stream": 20}
"""Calls before the clock starts."""


def main() -> None:
    subject, sdk, scenario = sys.argv[1:4]
    asked = import_module(f"bench.asked.{sdk}")
    tracers, meters = start(subject, asked)
    call = call_of(subject, asked, scenario)
    for _ in range(WARMING[scenario]):
        call()
    gc.collect()
    print("warm", flush=True)
    began = time.process_time()
    for turn in sys.stdin:
        for _ in range(int(turn)):
            call()
        print("done", flush=True)
    tracers.force_flush()
    meters.force_flush()
    print(time.process_time() - began, flush=True)


if __name__ == "__main__":
    main()
