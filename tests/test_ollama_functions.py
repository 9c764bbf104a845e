"""Ollama: functions of the module, positional arguments, what is no inference, a price of zero."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import ollama
import pytest
from drivers import ndjson
from drivers.ollama import CHAT, CHAT_CHUNKS, MESSAGES
from drivers.server import Answer, HttpServed, http
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from outcomes import call_spans

from tollspan import instrumentation, semconv


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, provider: TracerProvider) -> Iterator[HttpServed]:
    """Where the functions of the module go, with ollama watched."""
    with http() as running:
        default = ollama.chat.__self__  # type: ignore[attr-defined]
        with httpx.Client(base_url=running.url) as client:
            monkeypatch.setattr(default, "_client", client)
            instrumentation.instrument(provider, ["ollama"])
            yield running
            instrumentation.uninstrument()


def _said(exporter: InMemorySpanExporter) -> dict[str, Any]:
    (span,) = call_spans(exporter)
    return dict(span.attributes or {})


def test_functions_of_the_module_that_were_bound_before_are_watched(
    served: HttpServed, exporter: InMemorySpanExporter
) -> None:
    served.answer = Answer((ndjson([CHAT]).pieces[0],))
    ollama.chat("llama3.2", MESSAGES)
    said = _said(exporter)
    assert said[semconv.INPUT_TOKENS] == 11
    assert said[semconv.SERVER_ADDRESS] == "127.0.0.1"
    assert said[semconv.SERVER_PORT] == int(served.url.rpartition(":")[2])


def test_a_prompt_count_that_is_absent_is_not_zero(
    served: HttpServed, exporter: InMemorySpanExporter
) -> None:
    chunks = [*CHAT_CHUNKS[:-1], {**CHAT_CHUNKS[-1]}]
    del chunks[-1]["prompt_eval_count"]
    served.answer = ndjson(chunks)
    list(ollama.chat("llama3.2", MESSAGES, stream=True))
    said = _said(exporter)
    assert semconv.INPUT_TOKENS not in said
    assert said[semconv.OUTPUT_TOKENS] == 7


def test_an_error_half_way_through_the_lines_is_an_error(
    served: HttpServed, exporter: InMemorySpanExporter
) -> None:
    served.answer = ndjson([CHAT_CHUNKS[0], {"error": "out of memory"}])
    with pytest.raises(ollama.ResponseError):
        list(ollama.chat("llama3.2", MESSAGES, stream=True))
    said = _said(exporter)
    assert said[semconv.STATUS] == "error"
    assert said[semconv.ERROR_TYPE] == "ResponseError"
    assert said[semconv.RESPONSE_MODEL] == "llama3.2"


def test_pulls_and_lists_are_no_calls(served: HttpServed, exporter: InMemorySpanExporter) -> None:
    served.answer = Answer((b'{"models": []}',))
    ollama.list()
    served.answer = Answer((b'{"status": "success"}',))
    ollama.pull("llama3.2")
    assert served.asked == 2
    assert exporter.get_finished_spans() == ()


def test_the_attempts_of_a_stream_are_seen_though_it_asks_late(
    served: HttpServed, exporter: InMemorySpanExporter
) -> None:
    served.answer = ndjson(CHAT_CHUNKS)
    stream = ollama.chat("llama3.2", MESSAGES, stream=True)
    assert served.asked == 0
    list(stream)
    assert _said(exporter)[semconv.APP_ATTEMPTS] == 1
