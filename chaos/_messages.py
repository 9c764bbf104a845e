"""Anthropic messages. https://docs.claude.com/en/api/messages

On this wire `input_tokens` leaves out what was read from the cache and written to it; everywhere
else in this package it is all input.
"""

from __future__ import annotations

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
        "content": [{"type": "text", "text": reply.text}],
        "stop_reason": _STOP[reply.finish],
        "usage": {**_input_usage(reply), **_output_usage(reply)},
    }


def events(reply: Reply) -> list[Event]:
    start = {
        **_head(reply),
        "content": [],
        "stop_reason": None,
        "usage": {**_input_usage(reply), "output_tokens": 1},
    }
    block = {"type": "text", "text": ""}
    end = {
        "delta": {"stop_reason": _STOP[reply.finish], "stop_sequence": None},
        "usage": {
            **{key: value for key, value in _input_usage(reply).items() if key in _REPEATED},
            **_output_usage(reply),
        },
    }
    found: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "ping"},
        *(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": piece},
            }
            for piece in reply.pieces
        ),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", **end},
        {"type": "message_stop"},
    ]
    return [
        Event(data, str(data["type"]), piece=data["type"] == "content_block_delta")
        for data in found
    ]


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
