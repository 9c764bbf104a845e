"""TensorZero's own wire: inferences of functions and variants, plain and streamed.

Shapes: https://www.tensorzero.com/docs/gateway/api-reference/inference, and the classes of
`tensorzero.types`. Input tokens include what the provider's cache had. A cost is stated only where
the gateway's operator has configured rates.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from tollspan import semconv

from ._chat_completions import error_type
from ._gateway_facts import failure
from ._read import Rule, count, items, members, number, some, take, text, texts, true, whole
from ._spec import Attributes, Dials, Surface
from ._tools import add_called, add_sent

__all__ = ["INFERENCE"]

_LONGEST = 65_536
"""Characters of an error that is read."""


def _id(value: Any) -> str | None:
    return str(value) if isinstance(value, UUID) else text(value)


def _cost(value: Any) -> float | None:
    stated = number(value)
    return None if stated is None or stated < 0 else stated


_REQUEST: tuple[Rule, ...] = (
    ("stream", semconv.REQUEST_STREAM, true),
    ("episode_id", semconv.CONVERSATION_ID, _id),
)

_PARAMETERS: tuple[Rule, ...] = (
    ("max_tokens", semconv.REQUEST_MAX_TOKENS, count),
    ("temperature", semconv.REQUEST_TEMPERATURE, number),
    ("top_p", semconv.REQUEST_TOP_P, number),
    ("frequency_penalty", semconv.REQUEST_FREQUENCY_PENALTY, number),
    ("presence_penalty", semconv.REQUEST_PRESENCE_PENALTY, number),
    ("seed", semconv.REQUEST_SEED, whole),
    ("stop_sequences", semconv.REQUEST_STOP_SEQUENCES, texts),
    ("reasoning_effort", semconv.REQUEST_REASONING_LEVEL, text),
    ("service_tier", semconv.OPENAI_REQUEST_SERVICE_TIER, text),
)

_ANSWER: tuple[Rule, ...] = (
    ("inference_id", semconv.RESPONSE_ID, _id),
    ("episode_id", semconv.CONVERSATION_ID, _id),
    ("variant_name", semconv.MODEL_DEPLOYMENT, text),
    ("finish_reason", semconv.FINISH_REASONS, texts),
)

_USAGE: tuple[Rule, ...] = (
    ("input_tokens", semconv.INPUT_TOKENS, some),
    ("output_tokens", semconv.OUTPUT_TOKENS, count),
    ("provider_cache_read_input_tokens", semconv.CACHE_READ_TOKENS, count),
    ("provider_cache_write_input_tokens", semconv.CACHE_WRITE_TOKENS, count),
    ("cost", semconv.COST_REPORTED, _cost),
)


def _model(given: Mapping[str, Any]) -> str | None:
    """What is asked for, as the gateway's OpenAI-compatible endpoint spells it."""
    function, variant = text(given.get("function_name")), text(given.get("variant_name"))
    if function is not None:
        pinned = f"::variant_name::{variant}" if variant is not None else ""
        return f"tensorzero::function_name::{function}{pinned}"
    model = text(given.get("model_name"))
    return None if model is None else f"tensorzero::model_name::{model}"


def _request(given: Mapping[str, Any]) -> Attributes:
    found: dict[str, Any] = {semconv.GATEWAY_STATED: "tensorzero"}
    given = members(given)
    if (model := _model(given)) is not None:
        found[semconv.REQUEST_MODEL] = model
    take(found, given, _REQUEST)
    take(found, members(members(given.get("params")).get("chat_completion")), _PARAMETERS)
    if given.get("output_schema") is not None:
        found[semconv.OUTPUT_TYPE] = "json"
    add_sent(found, given.get("additional_tools"))
    return found


def _provider(used: Any) -> str | None:
    """The one provider that was used, where the caller asks for the raw usage and it is one."""
    names = {text(members(each).get("provider_type")) for each in items(used)[:128]}
    return names.pop() if len(names) == 1 else None


def _calls(content: Any) -> Iterable[tuple[str, str]]:
    """Id and name of each call of a tool; streams repeat both with each piece of it."""
    for place, block in enumerate(items(content)[:128]):
        parts = members(block)
        if parts.get("type") == "tool_call":
            name = text(parts.get("raw_name")) or text(parts.get("name")) or "unknown"
            yield text(parts.get("id")) or str(place), name


class _Fold:
    """Chunks, and a plain answer as the only one: of each fact the last counts."""

    __slots__ = ("_called", "_found")

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}
        self._called: dict[str, str] = {}

    def add(self, chunk: Any, /) -> None:
        body = members(chunk)
        take(self._found, body, _ANSWER)
        if (usage := body.get("usage")) is not None:
            take(self._found, members(usage), _USAGE)
        if (served := _provider(body.get("raw_usage"))) is not None:
            self._found[semconv.RESPONSE_PROVIDER] = served
        for known, name in _calls(body.get("content")):
            if len(self._called) < 128 and self._called.get(known, "unknown") == "unknown":
                self._called[known] = name
        if failure := body.get("error"):
            self._found[semconv.ERROR_TYPE] = error_type(failure)

    def attributes(self) -> Attributes:
        found = dict(self._found)
        add_called(found, self._called.values())
        return found


def _response(answer: Any) -> Attributes:
    fold = _Fold()
    fold.add(answer)
    return fold.attributes()


def _failure(error: BaseException) -> Attributes:
    """The gateway's status, and what it says of the attempts that failed, in the one string of its
    error."""
    found: dict[str, Any] = {}
    status = count(getattr(error, "status_code", None))
    if status is not None and 400 <= status < 600:
        found[semconv.ERROR_TYPE] = str(status)
    stated = getattr(error, "text", None)
    if not isinstance(stated, str) or len(stated) > _LONGEST:
        return found
    try:
        message = members(json.loads(stated)).get("error")
    except (ValueError, RecursionError):
        return found
    shown: Any = {"body": {"message": message}}
    return {**found, **failure(shown)}


INFERENCE = Surface(
    "chat",
    request=_request,
    response=_response,
    fold=_Fold,
    failure=_failure,
    dials=Dials(
        model="model_name",
        limits=(("params", "chat_completion", "max_tokens"),),
        tools=("additional_tools", "provider_tools", "tool_choice", "parallel_tool_calls"),
        unused={"tool_choice": "off"},
        talk=("input", "messages"),
    ),
)
