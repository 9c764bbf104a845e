"""Portkey's SDK, pointed at a gateway of the user's own."""

from __future__ import annotations

from typing import Any

import portkey_ai
from sdk_answers import CHAT_BODY, CHAT_EVENTS, EMBEDDING_BODY

from drivers import KEY, QUESTION, Answer, Driver, Way, json_body, sse
from tollspan import semconv

CHAT: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": QUESTION}],
}
PROMPT: dict[str, Any] = {"prompt_id": "summary-1", "variables": {"text": QUESTION}}

SAYS = {
    semconv.OPERATION: "chat",
    semconv.PROVIDER: "portkey",
    semconv.REQUEST_MODEL: "gpt-4o-mini",
    semconv.RESPONSE_MODEL: "gpt-4o-mini-2024-07-18",
    semconv.RESPONSE_ID: "chatcmpl-1",
    semconv.FINISH_REASONS: ("stop",),
    semconv.INPUT_TOKENS: 11,
    semconv.OUTPUT_TOKENS: 7,
}
PROMPTED = {**SAYS, semconv.REQUEST_MODEL: None, semconv.PROMPT_NAME: "summary-1"}
HEADERS = {
    "x-portkey-last-used-option-index": "config",
    "x-portkey-provider": "openai",
    "x-portkey-retry-attempt-count": "0",
}


def _from_gateway(encode: Any) -> Any:
    def encoded(document: Any) -> Answer:
        made: Answer = encode(document)
        return Answer(made.pieces, {**made.headers, **HEADERS})

    return encoded


async def listed(stream: Any) -> list[Any]:
    return [each async for each in stream]


def _client(kind: Any) -> Any:
    def made(url: str) -> Any:
        client = kind(
            api_key=KEY,
            base_url=f"{url}/v1",
            provider="openai",
            Authorization=KEY,
            config={"retry": {"attempts": 0}, "api_key": KEY},
            metadata={"_user": QUESTION},
        )
        client.max_retries = client.openai_client.max_retries = 0
        return client

    return made


async def _chat_stream(client: Any) -> Any:
    return await client.chat.completions.create(**CHAT, stream=True)


async def _prompt_stream(client: Any) -> Any:
    return await client.prompts.completions.create(**PROMPT, stream=True)


async def _chat_read(client: Any) -> Any:
    return await listed(await _chat_stream(client))


async def _prompt_read(client: Any) -> Any:
    return await listed(await _prompt_stream(client))


def _close(client: Any) -> None:
    client._client.close()
    client.openai_client.close()


async def _close_async(client: Any) -> None:
    await client._client.aclose()
    await client.openai_client.close()


DRIVER = Driver(
    name="portkey_ai",
    client=_client(portkey_ai.Portkey),
    client_async=_client(portkey_ai.AsyncPortkey),
    close=_close,
    close_async=_close_async,
    packages=("portkey_ai._vendor.openai._base_client", "portkey_ai.api_resources"),
    ways=(
        Way(
            name="chat",
            ask=lambda client: client.chat.completions.create(**CHAT),
            ask_async=lambda client: client.chat.completions.create(**CHAT),
            document=CHAT_BODY,
            encode=_from_gateway(json_body),
            says=SAYS,
        ),
        Way(
            name="chat stream",
            ask=lambda client: list(client.chat.completions.create(**CHAT, stream=True)),
            ask_async=_chat_read,
            opened=lambda client: client.chat.completions.create(**CHAT, stream=True),
            opened_async=_chat_stream,
            document=CHAT_EVENTS,
            encode=_from_gateway(sse),
            says={**SAYS, semconv.REQUEST_STREAM: True},
        ),
        Way(
            name="embeddings",
            ask=lambda client: client.embeddings.create(input=QUESTION, model="m"),
            ask_async=lambda client: client.embeddings.create(input=QUESTION, model="m"),
            document=EMBEDDING_BODY,
            encode=_from_gateway(json_body),
            says={semconv.OPERATION: "embeddings", semconv.INPUT_TOKENS: 11},
            hostile=False,
        ),
        Way(
            name="saved prompt",
            ask=lambda client: client.prompts.completions.create(**PROMPT),
            ask_async=lambda client: client.prompts.completions.create(**PROMPT),
            document=CHAT_BODY,
            encode=_from_gateway(json_body),
            says=PROMPTED,
            hostile=False,
        ),
        Way(
            name="saved prompt stream",
            ask=lambda client: list(client.prompts.completions.create(**PROMPT, stream=True)),
            ask_async=_prompt_read,
            opened=lambda client: client.prompts.completions.create(**PROMPT, stream=True),
            opened_async=_prompt_stream,
            document=CHAT_EVENTS,
            encode=_from_gateway(sse),
            says={**PROMPTED, semconv.REQUEST_STREAM: True},
            since="2.0",  # before, its chunks had no usage and its streams no close
        ),
        Way(
            name="posted by hand",
            ask=lambda client: client.post("/chat/completions", **CHAT),
            ask_async=lambda client: client.post("/chat/completions", **CHAT),
            document=CHAT_BODY,
            encode=_from_gateway(json_body),
            says=SAYS,
            hostile=False,
        ),
    ),
)
