"""The mistralai SDK's own spans: with its tracing on they are the spans of the calls, one for each.

It traces where it is told to, makes a span for each HTTP request, and ends none that it repeats.
"""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Iterator
from typing import Any

import pytest
from drivers import json_body, sse
from drivers.mistralai import CHAT, CHAT_BODY, CHAT_EVENTS, CONVERSATION_BODY, DRIVER, QUESTION
from drivers.server import Answer, HttpServed, http
from needs import missing
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sdks import settle

from tollspan import attribute, instrumentation, semconv
from tollspan.processors.spans import adopt_provider

try:
    from mistralai.client import models
    from mistralai.client.utils import BackoffStrategy, RetryConfig
    from mistralai.extra.observability import configure_telemetry
except ImportError:
    missing("sdk-mistralai", "3.0 or newer, whose clients can be told to trace")

NATIVE = "mistralai_sdk_tracer"


@pytest.fixture
def served() -> Iterator[HttpServed]:
    with http() as running:
        running.answer = json_body(CHAT_BODY)
        yield running


@pytest.fixture(autouse=True)
def watched(provider: TracerProvider) -> Iterator[None]:
    undo = adopt_provider(provider)
    instrumentation.instrument(provider, ["mistralai"])
    yield
    instrumentation.uninstrument()
    undo()


def told_to_trace(served: HttpServed, provider: TracerProvider) -> Any:
    assert DRIVER.client is not None
    client = DRIVER.client(served.url)
    configure_telemetry(client, provider=provider)
    return client


def calls_of(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    """Spans that are a call, or tell of its usage."""
    return [
        span
        for span in exporter.get_finished_spans()
        if semconv.STATUS in (span.attributes or {}) or _tells(span)
    ]


def _tells(span: ReadableSpan) -> bool:
    return any("usage" in name for name in (span.attributes or {}))


def the_call(exporter: InMemorySpanExporter) -> tuple[str, dict[str, Any]]:
    (span,) = calls_of(exporter)
    assert span.instrumentation_scope is not None
    return span.instrumentation_scope.name, dict(span.attributes or {})


def test_a_native_span_is_the_span_of_the_call(
    served: HttpServed, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    with attribute(tenant="acme"):
        told_to_trace(served, provider).chat.complete(**CHAT)

    scope, found = the_call(exporter)
    assert scope == NATIVE
    assert found[semconv.STATUS] == "success"
    assert found[semconv.TENANT] == "acme"
    assert found[semconv.INPUT_TOKENS] == 11
    assert found[semconv.APP_ATTEMPTS] == 1
    assert found[semconv.COST_ROLE] == "owner"
    assert found[semconv.COST_AMOUNT] > 0


def test_an_async_native_span(
    served: HttpServed, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    async def ask() -> None:
        client = told_to_trace(served, provider)
        await client.chat.complete_async(**CHAT)
        await client.sdk_configuration.async_client.aclose()

    asyncio.run(ask())

    scope, found = the_call(exporter)
    assert scope == NATIVE
    assert found[semconv.OUTPUT_TOKENS] == 7


@pytest.mark.parametrize("leave", ["read", "closed", "dropped"])
def test_a_native_stream_is_one_call(
    leave: str, served: HttpServed, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    served.answer = sse(CHAT_EVENTS)
    stream = told_to_trace(served, provider).chat.stream(**CHAT)
    next(stream)
    if leave == "read":
        list(stream)
    elif leave == "closed":
        stream.response.close()
    del stream
    gc.collect()
    settle()

    scope, found = the_call(exporter)
    assert scope == NATIVE
    assert found[semconv.STATUS] == ("success" if leave == "read" else "abandoned")
    assert (semconv.OUTPUT_TOKENS in found) is (leave == "read")


def test_attempts_are_children_of_the_native_span(
    served: HttpServed, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    told_to_trace(served, provider).chat.complete(**CHAT)

    (call,) = calls_of(exporter)
    (attempt,) = [
        span for span in exporter.get_finished_spans() if semconv.ATTEMPT in (span.attributes or {})
    ]
    assert attempt.parent is not None and call.context is not None
    assert attempt.parent.span_id == call.context.span_id


def test_a_native_error_keeps_its_own_status(
    served: HttpServed, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    served.answer = Answer((json.dumps({"object": "error", "message": "m"}).encode(),), status=400)
    with pytest.raises(Exception, match="API error"):
        told_to_trace(served, provider).chat.complete(**CHAT)

    scope, found = the_call(exporter)
    assert scope == NATIVE
    assert found[semconv.STATUS] == "error"
    assert found[semconv.ERROR_TYPE] == "SDKError"


def test_of_two_requests_the_span_of_the_second_is_that_of_the_call(
    served: HttpServed, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    replies = iter([json_body({"message": "m"}).failing(503), json_body(CHAT_BODY)])
    reply = HttpServed.reply

    def next_one(handler: Any) -> None:
        served.answer = next(replies)
        reply(served, handler)

    served.reply = next_one  # type: ignore[method-assign]
    told_to_trace(served, provider).chat.complete(
        **CHAT, retries=RetryConfig("backoff", BackoffStrategy(1, 10, 1.1, 5000), True)
    )

    assert served.asked == 2
    scope, found = the_call(exporter)
    assert scope == NATIVE
    assert found[semconv.STATUS] == "success"
    assert found[semconv.APP_ATTEMPTS] == 2
    assert found[semconv.INPUT_TOKENS] == 11


def test_spans_of_tools_that_the_provider_ran_stay_what_they_are(
    served: HttpServed, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    times = {"created_at": "2026-01-01T00:00:00Z", "completed_at": "2026-01-01T00:00:01Z"}
    outputs = [{**each, **times} for each in CONVERSATION_BODY["outputs"]]
    served.answer = json_body({**CONVERSATION_BODY, "outputs": outputs})
    told_to_trace(served, provider).beta.conversations.start(agent_id="ag_1", inputs=QUESTION)

    scope, found = the_call(exporter)
    assert scope == NATIVE
    assert found[semconv.OPERATION] == "invoke_agent"
    assert found[semconv.INPUT_TOKENS] == 111
    names = {span.name for span in exporter.get_finished_spans()}
    assert "execute_tool web_search" in names


@pytest.mark.parametrize("telling", ["nothing", "false"])
def test_a_client_that_does_not_trace_has_a_span_of_ours(
    telling: str,
    served: HttpServed,
    exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if telling == "false":
        monkeypatch.setenv("MISTRAL_SDK_TELEMETRY", "false")
    assert DRIVER.client is not None
    DRIVER.client(served.url).chat.complete(**CHAT)

    assert the_call(exporter)[0] == semconv.SCOPE


def test_a_client_that_traces_elsewhere_has_a_span_of_ours_too(
    served: HttpServed, exporter: InMemorySpanExporter
) -> None:
    elsewhere, other = InMemorySpanExporter(), TracerProvider()
    other.add_span_processor(SimpleSpanProcessor(elsewhere))
    told_to_trace(served, other).chat.complete(**CHAT)

    assert the_call(exporter)[0] == semconv.SCOPE
    assert len(elsewhere.get_finished_spans()) == 1


def test_a_client_that_is_told_to_trace_globally_is_adopted_there(
    served: HttpServed,
    provider: TracerProvider,
    exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", provider)
    monkeypatch.setenv("MISTRAL_SDK_TELEMETRY", "global")
    assert DRIVER.client is not None
    client = DRIVER.client(served.url)
    for _ in range(2):  # the first request decides, the second finds it decided
        client.chat.complete(**CHAT)

    spans = calls_of(exporter)
    assert [span.instrumentation_scope.name for span in spans] == [NATIVE, NATIVE]  # type: ignore[union-attr]
    assert isinstance(client.chat.complete(**CHAT), models.ChatCompletionResponse)
