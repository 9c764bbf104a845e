"""LiteLLM as a library, around the openai SDK. The peer is its own OpenTelemetry callback."""

from __future__ import annotations

import json
import os
from typing import Any

import httpx

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it looks for prices on the network
import litellm

from . import CHUNKS, QUESTION, WORD

PEER = "litellm"
SDK = "litellm"

ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "It is a test."},
        }
    ],
    "usage": {"prompt_tokens": 540, "completion_tokens": 180, "total_tokens": 720},
}


def _stream_body() -> bytes:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
    lines = [  # LiteLLM breaks off a stream that repeats itself
        {**chunk, "choices": [{"index": 0, "delta": {"content": f"{WORD}{number} "}}]}
        for number in range(CHUNKS)
    ]
    lines.append({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    lines.append({**chunk, "choices": [], "usage": ANSWER["usage"]})
    return (
        b"".join(b"data: " + json.dumps(line).encode() + b"\n\n" for line in lines)
        + b"data: [DONE]\n\n"
    )


STREAM = _stream_body()
ASKED: dict[str, Any] = {
    "model": "openai/gpt-4o-mini",
    "messages": [{"role": "user", "content": QUESTION}],
    "api_key": "x",
}


def client() -> Any:
    def answer(request: httpx.Request) -> httpx.Response:
        if b'"stream":true' in request.content.replace(b" ", b""):
            return httpx.Response(
                200, content=STREAM, headers={"content-type": "text/event-stream"}
            )
        return httpx.Response(200, json=ANSWER)

    litellm.client_session = httpx.Client(transport=httpx.MockTransport(answer))
    litellm.suppress_debug_info = True
    return litellm


def chat(api: Any) -> None:
    api.completion(**ASKED, temperature=0.2)


def stream(api: Any) -> None:
    for _ in api.completion(**ASKED, stream=True, stream_options={"include_usage": True}):
        pass


def peer(tracers: Any, meters: Any) -> None:
    from litellm.integrations.opentelemetry import OpenTelemetry, OpenTelemetryConfig

    litellm.callbacks = [
        OpenTelemetry(
            config=OpenTelemetryConfig(exporter="none"),
            tracer_provider=tracers,
            meter_provider=meters,
        )
    ]
