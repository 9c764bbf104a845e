"""Requests that ask for less: another model, a shorter answer, no tools.

Pure: a body comes in, another goes out, and the caller's own objects stay as they are. Which keys say
what, each wire declares (`Dials`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan import semconv
from tollspan.calls import Less

from ._read import get, items, members, text
from ._spec import Dials

__all__ = ["cheaper"]

_OWN_HOSTS = ("openai", "azure.ai.openai")
"""Providers that know `max_completion_tokens`; others that speak their wire may not."""
_LEAST_THINKING = 1024
"""Tokens: https://docs.claude.com/en/docs/build-with-claude/extended-thinking"""
_TOOL_WORDS = frozenset(
    {"tool", "tool_use", "tool_result", "function_call", "function_call_output", "mcp_call"}
    | {"tool_call", "ROLE_TOOL"}
)
_TOOL_KEYS = ("toolUse", "toolResult", "functionCall", "functionResponse", "tool_calls")
"""In a message or in a part of one: Converse, generateContent, and the others."""

Body = dict[str, Any]


def cheaper(
    body: Mapping[str, Any], wanted: Less, dials: Dials, known: Mapping[str, Any]
) -> Mapping[str, Any]:
    """`body`, asking for less; what this wire cannot say stays as it was.

    `known`: attributes of the call.
    """
    changed = dict(body)
    if (
        wanted.model is not None
        and dials.model in body
        and dials.fits(body[dials.model], wanted.model)
    ):
        changed[dials.model] = wanted.model
    if wanted.max_tokens is not None:
        _shorten(changed, wanted.max_tokens, dials, known)
    if wanted.no_tools and any(body.get(name) for name in dials.tools):
        _drop_tools(changed, dials)
    return changed


def _shorten(body: Body, most: int, dials: Dials, known: Mapping[str, Any]) -> None:
    stated = [path for path in dials.limits if _limit(get(body, *path))]
    for path in stated:
        _put(body, path, min(get(body, *path), most))
    if not stated and dials.limits:
        first = dials.limits[0]
        api, provider = known.get(semconv.OPENAI_API), known.get(semconv.PROVIDER)
        if api == "chat_completions" and provider in _OWN_HOSTS:
            first = ("max_completion_tokens",)
        _put(body, first, most)
    if dials.thinking:
        _think_less(body, dials)


def _limit(value: Any) -> bool:
    """Ollama's negative ones mean that there is none."""
    return type(value) is int and value > 0


def _think_less(body: Body, dials: Dials) -> None:
    """Thinking costs no fewer than some tokens, and fewer than the whole answer."""
    stated = get(body, *dials.thinking, "budget_tokens")
    if not isinstance(stated, int):
        return
    whole = next((each for path in dials.limits if _limit(each := get(body, *path))), 0)
    if whole <= _LEAST_THINKING:
        _put(body, dials.thinking, {"type": "disabled"})
    else:
        _put(body, (*dials.thinking, "budget_tokens"), min(stated, whole - 1))


def _put(body: Body, path: tuple[str, ...], value: Any) -> None:
    """Set what is at `path`, with copies of all that stands on the way. Where an object of the SDK
    stands there, nothing is set: it is the caller's."""
    *way, last = path
    here = body
    for key in way:
        found = here.get(key)
        if found is not None and not isinstance(found, Mapping):
            return
        here[key] = here = dict(found or {})
    here[last] = value


def _drop_tools(body: Body, dials: Dials) -> None:
    if not body.get("tool_results") and not _has_used_tools(get(body, *dials.talk)):
        for name in dials.tools:
            body.pop(name, None)
    elif dials.unused is not None:
        body.update(dials.unused)
        body.pop("function_call", None)


def _has_used_tools(talk: Any) -> bool:
    return any(_is_of_tools(members(message)) for message in items(talk))


def _is_of_tools(message: Mapping[str, Any]) -> bool:
    if any(message.get(key) for key in _TOOL_KEYS):
        return True
    if {text(message.get("role")), text(message.get("type"))} & _TOOL_WORDS:
        return True
    parts = (*items(message.get("content")), *items(message.get("parts")))
    return any(_is_of_tools(members(part)) for part in parts)
