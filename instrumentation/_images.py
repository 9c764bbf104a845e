"""The images wire: generations, edits, variations.

Shapes: https://github.com/openai/openai-python/blob/main/src/openai/types/images_response.py,
.../image_gen_completed_event.py
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan import semconv

from ._chat_completions import several
from ._last_usage import last_usage
from ._read import Rule, members, take, text, true
from ._responses import read_usage
from ._spec import Attributes, Surface

_REQUEST: tuple[Rule, ...] = (
    ("model", semconv.REQUEST_MODEL, text),
    ("n", semconv.REQUEST_CHOICE_COUNT, several),
    ("stream", semconv.REQUEST_STREAM, true),
)
_ANSWER: tuple[Rule, ...] = (("model", semconv.RESPONSE_MODEL, text),)


def _request(body: Mapping[str, Any]) -> Attributes:
    found: dict[str, Any] = {semconv.OUTPUT_TYPE: "image"}
    take(found, members(body), _REQUEST)
    return found


def _response(answer: Any) -> Attributes:
    found: dict[str, Any] = {}
    body = members(answer)
    take(found, body, _ANSWER)
    if (usage := body.get("usage")) is not None:
        read_usage(found, usage)
    return found


IMAGES = Surface(
    "image_generation", request=_request, response=_response, fold=last_usage(_response)
)
