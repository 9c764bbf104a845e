"""The google-genai SDK, on the Gemini API."""

from __future__ import annotations

import json
import ssl
import warnings
from importlib.util import find_spec
from typing import Any

from google import genai
from google.genai import types

from drivers import ANSWER, KEY, QUESTION, Answer, Driver, Way, sse
from drivers.made_once import made_once
from tollspan import semconv

if find_spec("google.genai._gaos") is not None:
    made_once("google.genai._gaos.utils.serializers")

MODEL = "gemini-2.5-flash"

USAGE = {
    "promptTokenCount": 11,
    "candidatesTokenCount": 4,
    "thoughtsTokenCount": 3,
    "toolUsePromptTokenCount": 5,
    "cachedContentTokenCount": 6,
    "totalTokenCount": 23,
    "promptTokensDetails": [
        {"modality": "TEXT", "tokenCount": 7},
        {"modality": "IMAGE", "tokenCount": 4},
    ],
    "serviceTier": "standard",
}
HEAD = {"modelVersion": "gemini-2.5-flash-001", "responseId": "answer-1"}


def chunk(text: str, reason: str | None = None, **usage: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {
        "index": 0,
        "content": {"role": "model", "parts": [{"text": text}]},
    }
    if reason is not None:
        candidate["finishReason"] = reason
    return {**HEAD, "candidates": [candidate], "usageMetadata": {**USAGE, **usage}}


BODY = chunk(ANSWER, "STOP")
EVENTS: list[Any] = [
    chunk(ANSWER, candidatesTokenCount=1, totalTokenCount=20),
    chunk("more", candidatesTokenCount=2, totalTokenCount=21),
    chunk("!", "STOP"),
]
PARALLEL_BODY = {
    **BODY,
    "candidates": [
        {
            "index": 0,
            "finishReason": "STOP",
            "content": {
                "role": "model",
                "parts": [
                    {"functionCall": {"name": "weather", "args": {"of": QUESTION}}},
                    {"functionCall": {"name": "weather", "args": {"of": QUESTION}}},
                    {"functionCall": {"name": "clock", "args": {}}},
                ],
            },
        }
    ],
}
VERTEX_BODY = {
    **BODY,
    "usageMetadata": {
        **{key: value for key, value in USAGE.items() if key != "serviceTier"},
        "trafficType": "ON_DEMAND_FLEX",
    },
}
PREDICTION_BODY = {
    "predictions": [
        {"embeddings": {"values": [0.5], "statistics": {"token_count": 5, "truncated": False}}},
        {"embeddings": {"values": [0.25], "statistics": {"token_count": 7, "truncated": False}}},
    ]
}
EMBEDDING_BODY = {
    "embeddings": [{"values": [0.5, 0.25]}],
    "usageMetadata": {"promptTokenCount": 9},
}
IMAGE_BODY = {"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": "aGVsbG8="}]}

SAYS = {
    semconv.OPERATION: "generate_content",
    semconv.PROVIDER: "gcp.gemini",
    semconv.REQUEST_MODEL: MODEL,
    semconv.RESPONSE_MODEL: "gemini-2.5-flash-001",
    semconv.RESPONSE_ID: "answer-1",
    semconv.FINISH_REASONS: ("stop",),
    semconv.INPUT_TOKENS: 16,
    semconv.OUTPUT_TOKENS: 7,
    semconv.REASONING_TOKENS: 3,
    semconv.CACHE_READ_TOKENS: 6,
    semconv.IMAGE_INPUT_TOKENS: 4,
    semconv.SERVICE_TIER: "standard",
}
TOOL = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(name="weather", description=QUESTION),
        types.FunctionDeclaration(name="clock"),
    ]
)
SYSTEM = types.GenerateContentConfig(
    system_instruction=QUESTION, temperature=0.5, max_output_tokens=64, stop_sequences=["end"]
)


TLS = ssl.create_default_context()
"""Shared: to make one for each client takes longer than a call."""


def client(url: str, **more: Any) -> Any:
    options = types.HttpOptions(base_url=url, timeout=10_000)
    if "client_args" in types.HttpOptions.model_fields:
        options.client_args = {"verify": TLS}
        options.async_client_args = {"ssl" if find_spec("aiohttp") else "verify": TLS}
    if hasattr(types, "HttpRetryOptions"):  # or the SDK repeats what aiohttp could not send
        options.retry_options = types.HttpRetryOptions(attempts=1)
    return genai.Client(api_key=KEY, http_options=options, **more)


def vertex(client_: Any) -> Any:
    """A client for Vertex AI that asks where `client_` asks, and lives as long."""
    if "_vertex" not in client_.__dict__:
        options = client_._api_client._http_options  # a dict in the oldest versions
        url = options["base_url"] if isinstance(options, dict) else options.base_url
        client_._vertex = client(url, vertexai=True)
    made = client_._vertex
    return made.aio if type(client_).__name__ == "AsyncClient" else made


def generate(client: Any) -> Any:
    return client.models.generate_content(model=MODEL, contents=QUESTION, config=SYSTEM)


def opened(client: Any) -> Any:
    return client.models.generate_content_stream(model=MODEL, contents=QUESTION)


async def read(client: Any) -> Any:
    return [each async for each in await opened(client)]


def tools(client: Any) -> Any:
    config = types.GenerateContentConfig(tools=[TOOL])
    return client.models.generate_content(model=MODEL, contents=QUESTION, config=config)


def chat(client: Any) -> Any:
    return client.chats.create(model=MODEL).send_message(QUESTION)


def chat_opened(client: Any) -> Any:
    return client.chats.create(model=MODEL).send_message_stream(QUESTION)


async def chat_read(client: Any) -> Any:
    return [each async for each in await chat_opened(client)]


def embed(client: Any) -> Any:
    return client.models.embed_content(model="gemini-embedding-001", contents=QUESTION)


def vertex_generate(client: Any) -> Any:
    return vertex(client).models.generate_content(model=MODEL, contents=QUESTION)


def vertex_embed(client: Any) -> Any:
    return vertex(client).models.embed_content(model="text-embedding-005", contents=[QUESTION] * 2)


def _images(client: Any) -> Any:
    config = types.GenerateImagesConfig(number_of_images=2)
    return vertex(client).models.generate_images(
        model="imagen-4.0-generate-001", prompt=QUESTION, config=config
    )


def images(client: Any) -> Any:
    with warnings.catch_warnings(action="ignore"):  # "experimental", "will be removed"
        return _images(client)


async def images_async(client: Any) -> Any:
    with warnings.catch_warnings(action="ignore"):
        return await _images(client)


def videos(client: Any) -> Any:
    return vertex(client).models.generate_videos(model="veo-3.1-generate-001", prompt=QUESTION)


def counted(client: Any) -> Any:
    return client.models.count_tokens(model=MODEL, contents=QUESTION)


async def aclose(client: Any) -> None:
    """Older versions have no way to close; what they opened goes with the client."""


INTERACTION_USAGE = {
    "total_input_tokens": 11,
    "total_output_tokens": 4,
    "total_thought_tokens": 3,
    "total_tool_use_tokens": 5,
    "total_cached_tokens": 6,
    "total_tokens": 23,
    "input_tokens_by_modality": [
        {"modality": "text", "tokens": 7},
        {"modality": "image", "tokens": 4},
    ],
}
INTERACTION_BODY = {
    "id": "answer-1",
    "object": "interaction",
    "model": "gemini-2.5-flash-001",
    "status": "completed",
    "steps": [{"type": "model_output", "content": [{"type": "text", "text": ANSWER}]}],
    "usage": INTERACTION_USAGE,
    "service_tier": "standard",
}
INTERACTION_EVENTS: list[Any] = [
    {
        "event_type": "interaction.created",
        "interaction": {"id": "answer-1", "model": "gemini-2.5-flash-001", "status": "in_progress"},
    },
    {"event_type": "step.start", "index": 0, "step": {"type": "model_output"}},
    {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": ANSWER}},
    {"event_type": "step.stop", "index": 0},
    {
        "event_type": "interaction.completed",
        "interaction": {key: INTERACTION_BODY[key] for key in INTERACTION_BODY if key != "steps"},
    },
]


def interaction(client: Any) -> Any:
    return client.interactions.create(model=MODEL, input=QUESTION)


def interaction_opened(client: Any) -> Any:
    return client.interactions.create(model=MODEL, input=QUESTION, stream=True)


async def interaction_read(client: Any) -> Any:
    return [each async for each in await interaction_opened(client)]


def sse_named(events: Any) -> Answer:
    """Each event under the name that its `event_type` says."""
    each = events if isinstance(events, list) else [events]
    pieces = []
    for event in each:
        kind = event.get("event_type") if isinstance(event, dict) else None
        name = f"event: {kind}\n" if isinstance(kind, str) else ""
        pieces.append(f"{name}data: {json.dumps(event)}\n\n".encode())
    return Answer(
        (*pieces, b"event: done\ndata: [DONE]\n\n"), {"content-type": "text/event-stream"}
    )


def sse_plain(events: Any) -> Answer:
    """As Google sends them: no `[DONE]`."""
    answer = sse(events)
    return Answer(answer.pieces[:-1], answer.headers)


DRIVER = Driver(
    name="google_genai",
    client=client,
    client_async=lambda url: client(url).aio,
    close=lambda client: getattr(client, "close", lambda: None)(),
    close_async=lambda client: getattr(client, "aclose", lambda: aclose(client))(),
    error={"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT"}},
    ways=(
        Way(name="generate", ask=generate, ask_async=generate, document=BODY, says=SAYS),
        Way(
            name="generate stream",
            ask=lambda client: list(opened(client)),
            ask_async=read,
            opened=opened,
            opened_async=opened,
            document=EVENTS,
            encode=sse_plain,
            says={**SAYS, semconv.REQUEST_STREAM: True},
        ),
        Way(
            name="tools",
            ask=tools,
            ask_async=tools,
            document=PARALLEL_BODY,
            says={
                **SAYS,
                semconv.TOOLS_SENT: 2,
                semconv.TOOLS_SENT_NAMES: ("weather", "clock"),
                semconv.TOOLS_CALLED: 3,
                semconv.TOOLS_CALLED_NAMES: ("weather", "clock"),
            },
        ),
        Way(name="chat", ask=chat, ask_async=chat, document=BODY, says=SAYS, hostile=False),
        Way(
            name="chat stream",
            ask=lambda client: list(chat_opened(client)),
            ask_async=chat_read,
            opened=chat_opened,
            opened_async=chat_opened,
            document=EVENTS,
            encode=sse_plain,
            says={**SAYS, semconv.REQUEST_STREAM: True},
            hostile=False,
        ),
        Way(
            name="vertex",
            ask=vertex_generate,
            ask_async=vertex_generate,
            document=VERTEX_BODY,
            since="1.40",
            hostile=False,
            says={
                **SAYS,
                semconv.PROVIDER: "gcp.vertex_ai",
                semconv.SERVICE_TIER: "flex",
            },
        ),
        Way(
            name="vertex embeddings",
            ask=vertex_embed,
            ask_async=vertex_embed,
            document=PREDICTION_BODY,
            since="1.40",
            hostile=False,
            says={
                semconv.OPERATION: "embeddings",
                semconv.PROVIDER: "gcp.vertex_ai",
                semconv.REQUEST_MODEL: "text-embedding-005",
                semconv.INPUT_TOKENS: 12,
            },
        ),
        Way(
            name="embeddings",
            ask=embed,
            ask_async=embed,
            document=EMBEDDING_BODY,
            says={
                semconv.OPERATION: "embeddings",
                semconv.REQUEST_MODEL: "gemini-embedding-001",
                semconv.INPUT_TOKENS: 9,
                semconv.OUTPUT_TOKENS: None,
            },
        ),
        Way(
            name="images",
            ask=images,
            ask_async=images_async,
            document=IMAGE_BODY,
            since="1.40",
            hostile=False,
            says={
                semconv.OPERATION: "image_generation",
                semconv.REQUEST_MODEL: "imagen-4.0-generate-001",
                semconv.REQUEST_CHOICE_COUNT: 2,
                semconv.OUTPUT_TYPE: "image",
                semconv.INPUT_TOKENS: None,
            },
        ),
        Way(
            name="videos",
            ask=videos,
            ask_async=videos,
            document={"name": "publishers/google/models/veo-3.1-generate-001/operations/1"},
            since="1.40",
            hostile=False,
            says={semconv.OPERATION: "video_generation", semconv.BACKGROUND: True},
        ),
        Way(
            name="interaction",
            ask=interaction,
            ask_async=interaction,
            document=INTERACTION_BODY,
            says=SAYS,
            since="2.9",
        ),
        Way(
            name="interaction stream",
            ask=lambda client: list(interaction_opened(client)),
            ask_async=interaction_read,
            opened=interaction_opened,
            opened_async=interaction_opened,
            document=INTERACTION_EVENTS,
            encode=sse_named,
            says={**SAYS, semconv.REQUEST_STREAM: True},
            since="2.9",
        ),
        Way(
            name="count tokens",
            ask=counted,
            ask_async=counted,
            document={"totalTokens": 11},
            hostile=False,
            says={
                semconv.OPERATION: "count_tokens",
                semconv.INPUT_TOKENS: None,
                semconv.COST_AMOUNT: None,
            },
        ),
    ),
)
