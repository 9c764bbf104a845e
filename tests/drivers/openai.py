"""The openai SDK."""

from __future__ import annotations

from typing import Any

import openai
from sdk_answers import CHAT_BODY, CHAT_EVENTS, EMBEDDING_BODY, RESPONSE_BODY, RESPONSE_EVENTS

from drivers import KEY, QUESTION, Driver, Way, sse
from tollspan import semconv

CHAT: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": QUESTION}],
}
RESPONSE: dict[str, Any] = {"model": "gpt-4o-mini", "input": QUESTION}
EMBEDDING: dict[str, Any] = {
    "model": "text-embedding-3-small",
    "input": QUESTION,
    "encoding_format": "float",
}

SAYS = {
    semconv.OPERATION: "chat",
    semconv.PROVIDER: "openai",
    semconv.REQUEST_MODEL: "gpt-4o-mini",
    semconv.RESPONSE_MODEL: "gpt-4o-mini-2024-07-18",
    semconv.RESPONSE_ID: "chatcmpl-1",
    semconv.FINISH_REASONS: ("stop",),
    semconv.INPUT_TOKENS: 11,
    semconv.OUTPUT_TOKENS: 7,
    semconv.SERVER_ADDRESS: "127.0.0.1",
}


async def listed(stream: Any) -> list[Any]:
    return [each async for each in stream]


async def _chat_stream(client: Any) -> Any:
    return await client.chat.completions.create(**CHAT, stream=True)


async def _responses_stream(client: Any) -> Any:
    return await client.responses.create(**RESPONSE, stream=True)


async def _chat_stream_read(client: Any) -> Any:
    return await listed(await _chat_stream(client))


async def _responses_stream_read(client: Any) -> Any:
    return await listed(await _responses_stream(client))


DRIVER = Driver(
    name="openai",
    client=lambda url: openai.OpenAI(api_key=KEY, base_url=f"{url}/v1", max_retries=0),
    client_async=lambda url: openai.AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1", max_retries=0),
    ways=(
        Way(
            name="chat",
            ask=lambda client: client.chat.completions.create(**CHAT),
            ask_async=lambda client: client.chat.completions.create(**CHAT),
            document=CHAT_BODY,
            says=SAYS,
        ),
        Way(
            name="chat stream",
            ask=lambda client: list(client.chat.completions.create(**CHAT, stream=True)),
            ask_async=_chat_stream_read,
            opened=lambda client: client.chat.completions.create(**CHAT, stream=True),
            opened_async=_chat_stream,
            document=CHAT_EVENTS,
            encode=sse,
            says=SAYS,
        ),
        Way(
            name="raw chat",
            ask=lambda client: client.chat.completions.with_raw_response.create(**CHAT).parse(),
            document=CHAT_BODY,
            says=SAYS,
            hostile=False,
        ),
        Way(
            name="responses",
            ask=lambda client: client.responses.create(**RESPONSE),
            ask_async=lambda client: client.responses.create(**RESPONSE),
            document=RESPONSE_BODY,
            says={**SAYS, semconv.RESPONSE_ID: "resp_1"},
            since="1.66",
        ),
        Way(
            name="responses stream",
            ask=lambda client: list(client.responses.create(**RESPONSE, stream=True)),
            ask_async=_responses_stream_read,
            opened=lambda client: client.responses.create(**RESPONSE, stream=True),
            opened_async=_responses_stream,
            document=RESPONSE_EVENTS,
            encode=sse,
            says={**SAYS, semconv.RESPONSE_ID: "resp_1"},
            since="1.66",
        ),
        Way(
            name="embeddings",
            ask=lambda client: client.embeddings.create(**EMBEDDING),
            ask_async=lambda client: client.embeddings.create(**EMBEDDING),
            document=EMBEDDING_BODY,
            says={semconv.OPERATION: "embeddings", semconv.INPUT_TOKENS: 11},
        ),
    ),
)
