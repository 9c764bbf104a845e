"""Recorded traffic of Gemini and Vertex AI, replayed through the real SDKs: the span says what they
stated.

What is expected is read from the recordings here, with a JSON parser and nothing of tollspan's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from google import genai
from google.genai import types
from needs import missing, recordings
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from replay import Exchange, Replay, recorded
from sdks import call_spans

from tollspan import instrumentation

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of aiohttp, at the SDK

MODALITIES = {1: "TEXT", 2: "IMAGE", 3: "VIDEO", 4: "AUDIO"}
REASONS = {1: "STOP"}
"""Vertex AI's own SDK asks for numbers in the place of names."""


@pytest.fixture
def instrumented(provider: TracerProvider) -> Iterator[None]:
    assert instrumentation.instrument(provider, ["google_genai"]) == ["google_genai"]
    yield
    instrumentation.uninstrument()


def exchanges(name: str) -> list[Exchange]:
    return recorded(recordings() / f"{name}.yaml")


def client(server: Replay, **more: Any) -> genai.Client:
    options = types.HttpOptions(base_url=server.origin)
    return genai.Client(api_key="secret-key", http_options=options, **more)


def stated(exchange: Exchange) -> dict[str, Any]:
    """What an answer says of itself, by span attribute: of a stream the last total that came."""
    parts = exchange.events() if exchange.streamed else [exchange.json()]
    usage: dict[str, Any] = {}
    for part in parts:
        usage.update(part["usageMetadata"])
    reasons = [each["finishReason"] for each in parts[-1]["candidates"]]
    tools, thoughts = usage.get("toolUsePromptTokenCount", 0), usage.get("thoughtsTokenCount", 0)
    found = {
        "gen_ai.response.id": parts[-1]["responseId"],
        "gen_ai.response.model": parts[-1]["modelVersion"],
        "gen_ai.response.finish_reasons": tuple(REASONS.get(r, r).lower() for r in reasons),
        "gen_ai.usage.input_tokens": usage["promptTokenCount"] + tools,
        "gen_ai.usage.output_tokens": usage["candidatesTokenCount"] + thoughts,
        "gen_ai.usage.reasoning.output_tokens": thoughts or None,
        "gen_ai.usage.text.input_tokens": usage["promptTokenCount"] + tools,
        "gen_ai.usage.text.output_tokens": _text(usage.get("candidatesTokensDetails", [])),
        "tollspan.service_tier": usage.get("serviceTier"),
    }
    # All that was counted stands in the total once.
    total = found["gen_ai.usage.input_tokens"] + found["gen_ai.usage.output_tokens"]
    assert total == usage["totalTokenCount"]
    return {name: value for name, value in found.items() if value is not None}


def _text(details: list[dict[str, Any]]) -> int | None:
    counts = [
        each["tokenCount"]
        for each in details
        if MODALITIES.get(each["modality"], each["modality"]) == "TEXT"
    ]
    return sum(counts) if counts else None


def check(span: ReadableSpan, exchange: Exchange, **more: Any) -> None:
    attributes = dict(span.attributes or {})
    expected = {**stated(exchange), **more}
    assert {name: attributes.get(name) for name in expected} == expected
    assert attributes["gen_ai.operation.name"] == "generate_content"
    assert attributes["tollspan.status"] == "success"
    assert attributes["server.address"] == "127.0.0.1"
    usage = {name for name in attributes if name.startswith("gen_ai.usage.")}
    assert usage == {name for name in expected if name.startswith("gen_ai.usage.")}
    written = span.to_json()
    for word in _sentences(dict(exchange.asked)):
        assert word not in written


def _sentences(asked: Any) -> list[str]:
    if isinstance(asked, str):
        return [asked] if len(asked) > 12 else []
    inner = asked.values() if isinstance(asked, dict) else asked if isinstance(asked, list) else []
    return [word for each in inner for word in _sentences(each)]


# --- 24: one method, two answers ------------------------------------------------------------------


def get_weather(location: str) -> dict[str, Any]:
    """Get the weather."""
    return {"location": location, "temperature": 65}


def test_automatic_function_calls_are_a_call_for_each_answer(
    exporter: InMemorySpanExporter, instrumented: None
) -> None:
    recording = exchanges("24-gemini-automatic-tools-2-requests")
    with Replay(recording) as server, client(server) as asked:
        answer = asked.models.generate_content(
            model="gemini-2.0-flash",
            contents="What's the weather like in San Francisco?",
            config=types.GenerateContentConfig(tools=[get_weather]),
        )

    assert answer.text is not None and answer.text.startswith("The weather in San Francisco")
    assert len(server.received) == 2
    first, second = call_spans(exporter)
    check(
        first,
        recording[0],
        **{
            "gen_ai.usage.input_tokens": 64,
            "gen_ai.usage.output_tokens": 6,
            "tollspan.tools.sent.names": ("get_weather",),
            "tollspan.tools.called.names": ("get_weather",),
            "gen_ai.provider.name": "gcp.gemini",
        },
    )
    check(
        second,
        recording[1],
        **{
            "gen_ai.usage.input_tokens": 89,
            "gen_ai.usage.output_tokens": 23,
            "tollspan.tools.called": None,
        },
    )


# --- 25: a running total, results of Google's own tool, thoughts ----------------------------------

ASKED: dict[str, Any] = {
    "model": "gemini-2.5-flash",
    "contents": "What is the sum of the first 50 prime numbers?",
    "config": types.GenerateContentConfig(
        tools=[types.Tool(code_execution=types.ToolCodeExecution())]
    ),
}
SUMS = {
    "gen_ai.usage.input_tokens": 32 + 764,
    "gen_ai.usage.output_tokens": 477 + 240,
    "gen_ai.usage.reasoning.output_tokens": 240,
    "tollspan.tools.sent.names": ("code_execution",),
}


def test_a_stream_states_its_last_total(exporter: InMemorySpanExporter, instrumented: None) -> None:
    (exchange,) = recording = exchanges("25-gemini-thinking-stream")
    with Replay(recording) as server, client(server) as asked:
        chunks = list(asked.models.generate_content_stream(**ASKED))

    assert len(chunks) == len(exchange.events())
    (span,) = call_spans(exporter)
    check(span, exchange, **SUMS)


def test_a_stream_states_its_last_total_to_async_callers(
    exporter: InMemorySpanExporter, instrumented: None
) -> None:
    (exchange,) = recording = exchanges("25-gemini-thinking-stream")

    async def ask(server: Replay) -> int:
        async with client(server).aio as asked:
            return len([each async for each in await asked.models.generate_content_stream(**ASKED)])

    with Replay(recording) as server:
        assert asyncio.run(ask(server)) == len(exchange.events())

    (span,) = call_spans(exporter)
    check(span, exchange, **SUMS)


# --- 26: embeddings, which stated no usage then ---------------------------------------------------


def test_embeddings_without_usage_have_none(
    exporter: InMemorySpanExporter, instrumented: None
) -> None:
    (exchange,) = recording = exchanges("26-gemini-embeddings-async")

    async def ask(server: Replay) -> Any:
        async with client(server).aio as asked:
            return await asked.models.embed_content(
                model="gemini-embedding-001",
                contents=["Why is the sky blue?"],
                config=types.EmbedContentConfig(task_type="RETRIEVAL_DOCUMENT"),
            )

    with Replay(recording) as server:
        answer = asyncio.run(ask(server))

    assert answer.embeddings[0].values == exchange.json()["embeddings"][0]["values"]
    (span,) = call_spans(exporter)
    attributes = dict(span.attributes or {})
    assert attributes["gen_ai.operation.name"] == "embeddings"
    assert attributes["gen_ai.request.model"] == "gemini-embedding-001"
    assert attributes["tollspan.status"] == "success"
    assert not [name for name in attributes if name.startswith("gen_ai.usage.")]
    assert "sky" not in span.to_json()


# --- 27: Vertex AI --------------------------------------------------------------------------------


def test_vertex_through_the_gen_ai_sdk(exporter: InMemorySpanExporter, instrumented: None) -> None:
    """The SDK reads names and not numbers, so it gets the recorded answer with names."""
    (exchange,) = exchanges("27-vertex-tools")
    named = exchange.text.replace('"finishReason": 1', '"finishReason": "STOP"')
    named = named.replace('"modality": 1', '"modality": "TEXT"')
    named = named.replace('"trafficType": 1', '"trafficType": "ON_DEMAND"')
    answered = Exchange(exchange.url, exchange.asked, 200, exchange.headers, named.encode())
    with Replay([answered]) as server, client(server, vertexai=True) as asked:
        answer = asked.models.generate_content(
            model="gemini-2.5-pro", contents="Get weather details in New Delhi and San Francisco?"
        )

    assert answer.text == json.loads(named)["candidates"][0]["content"]["parts"][0]["text"]
    (span,) = call_spans(exporter)
    check(
        span,
        exchange,
        **{
            "gen_ai.provider.name": "gcp.vertex_ai",
            "gen_ai.usage.input_tokens": 128,
            "gen_ai.usage.output_tokens": 26 + 692,
            "tollspan.service_tier": "on_demand",
        },
    )


def test_vertex_through_its_own_sdk(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    if find_spec("vertexai") is None:
        missing("sdk-vertexai", "google-cloud-aiplatform is not installed")
    from drivers.vertexai import close, model

    (exchange,) = recording = exchanges("27-vertex-tools")
    assert instrumentation.instrument(provider, ["vertexai"]) == ["vertexai"]
    try:
        with Replay(recording) as server:
            asked = model(server.origin, "gemini-2.5-pro")
            answer = asked.generate_content("Get weather details in New Delhi and San Francisco?")
            close(asked)
    finally:
        instrumentation.uninstrument()

    assert answer.usage_metadata.total_token_count == 846
    (span,) = call_spans(exporter)
    check(
        span,
        exchange,
        **{
            "gen_ai.provider.name": "gcp.vertex_ai",
            "gen_ai.request.model": "gemini-2.5-pro",
            "gen_ai.usage.input_tokens": 128,
            "gen_ai.usage.output_tokens": 26 + 692,
        },
    )


def test_every_recording_of_googles_is_replayed() -> None:
    there = {file.stem.split("-")[0] for file in recordings().glob("*-gemini-*.yaml")}
    there |= {file.stem.split("-")[0] for file in recordings().glob("*-vertex-*.yaml")}

    assert there == {"24", "25", "26", "27"}
