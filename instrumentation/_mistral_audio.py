"""Mistral's transcriptions, paid by the second of sound that the usage states.

Shapes: https://github.com/mistralai/client-python/blob/main/src/mistralai/client/models/transcriptionresponse.py,
.../transcriptionstreamdone.py
"""

from __future__ import annotations

from typing import Any

from tollspan import semconv

from ._audio import TRANSCRIPTION as PLAIN
from ._events import inside
from ._last_usage import last_usage
from ._mistral_chat import read_usage, streamed
from ._read import Rule, members, take, text
from ._spec import Attributes, Surface

__all__ = ["TRANSCRIPTION", "TRANSCRIPTION_STREAM"]

_ANSWER: tuple[Rule, ...] = (("model", semconv.RESPONSE_MODEL, text),)


def _response(answer: Any) -> Attributes:
    found: dict[str, Any] = {}
    body = members(answer)
    take(found, body, _ANSWER)
    read_usage(found, body.get("usage"))
    return found


TRANSCRIPTION = Surface("transcription", request=PLAIN.request, response=_response)
TRANSCRIPTION_STREAM = Surface(
    "transcription",
    request=streamed(PLAIN.request),
    response=_response,
    fold=inside(last_usage(_response)),
)
