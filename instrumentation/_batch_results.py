"""Anthropic's batches: what they used is stated in each line of their results, read when fetched.

https://github.com/anthropics/anthropic-sdk-python/blob/main/src/anthropic/types/messages/message_batch_individual_response.py
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tollspan import semconv

from ._messages import MESSAGES
from ._read import members
from ._spec import Attributes, Surface

__all__ = ["MESSAGE_RESULTS"]

_KINDS = (
    semconv.RESPONSE_MODEL,
    semconv.SERVICE_TIER,
    semconv.SPEED,
    semconv.INFERENCE_GEO,
)
"""What the price of a line depends on besides its tokens."""

_LONG = 200_000
"""Tokens of input from which some models are dearer; such lines are summed apart."""

_MOST = 256
"""Kinds kept apart."""


class _Results:
    """Lines of results: the sums of what answers of one kind used."""

    __slots__ = ("_sums",)

    def __init__(self) -> None:
        self._sums: dict[tuple[Any, ...], dict[str, Any]] = {}

    def add(self, line: Any, /) -> None:
        result = members(members(line).get("result"))
        if result.get("type") != "succeeded":
            return
        found: dict[str, Any] = dict(MESSAGES.response(result.get("message")))
        found.setdefault(semconv.SERVICE_TIER, "batch")
        kind = tuple(found.get(name) for name in _KINDS)
        size = found.get(semconv.INPUT_TOKENS, 0) > _LONG
        if (*kind, size) not in self._sums and len(self._sums) >= _MOST:
            return
        sums = self._sums.setdefault(
            (*kind, size),
            {name: value for name, value in zip(_KINDS, kind, strict=True) if value is not None},
        )
        sums[semconv.ANSWERS_SUMMED] = sums.get(semconv.ANSWERS_SUMMED, 0) + 1
        for name, value in found.items():
            if type(value) is int and name.startswith(("gen_ai.usage.", "tollspan.usage.")):
                sums[name] = sums.get(name, 0) + value

    def answers(self) -> Iterable[Attributes]:
        """One for each kind."""
        return list(self._sums.values())

    def attributes(self) -> Attributes:
        return {}


def _unasked(body: Mapping[str, Any]) -> Attributes:
    """Nothing: what was asked stands in a file."""
    return {}


MESSAGE_RESULTS = Surface(
    "batch", request=_unasked, response=lambda answer: {}, fold=_Results, heard=True
)
