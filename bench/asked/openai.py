"""The openai SDK."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai

from . import CHUNKS, QUESTION, WORD

PEER = "opentelemetry-instrumentation-genai-openai"
SDK = "openai"

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini-2024-07-18",
    "service_tier": "default",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "It is a test."},
        }
    ],
    "usage": {
        "prompt_tokens": 540,
        "completion_tokens": 180,
        "total_tokens": 720,
        "prompt_tokens_details": {"cached_tokens": 128},
        "completion_tokens_details": {"reasoning_tokens": 64},
    },
}
HEADERS = {
    "x-request-id": "req_1",
    "openai-processing-ms": "211",
    "openai-version": "2020-10-01",
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-reset-requests": "6ms",
    "x-ratelimit-limit-tokens": "200000",
    "x-ratelimit-remaining-tokens": "199000",
    "x-ratelimit-reset-tokens": "6ms",
    "cf-ray": "8e1",
    "server": "cloudflare",
}
MESSAGES: Any = [{"role": "user", "content": QUESTION}]


def _stream_body() -> bytes:
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o-mini-2024-07-18",
    }
    lines = [
        {**chunk, "choices": [{"index": 0, "delta": {"content": WORD}, "finish_reason": None}]}
        for _ in range(CHUNKS)
    ]
    lines.append({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    lines.append({**chunk, "choices": [], "usage": ANSWER["usage"]})
    return (
        b"".join(b"data: " + json.dumps(line).encode() + b"\n\n" for line in lines)
        + b"data: [DONE]\n\n"
    )


STREAM = _stream_body()


def client() -> openai.OpenAI:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if b'"stream":true' in request.content.replace(b" ", b""):
            return httpx2.Response(
                200, content=STREAM, headers={**HEADERS, "content-type": "text/event-stream"}
            )
        return httpx2.Response(200, json=ANSWER, headers=HEADERS)

    return openai.OpenAI(
        api_key="x", http_client=httpx2.Client(transport=httpx2.MockTransport(answer))
    )


def chat(api: openai.OpenAI) -> None:
    api.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, temperature=0.2)


def stream(api: openai.OpenAI) -> None:
    for _ in api.chat.completions.create(
        model="gpt-4o-mini",
        messages=MESSAGES,
        stream=True,
        stream_options={"include_usage": True},
    ):
        pass


def peer(tracers: Any, meters: Any) -> None:
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(
        tracer_provider=tracers, meter_provider=meters, skip_dep_check=True
    )
