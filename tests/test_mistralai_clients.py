"""What the mistralai SDK has besides the calls that its driver makes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from drivers import json_body, sse
from drivers.mistralai import CHAT, CHAT_BODY, CHAT_EVENTS, DRIVER
from drivers.server import HttpServed, http
from needs import missing
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel
from sdks import call_spans

from tollspan import instrumentation, semconv
from tollspan.instrumentation import _open_calls
from tollspan.processors.spans import adopt_provider

try:
    from mistralai.azure.client import MistralAzure
    from mistralai.extra.observability import configure_telemetry
    from mistralai.gcp.client import MistralGCP
except ImportError:
    missing("sdk-mistralai", "3.0 or newer")


@pytest.fixture
def served() -> Iterator[HttpServed]:
    with http() as running:
        running.answer = json_body(CHAT_BODY)
        yield running


@pytest.fixture(autouse=True)
def watched(provider: TracerProvider) -> Iterator[None]:
    instrumentation.instrument(provider, ["mistralai"])
    yield
    instrumentation.uninstrument()


def the_call(exporter: InMemorySpanExporter) -> dict[str, Any]:
    (span,) = call_spans(exporter)
    return dict(span.attributes or {})


@pytest.mark.parametrize("cloud", ["azure.ai.inference", "gcp.vertex_ai"])
@pytest.mark.parametrize("streamed", [False, True])
def test_clients_for_other_clouds(
    cloud: str, streamed: bool, served: HttpServed, exporter: InMemorySpanExporter
) -> None:
    client: Any
    if cloud == "gcp.vertex_ai":
        client = MistralGCP(project_id="p", access_token="t", server_url=served.url)
    else:
        client = MistralAzure(api_key="k", server_url=served.url)
    if streamed:
        served.answer = sse(CHAT_EVENTS)
        list(client.chat.stream(**CHAT))
    else:
        client.chat.complete(**CHAT)

    found = the_call(exporter)
    assert found[semconv.PROVIDER] == cloud
    assert found[semconv.SERVER_ADDRESS] == "127.0.0.1"
    assert found[semconv.INPUT_TOKENS] == 11
    assert found[semconv.OUTPUT_TOKENS] == 7


def test_a_server_that_one_call_chooses(served: HttpServed, exporter: InMemorySpanExporter) -> None:
    client = DRIVER.client("https://api.mistral.ai")  # type: ignore[misc]
    client.chat.complete(**CHAT, server_url=served.url)

    found = the_call(exporter)
    assert found[semconv.SERVER_ADDRESS] == "127.0.0.1"
    assert found[semconv.PROVIDER] == "mistral_ai"


class Answered(BaseModel):
    answer: str


@pytest.mark.parametrize("streamed", [False, True])
def test_parsing_is_one_call(
    streamed: bool, served: HttpServed, exporter: InMemorySpanExporter
) -> None:
    client = DRIVER.client(served.url)  # type: ignore[misc]
    if streamed:
        served.answer = sse(CHAT_EVENTS)
        list(client.chat.parse_stream(Answered, **CHAT))
    else:
        message = {"role": "assistant", "content": '{"answer": "yes"}'}
        choice = {**CHAT_BODY["choices"][0], "message": message}
        served.answer = json_body({**CHAT_BODY, "choices": [choice]})
        assert client.chat.parse(Answered, **CHAT).choices[0].message.parsed.answer == "yes"

    found = the_call(exporter)
    assert found[semconv.OUTPUT_TYPE] == "json"
    assert found[semconv.OUTPUT_TOKENS] == 7


def test_arguments_that_the_method_does_not_take_are_an_error_that_ends(
    served: HttpServed, exporter: InMemorySpanExporter
) -> None:
    client = DRIVER.client(served.url)  # type: ignore[misc]

    async def ask() -> None:
        await client.chat.complete_async(question="?")

    with pytest.raises(TypeError, match="question"):
        asyncio.run(ask())
    assert _open_calls.live == {}
    assert the_call(exporter)[semconv.ERROR_TYPE] == "TypeError"


def test_a_stream_in_a_with_block_that_is_left_early_is_abandoned_at_once(
    served: HttpServed, exporter: InMemorySpanExporter
) -> None:
    served.answer = sse(CHAT_EVENTS)
    client = DRIVER.client(served.url)  # type: ignore[misc]
    with client.chat.stream(**CHAT) as stream:
        next(stream)
    assert the_call(exporter)[semconv.STATUS] == "abandoned"


# --- the SDK's own tracing --------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["answer", "read", "left"])
@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.quiet
def test_an_sdk_that_traces_itself_gives_the_caller_all_it_gives_without_us(
    way: str, elsewhere: bool, served: HttpServed, provider: TracerProvider
) -> None:
    client = DRIVER.client(served.url)  # type: ignore[misc]
    configure_telemetry(client, provider=TracerProvider() if elsewhere else provider)
    if way == "answer":
        assert client.chat.complete(**CHAT).usage.prompt_tokens == 11
        return
    served.answer = sse(CHAT_EVENTS)
    stream = client.chat.stream(**CHAT)
    assert next(stream).data.id == "cmpl-1"
    if way == "read":
        assert len(list(stream)) == len(CHAT_EVENTS) - 1
    stream.close()


@pytest.mark.parametrize("streamed", [False, True])
def test_an_sdk_that_traces_itself_has_one_owner_for_each_answer(
    streamed: bool, served: HttpServed, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    undo = adopt_provider(provider)
    client = DRIVER.client(served.url)  # type: ignore[misc]
    configure_telemetry(client, provider=provider)
    if streamed:
        served.answer = sse(CHAT_EVENTS)
        list(client.chat.stream(**CHAT))
    else:
        client.chat.complete(**CHAT)
    undo()

    owners = [
        span for span in exporter.get_finished_spans() if semconv.COST_AMOUNT in _attributes(span)
    ]
    counted = [
        span for span in exporter.get_finished_spans() if semconv.INPUT_TOKENS in _attributes(span)
    ]
    assert len(owners) == 1
    assert counted == owners
    assert _attributes(owners[0])[semconv.INPUT_TOKENS] == 11


def _attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_its_own_span_ends_though_the_stream_is_watched(served: HttpServed) -> None:
    seen, other = InMemorySpanExporter(), TracerProvider()
    other.add_span_processor(SimpleSpanProcessor(seen))
    client = DRIVER.client(served.url)  # type: ignore[misc]
    configure_telemetry(client, provider=other)
    served.answer = sse(CHAT_EVENTS)
    list(client.chat.stream(**CHAT))

    (native,) = seen.get_finished_spans()
    assert (native.attributes or {})["gen_ai.usage.output_tokens"] == 7
