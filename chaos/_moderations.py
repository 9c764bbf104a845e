"""OpenAI moderations, which are free. https://platform.openai.com/docs/api-reference/moderations

What is scripted to finish with `content_filter` is flagged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._reply import Event, Reply
from ._wire import openai_error

_CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)


def response_id(reply: Reply) -> str:
    return f"modr-{reply.token}"


def service_tier(reply: Reply) -> None:
    """Moderations have none."""


def body(reply: Reply) -> dict[str, Any]:
    given = reply.request.get("input")
    flagged = reply.finish == "content_filter"
    guilty = _CATEGORIES[0] if flagged else ""
    result = {
        "flagged": flagged,
        "categories": {name: name == guilty for name in _CATEGORIES},
        "category_scores": {name: 0.9 if name == guilty else 0.0 for name in _CATEGORIES},
        "category_applied_input_types": {name: ["text"] for name in _CATEGORIES},
    }
    count = len(given) if isinstance(given, list) else 1
    return {"id": response_id(reply), "model": reply.model, "results": [result] * count}


def events(reply: Reply) -> list[Event]:
    return []


def error(code: int, fields: Mapping[str, Any], request_id: str) -> dict[str, Any]:
    return openai_error(code, fields)


def error_event(fields: Mapping[str, Any], request_id: str) -> Event:
    return Event(openai_error(500, fields))
