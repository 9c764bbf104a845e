"""OpenAI embeddings. https://platform.openai.com/docs/api-reference/embeddings"""

from __future__ import annotations

import base64
import json
import math
import random
import struct
import zlib
from collections.abc import Mapping
from typing import Any

from ._reply import Event, Reply
from ._wire import openai_error

DIMENSIONS = 1536


def response_id(reply: Reply) -> None:
    """Embeddings have no id."""


def service_tier(reply: Reply) -> None:
    """Nor a tier."""


def body(reply: Reply) -> dict[str, Any]:
    request = reply.request
    size = request.get("dimensions")
    size = size if isinstance(size, int) and 1 <= size <= 4096 else DIMENSIONS
    packed = request.get("encoding_format") == "base64"
    vectors = (_vector(text, size) for text in _inputs(request.get("input")))
    return {
        "object": "list",
        "model": reply.model,
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": _packed(vector) if packed else vector,
            }
            for index, vector in enumerate(vectors)
        ],
        "usage": {
            "prompt_tokens": reply.usage.input_tokens,
            "total_tokens": reply.usage.input_tokens,
        },
    }


def events(reply: Reply) -> list[Event]:
    return []


def error(code: int, fields: Mapping[str, Any], request_id: str) -> dict[str, Any]:
    return openai_error(code, fields)


def error_event(fields: Mapping[str, Any], request_id: str) -> Event:
    return Event(openai_error(500, fields))


def _inputs(given: Any) -> list[Any]:
    """One entry per text: `input` is a text, texts, tokens of one text, or of several."""
    if isinstance(given, list) and given and not isinstance(given[0], int):
        return given
    return [given]


def _vector(text: Any, size: int) -> list[float]:
    """A unit vector; the same text has the same one."""
    source = random.Random(zlib.crc32(json.dumps(text).encode()))
    numbers = [source.uniform(-1, 1) for _ in range(size)]
    length = math.sqrt(sum(number * number for number in numbers)) or 1.0
    return [number / length for number in numbers]


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
