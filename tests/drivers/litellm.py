"""LiteLLM as a library: its functions, whose client is the address that they are given."""

from __future__ import annotations

import gc
import re
from importlib.metadata import version
from typing import Any

import litellm
from packaging.version import Version
from sdk_answers import CHAT_BODY, CHAT_EVENTS, EMBEDDING_BODY, RESPONSE_BODY, RESPONSE_EVENTS

from drivers import KEY, QUESTION, Driver, Way, sse, sse_named
from tollspan import semconv

CHAT: dict[str, Any] = {
    "model": "openai/gpt-4o-mini",
    "messages": [{"role": "user", "content": QUESTION}],
}
STREAM = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
RESPONSE: dict[str, Any] = {"model": "openai/gpt-4o-mini", "input": QUESTION}
EMBEDDING: dict[str, Any] = {"model": "openai/text-embedding-3-small", "input": [QUESTION]}

SAYS = {
    semconv.OPERATION: "chat",
    semconv.PROVIDER: "openai",
    semconv.REQUEST_MODEL: "openai/gpt-4o-mini",
    semconv.RESPONSE_MODEL: "gpt-4o-mini-2024-07-18",
    semconv.RESPONSE_ID: "chatcmpl-1",
    semconv.FINISH_REASONS: ("stop",),
    semconv.INPUT_TOKENS: 11,
    semconv.OUTPUT_TOKENS: 7,
    semconv.SERVER_ADDRESS: "127.0.0.1",
}

# Before 1.100 the chunks of a stream name the model that was asked for, say nothing of the address,
# and LiteLLM itself keeps its last stream, so that one that is dropped is not seen to be.
NEWER = Version(version("litellm")) >= Version("1.100")
STREAM_SAYS = SAYS if NEWER else {**SAYS, semconv.RESPONSE_MODEL: "gpt-4o-mini"}

Address = dict[str, Any]


def address(url: str) -> Address:
    return {"api_base": f"{url}/v1", "api_key": KEY, "max_retries": 0, "num_retries": 0}


def closed(_: Address) -> None:
    litellm.in_memory_llm_clients_cache.flush_cache()
    gc.collect()


async def closed_async(where: Address) -> None:
    closed(where)


_RANDOM = re.compile("chatcmpl-[0-9a-f-]{36}")
_OF_THE_MOMENT = frozenset({"created", "created_at", "completed_at", "usage"})
"""What LiteLLM makes up anew for each call, or counts in the background."""


def shown(value: Any) -> Any:
    """An answer or its chunks as JSON: beside it LiteLLM keeps times and ids of its own."""
    if isinstance(value, list):
        return [shown(each) for each in value]
    dump = getattr(value, "model_dump", None)
    if dump is None:
        return repr(value)
    told = dump(mode="json")
    held = told.get("response") if isinstance(told.get("response"), dict) else told
    kept = {k: v for k, v in held.items() if k not in _OF_THE_MOMENT}
    return type(value).__name__, _RANDOM.sub("", repr(kept))


async def _stream(where: Address) -> Any:
    return await litellm.acompletion(**STREAM, **where)


async def _stream_read(where: Address) -> Any:
    return [each async for each in await _stream(where)]


async def _responses(where: Address) -> Any:
    return await litellm.aresponses(**RESPONSE, stream=True, **where)


async def _responses_read(where: Address) -> Any:
    return [each async for each in await _responses(where)]


DRIVER = Driver(
    name="litellm",
    client=address,
    client_async=address,
    close=closed,
    close_async=closed_async,
    closes=False,
    shown=shown,
    ways=(
        Way(
            name="completion",
            ask=lambda where: litellm.completion(**CHAT, **where),
            ask_async=lambda where: litellm.acompletion(**CHAT, **where),
            document=CHAT_BODY,
            hostile=NEWER,  # what the older one raises differs from one run to the next
            says=SAYS,
        ),
        Way(
            name="completion stream",
            ask=lambda where: list(litellm.completion(**STREAM, **where)),
            ask_async=_stream_read,
            opened=(lambda where: litellm.completion(**STREAM, **where)) if NEWER else None,
            opened_async=_stream,
            document=CHAT_EVENTS,
            hostile=False,
            encode=sse,
            says=STREAM_SAYS,
        ),
        Way(
            name="embedding",
            ask=lambda where: litellm.embedding(**EMBEDDING, **where),
            ask_async=lambda where: litellm.aembedding(**EMBEDDING, **where),
            document=EMBEDDING_BODY,
            hostile=False,
            says={semconv.OPERATION: "embeddings", semconv.INPUT_TOKENS: 11},
        ),
        Way(
            name="responses",
            ask=lambda where: litellm.responses(**RESPONSE, **where),
            ask_async=lambda where: litellm.aresponses(**RESPONSE, **where),
            document=RESPONSE_BODY,
            hostile=False,
            says={semconv.INPUT_TOKENS: 11, semconv.OUTPUT_TOKENS: 7},
            since="1.63.8",
        ),
        Way(
            name="responses stream",
            ask=lambda where: list(litellm.responses(**RESPONSE, stream=True, **where)),
            ask_async=_responses_read,
            opened=lambda where: litellm.responses(**RESPONSE, stream=True, **where),
            opened_async=_responses,
            document=RESPONSE_EVENTS,
            hostile=False,
            encode=sse_named,
            says={semconv.INPUT_TOKENS: 11, semconv.OUTPUT_TOKENS: 7},
            since="1.100",
        ),
    ),
)
