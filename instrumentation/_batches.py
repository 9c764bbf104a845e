"""OpenAI's batches: many answers, given later at half the price, seen when the batch is fetched.

The sum of what they used stands on the batch itself, for batches made since September 2025:
https://github.com/openai/openai-python/blob/main/src/openai/types/batch.py
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan import semconv

from ._read import Rule, count, members, take, text
from ._responses import read_usage
from ._spec import Attributes, Surface

__all__ = ["BATCH"]

_BATCH: tuple[Rule, ...] = (
    ("id", semconv.RESPONSE_ID, text),
    ("model", semconv.RESPONSE_MODEL, text),
)
_ENDED = ("completed", "expired", "cancelled")
"""What was answered until then is billed."""


def _unasked(body: Mapping[str, Any]) -> Attributes:
    """Nothing: what was asked stands in a file."""
    return {}


def _batch(answer: Any) -> Attributes:
    body = members(answer)
    if body.get("status") not in _ENDED:
        return {}
    found: dict[str, Any] = {semconv.SERVICE_TIER: "batch"}
    read_usage(found, body.get("usage"))
    if not found.get(semconv.INPUT_TOKENS):
        return {}
    take(found, body, _BATCH)
    found[semconv.ANSWERS_SUMMED] = count(members(body.get("request_counts")).get("completed"))
    return found


BATCH = Surface("batch", request=_unasked, response=_batch, heard=True)
