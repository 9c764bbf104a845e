"""The anthropic SDK, its own tracing as it comes: on wherever there is a tracer provider."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx2

from . import CHUNKS, QUESTION, WORD

PEER = "opentelemetry-instrumentation-genai-anthropic"
SDK = "anthropic"

USAGE = {"input_tokens": 540, "cache_read_input_tokens": 128, "output_tokens": 180}
ANSWER: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": "It is a test."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": USAGE,
}
HEADERS = {
    "request-id": "req_1",
    "anthropic-ratelimit-requests-limit": "1000",
    "anthropic-ratelimit-requests-remaining": "999",
    "anthropic-ratelimit-tokens-limit": "200000",
    "anthropic-ratelimit-tokens-remaining": "199000",
    "cf-ray": "8e1",
    "server": "cloudflare",
}


def _stream_body() -> bytes:
    started = {**ANSWER, "content": [], "stop_reason": None}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": started},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    ]
    events += [
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": WORD},
        }
    ] * CHUNKS
    events += [
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 180},
        },
        {"type": "message_stop"},
    ]
    return b"".join(
        f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events
    )


STREAM = _stream_body()
ASKED: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 256,
    "messages": [{"role": "user", "content": QUESTION}],
}


def client() -> anthropic.Anthropic:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if b'"stream":true' in request.content.replace(b" ", b""):
            return httpx2.Response(
                200, content=STREAM, headers={**HEADERS, "content-type": "text/event-stream"}
            )
        return httpx2.Response(200, json=ANSWER, headers=HEADERS)

    return anthropic.Anthropic(
        api_key="x", http_client=httpx2.Client(transport=httpx2.MockTransport(answer))
    )


def chat(api: anthropic.Anthropic) -> None:
    api.messages.create(**ASKED)


def stream(api: anthropic.Anthropic) -> None:
    for _ in api.messages.create(**ASKED, stream=True):
        pass


def peer(tracers: Any, meters: Any) -> None:
    from opentelemetry.instrumentation.genai.anthropic import AnthropicInstrumentor

    AnthropicInstrumentor().instrument(
        tracer_provider=tracers, meter_provider=meters, skip_dep_check=True
    )
