"""OpenAI's older text completions. https://platform.openai.com/docs/api-reference/completions"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import _chat
from ._reply import Event, Reply

service_tier = _chat.service_tier
error = _chat.error
error_event = _chat.error_event


def response_id(reply: Reply) -> str:
    return f"cmpl-{reply.token}"


def body(reply: Reply) -> dict[str, Any]:
    return {**_chunk(reply, reply.text, reply.finish), "usage": _chat.usage(reply)}


def events(reply: Reply) -> list[Event]:
    """One chunk a piece; usage in a chunk of its own where the request asks for it."""
    options = reply.request.get("stream_options")
    found = [Event(_chunk(reply, piece, None), piece=True) for piece in reply.pieces]
    found.append(Event(_chunk(reply, "", reply.finish)))
    if isinstance(options, Mapping) and options.get("include_usage") is True:
        last = {**_chunk(reply, "", None), "choices": [], "usage": _chat.usage(reply)}
        found.append(Event(last))
    return [*found, Event("[DONE]")]


def _chunk(reply: Reply, text: str, finish: str | None) -> dict[str, Any]:
    return {
        "id": response_id(reply),
        "object": "text_completion",
        "created": reply.created_s,
        "model": reply.model,
        "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": finish}],
    }
