"""As much of a chat completion as is read when its call is settled: all that it states, nothing that it
says. What is nested is copied, for the answer is the caller's by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._read import items, members
from ._tools import name_of

__all__ = ["glance"]

_PARTS = ("prompt_tokens_details", "completion_tokens_details", "server_tool_use")


def glance(answer: Any) -> Mapping[str, Any]:
    """An answer without what it says, for `response` to read when the caller has it already, and may
    have changed it."""
    body = {**members(answer)}
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
