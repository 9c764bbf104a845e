"""Recorded traffic of Mistral, Cohere, Groq and Together, replayed through their SDKs.

What is expected is read from the recordings here, with a JSON parser and nothing of tollspan's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import pytest
from needs import missing, recordings
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from replay import Exchange, Replay, recorded

from tollspan import instrumentation
from tollspan.instrumentation import PROVIDERS
from tollspan.processors.spans import adopt_provider

# --- what a recording states ----------------------------------------------------------------------


def stated(exchange: Exchange) -> dict[str, Any]:
    """Id, model, finish reasons, usage and tools of a recorded answer, by span attribute."""
    parts = exchange.events() if exchange.streamed else [exchange.json()]
    found = _of_cohere(parts) if "cohere" in exchange.url else _of_choices(parts)
    return {name: value for name, value in found.items() if value is not None}


def _of_choices(parts: list[Any]) -> dict[str, Any]:
    last = parts[-1]
    reasons = [
        each["finish_reason"] for each in last.get("choices", []) if each.get("finish_reason")
    ]
    usage = last.get("usage") or last["x_groq"]["usage"]
    return {
        "gen_ai.response.id": parts[0]["id"],
        "gen_ai.response.model": parts[0]["model"],
        "gen_ai.response.finish_reasons": tuple(reasons) or None,
        "gen_ai.usage.input_tokens": usage["prompt_tokens"],
        "gen_ai.usage.output_tokens": usage.get("completion_tokens"),
        "gen_ai.usage.cache_read.input_tokens": usage.get("cached_tokens"),
        "tollspan.queue_s": usage.get("queue_time"),
    }


def _of_cohere(parts: list[Any]) -> dict[str, Any]:
    first, last = parts[0], parts[-1].get("delta") or parts[-1]
    usage = last.get("usage") or last["meta"]
    billed = usage["billed_units"]
    used = usage.get("tokens") or billed
    tools = [
        part["delta"]["message"]["tool_calls"]["function"]["name"]
        for part in parts
        if part.get("type") == "tool-call-start"
    ]
    return {
        "gen_ai.response.id": first["id"],
        "gen_ai.response.finish_reasons": (last["finish_reason"],)
        if "finish_reason" in last
        else None,
        "gen_ai.usage.input_tokens": used["input_tokens"],
        "gen_ai.usage.output_tokens": used.get("output_tokens"),
        "tollspan.usage.billed.input_tokens": billed["input_tokens"],
        "tollspan.usage.billed.output_tokens": billed.get("output_tokens"),
        "tollspan.tools.called": len(tools) or None,
        "tollspan.tools.called.names": tuple(tools) or None,
    }


# --- how each was recorded ------------------------------------------------------------------------


async def _listed(stream: Any) -> list[Any]:
    return [each async for each in stream]


def mistral_stream(server: Replay, asked: dict[str, Any]) -> Any:
    from mistralai.client import Mistral

    async def run() -> Any:
        async with Mistral(api_key="k", server_url=server.origin) as client:
            return await _listed(await client.chat.stream_async(**asked))

    return asyncio.run(run())


def mistral_embeddings(server: Replay, asked: dict[str, Any]) -> Any:
    from mistralai.client import Mistral

    with Mistral(api_key="k", server_url=server.origin) as client:
        return client.embeddings.create(model=asked["model"], inputs=asked["input"])


def _cohere(server: Replay) -> Any:
    import cohere

    return cohere.ClientV2(api_key="k", base_url=server.origin, max_retries=0)


def cohere_stream(server: Replay, asked: dict[str, Any]) -> Any:
    with _cohere(server) as client:
        return list(client.chat_stream(**_without(asked, "stream")))


def cohere_embed(server: Replay, asked: dict[str, Any]) -> Any:
    with _cohere(server) as client:
        return client.embed(**asked, embedding_types=["float"])


def groq_stream(server: Replay, asked: dict[str, Any]) -> Any:
    import groq

    with groq.Groq(api_key="k", base_url=server.origin, max_retries=0) as client:
        return list(client.chat.completions.create(**asked))


def together_stream(server: Replay, asked: dict[str, Any]) -> Any:
    import together

    async def run() -> Any:
        url = server.base_url("/chat/completions")
        async with together.AsyncTogether(api_key="k", base_url=url, max_retries=0) as client:
            return await _listed(await client.chat.completions.create(**asked))

    return asyncio.run(run())


def _without(asked: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if name not in names}


@dataclass(frozen=True)
class Case:
    file: str
    sdk: str
    call: Callable[[Replay, dict[str, Any]], Any]
    says: dict[str, Any]
    """What a person read in the recording."""
    operation: str = "chat"

    def __str__(self) -> str:
        return self.file


_IN, _OUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
_LEFT = "tollspan.rate_limit.remaining_"

CASES = [
    Case(
        "28-mistral-async-stream",
        "mistralai",
        mistral_stream,
        {
            _IN: 24,
            _OUT: 2,
            "gen_ai.request.temperature": 0.1,
            "gen_ai.request.top_p": 1.0,
            "gen_ai.response.finish_reasons": ("stop",),
            f"{_LEFT}tokens": 348385,
        },
    ),
    Case(
        "29-mistral-embeddings",
        "mistralai",
        mistral_embeddings,
        {_IN: 10, f"{_LEFT}tokens": 19999990},
        "embeddings",
    ),
    Case(
        "30-cohere-v2-tools-stream",
        "cohere",
        cohere_stream,
        {
            _IN: 968,
            _OUT: 83,
            "tollspan.usage.billed.input_tokens": 62,
            "tollspan.usage.billed.output_tokens": 28,
            "gen_ai.response.finish_reasons": ("TOOL_CALL",),
            "tollspan.tools.sent": 2,
            "tollspan.tools.called.names": ("get_time", "get_weather"),
        },
    ),
    Case(
        "31-cohere-embed",
        "cohere",
        cohere_embed,
        {_IN: 208, _OUT: None, "tollspan.usage.billed.input_tokens": 208},
        "embeddings",
    ),
    Case(
        "32-groq-stream-x-groq-usage",
        "groq",
        groq_stream,
        {
            _IN: 18,
            _OUT: 73,
            "tollspan.queue_s": 0.28245049,
            f"{_LEFT}requests": 14399,
            f"{_LEFT}tokens": 5987,
        },
    ),
    Case(
        "33-together-async-stream",
        "together",
        together_stream,
        {_IN: 41, _OUT: 15, "gen_ai.usage.cache_read.input_tokens": 0},
    ),
]
_NAMES = {"together": "together_ai", "mistralai": "mistral_ai"}


@pytest.fixture
def exchange(case: Case) -> Exchange:
    if (why := PROVIDERS[case.sdk].missing()) is not None:
        missing(f"sdk-{case.sdk}", why)
    if case.sdk == "mistralai" and version("mistralai").startswith("1."):
        missing("sdk-mistralai", "its newer layout")
    (found,) = recorded(recordings() / f"{case.file}.yaml")
    return found


@pytest.fixture
def spans(
    case: Case, exchange: Exchange, provider: TracerProvider, exporter: InMemorySpanExporter
) -> Iterator[list[ReadableSpan]]:
    """What the exporter got of the recorded call, told again through its SDK."""
    undo = adopt_provider(provider)
    instrumentation.instrument(provider, [case.sdk])
    with Replay([exchange]) as server:
        assert case.call(server, dict(exchange.asked))
        assert len(server.received) == 1
    instrumentation.uninstrument()
    undo()
    yield list(exporter.get_finished_spans())


each_case = pytest.mark.parametrize("case", CASES, ids=str)


def _call(spans: list[ReadableSpan]) -> dict[str, Any]:
    (found,) = (span for span in spans if "tollspan.status" in (span.attributes or {}))
    return dict(found.attributes or {})


@each_case
def test_the_span_says_what_the_provider_stated(
    case: Case, exchange: Exchange, spans: list[ReadableSpan]
) -> None:
    attributes = _call(spans)

    assert attributes["gen_ai.operation.name"] == case.operation
    assert attributes["gen_ai.provider.name"] == _NAMES.get(case.sdk, case.sdk)
    assert attributes["gen_ai.request.model"] == exchange.asked["model"]
    assert attributes.get("gen_ai.request.stream", False) == exchange.asked.get("stream", False)
    assert attributes["server.address"] == "127.0.0.1"
    assert attributes["tollspan.status"] == "success"
    assert attributes["tollspan.app_attempts"] == 1
    expected = stated(exchange)
    assert {name: attributes.get(name) for name in expected} == expected
    usage = {name for name in attributes if name.startswith(("gen_ai.usage.", "tollspan.usage."))}
    assert {name for name in usage if ".cost." not in name} == {
        name for name in expected if ".usage." in name
    }
    assert {name: attributes.get(name) for name in case.says} == case.says


@each_case
def test_no_word_of_the_conversation_is_on_a_span(
    exchange: Exchange, spans: list[ReadableSpan]
) -> None:
    written = " ".join(span.to_json() for span in spans)
    asked = exchange.asked
    words = [
        word
        for key in ("messages", "input", "texts", "tools")
        for word in _strings(asked.get(key))
        if len(word) > 12
    ]
    assert words
    assert not [word for word in words if word in written]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value or ():
        if inner is not value and not isinstance(value, str):
            yield from _strings(inner)


def test_every_recording_of_these_is_replayed() -> None:
    there = {file.stem for file in recordings().glob("*.yaml")}
    ours = {
        name for name in there if name.split("-")[1] in ("mistral", "cohere", "groq", "together")
    }
    assert ours == {case.file for case in CASES}
