"""Cohere's chat, in its first and its second version, and the older generate and summarize.

Shapes: https://github.com/cohere-ai/cohere-python/blob/main/src/cohere/types/non_streamed_chat_response.py,
.../v2chat_response.py, .../v2chat_stream_response.py, .../streamed_chat_response.py, .../generation.py
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tollspan import semconv

from ._chat_completions import output_type, several
from ._cohere_usage import read_usage
from ._read import Rule, count, get, items, members, number, take, text, texts, whole
from ._spec import Attributes, Dials, Surface
from ._tools import add_called, add_sent, name_of

__all__ = ["CHAT", "CHAT_STREAM", "GENERATE", "GENERATE_STREAM", "response"]

_REQUEST: tuple[Rule, ...] = (
    ("model", semconv.REQUEST_MODEL, text),
    ("max_tokens", semconv.REQUEST_MAX_TOKENS, count),
    ("temperature", semconv.REQUEST_TEMPERATURE, number),
    ("p", semconv.REQUEST_TOP_P, number),
    ("k", semconv.REQUEST_TOP_K, number),
    ("seed", semconv.REQUEST_SEED, whole),
    ("frequency_penalty", semconv.REQUEST_FREQUENCY_PENALTY, number),
    ("presence_penalty", semconv.REQUEST_PRESENCE_PENALTY, number),
    ("stop_sequences", semconv.REQUEST_STOP_SEQUENCES, texts),
    ("num_generations", semconv.REQUEST_CHOICE_COUNT, several),
    ("response_format", semconv.OUTPUT_TYPE, output_type),
    ("conversation_id", semconv.CONVERSATION_ID, text),
)
_ANSWER: tuple[Rule, ...] = (
    ("generation_id", semconv.RESPONSE_ID, text),
    ("id", semconv.RESPONSE_ID, text),
    ("finish_reason", semconv.FINISH_REASONS, texts),
)

_FAILED = frozenset({"ERROR", "TIMEOUT"})
"""Finish reasons of answers that are none."""


def _request(body: Mapping[str, Any]) -> Attributes:
    found: dict[str, Any] = {}
    asked = members(body)
    take(found, asked, _REQUEST)
    add_sent(found, asked.get("tools"))
    return found


def _stream_request(body: Mapping[str, Any]) -> Attributes:
    return {**_request(body), semconv.REQUEST_STREAM: True}


def response(answer: Any) -> Attributes:
    found: dict[str, Any] = {}
    body = members(answer)
    take(found, body, _ANSWER)
    reasons = [
        reason
        for each in items(body.get("generations"))[:128]
        if (reason := text(members(each).get("finish_reason"))) is not None
    ]
    if reasons:
        found[semconv.FINISH_REASONS] = reasons
    add_called(found, map(name_of, _called(body)))
    for usage in (body.get("meta"), body.get("usage")):
        if usage is not None:
            read_usage(found, usage)
    _note_failure(found)
    return found


def _called(body: Mapping[str, Any]) -> Iterator[Any]:
    """Calls of tools: the first version has them beside the text, the second inside the message."""
    yield from items(body.get("tool_calls"))
    yield from items(members(body.get("message")).get("tool_calls"))


def _note_failure(found: dict[str, Any]) -> None:
    for reason in found.get(semconv.FINISH_REASONS, ()):
        if reason in _FAILED:
            found[semconv.ERROR_TYPE] = reason.lower()


class _Fold:
    """Events: in the first version the last one holds the whole answer; in the second the first
    has the id, some name the tools, and the last has the rest."""

    __slots__ = ("_called", "_found", "_last")

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}
        self._called: list[str] = []
        self._last: Mapping[str, Any] = {}

    def add(self, event: Any, /) -> None:
        kind = get(event, "type") or get(event, "event_type")
        if kind in ("content-delta", "text-generation") or not isinstance(kind, str):
            return
        parts = members(event)
        delta = members(parts.get("delta"))
        if kind in ("stream-start", "message-start"):
            take(self._found, parts, _ANSWER)
        elif kind == "stream-end":
            whole_answer = members(parts.get("response"))
            reason = parts.get("finish_reason") or whole_answer.get("finish_reason")
            self._last = {**whole_answer, "finish_reason": reason}
        elif kind == "tool-call-start" and len(self._called) < 1024:
            self._called.append(name_of(members(delta.get("message")).get("tool_calls")))
        elif kind == "message-end":
            self._last = delta

    def attributes(self) -> Attributes:
        found = {**self._found, **response(self._last)}
        if self._called:
            add_called(found, self._called)
        return found


DIALS = Dials(
    limits=(("max_tokens",),),
    tools=("tools", "tool_choice", "strict_tools", "force_single_step"),
)

CHAT = Surface("chat", request=_request, response=response, fold=_Fold, dials=DIALS)
CHAT_STREAM = CHAT._replace(request=_stream_request)
GENERATE = CHAT._replace(operation="text_completion")
GENERATE_STREAM = CHAT_STREAM._replace(operation="text_completion")
