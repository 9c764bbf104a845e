"""The embeddings wire.

Shapes: https://github.com/openai/openai-python/blob/main/src/openai/types/create_embedding_response.py
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan import semconv

from ._chat_completions import response
from ._read import Rule, members, take, text, texts
from ._spec import Attributes, Surface

_REQUEST: tuple[Rule, ...] = (
    ("model", semconv.REQUEST_MODEL, text),
    ("encoding_format", semconv.REQUEST_ENCODING_FORMATS, texts),
)


def _request(body: Mapping[str, Any]) -> Attributes:
    found: dict[str, Any] = {}
    take(found, members(body), _REQUEST)
    return found


EMBEDDINGS = Surface("embeddings", request=_request, response=response)
