"""The Converse wire of Bedrock: one for all its chat models, whole or as an event stream.

Shapes: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html,
.../API_runtime_ConverseStream.html, .../API_runtime_TokenUsage.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tollspan import semconv

from ._bedrock_models import asked_model, named_model
from ._guardrails import add_intervention
from ._read import Rule, count, get, items, members, number, some, take, text, texts
from ._spec import Attributes, Dials, Surface
from ._tools import add_called, add_sent

__all__ = [
    "CONVERSE",
    "CONVERSE_STREAM",
    "COUNT_TOKENS",
    "ROUTED",
    "SETTINGS",
    "ConverseFold",
    "add_answer",
    "add_retries",
    "failure",
    "message_of",
]

SETTINGS: tuple[Rule, ...] = (
    ("maxTokens", semconv.REQUEST_MAX_TOKENS, count),
    ("temperature", semconv.REQUEST_TEMPERATURE, number),
    ("topP", semconv.REQUEST_TOP_P, number),
    ("topK", semconv.REQUEST_TOP_K, number),
    ("stopSequences", semconv.REQUEST_STOP_SEQUENCES, texts),
)
"""`inferenceConfig`; `topK` is Nova's own."""

_FIELDS: tuple[Rule, ...] = (
    ("top_k", semconv.REQUEST_TOP_K, number),
    ("topK", semconv.REQUEST_TOP_K, number),
    ("reasoning_effort", semconv.REQUEST_REASONING_LEVEL, text),
)
"""`additionalModelRequestFields`, in the model's own spelling."""

_USAGE: tuple[Rule, ...] = (
    ("outputTokens", semconv.OUTPUT_TOKENS, count),
    # The models' own names, which Nova's bodies have.
    ("cacheReadInputTokenCount", semconv.CACHE_READ_TOKENS, count),
    ("cacheWriteInputTokenCount", semconv.CACHE_WRITE_TOKENS, count),
    ("cacheReadInputTokens", semconv.CACHE_READ_TOKENS, count),
    ("cacheWriteInputTokens", semconv.CACHE_WRITE_TOKENS, count),
)

_WRITES = {"5m": semconv.CACHE_WRITE_5M_TOKENS, "1h": semconv.CACHE_WRITE_1H_TOKENS}


def _json_asked(config: Any) -> str | None:
    return "json" if get(config, "textFormat", "type") == "json_schema" else None


def _request(given: Mapping[str, Any]) -> dict[str, Any]:
    asked = members(members(given).get("api_params"))
    found: dict[str, Any] = {semconv.OPENAI_API: "converse", **asked_model(asked.get("modelId"))}
    take(found, asked, _ASKED)
    take(found, members(asked.get("inferenceConfig")), SETTINGS)
    take(found, members(asked.get("additionalModelRequestFields")), _FIELDS)
    tools = items(asked.get("toolConfig"), "tools")
    add_sent(found, [spec for each in tools if (spec := members(each).get("toolSpec"))])
    return found


_ASKED: tuple[Rule, ...] = (("outputConfig", semconv.OUTPUT_TYPE, _json_asked),)


def _stream_request(given: Mapping[str, Any]) -> Attributes:
    return {**_request(given), semconv.REQUEST_STREAM: True}


def _response(answer: Any) -> Attributes:
    found: dict[str, Any] = {}
    body = members(answer)
    add_answer(found, body)
    add_retries(found, body)
    return found


def add_retries(found: dict[str, Any], answer: Any) -> None:
    """How often the SDK sent the request, which counts where nothing of ours saw it."""
    again = count(members(members(answer).get("ResponseMetadata")).get("RetryAttempts"))
    if again is not None and again < 1000:
        found[semconv.APP_ATTEMPTS] = again + 1


def add_answer(found: dict[str, Any], body: Mapping[str, Any]) -> None:
    """An answer, or the parts of one that the events of a stream held."""
    reason = text(body.get("stopReason"))
    if reason is not None:
        found[semconv.FINISH_REASONS] = [reason]
    if (usage := body.get("usage")) is not None:
        _read_usage(found, members(usage))
    take(found, body, _SERVED)
    trace = members(body.get("trace"))
    take(found, trace, ROUTED)
    add_called(found, _called(items(body.get("output"), "message", "content")))
    if reason == "guardrail_intervened":
        add_intervention(found, trace.get("guardrail"))
    elif reason == "content_filtered":
        found[semconv.BLOCKED_BY] = "model"


def _tier(value: Any) -> str | None:
    return text(value, "type")


def _latency(value: Any) -> str | None:
    return text(value, "latency")


def _invoked(router: Any) -> str | None:
    stated = text(router, "invokedModelId")
    return named_model(stated) if stated is not None else None


# Both of these have prices of their own.
_SERVED: tuple[Rule, ...] = (
    ("serviceTier", semconv.SERVICE_TIER, _tier),
    ("performanceConfig", semconv.SPEED, _latency),
)
ROUTED: tuple[Rule, ...] = (("promptRouter", semconv.RESPONSE_MODEL, _invoked),)
"""In a trace: the model that a prompt router chose."""


def _called(content: Any) -> list[str]:
    uses = [members(each).get("toolUse") for each in content]
    return [text(use, "name") or "unknown" for use in uses if use is not None]


def _read_usage(found: dict[str, Any], usage: Mapping[str, Any]) -> None:
    """Token counts. `inputTokens` leaves cached ones out; the conventions count all."""
    take(found, usage, _USAGE)
    for each in items(usage.get("cacheDetails")):
        detail = members(each)
        name = _WRITES.get(text(detail.get("ttl")) or "")
        if name is not None and (written := some(detail.get("inputTokens"))) is not None:
            found[name] = written
    if (fresh := count(usage.get("inputTokens"))) is None:
        return
    read = found.get(semconv.CACHE_READ_TOKENS) or 0
    written = found.get(semconv.CACHE_WRITE_TOKENS) or 0
    if (asked := count(fresh + read + written)) is not None:
        found[semconv.INPUT_TOKENS] = asked
    answered, total = found.get(semconv.OUTPUT_TOKENS), count(usage.get("totalTokens"))
    if read or written or answered is None or total is None:
        return
    if total > fresh + answered:
        # An SDK from before caching takes the cached tokens out of the answer, not of its total.
        found[semconv.INPUT_TOKENS] = total - answered
        found[semconv.USAGE_UNTRUSTED] = True


def message_of(event: Any) -> tuple[str, Mapping[str, Any]]:
    """Kind and content of a message of an event stream; an exception is `!` and its name."""
    headers = members(get(event, "headers"))
    for name in (":exception-type", ":error-code"):
        if (failed := text(headers.get(name))) is not None:
            return f"!{failed}", {}
    kind = text(headers.get(":event-type")) or ""
    return kind, _parsed(get(event, "payload")) if kind in _TOLD else {}


_TOLD = frozenset({"contentBlockStart", "messageStop", "metadata", "chunk"})
"""Events that say more than a piece of the answer; only these are parsed."""


def _parsed(payload: Any) -> Mapping[str, Any]:
    try:
        return members(json.loads(payload))
    except (ValueError, TypeError, RecursionError):
        return {}


class ConverseFold:
    """`messageStop` has the reason, `metadata` the usage; the last of each counts."""

    __slots__ = ("_called", "_found", "_told", "error")

    def __init__(self) -> None:
        self._told: dict[str, Any] = {}
        self._called: list[str] = []
        self._found: dict[str, Any] = {}
        self.error: str | None = None
        """What failed inside the stream, as `error.type`."""

    def opened(self, answer: Any) -> None:
        add_retries(self._found, members(answer))

    def add(self, event: Any, /) -> None:
        kind, parts = message_of(event)
        if kind.startswith("!"):
            self.error = kind[1:]
        elif parts:
            self.tell(kind, parts)

    def tell(self, kind: str, parts: Mapping[str, Any]) -> None:
        """An event by its name, whatever it was wrapped in."""
        if kind == "contentBlockStart":
            if (use := get(parts.get("start"), "toolUse")) is not None and len(self._called) < 1024:
                self._called.append(text(use, "name") or "unknown")
        elif kind in ("messageStop", "metadata"):
            self._told.update({key: value for key, value in parts.items() if value is not None})

    def attributes(self) -> Attributes:
        found = dict(self._found)
        add_answer(found, self._told)
        add_called(found, self._called)
        if self.error is not None:
            found[semconv.ERROR_TYPE] = self.error
        return found


def failure(error: BaseException) -> Attributes:
    """`error.type` where the exception's class is the general one: the service's own code."""
    found: dict[str, Any] = {}
    if type(error).__name__ in ("ClientError", "EventStreamError"):
        code = text(get(error, "response", "Error", "Code"))
        if code is not None:
            found[semconv.ERROR_TYPE] = code
    add_retries(found, members(get(error, "response")))
    return found


def _counted(answer: Any) -> Attributes:
    """Nothing: what was counted was not used, and counting is free."""
    return {}


def _stream_of(answer: Any) -> Any:
    return get(answer, "stream")


DIALS = Dials(
    model="modelId",
    limits=(("inferenceConfig", "maxTokens"),),
    tools=("toolConfig",),  # it knows no choice of none
    thinking=("additionalModelRequestFields", "thinking"),
)

CONVERSE = Surface("chat", request=_request, response=_response, failure=failure, dials=DIALS)
CONVERSE_STREAM = Surface(
    "chat",
    request=_stream_request,
    response=_response,
    fold=ConverseFold,
    holds=_stream_of,
    failure=failure,
    dials=DIALS,
)
COUNT_TOKENS = Surface("count_tokens", request=_request, response=_counted, failure=failure)
