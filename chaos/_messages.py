"""Anthropic messages. https://docs.claude.com/en/api/messages

On this wire `input_tokens` leaves out what was read from the cache and written to it; everywhere
else in this package it is all input.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ._reply import Event, Reply
from ._wire import anthropic_error

_STOP = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}


def response_id(reply: Reply) -> str:
    return f"msg_{reply.token}"


def service_tier(reply: Reply) -> str:
    return reply.service_tier or "standard"


def body(reply: Reply) -> dict[str, Any]:
    return {
        **_head(reply),
        "content": [*_text(reply), *(_tool_use(*each) for each in reply.tool_calls)],
        "stop_reason": _stop_reason(reply),
        "usage": {**_input_usage(reply), **_output_usage(reply)},
    }


def events(reply: Reply) -> list[Event]:
    start = {
        **_head(reply),
        "content": [],
        "stop_reason": None,
        "usage": {**_input_usage(reply), "output_tokens": 1},
    }
    end = {
        "delta": {"stop_reason": _stop_reason(reply), "stop_sequence": None},
        "usage": {
            **{key: value for key, value in _input_usage(reply).items() if key in _REPEATED},
            **_output_usage(reply),
        },
    }
    found: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "ping"},
        *_blocks(reply),
        {"type": "message_delta", **end},
        {"type": "message_stop"},
    ]
    return [
        Event(data, str(data["type"]), piece=data["type"] == "content_block_delta")
        for data in found
    ]


def _stop_reason(reply: Reply) -> str:
    return "tool_use" if reply.tool_calls and reply.finish == "stop" else _STOP[reply.finish]


def _text(reply: Reply) -> list[dict[str, Any]]:
    return [{"type": "text", "text": reply.text}] if reply.pieces else []


def _tool_use(call: str, name: str, given: str) -> dict[str, Any]:
    try:
        arguments = json.loads(given)
    except ValueError:
        arguments = {}
    return {"type": "tool_use", "id": f"toolu_{call}", "name": name, "input": arguments}


def _blocks(reply: Reply) -> list[dict[str, Any]]:
    """The events of each content block: opened, each piece, closed."""
    found: list[dict[str, Any]] = []

    def block(opened: dict[str, Any], deltas: list[dict[str, Any]], index: int) -> None:
        where = {"index": index}
        found.append({"type": "content_block_start", **where, "content_block": opened})
        found.extend({"type": "content_block_delta", **where, "delta": delta} for delta in deltas)
        found.append({"type": "content_block_stop", **where})

    if reply.pieces:
        pieces: list[dict[str, Any]] = [
            {"type": "text_delta", "text": each} for each in reply.pieces
        ]
        block({"type": "text", "text": ""}, pieces, 0)
    for index, (call, name, given) in enumerate(reply.tool_calls, bool(reply.pieces)):
        opened = {**_tool_use(call, name, ""), "input": {}}
        block(opened, [{"type": "input_json_delta", "partial_json": given}], index)
    return found


def error(code: int, fields: Mapping[str, Any], request_id: str) -> dict[str, Any]:
    return anthropic_error(code, fields, request_id)


def error_event(fields: Mapping[str, Any], request_id: str) -> Event:
    return Event(anthropic_error(529, fields, request_id), "error")


_REPEATED = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
"""What `message_delta` states again."""


def _input_usage(reply: Reply) -> dict[str, Any]:
    used = reply.usage
    return {
        "input_tokens": used.input_tokens - used.cache_read_tokens - used.cache_write_tokens,
        "cache_creation_input_tokens": used.cache_write_tokens,
        "cache_read_input_tokens": used.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": used.cache_write_tokens - used.cache_write_1h_tokens,
            "ephemeral_1h_input_tokens": used.cache_write_1h_tokens,
        },
        "service_tier": service_tier(reply),
    }


def _output_usage(reply: Reply) -> dict[str, Any]:
    found: dict[str, Any] = {"output_tokens": reply.usage.output_tokens}
    if reply.cost is not None:
        found["cost"] = float(reply.cost)
    return found


def _head(reply: Reply) -> dict[str, Any]:
    return {
        "id": response_id(reply),
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "stop_sequence": None,
    }
