"""The groq SDK."""

from __future__ import annotations

from typing import Any

import groq

from drivers import ANSWER, KEY, QUESTION, Driver, Way, sse
from tollspan import semconv

MODEL = "openai/gpt-oss-20b"
CHAT: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}]}

USAGE = {
    "queue_time": 0.25,
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "total_time": 0.5,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
HEAD = {"id": "chatcmpl-1", "created": 1, "model": MODEL}
CHAT_BODY: dict[str, Any] = {
    **HEAD,
    "object": "chat.completion",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": ANSWER},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": USAGE,
    "service_tier": "on_demand",
    "x_groq": {"id": "req_1", "usage": {"dram_cached_tokens": 900, "sram_cached_tokens": 100}},
}


def _chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    return {**HEAD, "object": "chat.completion.chunk", "choices": [choice], **more}


CHAT_EVENTS: list[Any] = [
    _chunk({"role": "assistant", "content": ""}, x_groq={"id": "req_1"}),
    _chunk({"content": ANSWER}),
    _chunk({"content": "!"}),
    _chunk({}, "stop", x_groq={"id": "req_1", "usage": USAGE}, service_tier="on_demand"),
]
COMPOUND_BODY: dict[str, Any] = {
    **CHAT_BODY,
    "model": "groq/compound",
    "choices": [
        {
            **CHAT_BODY["choices"][0],
            "message": {
                "role": "assistant",
                "content": ANSWER,
                "executed_tools": [
                    {"index": 0, "type": "search", "arguments": QUESTION, "output": ANSWER},
                    {"index": 1, "type": "search", "arguments": QUESTION, "output": ANSWER},
                    {"index": 2, "type": "python", "arguments": QUESTION, "output": ANSWER},
                ],
            },
        }
    ],
    "usage_breakdown": {
        "models": [
            {"model": "openai/gpt-oss-120b", "usage": {"prompt_tokens": 6, "completion_tokens": 5}},
            {
                "model": "meta-llama/llama-4-scout-17b-16e-instruct",
                "usage": {"prompt_tokens": 5, "completion_tokens": 2},
            },
        ]
    },
}
EMBEDDING_BODY = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}],
    "model": "nomic-embed-text-v1_5",
    "usage": {"prompt_tokens": 11, "total_tokens": 11},
}

SAYS = {
    semconv.OPERATION: "chat",
    semconv.PROVIDER: "groq",
    semconv.REQUEST_MODEL: MODEL,
    semconv.RESPONSE_MODEL: MODEL,
    semconv.RESPONSE_ID: "chatcmpl-1",
    semconv.FINISH_REASONS: ("stop",),
    semconv.INPUT_TOKENS: 11,
    semconv.OUTPUT_TOKENS: 7,
    semconv.CACHE_READ_TOKENS: 4,
    semconv.REASONING_TOKENS: 3,
    semconv.QUEUE_TIME: 0.25,
    semconv.SERVICE_TIER: "on_demand",
}


def chat(client: Any) -> Any:
    return client.chat.completions.create(**CHAT)


def opened(client: Any) -> Any:
    return client.chat.completions.create(**CHAT, stream=True)


async def read(client: Any) -> Any:
    return [each async for each in await opened(client)]


def compound(client: Any) -> Any:
    return client.chat.completions.create(**{**CHAT, "model": "groq/compound"})


def embeddings(client: Any) -> Any:
    return client.embeddings.create(model="nomic-embed-text-v1_5", input=QUESTION)


def transcription(client: Any) -> Any:
    return client.audio.transcriptions.create(
        file=("question.wav", b"RIFF"), model="whisper-large-v3", response_format="verbose_json"
    )


DRIVER = Driver(
    name="groq",
    client=lambda url: groq.Groq(api_key=KEY, base_url=url, max_retries=0),
    client_async=lambda url: groq.AsyncGroq(api_key=KEY, base_url=url, max_retries=0),
    ways=(
        Way(name="chat", ask=chat, ask_async=chat, document=CHAT_BODY, says=SAYS),
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
            name="raw chat",
            ask=lambda client: client.chat.completions.with_raw_response.create(**CHAT).parse(),
            document=CHAT_BODY,
            says=SAYS,
            hostile=False,
        ),
        Way(
            name="compound",
            ask=compound,
            ask_async=compound,
            document=COMPOUND_BODY,
            says={
                semconv.RESPONSE_MODEL: "groq/compound",
                semconv.MODELS_USED: (
                    "meta-llama/llama-4-scout-17b-16e-instruct",
                    "openai/gpt-oss-120b",
                ),
                semconv.WEB_SEARCHES: 2,
                semconv.CODE_RUNS: 1,
                semconv.INPUT_TOKENS: 11,
                semconv.OUTPUT_TOKENS: 7,
            },
            since="0.31",
            hostile=False,
        ),
        Way(
            name="embeddings",
            ask=embeddings,
            ask_async=embeddings,
            document=EMBEDDING_BODY,
            says={
                semconv.OPERATION: "embeddings",
                semconv.INPUT_TOKENS: 11,
                semconv.OUTPUT_TOKENS: None,
            },
            hostile=False,
        ),
        Way(
            name="transcription",
            ask=transcription,
            ask_async=transcription,
            document={"text": ANSWER, "duration": 4.5, "language": "English"},
            says={
                semconv.OPERATION: "transcription",
                semconv.REQUEST_MODEL: "whisper-large-v3",
                semconv.AUDIO_INPUT_SECONDS: 4.5,
                semconv.INPUT_TOKENS: None,
            },
            hostile=False,
        ),
    ),
)
