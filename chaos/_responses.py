"""OpenAI responses. https://platform.openai.com/docs/api-reference/responses"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._reply import Event, Reply
from ._wire import openai_error

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def response_id(reply: Reply) -> str:
    return f"resp_{reply.token}"


def service_tier(reply: Reply) -> str:
    return reply.service_tier or "default"


def body(reply: Reply) -> dict[str, Any]:
    reason = _INCOMPLETE.get(reply.finish)
    return {
        **_head(reply),
        "status": "incomplete" if reason else "completed",
        "incomplete_details": {"reason": reason} if reason else None,
        "output": [
            *_reasoning(reply),
            *([_message(reply, "incomplete" if reason else "completed")] if reply.pieces else []),
            *(_function_call(*each) for each in reply.tool_calls),
        ],
        "usage": usage(reply),
    }


def events(reply: Reply) -> list[Event]:
    started = {**_head(reply), "status": "in_progress", "output": [], "usage": None}
    found: list[tuple[dict[str, Any], bool]] = [
        ({"type": "response.created", "response": started}, False),
        ({"type": "response.in_progress", "response": started}, False),
    ]
    for item in _reasoning(reply):
        for step in ("added", "done"):
            place = {"type": f"response.output_item.{step}", "output_index": 0, "item": item}
            found.append((place, False))
    first = len(_reasoning(reply))
    if reply.pieces:
        found += _text(reply, first)
    for index, each in enumerate(reply.tool_calls, first + bool(reply.pieces)):
        found += _called(index, *each)
    final = body(reply)
    found.append(({"type": f"response.{final['status']}", "response": final}, False))
    return [
        Event({**data, "sequence_number": number}, data["type"], piece)
        for number, (data, piece) in enumerate(found)
    ]


def _text(reply: Reply, index: int) -> list[tuple[dict[str, Any], bool]]:
    """The events of the message item: opened, each piece, closed."""
    where = {"output_index": index, "item_id": _item_id(reply)}
    inside = {**where, "content_index": 0}
    empty = {**_message(reply, "in_progress"), "content": []}
    full = _message(reply, "completed")
    part = full["content"][0]
    opened: list[dict[str, Any]] = [
        {"type": "response.output_item.added", "output_index": index, "item": empty},
        {"type": "response.content_part.added", **inside, "part": {**part, "text": ""}},
    ]
    pieces = [
        {"type": "response.output_text.delta", **inside, "delta": piece, "logprobs": []}
        for piece in reply.pieces
    ]
    closed: list[dict[str, Any]] = [
        {"type": "response.output_text.done", **inside, "text": reply.text, "logprobs": []},
        {"type": "response.content_part.done", **inside, "part": part},
        {"type": "response.output_item.done", "output_index": index, "item": full},
    ]
    return [
        *((data, False) for data in opened),
        *((data, True) for data in pieces),
        *((data, False) for data in closed),
    ]


def _called(index: int, call: str, name: str, given: str) -> list[tuple[dict[str, Any], bool]]:
    """The events of a function call: opened, its arguments, closed."""
    item = _function_call(call, name, given)
    opened = {**item, "arguments": "", "status": "in_progress"}
    where = {"output_index": index, "item_id": item["id"]}
    kind = "response.function_call_arguments"
    done = {"type": f"{kind}.done", **where, "arguments": given, "name": name}
    return [
        ({"type": "response.output_item.added", "output_index": index, "item": opened}, False),
        ({"type": f"{kind}.delta", **where, "delta": given}, True),
        (done, False),
        ({"type": "response.output_item.done", "output_index": index, "item": item}, False),
    ]


def error(code: int, fields: Mapping[str, Any], request_id: str) -> dict[str, Any]:
    return openai_error(code, fields)


def error_event(fields: Mapping[str, Any], request_id: str) -> Event:
    return Event({"type": "error", **openai_error(500, fields)}, "error")


def usage(reply: Reply) -> dict[str, Any]:
    used = reply.usage
    found: dict[str, Any] = {
        "input_tokens": used.input_tokens,
        "input_tokens_details": {
            "cached_tokens": used.cache_read_tokens,
            **({"cache_write_tokens": used.cache_write_tokens} if used.cache_write_tokens else {}),
        },
        "output_tokens": used.output_tokens,
        "output_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
        "total_tokens": used.input_tokens + used.output_tokens,
    }
    if reply.cost is not None:
        found["cost"] = float(reply.cost)
    return found


def _item_id(reply: Reply) -> str:
    return f"msg_{reply.token}"


def _message(reply: Reply, status: str) -> dict[str, Any]:
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": reply.text}
    return {
        "id": _item_id(reply),
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [part],
    }


def _function_call(call: str, name: str, given: str) -> dict[str, Any]:
    return {
        "id": f"fc_{call}",
        "type": "function_call",
        "status": "completed",
        "call_id": call,
        "name": name,
        "arguments": given,
    }


def _reasoning(reply: Reply) -> list[dict[str, Any]]:
    if not reply.usage.reasoning_tokens:
        return []
    return [{"id": f"rs_{reply.token}", "type": "reasoning", "summary": []}]


def _head(reply: Reply) -> dict[str, Any]:
    request = reply.request
    return {
        "id": response_id(reply),
        "object": "response",
        "created_at": reply.created_s,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": request.get("max_output_tokens"),
        "metadata": {},
        "model": reply.model,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": service_tier(reply),
        "store": True,
        "temperature": 1.0,
        "text": request.get("text") or {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "user": None,
    }
