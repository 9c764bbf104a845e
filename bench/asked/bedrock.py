"""boto3's bedrock-runtime, Converse and ConverseStream."""

from __future__ import annotations

import io
import json
import struct
from binascii import crc32
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse

from . import CHUNKS, QUESTION, WORD

PEER = "opentelemetry-instrumentation-genai-bedrock"
SDK = "boto3"

USAGE = {"inputTokens": 412, "cacheReadInputTokens": 128, "outputTokens": 180, "totalTokens": 720}
ANSWER = {
    "output": {"message": {"role": "assistant", "content": [{"text": "It is a test."}]}},
    "stopReason": "end_turn",
    "usage": USAGE,
    "metrics": {"latencyMs": 211},
}


def _event(kind: str, payload: dict[str, Any]) -> bytes:
    """One message of AWS's event stream."""
    headers = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(text)) + text.encode()
        for name, text in (
            (":event-type", kind),
            (":content-type", "application/json"),
            (":message-type", "event"),
        )
    )
    body = json.dumps(payload).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    head = prelude + struct.pack(">I", crc32(prelude))
    return head + headers + body + struct.pack(">I", crc32(head + headers + body))


STREAM = b"".join(
    (
        _event("messageStart", {"role": "assistant"}),
        _event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": WORD}}) * CHUNKS,
        _event("contentBlockStop", {"contentBlockIndex": 0}),
        _event("messageStop", {"stopReason": "end_turn"}),
        _event("metadata", {"usage": USAGE, "metrics": {"latencyMs": 211}}),
    )
)
ASKED: dict[str, Any] = {
    "modelId": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "messages": [{"role": "user", "content": [{"text": QUESTION}]}],
    "inferenceConfig": {"maxTokens": 256, "temperature": 0.2},
}


class _Raw(io.BytesIO):
    """What urllib3 gives to botocore."""

    def stream(self, **_: Any) -> Any:
        while piece := self.read(1024):
            yield piece


class _FromMemory:
    def send(self, request: Any) -> AWSResponse:
        streamed = request.url.endswith("converse-stream")
        headers = {"x-amzn-requestid": "req-1", "content-type": "application/json"}
        if streamed:
            headers["content-type"] = "application/vnd.amazon.eventstream"
        raw = _Raw(STREAM if streamed else json.dumps(ANSWER).encode())
        return AWSResponse(request.url, 200, headers, raw)


def client() -> Any:
    made = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    made._endpoint.http_session = _FromMemory()
    return made


def chat(api: Any) -> None:
    api.converse(**ASKED)


def stream(api: Any) -> None:
    for _ in api.converse_stream(**ASKED)["stream"]:
        pass


def peer(tracers: Any, meters: Any) -> None:
    from opentelemetry.instrumentation.genai.bedrock import BedrockInstrumentor

    BedrockInstrumentor().instrument(
        tracer_provider=tracers, meter_provider=meters, skip_dep_check=True
    )
