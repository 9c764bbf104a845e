"""xAI's own wire: messages of its protobuf API, which are neither dicts nor models.

Shapes: https://github.com/xai-org/xai-proto/blob/main/proto/xai/api/v1/chat.proto, .../usage.proto,
.../sample.proto. A number that is not set reads as 0 there, so 0 is unknown here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from tollspan import semconv

from ._read import Rule, get, members, number, some, take, text, whole
from ._spec import Attributes, Dials, Surface
from ._tools import add_called

__all__ = ["CHAT", "COMPACT", "IMAGES", "STREAM", "VIDEOS"]

_MOST = 128

_TEXTS: tuple[Rule, ...] = (("model", semconv.REQUEST_MODEL, text),)


def _single(value: Any) -> float | None:
    """A number of single precision: 0.7 comes as 0.699999988."""
    stated = number(value)
    return None if stated is None else round(stated, 6)


_OPTIONAL: tuple[Rule, ...] = (
    ("max_tokens", semconv.REQUEST_MAX_TOKENS, some),
    ("temperature", semconv.REQUEST_TEMPERATURE, _single),
    ("top_p", semconv.REQUEST_TOP_P, _single),
    ("frequency_penalty", semconv.REQUEST_FREQUENCY_PENALTY, _single),
    ("presence_penalty", semconv.REQUEST_PRESENCE_PENALTY, _single),
    ("seed", semconv.REQUEST_SEED, whole),
)

_EFFORTS = {1: "low", 2: "medium", 3: "high", 4: "none", 5: "xhigh"}
_FORMATS = {1: "text", 2: "json", 3: "json"}
_TIERS = {1: "default", 2: "priority"}
_REASONS = {1: "length", 2: "max_context", 3: "stop", 4: "tool_calls", 5: "time_limit"}
_SERVER_TOOLS = {
    1: semconv.WEB_SEARCHES,
    3: semconv.CODE_RUNS,
    6: semconv.FILE_SEARCHES,
    8: semconv.FILE_SEARCHES,
}
"""Numbers of the enum `ServerSideTool`, which the usage repeats for each use."""

_USAGE: tuple[Rule, ...] = (
    ("prompt_tokens", semconv.INPUT_TOKENS, some),
    ("completion_tokens", semconv.OUTPUT_TOKENS, some),
    ("cached_prompt_text_tokens", semconv.CACHE_READ_TOKENS, some),
    ("reasoning_tokens", semconv.REASONING_TOKENS, some),
    ("prompt_text_tokens", semconv.TEXT_INPUT_TOKENS, some),
    ("prompt_image_tokens", semconv.IMAGE_INPUT_TOKENS, some),
)

_ANSWER: tuple[Rule, ...] = (
    ("id", semconv.RESPONSE_ID, text),
    ("model", semconv.RESPONSE_MODEL, text),
    ("system_fingerprint", semconv.SYSTEM_FINGERPRINT, text),
)

USD_PER_TICK = 1e-10
"""https://github.com/xai-org/xai-proto/blob/0c0f535/proto/xai/api/v1/usage.proto#L45"""


def _of(names: Mapping[int, str], value: Any) -> str | None:
    """The name of an enum's number."""
    return names.get(value) if isinstance(value, int) else None


def _has(message: Any, name: str) -> bool:
    """Whether an optional field is set; asking for one that a version does not have raises."""
    try:
        return bool(message.HasField(name))
    except (AttributeError, ValueError):
        return False


def _some(message: Any, *path: str) -> list[Any]:
    """The first of a repeated field's values."""
    held = get(message, *path)
    return list(islice(held, _MOST)) if isinstance(held, Iterable) else []


def _take(found: dict[str, Any], message: Any, rules: Iterable[Rule]) -> None:
    for key, name, read in rules:
        if (known := read(getattr(message, key, None))) is not None:
            found[name] = known


def _request(given: Mapping[str, Any]) -> Attributes:
    """A method of a chat: what is asked stands in the chat itself."""
    given = members(given)
    asked = get(given.get("self"), "_proto")
    found: dict[str, Any] = {}
    _take(found, asked, _TEXTS)
    _take(found, asked, (rule for rule in _OPTIONAL if _has(asked, rule[0])))
    if stops := [each for each in _some(asked, "stop") if isinstance(each, str)]:
        found[semconv.REQUEST_STOP_SEQUENCES] = stops
    if _has(asked, "reasoning_effort"):
        found[semconv.REQUEST_REASONING_LEVEL] = _of(_EFFORTS, asked.reasoning_effort)
    if _has(asked, "response_format"):
        found[semconv.OUTPUT_TYPE] = _of(_FORMATS, get(asked, "response_format", "format_type"))
    if "shape" in given:
        found[semconv.OUTPUT_TYPE] = "json"
    if (several := some(given.get("n"))) not in (None, 1):
        found[semconv.REQUEST_CHOICE_COUNT] = several
    if names := [_tool(each) for each in _some(asked, "tools")]:
        found[semconv.TOOLS_SENT] = len(names)
        found[semconv.TOOLS_SENT_NAMES] = tuple(dict.fromkeys(names))
    return found


def _tool(definition: Any) -> str:
    """A function's name; a server-side tool goes by its kind."""
    try:
        kind = text(definition.WhichOneof("tool"))
    except (AttributeError, ValueError):
        kind = None
    return text(definition, "function", "name") or kind or "unknown"


def _streamed(given: Mapping[str, Any]) -> Attributes:
    return {**_request(given), semconv.REQUEST_STREAM: True}


def _generation(given: Mapping[str, Any]) -> Attributes:
    """A method whose arguments are the request."""
    given = members(given)
    found: dict[str, Any] = {}
    take(found, given, _TEXTS)
    if (several := some(given.get("n"))) not in (None, 1):
        found[semconv.REQUEST_CHOICE_COUNT] = several
    return found


def _read(found: dict[str, Any], message: Any) -> None:
    """Names, tier and usage of an answer, or of one chunk of it."""
    _take(found, message, _ANSWER)
    if (tier := _of(_TIERS, get(message, "service_tier"))) is not None:
        found[semconv.SERVICE_TIER] = tier
    if _has(message, "usage"):
        _read_usage(found, message.usage)


def _read_usage(found: dict[str, Any], usage: Any) -> None:
    """Reasoning is no part of `completion_tokens`; the total tells."""
    _take(found, usage, _USAGE)
    asked, answered = found.get(semconv.INPUT_TOKENS, 0), found.get(semconv.OUTPUT_TOKENS, 0)
    reasoning = found.get(semconv.REASONING_TOKENS, 0)
    if reasoning and get(usage, "total_tokens") == asked + answered + reasoning:
        found[semconv.OUTPUT_TOKENS] = answered + reasoning
    if _has(usage, "cost_in_usd_ticks") and (ticks := some(usage.cost_in_usd_ticks)) is not None:
        found[semconv.COST_REPORTED] = ticks * USD_PER_TICK
    uses = Counter(_of(_SERVER_TOOLS, each) for each in _some(usage, "server_side_tools_used"))
    for name, times in uses.items():
        if name is not None:
            found[name] = times


class _Fold:
    """Chunks, each with the running totals: of each fact the last one counts."""

    __slots__ = ("_called", "_found", "_reasons")

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}
        self._reasons: dict[int, str] = {}
        self._called: list[str] = []

    def add(self, step: Any, /) -> None:
        """What the SDK yields: the response so far, and the chunk; of several choices, chunks."""
        chunk = step[1] if isinstance(step, tuple) and len(step) == 2 else None
        chunk = chunk[0] if isinstance(chunk, list) and chunk else chunk
        message = get(chunk, "_proto")
        _read(self._found, message)
        self.outputs(_some(message, "outputs"), "delta")

    def outputs(self, outputs: Iterable[Any], part: str) -> None:
        """Finish reasons and calls of tools; what is said stands under `part`."""
        for output in outputs:
            if (reason := _of(_REASONS, get(output, "finish_reason"))) is not None:
                self._reasons[some(get(output, "index")) or 0] = reason
            if len(self._called) < _MOST:
                for call in _some(output, part, "tool_calls"):
                    self._called.append(text(call, "function", "name") or "unknown")

    def attributes(self) -> Attributes:
        found = dict(self._found)
        if self._reasons:
            found[semconv.FINISH_REASONS] = [self._reasons[at] for at in sorted(self._reasons)]
        add_called(found, self._called)
        return found


def _response(answer: Any) -> Attributes:
    """A response; with what was parsed of it; or several, which share one message."""
    first = answer[0] if isinstance(answer, (tuple, list)) and answer else answer
    message = get(first, "_proto")
    found: dict[str, Any] = {}
    _read(found, message)
    fold = _Fold()
    fold.outputs(_some(message, "outputs"), "message")
    return {**found, **fold.attributes()}


def _failure(error: BaseException) -> Attributes:
    """The name of gRPC's status (`UNAVAILABLE`); the class of its errors is always the same one."""
    code = getattr(error, "code", None)
    status = code() if callable(code) else None
    return {semconv.ERROR_TYPE: text(status, "name")} if status is not None else {}


DIALS = Dials(limits=(("max_tokens",),), tools=("tools", "tool_choice"))

CHAT = Surface("chat", request=_request, response=_response, failure=_failure, dials=DIALS)
STREAM = CHAT._replace(request=_streamed, fold=_Fold)
COMPACT = Surface("chat", request=_generation, response=_response, failure=_failure)
IMAGES = Surface("image_generation", request=_generation, response=_response, failure=_failure)
VIDEOS = IMAGES._replace(operation="video_generation")
