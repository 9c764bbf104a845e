"""A call ends exactly once: in threads, at exit, after a fork, in a finaliser."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sdks
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tollspan import calls
from tollspan.instrumentation import _call, _dropped


@pytest.fixture(autouse=True)
def watched(provider: TracerProvider) -> Iterator[None]:
    with sdks.watched(provider):
        yield


def test_of_many_threads_that_end_a_call_one_does(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    settled: list[Any] = []

    class Settling:
        def settle(self, call: calls.OpenCall) -> dict[str, Any]:
            settled.append(call)
            return {}

        def release(self, call: calls.OpenCall) -> None: ...

    calls.install(Settling())
    try:
        for _ in range(50):
            stream = sdks.opened("chat")
            next(stream)
            ready = threading.Barrier(4)

            def end(stream: Any = stream, ready: threading.Barrier = ready) -> None:
                ready.wait()
                stream.close()

            threads = [threading.Thread(target=end) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        calls.install(None)

    assert len(settled) == 50
    assert len(sdks.call_spans(exporter)) == 50


def test_open_calls_end_when_the_span_processor_asks(exporter: InMemorySpanExporter) -> None:
    stream = sdks.opened("chat")
    next(stream)
    for call in list(calls.open_calls.values()):
        call.abandon()

    assert sdks.status(exporter) == "abandoned"
    assert len(list(stream)) == 4
    assert len(sdks.call_spans(exporter)) == 1


@pytest.mark.slow
def test_open_calls_end_when_the_process_does() -> None:
    program = """
import sys; sys.path.insert(0, "tests")
import sdks
from opentelemetry import trace
from tollspan import instrumentation
instrumentation.instrument(providers=["openai"])  # before there is a provider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
trace.set_tracer_provider(provider)
resource, asked = sdks._resource(sdks.openai_client(sdks.server_for("chat")), "chat")
stream = resource.create(**asked, stream=True)
next(stream)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=__file__.rsplit("/tests/", 1)[0],
    )

    assert ran.returncode == 0, ran.stderr
    own = Path(sdks.__file__).parent.parent / "instrumentation"
    assert str(own) not in ran.stderr  # the SDK's own half-read stream does complain
    assert '"tollspan.status": "abandoned"' in ran.stdout


@pytest.mark.slow
def test_a_forked_child_ends_none_of_its_parents_calls() -> None:
    program = """
import os, sys; sys.path.insert(0, "tests")
import gc, sdks
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, ConsoleSpanExporter
from tollspan import instrumentation
from tollspan.instrumentation import _dropped
class Saying(ConsoleSpanExporter):
    def export(self, spans):
        for span in spans:
            if "tollspan.status" in span.attributes:
                print(who, span.attributes["tollspan.status"], span.attributes["tollspan.request_id"], flush=True)
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(Saying()))
instrumentation.instrument(provider, ["openai"])
who = "parent"
client = sdks.openai_client(sdks.server_for("chat"))
stream = client.chat.completions.create(**sdks.CHAT, stream=True)
next(stream)
child = os.fork()
if child == 0:
    who = "child"
    del stream
    gc.collect()
    half = client.chat.completions.create(**sdks.CHAT, stream=True)
    next(half)
    del half
    gc.collect()
    assert _dropped.settled()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
list(stream)
client.chat.completions.create(**sdks.CHAT)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=__file__.rsplit("/tests/", 1)[0],
    )

    assert ran.returncode == 0, ran.stderr
    said = [line.split() for line in ran.stdout.splitlines()]
    assert [line[:2] for line in said] == [
        ["child", "abandoned"],
        ["parent", "success"],
        ["parent", "success"],
    ]
    assert len({line[2] for line in said}) == 3


def test_a_finaliser_only_puts_its_call_in_a_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector may run while this very thread holds a lock of a span processor."""
    ending: list[int] = []
    before = _call.Call.abandon

    def abandon(call: _call.Call) -> None:
        ending.append(threading.get_ident())
        before(call)

    monkeypatch.setattr(_call.Call, "abandon", abandon)
    stream = sdks.opened("chat")
    next(stream)
    del stream
    sdks.settle()

    assert ending
    assert threading.get_ident() not in ending


def test_what_is_dropped_after_a_fault_of_ours_is_ended_too(
    monkeypatch: pytest.MonkeyPatch, exporter: InMemorySpanExporter
) -> None:
    """The thread that ends it may be dying of the fault (`TOLLSPAN_RAISE=1`) at that very moment."""
    faults: list[sys.UnraisableHookArgs] = []
    monkeypatch.setattr(sys, "unraisablehook", faults.append)
    _dropped.listen()
    for _ in range(50):
        _dropped.drop("nothing that ends")
    stream = sdks.opened("chat")
    next(stream)
    del stream
    sdks.settle()

    assert sdks.status(exporter) == "abandoned"
    assert [fault.exc_type for fault in faults] == [AttributeError] * 50
