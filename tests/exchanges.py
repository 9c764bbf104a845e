"""Captured exchanges made by hand, for tests of what reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tollspan import wirefile
from tollspan.wirefile import Exchange

__all__ = ["made", "made_id", "sse", "stored"]


def made_id(number: int) -> str:
    return f"20261121T1200{number // 10:02d}{number % 10}00000-{number:012x}"


def made(number: int = 0, **lines: Any) -> Exchange:
    """An exchange of a chat: `head`, `request`, `response` and `end` change these lines, `text` or
    `pieces` are what came, `headers` are of the response."""
    head = {
        "kind": "exchange",
        "version": 1,
        "id": made_id(number),
        "time": f"2026-11-21T12:00:{number // 10:02d}.{number % 10}00000Z",
        "trace_id": f"{1:032x}",
        "span_id": f"{2:016x}",
        "request_id": f"request-{number}",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "rules_id": "rules",
        "key_id": "",
        **lines.get("head", {}),
    }
    body = lines.get("body", {"model": "gpt-4o-mini", "messages": []})
    request = {
        "kind": "request",
        "method": "POST",
        "url": "http://127.0.0.1:1/v1/chat/completions",
        "headers": [["content-type", "application/json"]],
        "body": body if isinstance(body, str) else json.dumps(body),
        "size": 2,
        **lines.get("request", {}),
    }
    pieces = lines.get("pieces", [(0.1, lines.get("text", "{}"))])
    size = sum(len(text.encode("utf-8", "surrogateescape")) for _, text in pieces)
    response = {
        "kind": "response",
        "offset_s": 0.1,
        "status": 200,
        "headers": [["content-type", "application/json"]],
        "size": size,
        **(lines.get("response") or {}),
    }
    chunks = [{"kind": "chunk", "offset_s": at_s, "text": text} for at_s, text in pieces]
    end = {"kind": "end", "offset_s": 0.2, "how": "complete", "error": None, "masked": {}}
    none = lines.get("response", ...) is None
    return Exchange(
        head["id"],
        head,
        request,
        None if none else response,
        [] if none else chunks,
        {**end, "size": size, **lines.get("end", {})},
    )


def sse(*events: Any, done: int = 1) -> str:
    """Events as a provider streams them."""
    parts = [each if isinstance(each, str) else f"data: {json.dumps(each)}\n\n" for each in events]
    return "".join(parts) + "data: [DONE]\n\n" * done


def stored(folder: Path, *exchanges: Exchange) -> Path:
    """Write them to `folder`."""
    place = wirefile.usable(folder)
    for each in exchanges:
        lines = [each.head, each.request, each.response, *each.chunks, each.end]
        wirefile.write(place, each.id, [line for line in lines if line])
    return place
