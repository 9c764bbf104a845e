"""Ollama's own wire: chat, generate, embeddings, and its streams of JSON lines.

Shapes: https://github.com/ollama/ollama-python/blob/v0.6.1/ollama/_types.py,
https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan import semconv

from ._chat_completions import output_type
from ._read import Rule, count, flag, items, members, number, some, take, text, texts, true, whole
from ._spec import Attributes, Dials, Surface
from ._tools import add_called, add_sent, name_of

__all__ = ["CHAT", "EMBEDDINGS", "GENERATE", "SYSTEM_ONE"]


def _format(value: Any) -> str | None:
    """`json`, or the schema that the answer must have."""
    return "json" if isinstance(value, Mapping) and value else output_type(value)


_REQUEST: tuple[Rule, ...] = (
    ("model", semconv.REQUEST_MODEL, text),
    ("stream", semconv.REQUEST_STREAM, true),
    ("format", semconv.OUTPUT_TYPE, _format),
    ("think", semconv.REQUEST_REASONING_LEVEL, text),
)

_OPTIONS: tuple[Rule, ...] = (
    # -1 and -2 mean no limit; a count is none of them.
    ("num_predict", semconv.REQUEST_MAX_TOKENS, count),
    ("temperature", semconv.REQUEST_TEMPERATURE, number),
    ("top_p", semconv.REQUEST_TOP_P, number),
    ("top_k", semconv.REQUEST_TOP_K, number),
    ("frequency_penalty", semconv.REQUEST_FREQUENCY_PENALTY, number),
    ("presence_penalty", semconv.REQUEST_PRESENCE_PENALTY, number),
    ("seed", semconv.REQUEST_SEED, whole),
    ("stop", semconv.REQUEST_STOP_SEQUENCES, texts),
)


def _seconds(value: Any) -> float | None:
    """Nanoseconds as seconds."""
    stated = count(value)
    return None if stated is None else stated / 1e9


_ANSWER: tuple[Rule, ...] = (
    ("model", semconv.RESPONSE_MODEL, text),
    ("done_reason", semconv.FINISH_REASONS, texts),
    # Absent where the whole prompt was cached, and then not zero: how long it is, is unknown.
    ("prompt_eval_count", semconv.INPUT_TOKENS, some),
    ("eval_count", semconv.OUTPUT_TOKENS, count),
    ("total_duration", semconv.SERVER_TIME, _seconds),
    ("load_duration", semconv.LOAD_TIME, _seconds),
    ("prompt_eval_duration", semconv.INPUT_TIME, _seconds),
    ("eval_duration", semconv.OUTPUT_TIME, _seconds),
)

_SYSTEM_ONE_USAGE: tuple[Rule, ...] = (
    ("input_tokens", semconv.INPUT_TOKENS, count),
    ("output_tokens", semconv.OUTPUT_TOKENS, count),
)


def _request(body: Mapping[str, Any]) -> Attributes:
    found: dict[str, Any] = {}
    asked = members(body)
    take(found, asked, _REQUEST)
    if (options := asked.get("options")) is not None:
        take(found, members(options), _OPTIONS)
    add_sent(found, asked.get("tools"))
    return found


def _called(answer: Mapping[str, Any]) -> list[str]:
    return [name_of(each) for each in items(members(answer.get("message")).get("tool_calls"))[:128]]


def _response(answer: Any) -> Attributes:
    found: dict[str, Any] = {}
    body = members(answer)
    take(found, body, _ANSWER)
    add_called(found, _called(body))
    return found


def _system_one(answer: Any) -> Attributes:
    found: dict[str, Any] = {}
    body = members(answer)
    take(found, body, (("model", semconv.RESPONSE_MODEL, text),))
    take(found, members(body.get("usage")), _SYSTEM_ONE_USAGE)
    return found


class _Fold:
    """Chunks of text; the one that says `done` states everything."""

    __slots__ = ("_called", "_found")

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}
        self._called: list[str] = []

    def add(self, chunk: Any, /) -> None:
        body = members(chunk)
        if body.get("message") is not None and len(self._called) < 128:
            self._called += _called(body)
        if self._found and not flag(body.get("done")):
            return
        take(self._found, body, _ANSWER)

    def attributes(self) -> Attributes:
        found = dict(self._found)
        add_called(found, self._called)
        return found


DIALS = Dials(limits=(("options", "num_predict"),), tools=("tools",))

CHAT = Surface("chat", request=_request, response=_response, fold=_Fold, dials=DIALS)
GENERATE = CHAT._replace(operation="text_completion")
EMBEDDINGS = Surface("embeddings", request=_request, response=_response)
SYSTEM_ONE = Surface("classify", request=_request, response=_system_one)
