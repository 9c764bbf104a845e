"""OpenAI chat completions. https://platform.openai.com/docs/api-reference/chat"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._reply import Event, Reply, Usage
from ._wire import openai_error


def response_id(reply: Reply) -> str:
    return f"chatcmpl-{reply.token}"


def service_tier(reply: Reply) -> str:
    return reply.service_tier or "default"


def finish(reply: Reply) -> str:
    return "tool_calls" if reply.tool_calls and reply.finish == "stop" else reply.finish


def body(reply: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": reply.text if reply.pieces else None,
        "refusal": None,
        "annotations": [],
    }
    if reply.tool_calls:
        message["tool_calls"] = [_tool_call(*each) for each in reply.tool_calls]
    choice = {"message": message, "logprobs": None, "finish_reason": finish(reply)}
    return {
        **_head(reply, "chat.completion"),
        "choices": [{"index": index, **choice} for index in range(_choices(reply))],
        "usage": usage(reply),
    }


def events(reply: Reply) -> list[Event]:
    """Chunks by choice in turn; usage in a chunk of its own where the request asks for it."""
    options = reply.request.get("stream_options")
    asked = isinstance(options, dict) and options.get("include_usage") is True
    head = _head(reply, "chat.completion.chunk")

    def chunk(index: int, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
        made = {**head, "choices": [choice]}
        return {**made, "usage": None} if asked else made

    indexes = range(_choices(reply))
    start = {"role": "assistant", "content": "", "refusal": None}
    found = [Event(chunk(index, start)) for index in indexes]
    for piece in reply.pieces:
        found += [Event(chunk(index, {"content": piece}), piece=index == 0) for index in indexes]
    for place, (call, name, given) in enumerate(reply.tool_calls):
        opened = {"index": place, **_tool_call(call, name, "")}
        filled = {"index": place, "function": {"arguments": given}}
        for delta in (opened, filled):
            found += [
                Event(chunk(index, {"tool_calls": [delta]}), piece=index == 0 and delta is filled)
                for index in indexes
            ]
    found += [Event(chunk(index, {}, finish(reply))) for index in indexes]
    if asked:
        found.append(Event({**head, "choices": [], "usage": usage(reply)}))
    return [*found, Event("[DONE]")]


def error(code: int, fields: Mapping[str, Any], request_id: str) -> dict[str, Any]:
    return openai_error(code, fields)


def error_event(fields: Mapping[str, Any], request_id: str) -> Event:
    return Event(openai_error(500, fields))


def usage(reply: Reply) -> dict[str, Any]:
    used: Usage = reply.usage
    found: dict[str, Any] = {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.input_tokens + used.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": used.cache_read_tokens,
            "audio_tokens": 0,
            **({"cache_write_tokens": used.cache_write_tokens} if used.cache_write_tokens else {}),
        },
        "completion_tokens_details": {
            "reasoning_tokens": used.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    if reply.cost is not None:
        found["cost"] = float(reply.cost)
    return found


def _tool_call(call: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": call, "type": "function", "function": {"name": name, "arguments": arguments}}


def _head(reply: Reply, kind: str) -> dict[str, Any]:
    return {
        "id": response_id(reply),
        "object": kind,
        "created": reply.created_s,
        "model": reply.model,
        "service_tier": service_tier(reply),
        "system_fingerprint": "fp_chaos",
    }


def _choices(reply: Reply) -> int:
    asked = reply.request.get("n")
    return asked if isinstance(asked, int) and 1 <= asked <= 128 else 1
