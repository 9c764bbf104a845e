"""Every mode of the LiteLLM library, and of its Router: one call each, with what is made of it inside."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from replay import Exchange, Replay
from sdk_answers import MESSAGE_BODY, MESSAGE_EVENTS, RESPONSE_BODY, RESPONSE_EVENTS
from test_litellm_library import _calls, _check_one_owner, _of, instrumented, library  # noqa: F401

from tollspan import semconv
from tollspan.processors.settle import settle

pytestmark = pytest.mark.filterwarnings("ignore")

SECRET = "secret question"
USAGE = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
IMAGES = {
    "created": 1,
    "data": [{"b64_json": "AAAA"}],
    "usage": {
        **USAGE,
        "input_tokens_details": {"text_tokens": 11, "image_tokens": 0},
        "output_tokens_details": {"image_tokens": 7, "text_tokens": 0},
    },
}
TRANSCRIBED = {
    "text": "words",
    "usage": {
        **USAGE,
        "type": "tokens",
        "input_token_details": {"audio_tokens": 11, "text_tokens": 0},
    },
}
MODERATED = {"id": "modr_1", "model": "omni-moderation-latest", "results": []}
RERANKED = {
    "id": "r_1",
    "results": [{"index": 0, "relevance_score": 0.9}],
    "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
}
MESSAGE: dict[str, Any] = {
    "model": "anthropic/claude-sonnet-4-5",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": SECRET}],
}
FILE = ("a.wav", b"RIFF0000WAVEfmt ", "audio/wav")
RESPONSE = {"model": "openai/gpt-4o-mini", "input": SECRET}

MODES: dict[str, tuple[str, dict[str, Any], Any, str, dict[str, Any]]] = {
    # function, what it is asked, what the provider answers, path, what the span says
    "responses": ("responses", RESPONSE, RESPONSE_BODY, "/responses", {semconv.OPERATION: "chat"}),
    "image_generation": (
        "image_generation",
        {"model": "openai/gpt-image-1", "prompt": SECRET},
        IMAGES,
        "/images/generations",
        {semconv.OPERATION: "image_generation"},
    ),
    "transcription": (
        "transcription",
        {"model": "openai/gpt-4o-transcribe", "file": FILE},
        TRANSCRIBED,
        "/audio/transcriptions",
        {semconv.OPERATION: "transcription"},
    ),
    "speech": (
        "speech",
        {"model": "openai/tts-1", "input": SECRET, "voice": "alloy"},
        "sound",
        "/audio/speech",
        {semconv.OPERATION: "speech", semconv.INPUT_TOKENS: None, semconv.OUTPUT_TOKENS: None},
    ),
    "moderation": (
        "moderation",
        {"model": "omni-moderation-latest", "input": SECRET},
        MODERATED,
        "/moderations",
        {semconv.OPERATION: "moderation", semconv.INPUT_TOKENS: None, semconv.OUTPUT_TOKENS: None},
    ),
    "rerank": (
        "rerank",
        {"model": "cohere/rerank-v3.5", "query": SECRET, "documents": ["a"], "top_n": 1},
        RERANKED,
        "",
        {
            semconv.OPERATION: "rerank",
            semconv.PROVIDER: "cohere",
            semconv.SEARCH_UNITS: 1,
            semconv.INPUT_TOKENS: None,
            semconv.OUTPUT_TOKENS: None,
        },
    ),
}
USUAL = {semconv.PROVIDER: "openai", semconv.INPUT_TOKENS: 11, semconv.OUTPUT_TOKENS: 7}


def exchange(path: str, answer: Any) -> Exchange:
    """`answer` as JSON, a list of it as a stream of events."""
    if isinstance(answer, list):
        body = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in answer)
        kind = "text/event-stream"
    else:
        body, kind = json.dumps(answer), "application/json"
    headers = [("content-type", kind)]
    return Exchange(f"http://127.0.0.1/v1{path}", {}, 200, headers, body.encode())


def at(server: Replay, path: str) -> dict[str, str]:
    base = server.base_url(path) if path else server.origin
    return {"api_base": base, "api_key": "k"}


def router_of(loaded: Any, model: str, where: dict[str, str]) -> Any:
    deployment = {"model_name": "group", "litellm_params": {"model": model, **where}}
    return loaded.Router(model_list=[deployment], num_retries=0)


def check(exporter: InMemorySpanExporter, says: dict[str, Any]) -> dict[str, Any]:
    outer, inner = _calls(exporter)
    attributes = _of(outer)
    assert {name: attributes.get(name) for name in says} == says
    assert attributes[semconv.STATUS] == "success"
    _check_one_owner(outer, inner)
    assert SECRET not in "".join(span.to_json() for span in exporter.get_finished_spans())
    return attributes


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("mode", MODES)
def test_each_mode_is_one_call(
    mode: str,
    way: str,
    instrumented: Any,  # noqa: F811
    exporter: InMemorySpanExporter,
) -> None:
    name, asked, answer, path, says = MODES[mode]
    with Replay([exchange(path, answer)]) as server:
        given = {**asked, **at(server, path)}
        if way == "sync":
            getattr(instrumented, name)(**given)
        else:
            asyncio.run(getattr(instrumented, f"a{name}")(**given))
    check(exporter, {**USUAL, **says})


ROUTED = [
    ("responses", "sync"),
    ("responses", "async"),
    ("image_generation", "sync"),
    ("image_generation", "async"),
    ("transcription", "async"),
    ("speech", "async"),
    ("moderation", "async"),
    ("rerank", "async"),
]


@pytest.mark.parametrize(("mode", "way"), ROUTED)
def test_each_mode_of_the_router_is_one_call(
    mode: str,
    way: str,
    instrumented: Any,  # noqa: F811
    exporter: InMemorySpanExporter,
) -> None:
    name, asked, answer, path, says = MODES[mode]
    with Replay([exchange(path, answer)]) as server:
        model = asked["model"] if "/" in asked["model"] else f"openai/{asked['model']}"
        router = router_of(instrumented, model, at(server, path))
        given = {**asked, "model": "group"}
        if way == "sync":
            getattr(router, name)(**given)
        else:
            asyncio.run(getattr(router, f"a{name}")(**given))
    attributes = check(exporter, {**USUAL, **says})
    # The Router finds a deployment for a moderation by itself, and asks for that.
    assert attributes[semconv.REQUEST_MODEL] == ("group" if mode != "moderation" else model)


@pytest.mark.parametrize("where", ["function", "router"])
@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_stream_of_responses_is_one_call(
    way: str,
    where: str,
    instrumented: Any,  # noqa: F811
    exporter: InMemorySpanExporter,
) -> None:
    with Replay([exchange("/responses", RESPONSE_EVENTS)]) as server:
        reached = at(server, "/responses")
        if where == "router":
            library_or_router = router_of(instrumented, "openai/gpt-4o-mini", reached)
            given = {**RESPONSE, "model": "group", "stream": True}
        else:
            library_or_router, given = instrumented, {**RESPONSE, "stream": True, **reached}

        async def read() -> int:
            stream = await library_or_router.aresponses(**given)
            return len([each async for each in stream])

        if way == "sync":
            assert len(list(library_or_router.responses(**given))) >= 2
        else:
            assert asyncio.run(read()) >= 2
    attributes = check(exporter, {**USUAL, semconv.OPERATION: "chat"})
    assert attributes[semconv.FINISH_REASONS] == ("stop",)
    assert semconv.TIME_TO_FIRST_CHUNK in attributes


@pytest.mark.parametrize("where", ["function", "interface", "router"])
@pytest.mark.parametrize("stream", [False, True])
def test_messages_are_one_call(
    stream: bool,
    where: str,
    instrumented: Any,  # noqa: F811
    exporter: InMemorySpanExporter,
) -> None:
    answer = MESSAGE_EVENTS if stream else MESSAGE_BODY
    with Replay([exchange("/messages", answer)]) as server:
        reached = {"api_base": server.origin, "api_key": "k"}
        given = {**MESSAGE, **({"stream": True} if stream else {})}
        if where == "router":
            router = router_of(instrumented, "anthropic/claude-sonnet-4-5", reached)
            asked, given = router.aanthropic_messages, {**given, "model": "group"}
        else:
            given = {**given, **reached}
            asked = instrumented.anthropic_messages
            if where == "interface":
                asked = instrumented.anthropic.messages.acreate

        async def read() -> Any:
            got = await asked(**given)
            return [each async for each in got] if stream else got

        got = asyncio.run(read())
    assert got
    attributes = check(exporter, {**USUAL, semconv.PROVIDER: "anthropic"})
    assert attributes[semconv.FINISH_REASONS] == ("end_turn",)
    assert settle(attributes).attributes[semconv.COST_ROLE] == "owner"
