"""One measured process: a real SDK over a transport that answers at once, under one tracer.

    python -m bench.subject SUBJECT SCENARIO CALLS

prints one JSON object: CPU microseconds per call (chat) or per chunk (stream), all threads counted.
`bare` runs the SDK alone, with the same providers set up; what a subject adds is its figure less
that of `bare`.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx2
import openai
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

CHUNKS = 200
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini-2024-07-18",
    "service_tier": "default",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "It is a test."},
        }
    ],
    "usage": {
        "prompt_tokens": 540,
        "completion_tokens": 180,
        "total_tokens": 720,
        "prompt_tokens_details": {"cached_tokens": 128},
        "completion_tokens_details": {"reasoning_tokens": 64},
    },
}
HEADERS = {
    "x-request-id": "req_1",
    "openai-processing-ms": "211",
    "openai-version": "2020-10-01",
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-reset-requests": "6ms",
    "x-ratelimit-limit-tokens": "200000",
    "x-ratelimit-remaining-tokens": "199000",
    "x-ratelimit-reset-tokens": "6ms",
    "cf-ray": "8e1",
    "server": "cloudflare",
}
MESSAGES: Any = [{"role": "user", "content": "Say this is a test"}]


def _stream_body() -> bytes:
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o-mini-2024-07-18",
    }
    lines = [
        {**chunk, "choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]}
        for _ in range(CHUNKS)
    ]
    lines.append({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    lines.append({**chunk, "choices": [], "usage": ANSWER["usage"]})
    return (
        b"".join(b"data: " + json.dumps(line).encode() + b"\n\n" for line in lines)
        + b"data: [DONE]\n\n"
    )


STREAM = _stream_body()


def client() -> openai.OpenAI:
    """An openai client whose every request is answered from memory."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        if b'"stream":true' in request.content.replace(b" ", b""):
            return httpx2.Response(
                200, content=STREAM, headers={**HEADERS, "content-type": "text/event-stream"}
            )
        return httpx2.Response(200, json=ANSWER, headers=HEADERS)

    return openai.OpenAI(
        api_key="x", http_client=httpx2.Client(transport=httpx2.MockTransport(answer))
    )


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


def start(subject: str) -> tuple[TracerProvider, MeterProvider]:
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
    elif subject == "official":
        from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

        OpenAIInstrumentor().instrument(
            tracer_provider=tracers, meter_provider=meters, skip_dep_check=True
        )
    elif subject != "bare":
        raise SystemExit(f"unknown subject {subject}: bare, tollspan or official")
    return tracers, meters


def chat(api: openai.OpenAI, subject: str) -> Callable[[], None]:
    """One plain chat call; under tollspan with attribution, as an application would have it."""

    def call() -> None:
        api.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, temperature=0.2)

    if subject != "tollspan":
        return call
    import tollspan

    return tollspan.attribute(
        endpoint="checkout.ai_summary", prompt="summary", prompt_version="v3", tenant="acme"
    )(call)


def stream(api: openai.OpenAI, subject: str) -> Callable[[], None]:
    """One streamed chat call, read to its end."""

    def call() -> None:
        for _ in api.chat.completions.create(
            model="gpt-4o-mini",
            messages=MESSAGES,
            stream=True,
            stream_options={"include_usage": True},
        ):
            pass

    return call


def main() -> None:
    subject, scenario, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
    tracers, meters = start(subject)
    call = {"chat": chat, "stream": stream}[scenario](client(), subject)
    for _ in range(max(20, calls // 10)):
        call()
    gc.collect()
    began = time.process_time()
    for _ in range(calls):
        call()
    tracers.force_flush()  # what a subject puts off until later is its cost all the same
    meters.force_flush()
    used_s = time.process_time() - began
    units = calls * (CHUNKS if scenario == "stream" else 1)
    print(json.dumps({"us": used_s / units * 1e6}))


if __name__ == "__main__":
    main()
