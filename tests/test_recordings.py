"""Recorded traffic of real providers, replayed through the real SDKs: the span says what they stated.

What is expected is read from the recordings here, with a JSON parser and nothing of tollspan's.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from needs import recordings
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from pydantic import BaseModel
from replay import Exchange, Replay, recorded

from tollspan.instrumentation.anthropic import Instrumentor as AnthropicInstrumentor
from tollspan.instrumentation.openai import Instrumentor as OpenAIInstrumentor

# --- what a recording states ----------------------------------------------------------------------


def stated(exchange: Exchange) -> dict[str, Any]:
    """Id, model, finish reasons, usage, cost and tier of a recorded answer, by span attribute."""
    if exchange.path.endswith("/messages"):
        found = _stated_by_messages(exchange)
    elif exchange.path.endswith("/responses"):
        found = _stated_by_responses(exchange)
    else:
        found = _stated_by_choices(exchange)
    return {name: value for name, value in found.items() if value is not None}


def _stated_by_choices(exchange: Exchange) -> dict[str, Any]:
    parts = exchange.events() if exchange.streamed else [exchange.json()]
    reasons: dict[int, str] = {}
    for part in parts:
        for choice in part.get("choices", []):
            if choice["finish_reason"]:
                reasons[choice["index"]] = choice["finish_reason"]
    usage = next((part["usage"] for part in reversed(parts) if part.get("usage")), {})
    asked, answered = (
        usage.get("prompt_tokens_details") or {},
        usage.get("completion_tokens_details") or {},
    )
    return {
        "gen_ai.response.id": next((part["id"] for part in parts if part.get("id")), None),
        "gen_ai.response.model": next((part["model"] for part in parts if part.get("model")), None),
        "gen_ai.response.finish_reasons": tuple(reasons[at] for at in sorted(reasons)) or None,
        "gen_ai.usage.input_tokens": usage.get("prompt_tokens"),
        "gen_ai.usage.output_tokens": usage.get("completion_tokens"),
        "gen_ai.usage.cache_read.input_tokens": asked.get("cached_tokens"),
        "gen_ai.usage.cache_write.input_tokens": asked.get("cache_write_tokens"),
        "gen_ai.usage.reasoning.output_tokens": answered.get("reasoning_tokens"),
        "gen_ai.usage.audio.input_tokens": asked.get("audio_tokens") or None,
        "gen_ai.usage.text.input_tokens": asked.get("text_tokens") or None,
        "gen_ai.usage.text.output_tokens": answered.get("text_tokens") or None,
        "tollspan.cost.reported_usd": usage.get("cost"),
        "tollspan.service_tier": next(
            (part["service_tier"] for part in reversed(parts) if part.get("service_tier")), None
        ),
    }


def _stated_by_responses(exchange: Exchange) -> dict[str, Any]:
    answer = exchange.events()[-1]["response"] if exchange.streamed else exchange.json()
    usage = answer["usage"]
    ended = {"completed": "stop", "incomplete": "length"}[answer["status"]]
    return {
        "gen_ai.response.id": answer["id"],
        "gen_ai.response.model": answer["model"],
        "gen_ai.response.finish_reasons": (ended,),
        "gen_ai.usage.input_tokens": usage["input_tokens"],
        "gen_ai.usage.output_tokens": usage["output_tokens"],
        "gen_ai.usage.cache_read.input_tokens": usage["input_tokens_details"]["cached_tokens"],
        "gen_ai.usage.reasoning.output_tokens": usage["output_tokens_details"]["reasoning_tokens"],
        "tollspan.service_tier": answer["service_tier"],
    }


def _stated_by_messages(exchange: Exchange) -> dict[str, Any]:
    if exchange.streamed:
        events = exchange.events()
        answer = events[0]["message"]
        usage = dict(answer["usage"])
        reason = None
        for event in events:
            if event["type"] == "message_delta":
                usage |= event["usage"]
                reason = event["delta"]["stop_reason"]
    else:
        answer = exchange.json()
        usage, reason = answer["usage"], answer["stop_reason"]
    read = usage.get("cache_read_input_tokens")
    written = usage.get("cache_creation_input_tokens")
    by_duration = usage.get("cache_creation") or {}
    return {
        "gen_ai.response.id": answer["id"],
        "gen_ai.response.model": answer["model"],
        "gen_ai.response.finish_reasons": (reason,),
        "gen_ai.usage.input_tokens": usage["input_tokens"] + (read or 0) + (written or 0),
        "gen_ai.usage.output_tokens": usage["output_tokens"],
        "gen_ai.usage.cache_read.input_tokens": read,
        "gen_ai.usage.cache_write.input_tokens": written,
        "tollspan.usage.cache_write_5m.input_tokens": by_duration.get("ephemeral_5m_input_tokens")
        or None,
        "tollspan.usage.cache_write_1h.input_tokens": by_duration.get("ephemeral_1h_input_tokens")
        or None,
        "tollspan.service_tier": usage.get("service_tier"),
        "tollspan.inference_geo": usage.get("inference_geo"),
    }


# --- how each was recorded ------------------------------------------------------------------------


class StructuredAnswer(BaseModel):
    rating: int
    joke: str


class Capital(BaseModel):
    city: str
    country: str


def _openai(server: Replay, suffix: str, kind: Any = openai.OpenAI) -> Any:
    return kind(base_url=server.base_url(suffix), api_key="k", max_retries=0)


def _azure(server: Replay) -> Any:
    return openai.AzureOpenAI(
        azure_endpoint=server.origin, api_version="2024-02-01", api_key="k", max_retries=0
    )


def _anthropic(server: Replay, kind: Any = anthropic.Anthropic) -> Any:
    return kind(base_url=server.origin, api_key="k", max_retries=0)


def chat(server: Replay, asked: dict[str, Any]) -> Any:
    with _openai(server, "/chat/completions") as client:
        return client.chat.completions.create(**asked)


def chat_stream(server: Replay, asked: dict[str, Any]) -> Any:
    with _openai(server, "/chat/completions") as client:
        return list(client.chat.completions.create(**asked))


def chat_async_stream(server: Replay, asked: dict[str, Any]) -> Any:
    async def run() -> Any:
        async with _openai(server, "/chat/completions", openai.AsyncOpenAI) as client:
            stream = await client.chat.completions.create(**asked)
            return [chunk async for chunk in stream]

    return asyncio.run(run())


def chat_raw(server: Replay, asked: dict[str, Any]) -> Any:
    with _openai(server, "/chat/completions") as client:
        raw = client.chat.completions.with_raw_response.create(**asked)
        assert raw.headers["x-litellm-version"] == "1.63.11"
        return raw.parse()


def chat_async_raw_stream(server: Replay, asked: dict[str, Any]) -> Any:
    async def run() -> Any:
        async with _openai(server, "/chat/completions", openai.AsyncOpenAI) as client:
            raw = await client.chat.completions.with_raw_response.create(**asked)
            return [chunk async for chunk in raw.parse()]

    return asyncio.run(run())


def chat_parse(server: Replay, asked: dict[str, Any]) -> Any:
    with _openai(server, "/chat/completions") as client:
        asked = {key: asked[key] for key in ("messages", "model")}
        answer = client.chat.completions.parse(**asked, response_format=StructuredAnswer)
    message = answer.choices[0].message
    assert message.refusal or isinstance(message.parsed, StructuredAnswer)
    return answer


def embeddings(server: Replay, asked: dict[str, Any]) -> Any:
    with _openai(server, "/embeddings") as client:
        return client.embeddings.create(**({"encoding_format": "float"} | asked))


def responses(server: Replay, asked: dict[str, Any]) -> Any:
    with _openai(server, "/responses") as client:
        return client.responses.create(**asked)


def responses_stream(server: Replay, asked: dict[str, Any]) -> Any:
    with _openai(server, "/responses") as client:
        return list(client.responses.create(**asked))


def images(server: Replay, asked: dict[str, Any]) -> Any:
    with _openai(server, "/images/generations") as client:
        return client.images.generate(**asked)


def azure(server: Replay, asked: dict[str, Any]) -> Any:
    with _azure(server) as client:
        return client.chat.completions.create(**asked)


def azure_stream(server: Replay, asked: dict[str, Any]) -> Any:
    with _azure(server) as client:
        return list(client.chat.completions.create(**asked))


def messages(server: Replay, asked: dict[str, Any]) -> Any:
    # Parameters that newer SDKs have dropped still go to the provider as `extra_body`.
    named = inspect.signature(anthropic.resources.Messages.create).parameters
    extra = {key: value for key, value in asked.items() if key not in named}
    asked = {key: value for key, value in asked.items() if key in named}
    with _anthropic(server) as client:
        return client.messages.create(**asked, extra_body=extra)


def messages_stream(server: Replay, asked: dict[str, Any]) -> Any:
    with _anthropic(server) as client:
        return list(client.messages.create(**asked))


def messages_async(server: Replay, asked: dict[str, Any]) -> Any:
    async def run() -> Any:
        async with _anthropic(server, anthropic.AsyncAnthropic) as client:
            return await client.messages.create(**asked)

    return asyncio.run(run())


def messages_stream_helper(server: Replay, asked: dict[str, Any]) -> Any:
    asked = {key: value for key, value in asked.items() if key != "stream"}
    with _anthropic(server) as client, client.messages.stream(**asked) as stream:
        assert "".join(stream.text_stream)
        return stream.get_final_message()


def messages_beta_parse(server: Replay, asked: dict[str, Any]) -> Any:
    asked = {key: value for key, value in asked.items() if key != "output_config"}
    with _anthropic(server) as client:
        answer = client.beta.messages.parse(**asked, output_format=Capital)
    assert isinstance(answer.parsed_output, Capital)
    return answer


@dataclass(frozen=True)
class Case:
    file: str
    call: Callable[[Replay, dict[str, Any]], Any]
    operation: str = "chat"
    literal: tuple[dict[str, Any], ...] = ()
    """What a person read in the recording, one dict for each exchange."""


_IN, _OUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
_READ = "gen_ai.usage.cache_read.input_tokens"
_WRITTEN = "gen_ai.usage.cache_write.input_tokens"
_THOUGHT = "gen_ai.usage.reasoning.output_tokens"

CASES = [
    Case("01-openai-chat-sync", chat, literal=({_IN: 12, _OUT: 5},)),
    Case("02-openai-chat-async-stream-include-usage", chat_async_stream),
    Case("03-openai-chat-stream-no-usage-chunk", chat_stream, literal=({_IN: None, _OUT: None},)),
    Case("04-openai-tools-2-turns", chat),
    Case(
        "05-openai-n-1-stream",
        chat_stream,
        literal=({_IN: 26, _OUT: 104, "gen_ai.request.choice.count": 2},),
    ),
    Case("06-openai-with-raw-response-stream", chat_async_raw_stream),
    Case("07-openai-error-404", chat),
    Case("08-openai-embeddings", embeddings, "embeddings", ({_IN: 24, _OUT: None},)),
    Case("09-openai-responses-stream", responses_stream, literal=({_IN: 22, _OUT: 6},)),
    Case(
        "10-openai-responses-reasoning-tokens",
        responses,
        literal=(
            {
                _IN: 44,
                _OUT: 288,
                _THOUGHT: 9,
                "gen_ai.request.max_tokens": 300,
                "gen_ai.request.reasoning.level": "low",
                "gen_ai.response.finish_reasons": ("stop",),
            },
        ),
    ),
    Case(
        "11-openai-cached-tokens",
        chat,
        literal=({_IN: 1370, _READ: 0}, {_IN: 1370, _READ: 1280}),
    ),
    Case(
        "12-openai-structured-output-parse",
        chat_parse,
        literal=({"gen_ai.output.type": "json"},) * 3,
    ),
    Case(
        "13-openai-audio-input-tokens",
        chat,
        literal=({_IN: 21, _OUT: 1, "gen_ai.usage.audio.input_tokens": 2},),
    ),
    Case(
        "14-openai-images-generate",
        images,
        "image_generation",
        ({_IN: None, "gen_ai.request.model": "dall-e-2", "gen_ai.output.type": "image"},),
    ),
    Case("15-azure-stream-no-usage-content-filter", azure_stream),
    Case(
        "16-azure-reasoning-deployment",
        azure,
        literal=({_IN: 11, _OUT: 203, _THOUGHT: 192}, {_IN: None}, {_IN: None}, {_IN: None}),
    ),
    Case("17-anthropic-async", messages_async, literal=({_IN: 14, _OUT: 11},)),
    Case(
        "18-anthropic-messages-stream-helper",
        messages_stream_helper,
        literal=({_IN: 14, _OUT: 11},),
    ),
    Case("19-anthropic-tools-stream", messages_stream, literal=({_IN: 721, _OUT: 113},)),
    Case(
        "20-anthropic-cache-write-then-read-stream",
        messages_stream,
        literal=(
            {_IN: 4 + 1165, _WRITTEN: 1165, _READ: 0},
            {_IN: 4 + 1165, _WRITTEN: 0, _READ: 1165},
        ),
    ),
    Case("21-anthropic-thinking-stream", messages_stream, literal=({_IN: 52, _OUT: 216},)),
    Case(
        "22-anthropic-beta-parse-structured",
        messages_beta_parse,
        literal=({_IN: 210, _OUT: 12, "gen_ai.output.type": "json"},),
    ),
    Case("23-anthropic-401", messages, literal=({_IN: None, "gen_ai.request.temperature": 0.8},)),
    Case("41-litellm-proxy-x-litellm-headers", chat_raw, literal=({_IN: 13, _OUT: 24},)),
    Case(
        "42-openrouter-usage-cost",
        chat,
        literal=(
            {
                _IN: 74,
                _OUT: 21,
                _THOUGHT: 2,
                "tollspan.cost.reported_usd": 5.37e-06,
                "tollspan.response.provider": "OpenInference",
            },
        ),
    ),
]
# Some recordings are older than the models that the SDK thinks well of.
pytestmark = pytest.mark.filterwarnings("ignore:The model '.*' is deprecated:DeprecationWarning")
OURS = ("openai", "azure", "anthropic", "litellm", "openrouter")


@pytest.fixture
def instrumented(provider: TracerProvider) -> Iterator[None]:
    instrumentors = [OpenAIInstrumentor(), AnthropicInstrumentor()]
    for each in instrumentors:
        each.instrument(tracer_provider=provider)
    yield
    for each in instrumentors:
        each.uninstrument()


def _file(case: Case) -> Path:
    return recordings() / f"{case.file}.yaml"


def _call_spans(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    found = exporter.get_finished_spans()
    return [span for span in found if "gen_ai.operation.name" in (span.attributes or {})]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.file)
def test_the_span_says_what_the_provider_stated(
    case: Case, exporter: InMemorySpanExporter, instrumented: None
) -> None:
    exchanges = recorded(_file(case))
    with Replay(exchanges) as server:
        for exchange in exchanges:
            if exchange.status == 200:
                assert case.call(server, dict(exchange.asked))
            else:
                with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as failure:
                    case.call(server, dict(exchange.asked))
                assert failure.value.status_code == exchange.status
    assert len(server.received) == len(exchanges)

    spans = _call_spans(exporter)
    assert len(spans) == len(exchanges)
    for place, (exchange, span) in enumerate(zip(exchanges, spans, strict=True)):
        attributes = dict(span.attributes or {})
        assert attributes["gen_ai.operation.name"] == case.operation
        assert attributes["gen_ai.request.model"] == exchange.asked["model"]
        assert attributes.get("gen_ai.request.stream", False) == exchange.asked.get("stream", False)
        assert attributes["server.address"] == "127.0.0.1"
        if exchange.status == 200:
            expected = stated(exchange)
            assert {name: attributes.get(name) for name in expected} == expected
            assert attributes["tollspan.status"] == "success"
            assert "error.type" not in attributes
            assert span.status.status_code is not StatusCode.ERROR
        else:
            expected = {}
            assert attributes["tollspan.status"] == "error"
            assert attributes["error.type"]
            assert span.status.status_code is StatusCode.ERROR
        usage = {name for name in attributes if name.startswith("gen_ai.usage.")}
        assert {name for name in usage if ".cost." not in name} == {
            name for name in expected if name.startswith("gen_ai.usage.")
        }
        literal = case.literal[place] if case.literal else {}
        assert {name: attributes.get(name) for name in literal} == literal


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.file)
def test_no_word_of_the_conversation_is_on_the_span(
    case: Case, exporter: InMemorySpanExporter, instrumented: None
) -> None:
    exchanges = recorded(_file(case))
    with Replay(exchanges) as server:
        for exchange in exchanges:
            try:
                case.call(server, dict(exchange.asked))
            except (openai.APIStatusError, anthropic.APIStatusError):
                continue
    written = " ".join(span.to_json() for span in exporter.get_finished_spans())
    words = [word for exchange in exchanges for word in _sentences(exchange.asked)]
    assert words
    assert not [word for word in words if word in written]


def _sentences(asked: Any) -> list[str]:
    """Every string of some length under the keys that carry content; a tool's name is told."""
    found: list[str] = []
    for key in ("messages", "input", "instructions", "prompt", "system", "tools"):
        stack = [asked.get(key)]
        while stack:
            each = stack.pop()
            if isinstance(each, str) and len(each) > 12:
                found.append(each)
            elif isinstance(each, dict):
                stack.extend(value for key, value in each.items() if key != "name")
            elif isinstance(each, list):
                stack.extend(each)
    return found or [asked.get("prompt", "")]


def test_every_recording_of_ours_is_replayed() -> None:
    there = {file.stem for file in recordings().glob("*.yaml")}
    ours = {name for name in there if name.split("-")[1] in OURS}
    assert ours == {case.file for case in CASES}
