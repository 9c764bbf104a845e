"""The chat completions wire, spoken by OpenAI, Azure, gateways and most other providers.

Shapes: https://github.com/openai/openai-python/blob/main/src/openai/types/chat/chat_completion.py,
.../chat_completion_chunk.py, .../completion_usage.py
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tollspan import semconv
from tollspan.config import settings

from ._chat_glance import Plain, glance, read
from ._chat_usage import ANSWER, read_usage
from ._estimate import estimate_input, estimating
from ._gateway_facts import tell
from ._read import (
    Rule,
    by_keys,
    count,
    get,
    items,
    members,
    number,
    take,
    text,
    texts,
    true,
    whole,
)
from ._spec import Attributes, Dials, Surface
from ._tools import add_called, add_sent, name_of


def several(value: Any) -> int | None:
    """A number of answers, where it is not the usual one."""
    asked = count(value)
    return None if asked == 1 else asked


def output_type(value: Any) -> str | None:
    """`response_format` or the like as `gen_ai.output.type`."""
    kind = text(value) or text(value, "type")
    if kind in ("json_object", "json_schema", "json"):
        return "json"
    return "text" if kind == "text" else None


def _spoken(modalities: Any) -> str | None:
    return "speech" if "audio" in items(modalities) else None


def effort(value: Any) -> str | None:
    """How much to think, out of `reasoning`, `output_config` or the like."""
    return text(value, "effort")


def inner_format(value: Any) -> str | None:
    """The output type that `text` or `output_config` holds."""
    return output_type(members(value).get("format"))


_REQUEST: tuple[Rule, ...] = (
    ("model", semconv.REQUEST_MODEL, text),
    ("max_tokens", semconv.REQUEST_MAX_TOKENS, count),
    ("max_completion_tokens", semconv.REQUEST_MAX_TOKENS, count),
    ("temperature", semconv.REQUEST_TEMPERATURE, number),
    ("top_p", semconv.REQUEST_TOP_P, number),
    ("top_k", semconv.REQUEST_TOP_K, number),
    ("frequency_penalty", semconv.REQUEST_FREQUENCY_PENALTY, number),
    ("presence_penalty", semconv.REQUEST_PRESENCE_PENALTY, number),
    ("seed", semconv.REQUEST_SEED, whole),
    ("n", semconv.REQUEST_CHOICE_COUNT, several),
    ("stop", semconv.REQUEST_STOP_SEQUENCES, texts),
    ("stream", semconv.REQUEST_STREAM, true),
    ("modalities", semconv.OUTPUT_TYPE, _spoken),
    ("response_format", semconv.OUTPUT_TYPE, output_type),
    ("service_tier", semconv.OPENAI_REQUEST_SERVICE_TIER, text),
    ("reasoning", semconv.REQUEST_REASONING_LEVEL, effort),
    ("reasoning_effort", semconv.REQUEST_REASONING_LEVEL, text),
)

_asked, _answered = by_keys(_REQUEST), by_keys(ANSWER)


def request(body: Mapping[str, Any]) -> Attributes:
    found: dict[str, Any] = {}
    asked = members(body)
    take(found, asked, _asked(tuple(asked)))
    if (tools := asked.get("tools")) is not None:
        add_sent(found, tools)
    if settings().estimate_usage:
        estimate_input(found, asked)
    return found


def response(answer: Any) -> Attributes:
    if type(answer) is Plain:
        return read(answer)
    found: dict[str, Any] = {}
    body = members(answer)
    take(found, body, _answered(tuple(body)))
    reasons: list[str] = []
    called: list[Any] = []
    choices = items(body.get("choices"))
    for each in choices if len(choices) <= 128 else choices[:128]:
        choice = members(each)
        if reason := text(choice.get("finish_reason")):
            reasons.append(reason)
        if tools := members(choice.get("message")).get("tool_calls"):
            called += items(tools)
    if reasons:
        found[semconv.FINISH_REASONS] = reasons
    if called:
        add_called(found, map(name_of, called))
    if (usage := body.get("usage")) is not None:
        read_usage(found, usage)
    tell(found, body)
    if failure := body.get("error"):
        found[semconv.ERROR_TYPE] = error_type(failure)
    return found


def error_type(failure: Any) -> str:
    """What an `error` object inside a successful answer names; OpenRouter writes numbers."""
    code = get(failure, "code")
    return text(code) or str(count(code) or "") or text(failure, "type") or "error"


class ChoicesFold:
    """Chunks of choices: the first name and id, the last usage, finish reasons by choice index."""

    __slots__ = ("_called", "_found", "_named", "_reasons", "_usage", "error")

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}
        self._named = False
        self._usage: Any = None
        self._reasons: dict[int, str] = {}
        self._called: dict[tuple[int, str | int], str] = {}
        """Names of called tools by choice and id or place; some repeat them in every chunk."""
        self.error: str | None = None
        """What failed inside the stream, as `error.type`."""

    def add(self, chunk: Any, /) -> None:
        # Nearly every chunk is one piece of text; it leaves here after four look-ups.
        try:
            if self._named and chunk.usage is None:
                (choice,) = chunk.choices
                if choice.finish_reason is None and choice.delta.tool_calls is None:
                    return
        except (AttributeError, TypeError, ValueError):
            pass
        self._read(members(chunk))

    def _read(self, chunk: Mapping[str, Any]) -> None:
        found: dict[str, Any] = {}
        take(found, chunk, ANSWER)
        tell(found, chunk)
        tier = found.get(semconv.SERVICE_TIER)
        self._found = {**found, **self._found}
        if tier is not None:  # the first chunks may name a tier that was only asked for
            self._found[semconv.SERVICE_TIER] = tier
        usage = chunk.get("usage")
        if usage is None and (groq := chunk.get("x_groq")) is not None:
            usage = members(groq).get("usage")
        if usage is not None and members(usage):
            self._usage = usage
        for place, choice in enumerate(items(chunk.get("choices"))[:128]):
            # Azure opens with a chunk of filter results: no choice, and an empty id and model.
            self._named = True
            parts = members(choice)
            stated = count(parts.get("index"))
            index = place if stated is None else stated
            reason = text(parts.get("finish_reason"))
            if reason and (index in self._reasons or len(self._reasons) < 128):
                self._reasons[index] = reason
            if calls := items(members(parts.get("delta")).get("tool_calls")):
                self._note_calls(index, calls)
        if failure := chunk.get("error"):
            self.error = error_type(failure)

    def _note_calls(self, choice: int, calls: Sequence[Any]) -> None:
        for place, call in enumerate(calls):
            held = members(call)
            which: str | int | None = text(held.get("id"))
            if which is None:
                if text(held.get("function"), "name") is None:
                    continue  # more of the arguments of a call that is known
                which = count(held.get("index"))
            if len(self._called) < 1024:
                self._called.setdefault((choice, place if which is None else which), name_of(call))

    def attributes(self) -> Attributes:
        found = dict(self._found)
        add_called(found, self._called.values())
        if self._reasons:
            found[semconv.FINISH_REASONS] = [reason for _, reason in sorted(self._reasons.items())]
        if self._usage is not None:
            read_usage(found, self._usage)
        if self.error is not None:
            found[semconv.ERROR_TYPE] = self.error
        return found


DIALS = Dials(
    limits=(("max_tokens",), ("max_completion_tokens",)),
    tools=("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"),
    # https://platform.openai.com/docs/api-reference/chat/create#chat-create-tool_choice
    unused={"tool_choice": "none"},
)

CHAT = Surface(
    "chat",
    request=request,
    response=response,
    fold=estimating(ChoicesFold),
    tells_usage_asked=True,
    dials=DIALS,
    glance=glance,
)
