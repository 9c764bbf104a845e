"""The Interactions wire of the Gemini API, plain, streamed, and in the background.

Shapes: https://ai.google.dev/api/interactions-api and google-genai 3.4,
`google/genai/_gaos/types/interactions/` (`interaction.py`, `usage.py`, `interactionsseevent.py`)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from threading import Lock
from typing import Any

from tollspan import semconv

from ._generate_content import error_of, output_of, output_type
from ._google_usage import add_searches, read_usage
from ._read import Rule, count, items, members, number, take, text, texts, true, whole
from ._spec import Attributes, Dials, Surface
from ._tools import add_called, add_sent, name_of

__all__ = ["FETCHED_INTERACTION", "INTERACTIONS", "is_begun"]


# --- request --------------------------------------------------------------------------------------


def _model(value: Any) -> str | None:
    name = text(value)
    return name.removeprefix("models/") or None if name else None


_REQUEST: tuple[Rule, ...] = (
    ("model", semconv.REQUEST_MODEL, _model),
    ("agent", semconv.AGENT_ID, text),
    ("stream", semconv.REQUEST_STREAM, true),
    ("background", semconv.BACKGROUND, true),
    ("response_mime_type", semconv.OUTPUT_TYPE, output_type),
    ("response_modalities", semconv.OUTPUT_TYPE, output_of),
)
_CONFIG: tuple[Rule, ...] = (
    ("temperature", semconv.REQUEST_TEMPERATURE, number),
    ("top_p", semconv.REQUEST_TOP_P, number),
    ("max_output_tokens", semconv.REQUEST_MAX_TOKENS, count),
    ("stop_sequences", semconv.REQUEST_STOP_SEQUENCES, texts),
    ("seed", semconv.REQUEST_SEED, whole),
    ("thinking_level", semconv.REQUEST_REASONING_LEVEL, text),
)


def _request(body: Mapping[str, Any]) -> Attributes:
    found: dict[str, Any] = {}
    asked = members(body)
    take(found, asked, _REQUEST)
    take(found, members(asked.get("generation_config")), _CONFIG)
    if (tools := asked.get("tools")) is not None:
        add_sent(found, tools)
    return found


# --- answer ---------------------------------------------------------------------------------------

_ANSWER: tuple[Rule, ...] = (
    ("id", semconv.RESPONSE_ID, text),
    ("model", semconv.RESPONSE_MODEL, _model),
    ("service_tier", semconv.SERVICE_TIER, text),
)
_FINISHED = {
    "completed": "stop",
    "incomplete": "length",
    "budget_exceeded": "length",
    "requires_action": "tool_calls",
    "cancelled": "cancelled",
}
_OPEN = frozenset({"in_progress", "queued"})
_NAMES = {
    "total_input_tokens": "promptTokenCount",
    "total_output_tokens": "candidatesTokenCount",
    "total_thought_tokens": "thoughtsTokenCount",
    "total_reasoning_tokens": "thoughtsTokenCount",  # before 1.56
    "total_tool_use_tokens": "toolUsePromptTokenCount",
    "total_cached_tokens": "cachedContentTokenCount",
    "total_tokens": "totalTokenCount",
    "input_tokens_by_modality": "promptTokensDetails",
    "output_tokens_by_modality": "candidatesTokensDetails",
    "tool_use_tokens_by_modality": "toolUsePromptTokensDetails",
    "cached_tokens_by_modality": "cacheTokensDetails",
}
"""What is counted here, by the names of generateContent: it is counted alike."""


def _response(answer: Any) -> Attributes:
    body = members(answer)
    found = _stated(body)
    _note(body, found)
    return found


def _stated(body: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    take(found, body, _ANSWER)
    status = text(body.get("status"))
    if status is not None and (ended := _FINISHED.get(status)) is not None:
        found[semconv.FINISH_REASONS] = [ended]
    usage = members(body.get("usage"))
    read_usage(found, {_NAMES[key]: usage[key] for key in _NAMES if usage.get(key) is not None})
    add_searches(found, _searched(usage))
    add_called(found, _called(body.get("steps") or body.get("outputs")))
    if failure := body.get("error"):
        found[semconv.ERROR_TYPE] = error_of(failure)
    elif status == "failed":
        first = next(iter(items(body.get("errors"))), None)
        found[semconv.ERROR_TYPE] = error_of(first) if first else "failed"
    return found


def _searched(usage: Mapping[str, Any]) -> int:
    """Searches of the web that the answer counts."""
    counts = map(members, items(usage.get("grounding_tool_count"))[:32])
    return sum(
        count(each.get("count")) or 0 for each in counts if each.get("type") == "google_search"
    )


def _called(steps: Any) -> Iterator[str]:
    """Names of the functions that the model calls."""
    for each in items(steps):
        if members(each).get("type") == "function_call":
            yield name_of(each)


class _Fold:
    """Events: those at the ends of an interaction carry what is known of it; each field's last wins."""

    __slots__ = ("_called", "_error", "_joined", "_known")

    def __init__(self, joined: bool = False) -> None:
        self._joined = joined
        """The stream was begun by an earlier call, and is read once more."""
        self._known: dict[str, Any] = {}
        self._called: list[str] = []
        self._error: str | None = None

    def add(self, event: Any, /) -> None:
        parts = members(event)
        self._called += _called([parts.get("step") or parts.get("content")])
        if failure := parts.get("error"):
            self._error = error_of(failure)
        held = members(parts.get("interaction"))
        if held.get("id") is not None and held["id"] != self._known.get("id"):
            self._known = {}
        self._known.update({key: each for key, each in held.items() if each is not None})
        if (status := parts.get("status")) is not None:
            self._known["status"] = status
        if held and not self._joined:
            _note(self._known, _stated(self._known))

    def attributes(self) -> Attributes:
        found = _stated(self._known)
        if semconv.TOOLS_CALLED not in found:
            add_called(found, self._called)
        if self._error is not None:
            found[semconv.ERROR_TYPE] = self._error
        return found

    def answers(self) -> list[Attributes]:
        """Of a stream that was joined again: what it was begun for, once it is there."""
        return [_if_begun(self._known)]


# --- answers that come later ----------------------------------------------------------------------

_MOST = 4096
_begun: dict[str, None] = {}
"""Ids of interactions that this process has seen begin and not yet end; the oldest are forgotten."""
_lock = Lock()


def is_begun(identity: str) -> bool:
    """Whether the usage of an interaction is yet to be counted here. All others were counted when
    they were made, or are somebody else's."""
    return identity in _begun


def _note(body: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    identity = text(body.get("id"))
    if identity is None:
        return
    with _lock:
        if semconv.INPUT_TOKENS in found:
            _begun.pop(identity, None)
        elif text(body.get("status")) in _OPEN:
            if len(_begun) >= _MOST:
                del _begun[next(iter(_begun))]
            _begun[identity] = None


def _if_begun(answer: Any) -> Attributes:
    """What an interaction that was begun states when it has ended; nothing, if it was counted."""
    body = members(answer)
    found = _stated(body)
    with _lock:
        if semconv.INPUT_TOKENS not in found or text(body.get("status")) in _OPEN:
            return {}
        return found if _begun.pop(text(body.get("id")) or "", _begun) is None else {}


INTERACTIONS = Surface(
    "generate_content",
    request=_request,
    response=_response,
    fold=_Fold,
    dials=Dials(
        limits=(("generation_config", "max_output_tokens"),), tools=("tools",), talk=("input",)
    ),
)
FETCHED_INTERACTION = Surface(
    "generate_content",
    request=_request,
    response=_if_begun,
    fold=partial(_Fold, joined=True),
    heard=True,
)
