"""What Logfire's own instrumentation of SDKs writes of a stream: a span as it begins, a log as it
ends. (foreign names)

https://github.com/pydantic/logfire/blob/main/logfire/_internal/integrations/llm_providers/llm_provider.py
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan import semconv

__all__ = ["begins_stream", "is_note", "noted_s"]

Attributes = Mapping[str, Any]

_TYPE, _LEVEL = "logfire.span_type", "logfire.level_num"
_ASKED = "request_data"
"""On all of their spans of models, and on no others."""
_ERROR = 17
"""https://logfire.pydantic.dev/docs/how-to-guides/convert-to-opentelemetry/"""
_FOREVER_S = 1e9
_STREAMED = frozenset({"chat", "text_completion"})


def is_note(attributes: Attributes) -> bool:
    """Whether this is a log: it was written at one moment, of something that had ended then."""
    return attributes.get(_TYPE) == "log"


def noted_s(attributes: Attributes) -> float | None:
    """How long it took to read the stream that a log tells of, in seconds."""
    lasted = attributes.get("duration")
    return lasted if isinstance(lasted, float) and 0 <= lasted < _FOREVER_S else None


def begins_stream(attributes: Attributes) -> bool:
    """Whether this is the span around a request for a stream, which ends before the first chunk.

    It tells nothing of the answer; a log does, when the stream has been read or dropped. What was
    answered at once has an id, what failed a level.
    """
    if _ASKED not in attributes or attributes.get(_TYPE) != "span":
        return False
    if semconv.RESPONSE_ID in attributes or attributes.get(semconv.OPERATION) not in _STREAMED:
        return False
    level = attributes.get(_LEVEL)
    return not (isinstance(level, int) and level >= _ERROR)
