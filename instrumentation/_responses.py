"""The responses wire.

Shapes: https://github.com/openai/openai-python/blob/main/src/openai/types/responses/response.py,
.../response_usage.py, .../response_stream_event.py
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan import semconv

from ._chat_completions import effort, error_type, inner_format
from ._estimate import estimate_input, estimating
from ._gateway_facts import tell
from ._read import Rule, count, items, members, number, some, take, text, true
from ._reported_cost import reported_cost
from ._spec import Attributes, Dials, Surface
from ._tools import add_called, add_sent, name_of

# OpenAI's words for an unfinished answer, in the words that all other wires use.
_INCOMPLETE = {"max_output_tokens": "length", "content_filter": "content_filter"}


_REQUEST: tuple[Rule, ...] = (
    ("model", semconv.REQUEST_MODEL, text),
    ("max_output_tokens", semconv.REQUEST_MAX_TOKENS, count),
    ("temperature", semconv.REQUEST_TEMPERATURE, number),
    ("top_p", semconv.REQUEST_TOP_P, number),
    ("stream", semconv.REQUEST_STREAM, true),
    ("text", semconv.OUTPUT_TYPE, inner_format),
    ("service_tier", semconv.OPENAI_REQUEST_SERVICE_TIER, text),
    ("reasoning", semconv.REQUEST_REASONING_LEVEL, effort),
)

_ANSWER: tuple[Rule, ...] = (
    ("id", semconv.RESPONSE_ID, text),
    ("model", semconv.RESPONSE_MODEL, text),
    ("service_tier", semconv.SERVICE_TIER, text),
    ("provider", semconv.RESPONSE_PROVIDER, text),
    ("background", semconv.BACKGROUND, true),
)

_USAGE: tuple[Rule, ...] = (
    ("input_tokens", semconv.INPUT_TOKENS, count),
    ("output_tokens", semconv.OUTPUT_TOKENS, count),
)

_INPUT: tuple[Rule, ...] = (
    ("cached_tokens", semconv.CACHE_READ_TOKENS, count),
    ("cache_write_tokens", semconv.CACHE_WRITE_TOKENS, count),
    ("audio_tokens", semconv.AUDIO_INPUT_TOKENS, some),
    ("image_tokens", semconv.IMAGE_INPUT_TOKENS, some),
    ("text_tokens", semconv.TEXT_INPUT_TOKENS, some),
)

_OUTPUT: tuple[Rule, ...] = (
    ("reasoning_tokens", semconv.REASONING_TOKENS, count),
    ("audio_tokens", semconv.AUDIO_OUTPUT_TOKENS, some),
    ("image_tokens", semconv.IMAGE_OUTPUT_TOKENS, some),
    ("text_tokens", semconv.TEXT_OUTPUT_TOKENS, some),
)


def _request(body: Mapping[str, Any]) -> Attributes:
    found: dict[str, Any] = {}
    asked = members(body)
    take(found, asked, _REQUEST)
    if (tools := asked.get("tools")) is not None:
        add_sent(found, tools)
    estimate_input(found, asked)
    return found


def _response(answer: Any) -> Attributes:
    found: dict[str, Any] = {}
    body = members(answer)
    take(found, body, _ANSWER)
    kinds = [members(item) for item in items(body.get("output"))]
    if reason := _finish_reason(body, kinds):
        found[semconv.FINISH_REASONS] = [reason]
    if kinds:
        _read_tools(found, kinds, body)
    if (usage := body.get("usage")) is not None:
        read_usage(found, usage)
    tell(found, body)
    if failure := body.get("error"):
        found[semconv.ERROR_TYPE] = error_type(failure)
    elif text(body.get("status")) == "failed":
        found[semconv.ERROR_TYPE] = "error"
    return found


def _finish_reason(body: Mapping[str, Any], output: list[Mapping[str, Any]]) -> str | None:
    status = text(body.get("status"))
    if status == "incomplete":
        reason = text(body.get("incomplete_details"), "reason")
        return _INCOMPLETE.get(reason, reason) if reason else None
    if status == "completed":
        called = any(item.get("type") in ("function_call", "custom_tool_call") for item in output)
        return "tool_calls" if called else "stop"
    return None


def _read_tools(
    found: dict[str, Any], output: list[Mapping[str, Any]], body: Mapping[str, Any]
) -> None:
    """Calls of the caller's tools and of OpenAI's own, some of which have a fee."""
    made = [item for item in output if (text(item.get("type")) or "").endswith("_call")]
    add_called(found, map(name_of, made))
    used = body.get("tool_usage")
    searches = count(used, "web_search", "num_requests") if used is not None else None
    if searches is None:
        searches = sum(map(_is_billed_search, made))
    if searches:
        found[semconv.WEB_SEARCHES] = searches
    drawn = sum(item.get("type") == "image_generation_call" for item in made)
    if others := drawn + (searches if _is_dearer(body) else 0):
        found[semconv.OTHER_FEES] = others
    for kind, name in _FEES:
        if ran := sum(item.get("type") == kind for item in made):
            found[name] = ran


_FEES = (
    ("file_search_call", semconv.FILE_SEARCHES),
    ("code_interpreter_call", semconv.CODE_RUNS),
)
"""https://platform.openai.com/docs/pricing#built-in-tools"""


def _is_dearer(body: Mapping[str, Any]) -> bool:
    """Whether a search costs more than the one price that the book has: models before gpt-5 pay more
    for `web_search_preview`, and their small ones for the text that is found, which no count says."""
    model = text(body.get("model")) or ""
    if not model.startswith("gpt-4"):
        return False
    tools = [text(tool, "type") or "" for tool in items(body.get("tools"))]
    return "-mini" in model or any(tool.startswith("web_search_preview") for tool in tools)


def _is_billed_search(item: Mapping[str, Any]) -> bool:
    """A search is billed; opening a page that it found is not."""
    if item.get("type") != "web_search_call":
        return False
    return (text(item.get("action"), "type") or "search") == "search"


def read_usage(found: dict[str, Any], usage: Any) -> None:
    """Token counts. `input_tokens` includes the cached ones."""
    stated = members(usage)
    take(found, stated, _USAGE)
    if (details := stated.get("input_tokens_details")) is not None:
        take(found, members(details), _INPUT)
    if (details := stated.get("output_tokens_details")) is not None:
        take(found, members(details), _OUTPUT)
    if (cost := reported_cost(stated)) is not None:
        found[semconv.COST_REPORTED] = cost


_CARRIERS = frozenset(
    f"response.{state}"
    for state in (
        "created",
        "queued",
        "in_progress",
        "completed",
        "incomplete",
        "failed",
        "cancelled",
    )
)


class _ResponseFold:
    """Events: the last one that carries the whole response says everything."""

    __slots__ = ("_last", "error")

    def __init__(self) -> None:
        self._last: Any = None
        self.error: str | None = None
        """What failed inside the stream, as `error.type`."""

    def add(self, event: Any, /) -> None:
        try:
            if event.type.endswith((".delta", ".added", ".done")):
                return
        except (AttributeError, TypeError):
            pass
        parts = members(event)
        kind = text(parts.get("type"))
        if kind in _CARRIERS:
            response = parts.get("response")
            if members(response):
                self._last = response
        elif kind == "error":
            self.error = error_type(parts.get("error") or event)

    def attributes(self) -> Attributes:
        found = dict(_response(self._last))
        if self.error is not None:
            found[semconv.ERROR_TYPE] = self.error
        return found


_OPEN = ("queued", "in_progress", None)


def _fetched(answer: Any) -> Attributes:
    """An answer that was asked for in the background, when it is there; any other was given."""
    found = _response(answer)
    if members(answer).get("status") in _OPEN or semconv.BACKGROUND not in found:
        return {}
    return found if semconv.INPUT_TOKENS in found else {}


FETCHED_RESPONSE = Surface("chat", request=_request, response=_fetched, heard=True)
RESPONSES = Surface(
    "chat",
    request=_request,
    response=_response,
    fold=estimating(_ResponseFold),
    dials=Dials(
        limits=(("max_output_tokens",),),
        tools=("tools", "tool_choice", "parallel_tool_calls"),
        unused={"tool_choice": "none"},
        talk=("input",),
    ),
)
