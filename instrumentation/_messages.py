"""The messages wire of Anthropic, direct, through Bedrock, Vertex and gateways.

Shapes: https://github.com/anthropics/anthropic-sdk-python/blob/main/src/anthropic/types/usage.py,
.../raw_message_stream_event.py, .../beta/beta_iterations_usage.py
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan import semconv

from ._chat_completions import CACHE_WRITE, TOOLS, effort, error_type, inner_format, output_type
from ._read import Rule, count, items, members, number, take, text, texts, true
from ._spec import Attributes, Surface

_HUGEST = 2**63 - 1


_REQUEST: tuple[Rule, ...] = (
    ("model", semconv.REQUEST_MODEL, text),
    ("max_tokens", semconv.REQUEST_MAX_TOKENS, count),
    ("temperature", semconv.REQUEST_TEMPERATURE, number),
    ("top_p", semconv.REQUEST_TOP_P, number),
    ("top_k", semconv.REQUEST_TOP_K, number),
    ("stop_sequences", semconv.REQUEST_STOP_SEQUENCES, texts),
    ("stream", semconv.REQUEST_STREAM, true),
    ("output_format", semconv.OUTPUT_TYPE, output_type),
    ("output_config", semconv.OUTPUT_TYPE, inner_format),
    ("output_config", semconv.REQUEST_REASONING_LEVEL, effort),
)

_ANSWER: tuple[Rule, ...] = (
    ("id", semconv.RESPONSE_ID, text),
    ("model", semconv.RESPONSE_MODEL, text),
    ("stop_reason", semconv.FINISH_REASONS, texts),
)

_USAGE: tuple[Rule, ...] = (
    ("output_tokens", semconv.OUTPUT_TOKENS, count),
    ("cache_read_input_tokens", semconv.CACHE_READ_TOKENS, count),
    ("service_tier", semconv.SERVICE_TIER, text),
    ("speed", semconv.SPEED, text),
    ("inference_geo", semconv.INFERENCE_GEO, text),
)


def _request(body: Mapping[str, Any]) -> Attributes:
    found: dict[str, Any] = {}
    take(found, members(body), _REQUEST)
    return found


def _response(message: Any) -> Attributes:
    found: dict[str, Any] = {}
    body = members(message)
    take(found, body, _ANSWER)
    if (usage := body.get("usage")) is not None:
        _read_usage(found, members(usage))
    if failure := body.get("error"):
        found[semconv.ERROR_TYPE] = error_type(failure)
    return found


def _read_usage(found: dict[str, Any], usage: Mapping[str, Any]) -> None:
    """Token counts. Anthropic's `input_tokens` leaves cached ones out; the conventions count all."""
    take(found, usage, _USAGE)
    fresh = count(usage.get("input_tokens"))
    read = found.get(semconv.CACHE_READ_TOKENS)
    write = count(usage.get("cache_creation_input_tokens"))
    if (created := usage.get("cache_creation")) is not None:
        take(found, members(created), CACHE_WRITE)
        if write is None:
            parts = (
                found.get(semconv.CACHE_WRITE_5M_TOKENS),
                found.get(semconv.CACHE_WRITE_1H_TOKENS),
            )
            write = None if parts == (None, None) else sum(part or 0 for part in parts)
    if write is not None:
        found[semconv.CACHE_WRITE_TOKENS] = write
    if fresh is not None:
        found[semconv.INPUT_TOKENS] = fresh + (read or 0) + (write or 0)
    if (thought := usage.get("output_tokens_details")) is not None:
        take(found, members(thought), _OUTPUT)
    if (tools := usage.get("server_tool_use")) is not None:
        take(found, members(tools), TOOLS)
    if (iterations := usage.get("iterations")) is not None:
        _add_compactions(found, iterations)
    for name in _SUMS:
        if found.get(name, 0) > _HUGEST:
            del found[name]


_SUMS = (
    semconv.INPUT_TOKENS,
    semconv.OUTPUT_TOKENS,
    semconv.CACHE_READ_TOKENS,
    semconv.CACHE_WRITE_TOKENS,
    semconv.CACHE_WRITE_5M_TOKENS,
    semconv.CACHE_WRITE_1H_TOKENS,
)
_OUTPUT: tuple[Rule, ...] = (("thinking_tokens", semconv.REASONING_TOKENS, count),)


def _add_compactions(found: dict[str, Any], iterations: Any) -> None:
    """Compaction is billed, and its tokens are the only ones that the totals leave out."""
    for each in items(iterations):
        usage = members(each)
        if usage.get("type") != "compaction":
            continue
        part: dict[str, Any] = {}
        _read_usage(part, {key: value for key, value in usage.items() if key != "iterations"})
        for name in _SUMS:
            if name in part:
                found[name] = found.get(name, 0) + part[name]


class _MessageFold:
    """`message_start` states the input, `message_delta` the running total: each field's last wins."""

    __slots__ = ("_answer", "_usage", "error")

    def __init__(self) -> None:
        self._answer: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self.error: str | None = None
        """What failed inside the stream, as `error.type`."""

    def add(self, event: Any, /) -> None:
        try:
            kind = event.type
        except AttributeError:
            kind = members(event).get("type")
        if kind == "content_block_delta" or not isinstance(kind, str):
            return
        if kind == "message_start":
            message = members(members(event).get("message"))
            take(self._answer, message, _ANSWER)
            self._merge(message.get("usage"))
        elif kind == "message_delta":
            parts = members(event)
            take(self._answer, members(parts.get("delta")), _ANSWER)
            self._merge(parts.get("usage"))
        elif kind == "error":
            self.error = error_type(members(event).get("error"))

    def _merge(self, usage: Any) -> None:
        for key, value in members(usage).items():
            if value is not None:
                self._usage[key] = value

    def attributes(self) -> Attributes:
        found = dict(self._answer)
        _read_usage(found, self._usage)
        if self.error is not None:
            found[semconv.ERROR_TYPE] = self.error
        return found


def _counted(answer: Any) -> Attributes:
    """Nothing: what was counted was not used, and counting is free."""
    return {}


MESSAGES = Surface("chat", request=_request, response=_response, fold=_MessageFold)
COUNT_TOKENS = Surface("count_tokens", request=_request, response=_counted)
