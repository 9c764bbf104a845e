"""The openai SDK."""

from __future__ import annotations

from typing import Any

import openai
from sdk_answers import CHAT_BODY, CHAT_EVENTS, EMBEDDING_BODY, RESPONSE_BODY, RESPONSE_EVENTS

from drivers import ANSWER, KEY, QUESTION, Driver, Way, sse
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


USAGE = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
TOOLS: dict[str, Any] = {
    **CHAT,
    "tools": [{"type": "function", "function": {"name": "look_up", "parameters": {}}}],
}
TOOL_BODY = {
    **CHAT_BODY,
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "look_up", "arguments": "{}"},
                    }
                ],
            },
        }
    ],
}
IMAGE: dict[str, Any] = {"model": "gpt-image-1", "prompt": QUESTION}
IMAGE_BODY = {
    "created": 1,
    "data": [{"b64_json": "AAAA"}],
    "usage": {**USAGE, "input_tokens_details": {"text_tokens": 11, "image_tokens": 0}},
}
IMAGE_EVENTS = [
    {"type": "image_generation.partial_image", "b64_json": "AAAA", "partial_image_index": 0},
    {"type": "image_generation.completed", "b64_json": "AAAA", "usage": IMAGE_BODY["usage"]},
]
SPOKEN: dict[str, Any] = {
    "model": "gpt-4o-mini-transcribe",
    "file": ("question.wav", b"RIFF", "audio/wav"),
}
SPOKEN_EVENTS = [
    {"type": "transcript.text.delta", "delta": ANSWER},
    {
        "type": "transcript.text.done",
        "text": ANSWER,
        "usage": {"type": "tokens", **USAGE, "input_token_details": {"audio_tokens": 11}},
    },
]
COUNTED = {semconv.PROVIDER: "openai", semconv.INPUT_TOKENS: 11, semconv.OUTPUT_TOKENS: 7}


async def listed(stream: Any) -> list[Any]:
    return [each async for each in stream]


async def _chat_stream(client: Any) -> Any:
    return await client.chat.completions.create(**CHAT, stream=True)


async def _responses_stream(client: Any) -> Any:
    return await client.responses.create(**RESPONSE, stream=True)


def _images(client: Any) -> Any:
    return client.images.generate(**IMAGE, stream=True)


async def _images_async(client: Any) -> Any:
    return await _images(client)


async def _images_read(client: Any) -> Any:
    return await listed(await _images(client))


def _spoken(client: Any) -> Any:
    return client.audio.transcriptions.create(**SPOKEN, stream=True)


async def _spoken_async(client: Any) -> Any:
    return await _spoken(client)


async def _spoken_read(client: Any) -> Any:
    return await listed(await _spoken(client))


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
            name="tools",
            ask=lambda client: client.chat.completions.create(**TOOLS),
            ask_async=lambda client: client.chat.completions.create(**TOOLS),
            document=TOOL_BODY,
            says={
                **SAYS,
                semconv.FINISH_REASONS: ("tool_calls",),
                semconv.TOOLS_SENT: 1,
                semconv.TOOLS_SENT_NAMES: ("look_up",),
                semconv.TOOLS_CALLED: 1,
                semconv.TOOLS_CALLED_NAMES: ("look_up",),
            },
            hostile=False,
        ),
        Way(
            name="images",
            ask=lambda client: client.images.generate(**IMAGE),
            ask_async=lambda client: client.images.generate(**IMAGE),
            document=IMAGE_BODY,
            says={**COUNTED, semconv.OPERATION: "image_generation"},
        ),
        Way(
            name="images stream",
            ask=lambda client: list(_images(client)),
            ask_async=_images_read,
            opened=_images,
            opened_async=_images_async,
            document=IMAGE_EVENTS,
            encode=sse,
            says={**COUNTED, semconv.OPERATION: "image_generation"},
            hostile=False,
            since="1.97",
        ),
        Way(
            name="transcription stream",
            ask=lambda client: list(_spoken(client)),
            ask_async=_spoken_read,
            opened=_spoken,
            opened_async=_spoken_async,
            document=SPOKEN_EVENTS,
            encode=sse,
            says={
                **COUNTED,
                semconv.OPERATION: "transcription",
                semconv.AUDIO_INPUT_TOKENS: 11,
            },
            hostile=False,
            since="1.97",
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
