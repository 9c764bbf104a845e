"""The realtime wire: events over a websocket, each answer's usage in its `response.done`.

Shapes: https://github.com/openai/openai-python/blob/main/src/openai/types/realtime/response_done_event.py,
.../realtime_response_usage.py, .../conversation_item_input_audio_transcription_completed_event.py
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tollspan import semconv

from ._audio import TRANSCRIPTION
from ._chat_completions import error_type
from ._read import Rule, count, get, items, members, some, take, text
from ._responses import RESPONSES
from ._spec import Attributes, Surface
from ._tools import add_called, name_of

__all__ = ["REALTIME", "RESPONSES_SOCKET", "socket_url"]

_TRANSCRIBED = "conversation.item.input_audio_transcription.completed"
_INCOMPLETE = {"max_output_tokens": "length", "content_filter": "content_filter"}

_USAGE: tuple[Rule, ...] = (
    ("input_tokens", semconv.INPUT_TOKENS, count),
    ("output_tokens", semconv.OUTPUT_TOKENS, count),
)
_INPUT: tuple[Rule, ...] = (
    ("cached_tokens", semconv.CACHE_READ_TOKENS, count),
    ("audio_tokens", semconv.AUDIO_INPUT_TOKENS, some),
    ("image_tokens", semconv.IMAGE_INPUT_TOKENS, some),
    ("text_tokens", semconv.TEXT_INPUT_TOKENS, some),
)
_CACHED: tuple[Rule, ...] = (("audio_tokens", semconv.AUDIO_CACHE_READ_TOKENS, count),)
_OUTPUT: tuple[Rule, ...] = (
    ("audio_tokens", semconv.AUDIO_OUTPUT_TOKENS, some),
    ("text_tokens", semconv.TEXT_OUTPUT_TOKENS, some),
)


def _handshake(given: Mapping[str, Any]) -> Any:
    """The request with which the connection `self` was opened, as the websockets package keeps it."""
    return get(given.get("self"), "_connection", "request")


def socket_url(given: Mapping[str, Any]) -> str | None:
    """Where a connection goes: what its own request says."""
    opened = _handshake(given)
    host = get(opened, "headers")
    host = host.get("Host") if hasattr(host, "get") else None
    if not isinstance(host, str) or not host:
        return None
    # websockets writes the port unless it is the usual one of a secure connection.
    return f"https://{host}"


def _request(given: Mapping[str, Any]) -> Attributes:
    path = get(_handshake(given), "path")
    asked = parse_qs(urlsplit(path).query) if isinstance(path, str) else {}
    named = asked.get("model") or asked.get("deployment") or [""]
    return {semconv.REQUEST_MODEL: text(named[0]), semconv.OPENAI_API: "realtime"}


def _response(event: Any) -> Attributes:
    kind = get(event, "type")
    if kind == "response.done":
        return _done(members(members(event).get("response")))
    if kind == _TRANSCRIBED and (stated := TRANSCRIPTION.response(event)):
        # The session's model is not the one that transcribes, which the event does not name.
        return {**stated, semconv.OPERATION: "transcription", semconv.REQUEST_MODEL: None}
    return {}


def _done(answer: Mapping[str, Any]) -> Attributes:
    found: dict[str, Any] = {}
    if (identity := text(answer.get("id"))) is not None:
        found[semconv.RESPONSE_ID] = identity
    status = text(answer.get("status"))
    details = members(answer.get("status_details"))
    output = [members(item) for item in items(answer.get("output"))]
    called = [item for item in output if item.get("type") in ("function_call", "mcp_call")]
    add_called(found, map(name_of, called))
    if status == "completed":
        found[semconv.FINISH_REASONS] = ["tool_calls" if called else "stop"]
    elif status in ("incomplete", "cancelled"):
        reason = text(details.get("reason")) or status
        found[semconv.FINISH_REASONS] = [_INCOMPLETE.get(reason, reason)]
    elif status == "failed":
        found[semconv.ERROR_TYPE] = error_type(details.get("error"))
    if (usage := answer.get("usage")) is not None:
        _read_usage(found, members(usage))
    return found


def _read_usage(found: dict[str, Any], usage: Mapping[str, Any]) -> None:
    """Token counts; cached ones are a part of the input, and audio among them a part of both."""
    take(found, usage, _USAGE)
    asked = members(usage.get("input_token_details"))
    take(found, asked, _INPUT)
    take(found, members(asked.get("cached_tokens_details")), _CACHED)
    take(found, members(usage.get("output_token_details")), _OUTPUT)


_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})


def _socket_response(event: Any) -> Attributes:
    """Of the responses wire over a websocket, the events that end an answer."""
    return RESPONSES.response(get(event, "response")) if get(event, "type") in _ENDS else {}


def _socket_request(given: Mapping[str, Any]) -> Attributes:
    return {semconv.OPENAI_API: "responses"}


REALTIME = Surface("chat", request=_request, response=_response, heard=True)
RESPONSES_SOCKET = Surface("chat", request=_socket_request, response=_socket_response, heard=True)
