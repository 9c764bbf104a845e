"""As much of a chat completion as is read when its call is settled: all that it states, nothing that it
says. What is nested is copied, for the answer is the caller's by then.

Nearly every answer has the keys of the one before and states numbers alone: of such a one the values are
taken in one go, and which attributes they become is known by its keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tollspan import semconv
from tollspan.remembered import Remembered

from ._chat_usage import ANSWER, INPUT, OUTPUT, USAGE, search_fee, with_reasoning
from ._gateway_facts import SHOWN_BY
from ._read import Rule, items, members, take_rows, text, values_of
from ._reported_cost import COSTS
from ._spec import Attributes
from ._tools import name_of

__all__ = ["Plain", "glance", "read"]

_PARTS = ("prompt_tokens_details", "completion_tokens_details", "server_tool_use")
_CLOSER = SHOWN_BY | {"error"}
_CLOSER_USAGE = COSTS | {"server_tool_use"}
"""What has these keys, even beside nothing, takes a closer look."""


class _Form:
    """What the keys of an answer and of its usage say: where the values are."""

    __slots__ = ("answered", "asked", "body", "rows", "usage")

    def __init__(self, tables: Sequence[tuple[Rule, ...]]) -> None:
        """`tables`: the rules that apply to the answer, its usage and both parts of that."""
        self.rows: tuple[Rule, ...] = sum(tables, ())
        self.body, self.usage, self.asked, self.answered = (
            values_of([key for key, _, _ in table]) for table in tables
        )


class Plain(tuple[_Form, tuple[Any, ...], Any, list[str]]):
    """A glance at an answer that states whole numbers and names: the values that the rules of a form
    have, the tokens as the answer counts them together, and why it ended."""

    __slots__ = ()


def glance(answer: Any) -> Plain | Mapping[str, Any]:
    """An answer without what it says, for `response` to read when the caller has it already, and may
    have changed it."""
    body = members(answer)
    choices = body.get("choices")
    if type(choices) is list and len(choices) == 1:
        usage = members(body.get("usage"))
        asked = members(usage.get("prompt_tokens_details"))
        answered = members(usage.get("completion_tokens_details"))
        choice = members(choices[0])
        form = _FORMS[tuple(body), tuple(usage), tuple(asked), tuple(answered)]
        if form is not None and not members(choice.get("message")).get("tool_calls"):
            values = (
                *form.body(body),
                *form.usage(usage),
                *form.asked(asked),
                *form.answered(answered),
            )
            reason = text(choice.get("finish_reason"))
            return Plain((form, values, usage.get("total_tokens"), [reason] if reason else []))
    return _copied(body)


def read(held: Plain) -> Attributes:
    """What `response` reads in an answer of which this is the glance."""
    form, values, total, reasons = held
    found: dict[str, Any] = {}
    take_rows(found, form.rows, values)
    if reasons:
        found[semconv.FINISH_REASONS] = reasons
    search_fee(found)
    with_reasoning(found, total)
    return found


def _form(named: tuple[tuple[Any, ...], ...]) -> _Form | None:
    """None for answers that take a closer look, whatever the values are."""
    body, usage, asked, _ = named
    if not usage:
        return None
    if not _CLOSER.isdisjoint(body) or not _CLOSER_USAGE.isdisjoint(usage):
        return None
    if "cache_creation_token_details" in asked:
        return None
    return _Form(
        [
            tuple(rule for rule in rules if rule[0] in keys)
            for rules, keys in zip((ANSWER, USAGE, INPUT, OUTPUT), named, strict=True)
        ]
    )


_FORMS = Remembered(_form, 256)


def _copied(answered: Mapping[str, Any]) -> Mapping[str, Any]:
    body = {**answered}
    if (usage := body.get("usage")) is not None:
        body["usage"] = counted = {**members(usage)}
        for name in _PARTS:
            if (part := counted.get(name)) is not None:
                counted[name] = {**members(part)}
    choices = items(body.get("choices"))
    body["choices"] = [
        _outcome(members(each)) for each in (choices if len(choices) <= 128 else choices[:128])
    ]
    return body


def _outcome(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    known = {"finish_reason": choice.get("finish_reason")}
    if tools := members(choice.get("message")).get("tool_calls"):
        called = [{"function": {"name": name_of(each)}} for each in items(tools)]
        known["message"] = {"tool_calls": called}
    return known
