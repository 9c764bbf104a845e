"""InvokeModel of Bedrock: the model's own body, as it came or as chunks of an event stream.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html,
.../API_runtime_InvokeModelWithResponseStream.html
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from tollspan import semconv

from ._bedrock_bodies import METRICS, add_asked, add_body, add_metrics
from ._bedrock_models import asked_model
from ._chat_completions import CHAT
from ._converse import ConverseFold, add_retries, failure, message_of
from ._messages import MESSAGES
from ._read import get, members, text
from ._spec import Attributes, Fold, Surface

__all__ = ["asked_body", "operation", "surfaces"]

_LARGEST_ASKED = 64 * 2**10
"""Bytes; a larger request (one with images) is not parsed for its parameters: the caller would
wait for that."""

_BY_NAME = (
    ("embed", "embeddings"),
    ("rerank", "rerank"),
    ("titan-image", "image_generation"),
    ("nova-canvas", "image_generation"),
    ("stability.", "image_generation"),
)
_BY_KEY = (
    ("messages", "chat"),
    ("message", "chat"),  # Command R
    ("documents", "rerank"),
    ("texts", "embeddings"),
    ("taskType", "image_generation"),
    ("textGenerationConfig", "text_completion"),
    ("inputText", "embeddings"),  # Titan's embedding models and its text models share this one
    ("prompt", "text_completion"),
)


def operation(model_id: Any, body: Mapping[str, Any]) -> str:
    """`gen_ai.operation.name` by the model's name, or by the body that it is asked with."""
    name = (text(model_id) or "").lower()
    for part, meant in _BY_NAME:
        if part in name:
            return meant
    if "titan-text" in name:
        return "text_completion"
    return next((meant for key, meant in _BY_KEY if key in body), "chat")


def asked_body(api_params: Any, most: int = _LARGEST_ASKED) -> Mapping[str, Any]:
    """The JSON body of a request; empty for one that is a file, has more than `most` bytes, or is no
    JSON object."""
    body = members(api_params).get("body")
    if not isinstance(body, (str, bytes, bytearray)) or len(body) > most:
        return {}
    return members(_json(body))


def _json(content: Any) -> Any:
    try:
        return json.loads(content)
    except (ValueError, TypeError, RecursionError):
        return None


def _request(given: Mapping[str, Any]) -> dict[str, Any]:
    parts = members(given)
    asked = members(parts.get("api_params"))
    found: dict[str, Any] = {semconv.OPENAI_API: "invoke_model"}
    add_asked(found, members(parts.get("body")))
    found.update(asked_model(asked.get("modelId")))
    return found


def _stream_request(given: Mapping[str, Any]) -> Attributes:
    return {**_request(given), semconv.REQUEST_STREAM: True}


_HEADERS = {
    "inputTokenCount": "x-amzn-bedrock-input-token-count",
    "outputTokenCount": "x-amzn-bedrock-output-token-count",
    "cacheReadInputTokenCount": "x-amzn-bedrock-cache-read-input-token-count",
    "cacheWriteInputTokenCount": "x-amzn-bedrock-cache-write-input-token-count",
}
"""What Bedrock counted, of bodies that state nothing: https://docs.aws.amazon.com/bedrock/latest/userguide/monitoring.html"""


def _response(answer: Any) -> Attributes:
    """`answer` of the SDK, with the body that was read in its place."""
    found: dict[str, Any] = {}
    parts = members(answer)
    add_body(found, members(parts.get("body")))
    _add_cover(found, parts)
    return found


def _add_cover(found: dict[str, Any], answer: Mapping[str, Any]) -> None:
    """What stands around the body: headers, the tier and the latency that were served."""
    headers = members(get(answer, "ResponseMetadata", "HTTPHeaders"))
    add_metrics(found, {name: _whole(headers.get(each)) for name, each in _HEADERS.items()})
    for name, key in (
        (semconv.SERVICE_TIER, "serviceTier"),
        (semconv.SPEED, "performanceConfigLatency"),
    ):
        if (served := text(answer.get(key))) is not None:
            found[name] = served
    add_retries(found, answer)


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 16 else None


_OPAQUE = b'"content_block_delta"'
"""In a chunk of Claude that is only a piece of the answer, as most are."""


class _InvokeFold:
    """Chunks of whichever family: Claude's and those of choices are the chunks of their own wires,
    Nova's are events of Converse, others repeat the answer's keys."""

    __slots__ = ("_cover", "_inner", "_last", "_metrics", "_nova", "error")

    def __init__(self) -> None:
        self._cover: Mapping[str, Any] = {}
        self._inner: Fold | None = None
        self._nova = ConverseFold()
        self._last: dict[str, Any] = {}
        self._metrics: Any = None
        self.error: str | None = None
        """What failed inside the stream, as `error.type`."""

    def opened(self, answer: Any) -> None:
        # Without the stream: who holds the call would hold what nobody reads any more.
        self._cover = {key: each for key, each in members(answer).items() if key != "body"}

    def add(self, event: Any, /) -> None:
        kind, parts = message_of(event)
        if kind.startswith("!"):
            self.error = kind[1:]
            return
        try:
            content = base64.b64decode(parts.get("bytes") or b"")
        except (binascii.Error, TypeError, ValueError):
            return
        if content and _OPAQUE not in content:
            self._chunk(members(_json(content)))

    def _chunk(self, chunk: Mapping[str, Any]) -> None:
        if (metrics := chunk.get(METRICS)) is not None:
            self._metrics = metrics
        wire = MESSAGES if isinstance(chunk.get("type"), str) else CHAT
        if wire is MESSAGES or "choices" in chunk:
            if self._inner is None and wire.fold is not None:
                self._inner = wire.fold()
            if self._inner is not None:
                self._inner.add(chunk)
        for kind, parts in chunk.items():
            if isinstance(parts, dict):
                self._nova.tell(kind, parts)
            if parts is not None and len(self._last) < 128:
                self._last[kind] = parts
        # Cohere's last event has the answer in it.
        for kind, value in members(chunk.get("response")).items():
            if value is not None and len(self._last) < 128:
                self._last[kind] = value

    def attributes(self) -> Attributes:
        found = dict(self._nova.attributes())
        add_body(found, self._last)
        if self._inner is not None:
            found.update(self._inner.attributes())
        add_metrics(found, self._metrics)
        _add_cover(found, self._cover)
        if self.error is not None:
            found[semconv.ERROR_TYPE] = self.error
        return found


def _body_of(answer: Any) -> Any:
    return get(answer, "body")


def surfaces(kind: str) -> tuple[Surface, Surface]:
    """InvokeModel and its stream for an operation."""
    return (
        Surface(kind, request=_request, response=_response, holds=_body_of, failure=failure),
        Surface(
            kind,
            request=_stream_request,
            response=_response,
            fold=_InvokeFold,
            holds=_body_of,
            failure=failure,
        ),
    )
