"""The cohere SDK: a client of each version of the API."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import cohere

from drivers import ANSWER, KEY, QUESTION, Driver, Way, ndjson, sse_named
from tollspan import semconv

MODEL = "command-a-03-2025"
ASKED: dict[str, Any] = {"model": MODEL, "message": QUESTION, "p": 0.5}
CHAT: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": QUESTION}],
    "p": 0.5,
}
EMBED: dict[str, Any] = {"model": "embed-v4.0", "texts": [QUESTION], "input_type": "search_query"}
RERANK: dict[str, Any] = {"model": "rerank-v3.5", "query": QUESTION, "documents": [QUESTION]}

BILLED = {"input_tokens": 11, "output_tokens": 7}
USAGE: dict[str, Any] = {
    "billed_units": BILLED,
    "tokens": {"input_tokens": 211, "output_tokens": 9},
    "cached_tokens": 64,
}
CALLED = {"id": "get_time_1", "type": "function", "function": {"name": "get_time", "arguments": ""}}

CHAT_BODY: dict[str, Any] = {
    "id": "c-1",
    "finish_reason": "COMPLETE",
    "message": {"role": "assistant", "content": [{"type": "text", "text": ANSWER}]},
    "usage": USAGE,
}
CHAT_EVENTS: list[Any] = [
    {"type": "message-start", "id": "c-1", "delta": {"message": {"role": "assistant"}}},
    {
        "type": "content-delta",
        "index": 0,
        "delta": {"message": {"content": {"text": ANSWER}}},
    },
    {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": CALLED}}},
    {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": USAGE}},
]
FIRST_BODY: dict[str, Any] = {
    "response_id": "r-1",
    "generation_id": "c-1",
    "text": ANSWER,
    "finish_reason": "COMPLETE",
    "tool_calls": [{"name": "get_time", "parameters": {}}],
    "meta": {"api_version": {"version": "1"}, **USAGE},
}
FIRST_EVENTS: list[Any] = [
    {"is_finished": False, "event_type": "stream-start", "generation_id": "c-1"},
    {"is_finished": False, "event_type": "text-generation", "text": ANSWER},
    {"is_finished": False, "event_type": "text-generation", "text": "!"},
    {
        "is_finished": True,
        "event_type": "stream-end",
        "finish_reason": "COMPLETE",
        "response": FIRST_BODY,
    },
]
META = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 11}}
EMBED_BODY: dict[str, Any] = {
    "id": "e-1",
    "response_type": "embeddings_by_type",
    "embeddings": {"float": [[0.5, 0.25]]},
    "texts": [],
    "meta": META,
}
RERANK_BODY: dict[str, Any] = {
    "id": "rr-1",
    "results": [{"index": 0, "relevance_score": 0.5}],
    "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 3}},
}

SAYS = {
    semconv.OPERATION: "chat",
    semconv.PROVIDER: "cohere",
    semconv.REQUEST_MODEL: MODEL,
    semconv.REQUEST_TOP_P: 0.5,
    semconv.RESPONSE_ID: "c-1",
    semconv.FINISH_REASONS: ("COMPLETE",),
    semconv.INPUT_TOKENS: 211,
    semconv.OUTPUT_TOKENS: 9,
    semconv.CACHE_READ_TOKENS: 64,
    semconv.BILLED_INPUT_TOKENS: 11,
    semconv.BILLED_OUTPUT_TOKENS: 7,
}
EMBEDS = {
    semconv.OPERATION: "embeddings",
    semconv.REQUEST_MODEL: "embed-v4.0",
    semconv.RESPONSE_ID: "e-1",
    semconv.INPUT_TOKENS: 11,
    semconv.BILLED_INPUT_TOKENS: 11,
    semconv.OUTPUT_TOKENS: None,
}
RERANKS = {
    semconv.OPERATION: "rerank",
    semconv.REQUEST_MODEL: "rerank-v3.5",
    semconv.RESPONSE_ID: "rr-1",
    semconv.SEARCH_UNITS: 3,
    semconv.INPUT_TOKENS: None,
}


def _made(kind: Any, url: str) -> Any:
    retries = {"max_retries": 0} if "max_retries" in inspect.signature(kind).parameters else {}
    return kind(api_key=KEY, base_url=url, **retries)


def _clients(url: str, prefix: str) -> Any:
    """A client of each version; older SDKs have but the first."""
    kinds = {"first": f"{prefix}Client", "second": f"{prefix}ClientV2"}
    return SimpleNamespace(
        **{
            name: _made(getattr(cohere, kind), url)
            for name, kind in kinds.items()
            if hasattr(cohere, kind)
        }
    )


def _close(clients: Any) -> None:
    for each in vars(clients).values():
        each._client_wrapper.httpx_client.httpx_client.close()


async def _close_async(clients: Any) -> None:
    for each in vars(clients).values():
        await each._client_wrapper.httpx_client.httpx_client.aclose()


def _way(name: str, version: str, method: str, arguments: dict[str, Any], **more: Any) -> Way:
    def ask(clients: Any) -> Any:
        return getattr(getattr(clients, version), method)(**arguments)

    return Way(name=name, ask=ask, ask_async=ask, **more)


def _stream(name: str, version: str, method: str, arguments: dict[str, Any], **more: Any) -> Way:
    def opened(clients: Any) -> Any:
        return getattr(getattr(clients, version), method)(**arguments)

    async def opened_async(clients: Any) -> Any:
        return opened(clients)

    async def read(clients: Any) -> Any:
        return [each async for each in opened(clients)]

    return Way(
        name=name,
        ask=lambda clients: list(opened(clients)),
        ask_async=read,
        opened=opened,
        opened_async=opened_async,
        **more,
    )


DRIVER = Driver(
    name="cohere",
    client=lambda url: _clients(url, ""),
    client_async=lambda url: _clients(url, "Async"),
    close=_close,
    close_async=_close_async,
    error={"message": "m"},
    ways=(
        _way("chat", "second", "chat", CHAT, document=CHAT_BODY, says=SAYS, since="5.13"),
        _stream(
            "chat stream",
            "second",
            "chat_stream",
            CHAT,
            document=CHAT_EVENTS,
            encode=sse_named,
            says={
                **SAYS,
                semconv.REQUEST_STREAM: True,
                semconv.TOOLS_CALLED_NAMES: ("get_time",),
            },
            since="5.13",
        ),
        _way(
            "first chat",
            "first",
            "chat",
            ASKED,
            document=FIRST_BODY,
            says={**SAYS, semconv.TOOLS_CALLED_NAMES: ("get_time",)},
            hostile=False,
        ),
        _stream(
            "first chat stream",
            "first",
            "chat_stream",
            ASKED,
            document=FIRST_EVENTS,
            encode=ndjson,
            says={**SAYS, semconv.REQUEST_STREAM: True},
            hostile=False,
        ),
        _way(
            "generate",
            "first",
            "generate",
            {"prompt": QUESTION, "model": "command"},
            document={
                "id": "g-1",
                "generations": [{"id": "g-2", "text": ANSWER, "finish_reason": "COMPLETE"}],
                "meta": {"billed_units": BILLED},
            },
            says={
                semconv.OPERATION: "text_completion",
                semconv.RESPONSE_ID: "g-1",
                semconv.FINISH_REASONS: ("COMPLETE",),
                semconv.INPUT_TOKENS: 11,
                semconv.OUTPUT_TOKENS: 7,
            },
            hostile=False,
        ),
        _way(
            "embed",
            "second",
            "embed",
            {**EMBED, "embedding_types": ["float"]},
            document=EMBED_BODY,
            says={**EMBEDS, semconv.REQUEST_ENCODING_FORMATS: ("float",)},
            hostile=False,
            since="5.13",
        ),
        _way(
            "rerank",
            "second",
            "rerank",
            RERANK,
            document=RERANK_BODY,
            says=RERANKS,
            since="5.13",
            hostile=False,
        ),
        _way(
            "first rerank",
            "first",
            "rerank",
            RERANK,
            document=RERANK_BODY,
            says=RERANKS,
            hostile=False,
        ),
        _way(
            "classify",
            "first",
            "classify",
            {"inputs": [QUESTION], "model": "m"},
            document={
                "id": "cl-1",
                "classifications": [],
                "meta": {"billed_units": {"classifications": 1}},
            },
            says={semconv.OPERATION: "classification", semconv.CLASSIFICATIONS: 1},
            hostile=False,
            since="5.6",  # before, examples had to be given
        ),
    ),
)
