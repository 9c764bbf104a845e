"""Hugging Face's InferenceClient, pointed at a server of one model."""

from __future__ import annotations

from typing import Any

from huggingface_hub import AsyncInferenceClient, InferenceClient

from drivers import ANSWER, KEY, QUESTION, Answer, Driver, Way, json_body, sse
from tollspan import semconv

MESSAGES = [{"role": "user", "content": QUESTION}]
ASKED: dict[str, Any] = {"messages": MESSAGES, "max_tokens": 64, "model": "Qwen/Qwen3-32B"}

ANSWERED = {"id": "chatcmpl-1", "created": 1, "model": "Qwen/Qwen3-32B", "system_fingerprint": "f"}
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
SERVED = {"x-inference-provider": "groq"}


def _chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {**ANSWERED, "object": "chat.completion.chunk", "choices": [choice], **more}


CHAT = {
    **ANSWERED,
    "object": "chat.completion",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": ANSWER},
        }
    ],
    "usage": USAGE,
}
CHAT_EVENTS = [
    _chunk({"role": "assistant", "content": ANSWER}),
    _chunk({"content": ANSWER}),
    _chunk({"content": ANSWER}),
    _chunk({"content": ""}, "stop", usage=USAGE),
]
GENERATED = [
    {
        "generated_text": ANSWER,
        "details": {
            "finish_reason": "length",
            "generated_tokens": 7,
            "seed": None,
            "prefill": [{"id": 1, "logprob": -1.0, "text": "a"}] * 3,
            "tokens": [{"id": 1, "logprob": -1.0, "text": "a", "special": False}],
        },
    }
]
TOKEN = {"id": 1, "logprob": -1.0, "text": ANSWER, "special": False}
TOKENS: list[Any] = [
    {"index": 1, "token": TOKEN, "generated_text": None, "details": None},
    {"index": 2, "token": TOKEN, "generated_text": None, "details": None},
    {"index": 3, "token": TOKEN, "generated_text": None, "details": None},
    {
        "index": 4,
        "token": TOKEN,
        "generated_text": ANSWER,
        "details": {"finish_reason": "length", "generated_tokens": 7, "input_length": 11},
    },
]

SAYS = {
    semconv.OPERATION: "chat",
    semconv.PROVIDER: "huggingface",
    semconv.REQUEST_MODEL: "Qwen/Qwen3-32B",
    semconv.RESPONSE_MODEL: "Qwen/Qwen3-32B",
    semconv.REQUEST_MAX_TOKENS: 64,
    semconv.RESPONSE_ID: "chatcmpl-1",
    semconv.FINISH_REASONS: ("stop",),
    semconv.INPUT_TOKENS: 11,
    semconv.OUTPUT_TOKENS: 7,
    semconv.RESPONSE_PROVIDER: "groq",
    semconv.BILL_TO: "acme",
}
GENERATION = {
    semconv.OPERATION: "text_completion",
    semconv.FINISH_REASONS: ("length",),
    semconv.OUTPUT_TOKENS: 7,
    semconv.REQUEST_MAX_TOKENS: 64,
}


def _chat(client: Any, **more: Any) -> Any:
    return client.chat.completions.create(**ASKED, **more)


def _generate(client: Any, **more: Any) -> Any:
    return client.text_generation(QUESTION, max_new_tokens=64, details=True, **more)


async def _chat_stream(client: Any) -> Any:
    return await _chat(client, stream=True)


async def _generate_stream(client: Any) -> Any:
    return await _generate(client, stream=True)


async def _chat_read(client: Any) -> Any:
    return [each async for each in await _chat_stream(client)]


async def _generate_read(client: Any) -> Any:
    return [each async for each in await _generate_stream(client)]


def _served(document: Any) -> Answer:
    made = json_body(document)
    return Answer(made.pieces, {**made.headers, **SERVED})


def _served_events(events: Any) -> Answer:
    made = sse(events)
    return Answer(made.pieces, {**made.headers, **SERVED})


def _spoken(document: Any) -> Answer:
    return Answer((b"RIFF", b"data"), {"content-type": "audio/wav"})


# Before 1.0 each request had an id of its own, which errors repeat.
HEADERS = {"x-hf-bill-to": "acme", "X-Request-Id": "1"}

DRIVER = Driver(
    name="huggingface_hub",
    client=lambda url: InferenceClient(base_url=url, api_key=KEY, headers=HEADERS),
    client_async=lambda url: AsyncInferenceClient(base_url=url, api_key=KEY, headers=HEADERS),
    close=lambda client: client.close() if hasattr(client, "close") else None,  # before 1.0
    error={"error": "model is overloaded", "error_type": "overloaded"},
    ways=(
        Way(
            name="chat",
            ask=_chat,
            ask_async=_chat,
            document=CHAT,
            encode=_served,
            says=SAYS,
        ),
        Way(
            name="chat stream",
            ask=lambda client: list(_chat(client, stream=True)),
            ask_async=_chat_read,
            opened=lambda client: _chat(client, stream=True),
            opened_async=_chat_stream,
            document=CHAT_EVENTS,
            encode=_served_events,
            says={**SAYS, semconv.REQUEST_STREAM: True},
        ),
        Way(
            name="text generation",
            ask=_generate,
            ask_async=_generate,
            document=GENERATED,
            says={**GENERATION, semconv.INPUT_TOKENS: 3},
        ),
        Way(
            name="text generation stream",
            ask=lambda client: list(_generate(client, stream=True)),
            ask_async=_generate_read,
            opened=lambda client: _generate(client, stream=True),
            opened_async=_generate_stream,
            document=TOKENS,
            encode=sse,
            says={**GENERATION, semconv.INPUT_TOKENS: 11},
        ),
        Way(
            name="feature extraction",
            ask=lambda client: client.feature_extraction(QUESTION),
            ask_async=lambda client: client.feature_extraction(QUESTION),
            document=[[0.5, 0.25]],
            says={semconv.OPERATION: "embeddings", semconv.INPUT_TOKENS: None},
            hostile=False,
        ),
        Way(
            name="speech",
            ask=lambda client: client.text_to_speech(QUESTION),
            ask_async=lambda client: client.text_to_speech(QUESTION),
            document={},
            encode=_spoken,
            says={semconv.OPERATION: "speech", semconv.INPUT_TOKENS: None},
            hostile=False,
        ),
    ),
)
