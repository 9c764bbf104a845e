"""The google-genai SDK."""

from __future__ import annotations

import json
from typing import Any

import httpx2
from google import genai
from google.genai import types

from . import CHUNKS, QUESTION, WORD

PEER = "opentelemetry-instrumentation-google-genai"
SDK = "google-genai"


def _answer(text: str, **more: Any) -> dict[str, Any]:
    return {
        "candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}],
        "modelVersion": "gemini-2.5-flash",
        "responseId": "resp-1",
        **more,
    }


USAGE = {
    "promptTokenCount": 540,
    "cachedContentTokenCount": 128,
    "candidatesTokenCount": 116,
    "thoughtsTokenCount": 64,
    "totalTokenCount": 720,
}
ANSWER = _answer("It is a test.", usageMetadata=USAGE)
ANSWER["candidates"][0]["finishReason"] = "STOP"
STREAM = b"".join(
    b"data: " + json.dumps(each).encode() + b"\r\n\r\n"
    for each in [*([_answer(WORD)] * (CHUNKS - 1)), ANSWER]
)
MODEL = "gemini-2.5-flash"


def client() -> genai.Client:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if "stream" in request.url.path:
            return httpx2.Response(
                200, content=STREAM, headers={"content-type": "text/event-stream"}
            )
        return httpx2.Response(200, json=ANSWER)

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    return genai.Client(api_key="x", http_options=types.HttpOptions(httpx_client=http))


def chat(api: genai.Client) -> None:
    api.models.generate_content(
        model=MODEL, contents=QUESTION, config=types.GenerateContentConfig(temperature=0.2)
    )


def stream(api: genai.Client) -> None:
    for _ in api.models.generate_content_stream(model=MODEL, contents=QUESTION):
        pass


def peer(tracers: Any, meters: Any) -> None:
    from opentelemetry.instrumentation.google_genai import GoogleGenAiSdkInstrumentor

    GoogleGenAiSdkInstrumentor().instrument(
        tracer_provider=tracers, meter_provider=meters, skip_dep_check=True
    )
