"""The together SDK."""

from __future__ import annotations

from typing import Any

import together

from drivers import ANSWER, KEY, QUESTION, Driver, Way, sse
from tollspan import semconv

MODEL = "meta-llama/Llama-3.3-70B-Instruct-Turbo"
CHAT: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}]}
PROMPT: dict[str, Any] = {"model": MODEL, "prompt": QUESTION}
RANKED: dict[str, Any] = {
    "model": "Salesforce/Llama-Rank-V1",
    "query": QUESTION,
    "documents": ["a"],
}
EMBEDDING: dict[str, Any] = {"model": "BAAI/bge-base-en-v1.5", "input": QUESTION}
IMAGE: dict[str, Any] = {"model": "black-forest-labs/FLUX.1-schnell", "prompt": QUESTION, "n": 2}

USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18, "cached_tokens": 4}
HEAD = {"id": "o-1", "created": 1, "model": MODEL}
CHAT_BODY: dict[str, Any] = {
    **HEAD,
    "object": "chat.completion",
    "prompt": [],
    "choices": [
        {
            "index": 0,
            "finish_reason": "eos",
            "logprobs": None,
            "seed": 7,
            "message": {"role": "assistant", "content": ANSWER, "tool_calls": []},
        }
    ],
    "usage": USAGE,
}


def _chunk(delta: dict[str, Any], reason: str | None = None, usage: Any = None) -> dict[str, Any]:
    choice = {"index": 0, "text": "", "delta": delta, "logprobs": None, "finish_reason": reason}
    return {**HEAD, "object": "chat.completion.chunk", "choices": [choice], "usage": usage}


CHAT_EVENTS: list[Any] = [
    _chunk({"token_id": 1, "role": "assistant", "content": ANSWER}),
    _chunk({"token_id": 2, "role": "assistant", "content": "!"}),
    _chunk({"token_id": 3, "role": "assistant", "content": "?"}),
    _chunk({"token_id": 4, "role": "assistant", "content": ""}, "eos", USAGE),
]
TEXT_BODY: dict[str, Any] = {
    **HEAD,
    "object": "text.completion",
    "prompt": [],
    "choices": [{"text": ANSWER, "finish_reason": "length", "seed": 7, "logprobs": None}],
    "usage": USAGE,
}
RANKED_BODY: dict[str, Any] = {
    "id": "o-2",
    "model": "Salesforce/Llama-Rank-V1",
    "object": "rerank",
    "results": [{"index": 0, "relevance_score": 0.5, "document": {"text": ANSWER}}],
    "usage": {"prompt_tokens": 11, "completion_tokens": 0, "total_tokens": 11},
}
EMBEDDING_BODY: dict[str, Any] = {
    "object": "list",
    "model": "BAAI/bge-base-en-v1.5",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}],
}
IMAGE_BODY: dict[str, Any] = {
    "id": "o-3",
    "model": "black-forest-labs/FLUX.1-schnell",
    "object": "list",
    "data": [
        {"index": 0, "type": "url", "url": "https://127.0.0.1/1"},
        {"index": 1, "type": "url", "url": "https://127.0.0.1/2"},
    ],
}

SAYS = {
    semconv.OPERATION: "chat",
    semconv.PROVIDER: "together_ai",
    semconv.REQUEST_MODEL: MODEL,
    semconv.RESPONSE_MODEL: MODEL,
    semconv.RESPONSE_ID: "o-1",
    semconv.FINISH_REASONS: ("eos",),
    semconv.INPUT_TOKENS: 11,
    semconv.OUTPUT_TOKENS: 7,
    semconv.CACHE_READ_TOKENS: 4,
}


def chat(client: Any) -> Any:
    return client.chat.completions.create(**CHAT)


def opened(client: Any) -> Any:
    return client.chat.completions.create(**CHAT, stream=True)


async def read(client: Any) -> Any:
    return [each async for each in await opened(client)]


def completion(client: Any) -> Any:
    return client.completions.create(**PROMPT)


def rerank(client: Any) -> Any:
    return client.rerank.create(**RANKED)


def embeddings(client: Any) -> Any:
    return client.embeddings.create(**EMBEDDING)


def images(client: Any) -> Any:
    return client.images.generate(**IMAGE)


DRIVER = Driver(
    name="together",
    client=lambda url: together.Together(api_key=KEY, base_url=f"{url}/v1", max_retries=0),
    client_async=lambda url: together.AsyncTogether(
        api_key=KEY, base_url=f"{url}/v1", max_retries=0
    ),
    ways=(
        Way(name="chat", ask=chat, ask_async=chat, document=CHAT_BODY, says=SAYS, hostile=False),
        Way(
            name="chat stream",
            ask=lambda client: list(opened(client)),
            ask_async=read,
            opened=opened,
            opened_async=opened,
            document=CHAT_EVENTS,
            encode=sse,
            says={**SAYS, semconv.REQUEST_STREAM: True},
        ),
        Way(
            name="completion",
            ask=completion,
            ask_async=completion,
            document=TEXT_BODY,
            says={
                **SAYS,
                semconv.OPERATION: "text_completion",
                semconv.FINISH_REASONS: ("length",),
            },
            hostile=False,
        ),
        Way(
            name="rerank",
            ask=rerank,
            ask_async=rerank,
            document=RANKED_BODY,
            says={
                semconv.OPERATION: "rerank",
                semconv.REQUEST_MODEL: "Salesforce/Llama-Rank-V1",
                semconv.RESPONSE_ID: "o-2",
                semconv.INPUT_TOKENS: 11,
            },
            hostile=False,
        ),
        Way(
            name="embeddings",
            ask=embeddings,
            ask_async=embeddings,
            document=EMBEDDING_BODY,
            says={
                semconv.OPERATION: "embeddings",
                semconv.RESPONSE_MODEL: "BAAI/bge-base-en-v1.5",
                semconv.INPUT_TOKENS: None,
            },
            hostile=False,
        ),
        Way(
            name="images",
            ask=images,
            ask_async=images,
            document=IMAGE_BODY,
            says={
                semconv.OPERATION: "image_generation",
                semconv.OUTPUT_TYPE: "image",
                semconv.REQUEST_CHOICE_COUNT: 2,
                semconv.INPUT_TOKENS: None,
            },
            hostile=False,
        ),
    ),
)
