"""Protocol buffer messages of Vertex AI's own SDK, as the JSON that they stand for.

Only fields that are set are there, so that 0, which is how an absent number reads, is no count; and
of content only what has names. https://googleapis.dev/python/protobuf/latest/google/protobuf/message.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ._read import get, items

__all__ = ["camel", "plain"]

_CONTENT = frozenset(
    {"text", "inlineData", "fileData", "args", "response", "description", "parameters"}
    | {
        "logprobsResult",
        "safetyRatings",
        "citationMetadata",
        "groundingChunks",
        "groundingSupports",
    }
    | {"thoughtSignature", "executableCode", "codeExecutionResult", "searchEntryPoint"}
)
_DEEPEST = 8


def plain(message: Any, depth: int = 0) -> Any:
    """`message` (an object of the SDK, a proto-plus one, or what is inside) as JSON; other values
    as they are."""
    for inner in ("_raw_response", "_raw_generation_config", "_raw_tool", "_pb"):
        if (found := getattr(message, inner, None)) is not None:
            message = found
    if not hasattr(message, "ListFields"):
        return message
    if depth == _DEEPEST:
        return None
    return {
        field.json_name: _value(value, depth)
        for field, value in message.ListFields()
        if field.json_name not in _CONTENT
    }


def _value(value: Any, depth: int) -> Any:
    if hasattr(value, "ListFields"):
        return plain(value, depth + 1)
    if isinstance(value, (str, bytes, int, float)) or not hasattr(value, "__len__"):
        return value
    if hasattr(value, "items"):
        return None  # a map: content
    return [plain(each, depth + 1) for each in value]


def camel(config: Any) -> Any:
    """A dict with the names that Python has for fields (`top_k`) as one with JSON's (`topK`)."""
    if not isinstance(config, Mapping):
        return plain(config)
    return {
        re.sub(r"_([a-z])", lambda found: found[1].upper(), key): value
        for key, value in config.items()
        if isinstance(key, str)
    }


def definitions(tools: Any) -> list[Any]:
    """What `tools` of a request define."""
    return [plain(tool) for tool in items(tools)]


def first(given: Mapping[str, Any], name: str) -> Any:
    """An argument, or the model's own where there is none."""
    return given.get(name) or get(given.get("self"), f"_{name}")
