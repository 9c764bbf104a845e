"""Whatever becomes of the telemetry, calls are as fast and their answers as they were."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx2
import openai
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
    SpanProcessor,
)
from otlp import Receiver

import tollspan
from tollspan import ended
from tollspan.config import environment
from tollspan.launcher import doctor

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}
    ],
    "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
}

CALLS = 150
ALLOWED_RATIO, ALLOWED_S = 4.0, 0.01
"""A call may take four times the bare one, or ten milliseconds more: far above what the span costs,
far below any wait for a collector."""


@pytest.fixture
def client() -> Iterator[openai.OpenAI]:
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json=ANSWER))
    with openai.OpenAI(
        api_key="test", max_retries=0, http_client=httpx2.Client(transport=transport)
    ) as client:
        yield client


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    yield
    tollspan.uninstrument()


def ask(client: openai.OpenAI) -> Any:
    return client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": "hello"}]
    )


def timed(client: openai.OpenAI) -> tuple[float, list[Any]]:
    """Seconds of a call of the faster quarter (the machine may be busy), and the answers."""
    seconds, answers = [], []
    for _ in range(CALLS):
        start = time.perf_counter()
        answers.append(ask(client))
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[CALLS // 4], answers


class Raising(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        raise RuntimeError("the exporter is broken")


class Stuck(SpanExporter):
    """Holds its first batch until it is let go, and the queue behind it fills up."""

    def __init__(self) -> None:
        import threading

        self.holds = threading.Event()
        self.go = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.holds.set()
        self.go.wait()
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.go.set()


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    stuck = Stuck()
    yield stuck
    stuck.go.set()


@pytest.fixture
def hanging() -> Iterator[Receiver]:
    with Receiver(hang=True) as receiver:
        yield receiver


@pytest.fixture
def behind(
    request: pytest.FixtureRequest, stuck: Stuck, hanging: Receiver
) -> Callable[[], SpanProcessor]:
    def dead() -> SpanProcessor:
        return BatchSpanProcessor(OTLPSpanExporter("http://127.0.0.1:9/v1/traces", timeout=0.5))

    def hangs() -> SpanProcessor:
        return BatchSpanProcessor(
            OTLPSpanExporter(f"{hanging.url}/v1/traces", timeout=0.5), schedule_delay_millis=20
        )

    def raises() -> SpanProcessor:
        return BatchSpanProcessor(Raising(), schedule_delay_millis=20)

    def raises_at_once() -> SpanProcessor:
        return SimpleSpanProcessor(Raising())

    def full() -> SpanProcessor:
        return BatchSpanProcessor(
            stuck, max_queue_size=10, max_export_batch_size=1, schedule_delay_millis=20
        )

    return {each.__name__: each for each in (dead, hangs, raises, raises_at_once, full)}[
        request.param
    ]


WAYS = ("dead", "hangs", "raises", "raises_at_once", "full")


@pytest.mark.parametrize("behind", WAYS, indirect=True)
def test_calls_are_as_fast_and_their_answers_the_same(
    behind: Callable[[], SpanProcessor],
    client: openai.OpenAI,
    stuck: Stuck,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # The SDK logs every failed export with a traceback, in the caller's thread where the processor
    # is a simple one. What that takes is up to the application's logging, not to us.
    caplog.set_level(logging.CRITICAL, logger="opentelemetry")
    ask(client)
    bare_s, bare = timed(client)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(behind())
    tollspan.instrument(tracer_provider=provider)
    ask(client)
    with_s, answers = timed(client)
    stuck.go.set()
    provider.shutdown()

    assert answers == bare
    assert with_s <= max(bare_s * ALLOWED_RATIO, bare_s + ALLOWED_S), (with_s, bare_s)


def counts() -> dict[str, int]:
    (delivery,) = doctor.report()["process"]["deliveries"]
    return {name: delivery[name] for name in ("sent", "refused", "dropped", "waiting")}


def spans_of_a_call(client: openai.OpenAI) -> int:
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tollspan.instrument(tracer_provider=provider)
    ask(client)
    tollspan.uninstrument()
    return len(exporter.get_finished_spans())


@pytest.mark.parametrize("behind", ["dead", "hangs", "raises", "raises_at_once"], indirect=True)
def test_what_exporters_lose_is_counted(
    behind: Callable[[], SpanProcessor], client: openai.OpenAI
) -> None:
    each = spans_of_a_call(client)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(behind())
    tollspan.instrument(tracer_provider=provider)
    for _ in range(5):
        ask(client)
    provider.shutdown()

    assert counts() == {"sent": 0, "refused": 5 * each, "dropped": 0, "waiting": 0}
    (exporter,) = [check for check in doctor.report()["checks"] if check["name"] == "exporter"]
    assert exporter["state"] == "bad"
    assert f"{5 * each} lost in failed exports" in exporter["text"]


@pytest.mark.parametrize("behind", ["full"], indirect=True)
def test_what_a_full_queue_drops_is_counted(
    behind: Callable[[], SpanProcessor], client: openai.OpenAI, stuck: Stuck
) -> None:
    each = spans_of_a_call(client)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(behind())
    tollspan.instrument(tracer_provider=provider)
    ask(client)
    assert stuck.holds.wait(10)
    for _ in range(20):
        ask(client)

    ended.settle_all()
    found = counts()
    assert found["waiting"] == 10
    assert found["dropped"] == 21 * each - 10 - 1  # one is in the exporter's hands
    (exporter,) = [check for check in doctor.report()["checks"] if check["name"] == "exporter"]
    assert f"{found['dropped']} dropped from a full queue" in exporter["text"]
    stuck.go.set()
    provider.shutdown()


PROGRAM = """
import httpx2, json, openai, sys, tollspan
tollspan.instrument()
transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json=json.loads(sys.argv[1])))
client = openai.OpenAI(api_key="test", http_client=httpx2.Client(transport=transport))
client.chat.completions.create(model="gpt-4o-mini", messages=[])
print("done", flush=True)
"""


def seconds_at_exit(endpoint: str) -> float:
    import json

    environ = {name: value for name, value in environment().items() if not name.startswith("OTEL_")}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, json.dumps(ANSWER)],
        env={**environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "done\n"
        start = time.monotonic()
        assert child.wait(60) == 0
        return time.monotonic() - start


@pytest.mark.slow
def test_a_hanging_collector_does_not_hang_the_exit(hanging: Receiver) -> None:
    """The SDK's own bound is thirty seconds."""
    assert seconds_at_exit(hanging.url) < 25


@pytest.mark.slow
def test_a_dead_collector_does_not_delay_the_exit() -> None:
    """The exporter's own retries would take seven seconds and more."""
    assert seconds_at_exit("http://127.0.0.1:9") < 6.5
