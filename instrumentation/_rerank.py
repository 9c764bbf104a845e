"""The rerank wire, as Cohere made it and Together speaks it: documents put in order for a query.

Shapes: https://github.com/cohere-ai/cohere-python/blob/main/src/cohere/types/rerank_response.py,
https://github.com/togethercomputer/together-py/blob/main/src/together/types/rerank_create_response.py
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan import semconv

from ._chat_completions import response
from ._read import Rule, members, take, text
from ._spec import Attributes, Surface

__all__ = ["RERANK", "request"]

_REQUEST: tuple[Rule, ...] = (("model", semconv.REQUEST_MODEL, text),)


def request(body: Mapping[str, Any]) -> Attributes:
    found: dict[str, Any] = {}
    take(found, members(body), _REQUEST)
    return found


RERANK = Surface("rerank", request=request, response=response)
"""With usage in tokens, if any; Cohere's own bills search units (`_cohere_usage.py`)."""
