"""What calls need is loaded beside the application, and is there before the first of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util._once import Once
from otlp import Receiver

import tollspan
from tollspan import calls, guard
from tollspan.chaos import Chaos, ok
from tollspan.launcher import background, installation
from tollspan.processors import callspan

COST = "gen_ai.usage.cost.amount"


@pytest.fixture(autouse=True)
def nothing_global(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No tracer provider is set, none stays set, and nothing is loaded in the background."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setattr(background, "start", lambda: None)
    yield
    tollspan.uninstrument()
    background._jobs.clear()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        yield receiver


@pytest.fixture
def client(chaos: Chaos) -> Iterator[openai.OpenAI]:
    chaos.script(*[ok(input_tokens=1000, output_tokens=100)] * 9)
    with openai.OpenAI(base_url=chaos.openai_base_url, api_key="test", max_retries=0) as client:
        yield client


def ask(client: openai.OpenAI) -> None:
    client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": "hello"}]
    )


def made() -> TracerProvider | None:
    assert installation.current is not None
    assert installation.current.stand_in is not None
    return installation.current.stand_in.made


class Started(SpanProcessor):
    """The spans that were started, as live objects."""

    def __init__(self) -> None:
        self.spans: list[Any] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.spans.append(span)

    def on_end(self, span: ReadableSpan) -> None:
        pass


PROGRAM = """
import json, sys
import openai
from tollspan.launcher import background
background.start = lambda: None
import tollspan.auto
from opentelemetry import trace

found = {"loaded": "opentelemetry.sdk" in sys.modules or "tollspan.processors" in sys.modules}
provider = trace.get_tracer_provider()
from opentelemetry.sdk.trace import TracerProvider
found["is_sdk"] = isinstance(provider, TracerProvider)
found["service"] = provider.resource.attributes["service.name"]
found["same"] = trace.get_tracer_provider() is provider
print(json.dumps(found))
"""


def test_the_import_loads_no_opentelemetry_sdk_and_no_processors() -> None:
    environ = {**os.environ, "OTEL_SERVICE_NAME": "ours", "TOLLSPAN_RAISE": "1"}
    printed = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert json.loads(printed.stdout) == {
        "loaded": False,
        "is_sdk": True,
        "service": "ours",
        "same": True,
    }


def test_the_first_call_is_priced_and_sent(receiver: Receiver, client: openai.OpenAI) -> None:
    tollspan.instrument()
    assert made() is None
    ask(client)

    provider = made()
    assert provider is not None
    provider.force_flush()
    (call,) = receiver.calls()
    assert call.attributes[COST] == pytest.approx(0.00021)


def test_a_span_of_the_applications_before_the_first_call_is_its_parent(
    receiver: Receiver, client: openai.OpenAI
) -> None:
    tollspan.instrument()
    with trace.get_tracer("app").start_as_current_span("work") as work:
        assert made() is not None
        ask(client)

    trace.get_tracer_provider().force_flush()  # type: ignore[attr-defined]
    (call,) = receiver.calls()
    assert call.parent_id == f"{work.get_span_context().span_id:016x}"


def test_a_span_that_the_sdk_makes_for_the_first_call_is_adopted(
    receiver: Receiver, chaos: Chaos
) -> None:
    chaos.script(ok(input_tokens=1000, output_tokens=100))
    tollspan.instrument()
    with anthropic.Anthropic(base_url=chaos.anthropic_base_url, api_key="test") as client:
        client.messages.create(
            model="claude-sonnet-5",
            max_tokens=9,
            messages=[{"role": "user", "content": "hello"}],
        )
    trace.get_tracer_provider().force_flush()  # type: ignore[attr-defined]

    (owner,) = [span for span in receiver.spans if COST in span.attributes]
    assert owner.scope == "com.anthropic.sdk.python"
    assert owner.attributes["tollspan.cost.role"] == "owner"
    assert receiver.calls() == []


def test_a_provider_that_comes_before_the_first_call_is_the_only_one(
    receiver: Receiver,
    exporter: InMemorySpanExporter,
    provider: TracerProvider,
    client: openai.OpenAI,
) -> None:
    tollspan.instrument()
    kept = trace.get_tracer("app")
    trace.set_tracer_provider(provider)
    kept.start_span("theirs").end()
    ask(client)

    assert made() is None
    assert {span.name for span in exporter.get_finished_spans()} >= {"theirs", "chat gpt-4o-mini"}
    assert receiver.requests == 0


def test_taken_away_before_the_first_call_nothing_is_made(client: openai.OpenAI) -> None:
    tollspan.instrument()
    installed = installation.current
    assert installed is not None
    assert installed.stand_in is not None
    kept = trace.get_tracer("app")
    tollspan.uninstrument()
    ask(client)
    kept.start_span("theirs").end()

    assert installed.stand_in.made is None
    assert calls.unready is None
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def test_first_calls_of_many_threads_make_one_provider(
    receiver: Receiver, client: openai.OpenAI
) -> None:
    tollspan.instrument()
    together = threading.Barrier(8)

    def first() -> None:
        together.wait(10)
        ask(client)

    threads = [threading.Thread(target=first) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)

    provider = made()
    assert provider is not None
    provider.force_flush()
    assert len(receiver.calls()) == 8
    assert all(COST in call.attributes for call in receiver.calls())


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_child_that_is_forked_before_the_first_call_makes_its_own(
    receiver: Receiver, client: openai.OpenAI
) -> None:
    tollspan.instrument()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            ask(client)
            trace.get_tracer_provider().force_flush()  # type: ignore[attr-defined]
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0

    assert made() is None
    (call,) = receiver.calls()
    assert call.attributes[COST] == pytest.approx(0.00021)


@pytest.mark.quiet
def test_what_cannot_be_completed_costs_spans_and_no_call(
    client: openai.OpenAI, chaos: Chaos, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise OSError("a fault of ours")

    monkeypatch.setattr(background, "load_for_calls", broken)
    monkeypatch.setattr(guard, "faults", faults := Counter[str]())
    tollspan.instrument()
    ask(client)
    with trace.get_tracer("app").start_as_current_span("theirs") as span:
        assert not span.is_recording()

    assert len(chaos.log) == 1
    assert made() is None
    assert any(each.startswith("OSError at ") and __file__ in each for each in faults)


@pytest.mark.parametrize("exporters", ["otlp", "none"])
def test_spans_of_calls_are_made_the_quick_way_whenever_a_provider_comes(
    exporters: str, receiver: Receiver, client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the SDK imported before `instrument()`: the API's proxy of a tracer is no detour."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", exporters)
    tollspan.instrument()
    started = Started()
    if exporters == "none":
        trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))
    trace.get_tracer_provider().add_span_processor(started)  # type: ignore[attr-defined]
    ask(client)

    (span,) = [each for each in started.spans if each.name == "chat gpt-4o-mini"]
    assert isinstance(span, callspan.CallSpan)


def test_calls_of_two_lines_wait_to_be_settled_together(
    receiver: Receiver, client: openai.OpenAI
) -> None:
    tollspan.instrument()
    ask(client)
    installed = installation.current
    assert installed is not None
    assert installed.counting is not None
    assert installed.counting.released == 0

    trace.get_tracer_provider().force_flush()  # type: ignore[attr-defined]
    assert installed.counting.released == 1
    assert len(receiver.calls()) == 1


LATE = """
import json, sys, threading
import openai
from tollspan.launcher import background
background.start = lambda: None  # as if it had not come to anything yet
import tollspan.auto
from tollspan import calls, guard

def late():
    threading.main_thread().join()
    client = openai.OpenAI(base_url=sys.argv[1], api_key="test", max_retries=0)
    client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": "hello"}]
    )

threading.Thread(target=late).start()
"""


def test_a_thread_that_outlives_the_main_one_may_make_the_first_call(
    receiver: Receiver, chaos: Chaos
) -> None:
    chaos.script(ok(input_tokens=1000, output_tokens=100))
    subprocess.run(
        [sys.executable, "-c", LATE, chaos.openai_base_url],
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "TOLLSPAN_RAISE": "1"},
        timeout=60,
        check=True,
    )

    (call,) = receiver.calls()
    assert call.attributes[COST] == pytest.approx(0.00021)


SHORT = """
import openai
import tollspan.auto
"""


def test_a_program_that_ends_at_once_ends_quietly() -> None:
    for _ in range(3):
        printed = subprocess.run(
            [sys.executable, "-c", SHORT], capture_output=True, text=True, timeout=60, check=True
        )
        assert printed.stderr == ""


def test_asked_for_again_before_the_first_call_nothing_is_made(receiver: Receiver) -> None:
    tollspan.instrument()
    tollspan.instrument()

    assert made() is None
