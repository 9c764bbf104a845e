"""Vertex AI's older SDK, over REST, which has no async client; `test_google_vertexai.py` has gRPC."""

from __future__ import annotations

import gc
import warnings
from typing import Any

import vertexai
from google.auth.credentials import AnonymousCredentials
from vertexai.generative_models import FunctionDeclaration, GenerativeModel, Tool

from drivers import ANSWER, QUESTION, Answer, Driver, Way, json_body
from tollspan import semconv

MODEL = "gemini-2.5-flash"

BODY: dict[str, Any] = {
    "candidates": [
        {
            "content": {"role": "model", "parts": [{"text": ANSWER}]},
            "finishReason": 1,
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 11,
        "candidatesTokenCount": 4,
        "thoughtsTokenCount": 3,
        "cachedContentTokenCount": 6,
        "totalTokenCount": 18,
        "promptTokensDetails": [{"modality": 1, "tokenCount": 7}, {"modality": 4, "tokenCount": 4}],
    },
    "modelVersion": "gemini-2.5-flash-001",
    "responseId": "answer-1",
}
EVENTS = [
    {
        **BODY,
        "candidates": [{"content": {"role": "model", "parts": [{"text": ANSWER}]}}],
        "usageMetadata": {},
    },
    {**BODY, "candidates": [{"content": {"role": "model", "parts": [{"text": "more"}]}}]},
    BODY,
]
CALLING: dict[str, Any] = {
    **BODY,
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [{"functionCall": {"name": "weather", "args": {"of": QUESTION}}}],
            },
            "finishReason": 1,
        }
    ],
}
SAYS = {
    semconv.OPERATION: "generate_content",
    semconv.PROVIDER: "gcp.vertex_ai",
    semconv.REQUEST_MODEL: MODEL,
    semconv.RESPONSE_MODEL: "gemini-2.5-flash-001",
    semconv.RESPONSE_ID: "answer-1",
    semconv.FINISH_REASONS: ("stop",),
    semconv.INPUT_TOKENS: 11,
    semconv.OUTPUT_TOKENS: 7,
    semconv.REASONING_TOKENS: 3,
    semconv.CACHE_READ_TOKENS: 6,
    semconv.AUDIO_INPUT_TOKENS: 4,
}
WEATHER = Tool(
    function_declarations=[
        FunctionDeclaration(
            name="weather", description=QUESTION, parameters={"type": "object", "properties": {}}
        )
    ]
)


def model(url: str, name: str = MODEL, **more: Any) -> Any:
    vertexai.init(
        project="a-project",
        location="us-central1",
        api_endpoint=url,
        api_transport="rest",
        credentials=AnonymousCredentials(),
    )
    return GenerativeModel(name, **more)


def close(model: Any) -> None:
    if (made := model.__dict__.get("_prediction_client")) is not None:
        made.transport.close()
    if "_streamed" in model.__dict__:  # what a half-read stream leaves open, requests warns of
        with warnings.catch_warnings(action="ignore"):
            gc.collect()


def generate(model: Any) -> Any:
    return model.generate_content(
        QUESTION, generation_config={"temperature": 0.5, "max_output_tokens": 64}
    )


def opened(model: Any) -> Any:
    model._streamed = True
    return model.generate_content(QUESTION, stream=True)


def tools(model: Any) -> Any:
    return model.generate_content(QUESTION, tools=[WEATHER])


def shown(value: Any) -> Any:
    return [each.to_dict() for each in value] if isinstance(value, list) else repr(value)


def listed(events: Any) -> Answer:
    """REST streams are one array."""
    return json_body(events)


DRIVER = Driver(
    name="vertexai",
    client=model,
    close=close,
    error={"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT"}},
    error_statuses=(400, 403, 500),  # of 429 the SDK asks again and again
    shown=shown,
    ways=(
        Way(
            name="generate",
            ask=generate,
            document=BODY,
            says={
                **SAYS,
                semconv.REQUEST_TEMPERATURE: 0.5,
                semconv.REQUEST_MAX_TOKENS: 64,
            },
        ),
        Way(
            name="generate stream",
            ask=lambda model: list(opened(model)),
            opened=opened,
            document=EVENTS,
            encode=listed,
            says={**SAYS, semconv.REQUEST_STREAM: True},
        ),
        Way(
            name="tools",
            ask=tools,
            document=CALLING,
            says={
                **SAYS,
                semconv.TOOLS_SENT_NAMES: ("weather",),
                semconv.TOOLS_CALLED_NAMES: ("weather",),
            },
        ),
    ),
)
