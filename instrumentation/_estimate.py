"""How much a stream that states no usage seems to have used, where the user wants to be told.

A guess by length: four bytes of UTF-8 to a token, which is about right for the usual tokenizers in
English, high in Cyrillic, low in Chinese, and blind to reasoning that is not shown. It never stands
under a name that states usage. Of the request only its length is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tollspan import semconv
from tollspan.config import settings

from ._read import items, members
from ._spec import Attributes, Fold

__all__ = ["estimate_input", "estimating"]

_BYTES = 4
"""Of UTF-8 to a token."""

_TEXTS = ("content", "reasoning_content", "reasoning", "refusal", "text")


def estimating(fold: Callable[[], Fold]) -> Callable[[], Fold]:
    """Makes folds as `fold` does, that also measure what they are shown if the settings say so."""

    def made() -> Fold:
        return _Measuring(fold()) if settings().estimate_usage else fold()

    return made


class _Measuring:
    """A fold around another: adds an estimate where the other finds no usage."""

    __slots__ = ("_bytes", "_fold")

    def __init__(self, fold: Fold) -> None:
        self._fold = fold
        self._bytes = 0

    def add(self, chunk: Any, /) -> None:
        self._fold.add(chunk)
        parts = members(chunk)
        self._bytes += _length(parts.get("delta"))  # an event of the responses wire
        for choice in items(parts.get("choices")):
            said = members(choice)
            self._bytes += _length(said.get("text")) + _said(members(said.get("delta")))

    def attributes(self) -> Attributes:
        found = dict(self._fold.attributes())
        if self._bytes and semconv.OUTPUT_TOKENS not in found:
            found[semconv.ESTIMATED_OUTPUT_TOKENS] = -(-self._bytes // _BYTES)
        return found


def _said(message: Mapping[str, Any]) -> int:
    total = sum(_length(message.get(name)) for name in _TEXTS)
    for call in items(message.get("tool_calls")):
        function = members(members(call).get("function"))
        total += _length(function.get("name")) + _length(function.get("arguments"))
    return total


def _length(value: Any) -> int:
    """Bytes of a string; 0 for anything else."""
    if not isinstance(value, str):
        return 0
    return len(value) if value.isascii() else len(value.encode("utf-8", "replace"))


def estimate_input(found: dict[str, Any], body: Mapping[str, Any]) -> None:
    """Add to `found` the tokens that a request seems to hold, if it is text throughout."""
    if not settings().estimate_usage:
        return
    length = _asked(body)
    if length:
        found[semconv.ESTIMATED_INPUT_TOKENS] = -(-length // _BYTES)


def _asked(body: Mapping[str, Any]) -> int | None:
    """Bytes of the text in a request; None where an image, a sound or a file is in it."""
    total = _length(body.get("prompt")) + _length(body.get("instructions"))
    total += _length(body.get("input"))
    for message in (*items(body.get("messages")), *items(body.get("input"))):
        held = members(message)
        total += _said(held)
        for part in items(held.get("content")):
            shown = members(part)
            if shown.get("type") not in ("text", "input_text", "output_text", "refusal"):
                return None
            total += _length(shown.get("text")) + _length(shown.get("refusal"))
    if tools := items(body.get("tools")):
        try:
            total += len(json.dumps(tools))
        except (TypeError, ValueError, RecursionError):
            return None
    return total
