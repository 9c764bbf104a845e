"""Makes a call cheaper before it leaves: another model, a shorter answer, no tools.

Works where the surface shows its body: the clients of openai and anthropic and of their many likes.
The caller's own objects stay as they are. Tools of a conversation that has used some stay declared,
which the providers ask for, and may not be used any more:
https://platform.openai.com/docs/api-reference/chat/create#chat-create-tool_choice
https://docs.claude.com/en/api/messages#body-tool-choice
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan import semconv
from tollspan.calls import OpenCall

from .budgets_actions import Degrade

__all__ = ["degrade"]

_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_NEW_LIMIT = {"chat_completions": "max_completion_tokens", "responses": "max_output_tokens"}
_OWN_HOSTS = ("openai", "azure.ai.openai")
"""Providers that know `max_completion_tokens`; others that speak their wire may not."""
_TOOLS = ("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call")
_TOOL_WORDS = frozenset(
    {"tool", "tool_use", "tool_result", "function_call", "function_call_output", "mcp_call"}
)


def degrade(call: OpenCall, wanted: Degrade) -> bool:
    """Have `call` ask for less; whether anything is other than the caller wanted it."""
    sending = call.sending
    if sending is None:
        return False
    body = sending.body
    changed = dict(body)
    if wanted.model is not None and "model" in body:
        changed["model"] = wanted.model
    if wanted.max_tokens is not None:
        _shorten(changed, wanted.max_tokens, call.attributes)
    if wanted.no_tools and (body.get("tools") or body.get("functions")):
        _without_tools(changed, call.attributes)
    if changed == body:
        return False
    asked = call.attributes.get(semconv.REQUEST_MODEL)
    if not sending.send(changed):
        return False
    if changed.get("model") != body.get("model") and isinstance(asked, str):
        call.attributes[semconv.BUDGET_MODEL_ASKED] = asked
    return True


def _shorten(body: dict[str, Any], most: int, known: Mapping[str, Any]) -> None:
    stated = [name for name in _LIMITS if isinstance(body.get(name), int)]
    for name in stated:
        body[name] = min(body[name], most)
    thinking = body.get("thinking")
    if isinstance(thinking, Mapping) and isinstance(thinking.get("budget_tokens"), int):
        # It must be less than the answer, and no less than 1024 tokens.
        if body.get("max_tokens", 0) <= 1024:
            body["thinking"] = {"type": "disabled"}
        else:
            room = min(thinking["budget_tokens"], body["max_tokens"] - 1)
            body["thinking"] = {**thinking, "budget_tokens": room}
    if stated or known.get(semconv.OPERATION) not in ("chat", "text_completion"):
        return
    name = _NEW_LIMIT.get(str(known.get(semconv.OPENAI_API)), "max_tokens")
    if name == "max_completion_tokens" and known.get(semconv.PROVIDER) not in _OWN_HOSTS:
        name = "max_tokens"
    body[name] = most


def _without_tools(body: dict[str, Any], known: Mapping[str, Any]) -> None:
    if not _has_used_tools(body.get("messages") or body.get("input")):
        for name in _TOOLS:
            body.pop(name, None)
    elif known.get(semconv.OPENAI_API) == "messages":
        body["tool_choice"] = {"type": "none"}
    else:
        body["tool_choice"] = "none"
        body.pop("function_call", None)


def _has_used_tools(messages: Any) -> bool:
    if not isinstance(messages, list):
        return False
    for message in messages:
        if not isinstance(message, Mapping):
            return True  # an object of the SDK: nobody here looks into it
        if message.get("tool_calls") or message.get("role") in _TOOL_WORDS:
            return True
        if message.get("type") in _TOOL_WORDS:
            return True
        content = message.get("content")
        if isinstance(content, list) and any(
            not isinstance(part, Mapping) or part.get("type") in _TOOL_WORDS for part in content
        ):
            return True
    return False
