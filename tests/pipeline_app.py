"""An application in production: asks models with the real SDK, telemetry to an agent on its machine.

    python pipeline_app.py CALLS [THREADS]     the provider is OPENAI_BASE_URL

Not a test: tests run it in a process of its own. Prints one JSON object when all telemetry is out.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import openai

import tollspan

TENANTS = ("acme", "globex", "O'Brien \\ Söhne")


def main(calls: int, threads: int) -> None:
    from opentelemetry import metrics, trace
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    spans, meters = (
        TracerProvider(),
        MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())]),
    )
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=200))
    trace.set_tracer_provider(spans)
    metrics.set_meter_provider(meters)
    tollspan.instrument()
    client = openai.OpenAI(api_key="test", max_retries=3)
    tracer = trace.get_tracer("shop")

    def ask(number: int) -> bool:
        tags = {"team": "growth" if number % 2 else "search"}
        with (
            tracer.start_as_current_span("GET /checkout"),
            tollspan.attribute(
                endpoint=f"shop.page_{number % 4}", tenant=TENANTS[number % 3], tags=tags
            ),
        ):
            try:
                client.chat.completions.create(
                    model="gpt-4o-mini",
                    messages=[{"role": "user", "content": f"question {number}"}],
                )
            except openai.APIError:
                return False
            return True

    with ThreadPoolExecutor(threads) as pool:
        answered = sum(pool.map(ask, range(calls)))
    spans.shutdown()
    meters.shutdown()
    print(json.dumps({"calls": calls, "answered": answered}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
