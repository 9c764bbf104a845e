"""The moderations wire. Free of charge: it states no usage.

Shapes: https://github.com/openai/openai-python/blob/main/src/openai/types/moderation_create_response.py
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan import semconv

from ._read import Rule, members, take, text
from ._spec import Attributes, Surface

_REQUEST: tuple[Rule, ...] = (("model", semconv.REQUEST_MODEL, text),)
_ANSWER: tuple[Rule, ...] = (
    ("id", semconv.RESPONSE_ID, text),
    ("model", semconv.RESPONSE_MODEL, text),
)


def _request(body: Mapping[str, Any]) -> Attributes:
    found: dict[str, Any] = {}
    take(found, members(body), _REQUEST)
    return found


def _response(answer: Any) -> Attributes:
    found: dict[str, Any] = {}
    take(found, members(answer), _ANSWER)
    return found


MODERATIONS = Surface("moderation", request=_request, response=_response)
