"""boto3 and aiobotocore, the client of bedrock-runtime."""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import boto3

try:
    from aiobotocore.session import get_session
except ImportError:  # boto3 alone
    get_session = None  # type: ignore[assignment]
from botocore.config import Config

from drivers import ANSWER, KEY, QUESTION, Answer, Driver, Way
from tollspan import semconv

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
EVENT_STREAM = {"content-type": "application/vnd.amazon.eventstream"}


# --- the wire -------------------------------------------------------------------------------------


def message(payload: bytes, **headers: str) -> bytes:
    """One message of an event stream; `_` in names of headers are `-`, and each begins with `:`.

    https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html
    """
    head = b""
    for name, value in headers.items():
        spelled = f":{name.replace('_', '-')}".encode()
        head += struct.pack("!B", len(spelled)) + spelled
        head += struct.pack("!BH", 7, len(value)) + value.encode()
    prelude = struct.pack("!II", 16 + len(head) + len(payload), len(head))
    rest = prelude + struct.pack("!I", binascii.crc32(prelude)) + head + payload
    return rest + struct.pack("!I", binascii.crc32(rest))


def event(kind: str, content: Any) -> bytes:
    return message(
        json.dumps(content).encode(),
        event_type=kind,
        content_type="application/json",
        message_type="event",
    )


def failed(kind: str, text: str = "m") -> bytes:
    """What ends a stream that fails half-way."""
    return message(
        json.dumps({"message": text}).encode(),
        exception_type=kind,
        content_type="application/json",
        message_type="exception",
    )


def events(document: Any) -> Answer:
    """Each event of Converse, `{kind: content}`, as a message."""
    pieces = []
    for each in document if isinstance(document, list) else [document]:
        named = each if isinstance(each, dict) and each else {"unknown": each}
        pieces += [event(kind, content) for kind, content in named.items()]
    return Answer(tuple(pieces), EVENT_STREAM)


def chunks(document: Any) -> Answer:
    """Each chunk of a model's own stream, as a message."""
    several = document if isinstance(document, list) else [document]
    return Answer(
        tuple(
            event("chunk", {"bytes": base64.b64encode(json.dumps(each).encode()).decode()})
            for each in several
        ),
        EVENT_STREAM,
    )


# --- the clients ----------------------------------------------------------------------------------

_GIVEN: dict[str, Any] = {
    "region_name": "us-east-1",
    "aws_access_key_id": "AKIAEXAMPLE",
    "aws_secret_access_key": KEY,
}


_SESSION = get_session() if get_session is not None else None
"""Keeps the models of the services, which take longer to read than a call."""


def _config(**more: Any) -> Config:
    return Config(retries={"total_max_attempts": 1, "mode": "standard"}, **more)


def client(url: str, **more: Any) -> Any:
    return boto3.client(
        "bedrock-runtime", endpoint_url=url, **({"config": _config()} | _GIVEN | more)
    )


class AsyncClient:
    """A client of aiobotocore, which can only be made inside a loop."""

    def __init__(self, url: str, **more: Any) -> None:
        self._url, self._more = url, more
        self._stack = AsyncExitStack()
        self._made: Any = None

    async def real(self) -> Any:
        if self._made is None:
            made = _SESSION.create_client(
                "bedrock-runtime",
                endpoint_url=self._url,
                **({"config": _config()} | _GIVEN | self._more),
            )
            self._made = await self._stack.enter_async_context(made)
        return self._made

    async def close(self) -> None:
        await self._stack.aclose()


# --- the ways -------------------------------------------------------------------------------------

CONVERSE: dict[str, Any] = {
    "modelId": MODEL,
    "messages": [{"role": "user", "content": [{"text": QUESTION}]}],
    "inferenceConfig": {"maxTokens": 64, "temperature": 0.5},
    "toolConfig": {
        "tools": [{"toolSpec": {"name": "weather", "inputSchema": {"json": {"type": "object"}}}}]
    },
}
CONVERSE_BODY: dict[str, Any] = {
    "metrics": {"latencyMs": 10},
    "output": {"message": {"role": "assistant", "content": [{"text": ANSWER}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 11, "outputTokens": 5, "totalTokens": 16},
}
CACHED_BODY: dict[str, Any] = {
    **CONVERSE_BODY,
    "usage": {
        "inputTokens": 7,
        "outputTokens": 5,
        "totalTokens": 16,
        "cacheReadInputTokens": 3,
        "cacheWriteInputTokens": 1,
    },
}
CONVERSE_EVENTS: list[Any] = [
    {"messageStart": {"role": "assistant"}},
    {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": ANSWER}}},
    {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "."}}},
    {"contentBlockStop": {"contentBlockIndex": 0}},
    {"messageStop": {"stopReason": "end_turn"}},
    {"metadata": {"usage": CACHED_BODY["usage"], "metrics": {"latencyMs": 10}}},
]
CLAUDE: dict[str, Any] = {
    "modelId": MODEL,
    "body": json.dumps(
        {
            "anthropic_version": "bedrock-2023-05-31",
            "max_tokens": 64,
            "messages": [{"role": "user", "content": QUESTION}],
        }
    ),
}
CLAUDE_BODY: dict[str, Any] = {
    "id": "msg_bdrk_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": ANSWER}],
    "stop_reason": "end_turn",
    "usage": {
        "input_tokens": 7,
        "cache_read_input_tokens": 3,
        "cache_creation_input_tokens": 1,
        "output_tokens": 5,
    },
}
CLAUDE_CHUNKS: list[Any] = [
    {
        "type": "message_start",
        "message": {**CLAUDE_BODY, "content": [], "stop_reason": None, "usage": {
            "input_tokens": 7, "cache_read_input_tokens": 3,
            "cache_creation_input_tokens": 1, "output_tokens": 1,
        }},
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ANSWER}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
    {
        "type": "message_stop",
        "amazon-bedrock-invocationMetrics": {"inputTokenCount": 7, "outputTokenCount": 5},
    },
]  # fmt: skip
TITAN: dict[str, Any] = {
    "modelId": "amazon.titan-embed-text-v2:0",
    "body": json.dumps({"inputText": QUESTION}),
}
TITAN_BODY: dict[str, Any] = {"embedding": [0.1, 0.2], "inputTextTokenCount": 11}

SAYS = {
    semconv.OPERATION: "chat",
    semconv.PROVIDER: "aws.bedrock",
    semconv.REQUEST_MODEL: MODEL,
    semconv.REQUEST_MAX_TOKENS: 64,
    semconv.FINISH_REASONS: ("end_turn",),
    semconv.INPUT_TOKENS: 11,
    semconv.OUTPUT_TOKENS: 5,
    semconv.SERVER_ADDRESS: "127.0.0.1",
}
SAYS_CACHED = {**SAYS, semconv.CACHE_READ_TOKENS: 3, semconv.CACHE_WRITE_TOKENS: 1}
SAYS_CLAUDE = {
    **SAYS_CACHED,
    semconv.RESPONSE_ID: "msg_bdrk_1",
    semconv.RESPONSE_MODEL: "claude-sonnet-4-5-20250929",
}


def _whole(answer: Any) -> Any:
    return {**answer, "body": answer["body"].read()}


def _async(method: str, asked: dict[str, Any], then: Callable[[Any], Any]) -> Callable[[Any], Any]:
    async def ask(client: AsyncClient) -> Any:
        answer = await getattr(await client.real(), method)(**asked)
        return await then(answer)

    return ask


def _held(key: str) -> Callable[[Any], Any]:
    async def then(answer: Any) -> Any:
        return answer[key]

    return then


def _listed(key: str) -> Callable[[Any], Any]:
    async def then(answer: Any) -> Any:
        return [each async for each in answer[key]]

    return then


async def _plain(answer: Any) -> Any:
    return answer


async def _whole_async(answer: Any) -> Any:
    return {**answer, "body": await answer["body"].read()}


DRIVER = Driver(
    name="bedrock",
    client=client,
    client_async=AsyncClient if _SESSION is not None else None,
    error={"message": "m"},
    packages=("botocore", "aiobotocore"),
    ways=(
        Way(
            name="converse",
            ask=lambda client: client.converse(**CONVERSE),
            ask_async=_async("converse", CONVERSE, _plain),
            document=CONVERSE_BODY,
            says={**SAYS, semconv.TOOLS_SENT: 1, semconv.TOOLS_SENT_NAMES: ("weather",)},
        ),
        Way(
            name="converse with a cache",
            ask=lambda client: client.converse(**CONVERSE),
            document=CACHED_BODY,
            says=SAYS_CACHED,
            hostile=False,
            since="1.37.27",  # before, the SDK dropped what it did not know
        ),
        Way(
            name="converse stream",
            ask=lambda client: list(client.converse_stream(**CONVERSE)["stream"]),
            ask_async=_async("converse_stream", CONVERSE, _listed("stream")),
            opened=lambda client: client.converse_stream(**CONVERSE)["stream"],
            opened_async=_async("converse_stream", CONVERSE, _held("stream")),
            document=CONVERSE_EVENTS,
            encode=events,
            says=SAYS_CACHED,
        ),
        Way(
            name="invoke model",
            ask=lambda client: _whole(client.invoke_model(**CLAUDE)),
            ask_async=_async("invoke_model", CLAUDE, _whole_async),
            document=CLAUDE_BODY,
            says=SAYS_CLAUDE,
        ),
        Way(
            name="invoke model stream",
            ask=lambda client: list(client.invoke_model_with_response_stream(**CLAUDE)["body"]),
            ask_async=_async("invoke_model_with_response_stream", CLAUDE, _listed("body")),
            opened=lambda client: client.invoke_model_with_response_stream(**CLAUDE)["body"],
            opened_async=_async("invoke_model_with_response_stream", CLAUDE, _held("body")),
            document=CLAUDE_CHUNKS,
            encode=chunks,
            says=SAYS_CLAUDE,
        ),
        Way(
            name="titan embeddings",
            ask=lambda client: _whole(client.invoke_model(**TITAN)),
            ask_async=_async("invoke_model", TITAN, _whole_async),
            document=TITAN_BODY,
            says={semconv.OPERATION: "embeddings", semconv.INPUT_TOKENS: 11},
            hostile=False,
        ),
    ),
)
