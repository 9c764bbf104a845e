"""Every way of asking the openai and anthropic SDKs, sync and async."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

MESSAGES = [{"role": "user", "content": "a question that no span may carry"}]


async def listed(stream: Any) -> list[Any]:
    return [each async for each in stream]


CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": MESSAGES}
RESPONSE: dict[str, Any] = {"model": "gpt-4o-mini", "input": "a question that no span may carry"}
MESSAGE: dict[str, Any] = {"model": "claude-sonnet-5", "messages": MESSAGES, "max_tokens": 64}
EMBEDDING: dict[str, Any] = {
    "model": "text-embedding-3-small",
    "input": "a question that no span may carry",
    "encoding_format": "float",
}


def _resource(client: Any, api: str) -> tuple[Any, dict[str, Any]]:
    if api == "chat":
        return client.chat.completions, CHAT
    if api == "responses":
        return client.responses, RESPONSE
    if api == "embeddings":
        return client.embeddings, EMBEDDING
    return (client.beta.messages if api == "beta" else client.messages), MESSAGE


def plain(client: Any, api: str) -> Any:
    resource, asked = _resource(client, api)
    return resource.create(**asked)


async def plain_async(client: Any, api: str) -> Any:
    return await plain(client, api)


def parsed(client: Any, api: str) -> Any:
    resource, asked = _resource(client, api)
    return resource.parse(**asked)


async def parsed_async(client: Any, api: str) -> Any:
    return await parsed(client, api)


def raw(client: Any, api: str) -> Any:
    resource, asked = _resource(client, api)
    return resource.with_raw_response.create(**asked).parse()


async def raw_async(client: Any, api: str) -> Any:
    resource, asked = _resource(client, api)
    got = (await resource.with_raw_response.create(**asked)).parse()
    return await got if hasattr(got, "__await__") else got


def streaming(client: Any, api: str) -> Any:
    resource, asked = _resource(client, api)
    with resource.with_streaming_response.create(**asked) as response:
        return response.parse()


async def streaming_async(client: Any, api: str) -> Any:
    resource, asked = _resource(client, api)
    async with resource.with_streaming_response.create(**asked) as response:
        return await response.parse()


def streaming_bytes(client: Any, api: str) -> Any:
    resource, asked = _resource(client, api)
    with resource.with_streaming_response.create(**asked) as response:
        return b"".join(response.iter_bytes())


async def streaming_bytes_async(client: Any, api: str) -> Any:
    resource, asked = _resource(client, api)
    async with resource.with_streaming_response.create(**asked) as response:
        return b"".join(await listed(response.iter_bytes()))


def stream(client: Any, api: str) -> Any:
    resource, asked = _resource(client, api)
    return list(resource.create(**asked, stream=True))


async def stream_async(client: Any, api: str) -> Any:
    resource, asked = _resource(client, api)
    return await listed(await resource.create(**asked, stream=True))


def stream_in_with(client: Any, api: str) -> Any:
    resource, asked = _resource(client, api)
    found = []
    with resource.create(**asked, stream=True) as opened:
        while True:
            try:
                found.append(next(opened))
            except StopIteration:
                return found


async def stream_in_with_async(client: Any, api: str) -> Any:
    resource, asked = _resource(client, api)
    found = []
    async with await resource.create(**asked, stream=True) as opened:
        while True:
            try:
                found.append(await opened.__anext__())
            except StopAsyncIteration:
                return found


def raw_stream(client: Any, api: str) -> Any:
    resource, asked = _resource(client, api)
    return list(resource.with_raw_response.create(**asked, stream=True).parse())


async def raw_stream_async(client: Any, api: str) -> Any:
    resource, asked = _resource(client, api)
    got = (await resource.with_raw_response.create(**asked, stream=True)).parse()
    return await listed(await got if hasattr(got, "__await__") else got)


def streaming_stream(client: Any, api: str) -> Any:
    resource, asked = _resource(client, api)
    with resource.with_streaming_response.create(**asked, stream=True) as response:
        return list(response.parse())


async def streaming_stream_async(client: Any, api: str) -> Any:
    resource, asked = _resource(client, api)
    async with resource.with_streaming_response.create(**asked, stream=True) as response:
        return await listed(await response.parse())


def streaming_lines(client: Any, api: str) -> Any:
    resource, asked = _resource(client, api)
    with resource.with_streaming_response.create(**asked, stream=True) as response:
        return list(response.iter_lines())


async def streaming_lines_async(client: Any, api: str) -> Any:
    resource, asked = _resource(client, api)
    async with resource.with_streaming_response.create(**asked, stream=True) as response:
        return await listed(response.iter_lines())


def helper(client: Any, api: str) -> Any:
    resource, asked = _resource(client, api)
    if api == "chat":
        asked = {**asked, "stream_options": {"include_usage": True}}
    with resource.stream(**asked) as opened:
        return list(opened)


async def helper_async(client: Any, api: str) -> Any:
    resource, asked = _resource(client, api)
    async with resource.stream(**asked) as opened:
        return await listed(opened)


Way = tuple[Callable[[Any, str], Any], Callable[[Any, str], Awaitable[Any]]]

PLAIN: dict[str, Way] = {
    "create": (plain, plain_async),
    "raw": (raw, raw_async),
    "streaming response": (streaming, streaming_async),
    "streaming response, bytes": (streaming_bytes, streaming_bytes_async),
}
PARSED: dict[str, Way] = {"parse": (parsed, parsed_async)}
STREAMED: dict[str, Way] = {
    "stream": (stream, stream_async),
    "stream in with": (stream_in_with, stream_in_with_async),
    "raw stream": (raw_stream, raw_stream_async),
    "streaming response, stream": (streaming_stream, streaming_stream_async),
    "streaming response, lines": (streaming_lines, streaming_lines_async),
}
HELPERS: dict[str, Way] = {"helper": (helper, helper_async)}

WAYS: list[tuple[str, str]] = [
    (api, way)
    for api, ways in {
        "chat": (PLAIN, PARSED, STREAMED, HELPERS),
        "responses": (PLAIN, PARSED, STREAMED, HELPERS),
        "messages": (PLAIN, STREAMED, HELPERS),
        "beta": (PLAIN, STREAMED, HELPERS),
        "embeddings": (PLAIN,),
    }.items()
    for each in ways
    for way in each
]
ALL: dict[str, Way] = {**PLAIN, **PARSED, **STREAMED, **HELPERS}


def asks_for_stream(way: str) -> bool:
    return way in STREAMED or way in HELPERS
