"""The messages wire of Anthropic, direct, through Bedrock, Vertex and gateways.

Shapes: https://github.com/anthropics/anthropic-sdk-python/blob/main/src/anthropic/types/usage.py,
.../raw_message_stream_event.py, .../beta/beta_iterations_usage.py
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tollspan import semconv

from ._chat_completions import effort, error_type, inner_format, output_type
from ._chat_usage import CACHE_WRITE, TOOLS
from ._gateway_facts import tell
from ._read import Rule, count, items, members, number, take, text, texts, true
from ._spec import Attributes, Dials, Surface
from ._tools import add_called, add_sent, name_of

_HUGEST = 2**63 - 1


_REQUEST: tuple[Rule, ...] = (
    ("model", semconv.REQUEST_MODEL, text),
    ("max_tokens", semconv.REQUEST_MAX_TOKENS, count),
    ("max_tokens_to_sample", semconv.REQUEST_MAX_TOKENS, count),
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
    asked = members(body)
    take(found, asked, _REQUEST)
    if (tools := asked.get("tools")) is not None:
        add_sent(found, tools)
    return found


def _response(message: Any) -> Attributes:
    found: dict[str, Any] = {}
    body = members(message)
    take(found, body, _ANSWER)
    _read_tools(found, (members(block) for block in items(body.get("content"))))
    if (usage := body.get("usage")) is not None:
        _read_usage(found, members(usage))
    tell(found, body)
    if failure := body.get("error"):
        found[semconv.ERROR_TYPE] = error_type(failure)
    return found


def _read_tools(found: dict[str, Any], blocks: Iterable[Mapping[str, Any]]) -> None:
    """Calls of the caller's tools and of Anthropic's own. Running code is billed by the hour of its
    container, beyond a free allowance: https://platform.claude.com/docs/en/about-claude/pricing"""
    made = [block for block in blocks if block.get("type") in _CALLS]
    add_called(found, map(name_of, made))
    if ran := sum(
        block.get("type") == "server_tool_use" and block.get("name") in _CODE for block in made
    ):
        found[semconv.CODE_RUNS] = ran


_CALLS = ("tool_use", "server_tool_use", "mcp_tool_use")
_CODE = ("code_execution", "bash_code_execution", "text_editor_code_execution")


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
        _add_iterations(found, iterations)
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


def _add_iterations(found: dict[str, Any], iterations: Any) -> None:
    """Compaction is billed, and the totals leave its tokens out. They leave those of an advisor out
    too, but it is another model with prices of its own: that one worked is all that is said here."""
    models = {found.get(semconv.RESPONSE_MODEL)}
    for each in items(iterations):
        usage = members(each)
        models.add(text(usage.get("model")))
        if usage.get("type") != "compaction":
            continue
        part: dict[str, Any] = {}
        _read_usage(part, {key: value for key, value in usage.items() if key != "iterations"})
        for name in _SUMS:
            if name in part:
                found[name] = found.get(name, 0) + part[name]
    if len(named := sorted(name for name in models if name is not None)) > 1:
        found[semconv.MODELS_USED] = tuple(named[:128])


class _MessageFold:
    """`message_start` states the input, `message_delta` the running total: each field's last wins."""

    __slots__ = ("_answer", "_blocks", "_usage", "error")

    def __init__(self) -> None:
        self._answer: dict[str, Any] = {}
        self._blocks: list[Mapping[str, Any]] = []
        """Calls of tools, as far as their first event tells: type and name."""
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
        elif kind == "content_block_start":
            block = members(members(event).get("content_block"))
            if block.get("type") in _CALLS and len(self._blocks) < 1024:
                self._blocks.append({"type": block.get("type"), "name": block.get("name")})
        elif kind == "message_stop":
            tell(self._answer, members(event))
        elif kind == "error":
            self.error = error_type(members(event).get("error"))

    def _merge(self, usage: Any) -> None:
        for key, value in members(usage).items():
            if value is not None:
                self._usage[key] = value

    def attributes(self) -> Attributes:
        found = dict(self._answer)
        _read_tools(found, self._blocks)
        _read_usage(found, self._usage)
        if self.error is not None:
            found[semconv.ERROR_TYPE] = self.error
        return found


def _counted(answer: Any) -> Attributes:
    """Nothing: what was counted was not used, and counting is free."""
    return {}


class _TextFold:
    """Events of the older text completions, each with all that is known."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}

    def add(self, event: Any, /) -> None:
        take(self._found, members(event), _ANSWER)

    def attributes(self) -> Attributes:
        return self._found


DIALS = Dials(
    limits=(("max_tokens",),),
    tools=("tools", "tool_choice"),
    unused={
        "tool_choice": {"type": "none"}
    },  # https://docs.claude.com/en/api/messages#body-tool-choice
    thinking=("thinking",),
)

MESSAGES = Surface("chat", request=_request, response=_response, fold=_MessageFold, dials=DIALS)
TEXT = Surface(
    "text_completion",
    request=_request,
    response=_response,
    fold=_TextFold,
    dials=Dials(limits=(("max_tokens_to_sample",),)),
)
"""The older wire of `/v1/complete`, which states no usage; SDKs before version 2 have it."""
COUNT_TOKENS = Surface("count_tokens", request=_request, response=_counted)
