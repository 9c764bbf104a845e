"""What a call used, read from attributes: unit of the price book to quantity.

Units and their nesting: https://github.com/pydantic/genai-prices (`data_units.py`).
`input_tokens` includes what was read from and written to a cache, audio and images;
`output_tokens` includes reasoning, audio and images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tollspan import semconv
from tollspan.remembered import Remembered

__all__ = ["Counts", "counts", "estimated", "units_of"]

Counts = dict[str, "int | Fraction"]
"""Unit of the book (`input_tokens`, `cache_read_tokens`, …) to what was used of it."""

UNITS: tuple[tuple[str, str], ...] = (
    (semconv.INPUT_TOKENS, "input_tokens"),
    (semconv.OUTPUT_TOKENS, "output_tokens"),
    (semconv.CACHE_READ_TOKENS, "cache_read_tokens"),
    (semconv.CACHE_WRITE_TOKENS, "cache_write_tokens"),
    (semconv.CACHE_WRITE_5M_TOKENS, "cache_write_5m_tokens"),
    (semconv.CACHE_WRITE_1H_TOKENS, "cache_write_1h_tokens"),
    (semconv.REASONING_TOKENS, "output_reasoning_tokens"),
    (semconv.AUDIO_INPUT_TOKENS, "input_audio_tokens"),
    (semconv.AUDIO_OUTPUT_TOKENS, "output_audio_tokens"),
    (semconv.AUDIO_CACHE_READ_TOKENS, "cache_audio_read_tokens"),
    (semconv.IMAGE_INPUT_TOKENS, "input_image_tokens"),
    (semconv.IMAGE_OUTPUT_TOKENS, "output_image_tokens"),
    (semconv.WEB_SEARCHES, "web_searches"),
    (semconv.FILE_SEARCHES, "storage_searches"),
    (semconv.CODE_RUNS, "code_executions"),
    (semconv.OTHER_FEES, "other_fees"),
    (semconv.INPUT_CHARACTERS, "input_characters"),
    (semconv.SEARCH_UNITS, "rerank_searches"),
    (semconv.DOCUMENT_PAGES, "input_document_pages"),
    (semconv.ANNOTATED_PAGES, "input_annotated_document_pages"),
    # Cohere bills fewer tokens than it uses: what is billed goes before what was used.
    (semconv.BILLED_INPUT_TOKENS, "input_tokens"),
    (semconv.BILLED_OUTPUT_TOKENS, "output_tokens"),
)
_ESTIMATED = (
    (semconv.ESTIMATED_INPUT_TOKENS, "input_tokens"),
    (semconv.ESTIMATED_OUTPUT_TOKENS, "output_tokens"),
)

_RESTATED = (
    (semconv.RESTATED_INPUT_TOKENS, "input_tokens"),
    (semconv.RESTATED_OUTPUT_TOKENS, "output_tokens"),
)
_HUGEST = 2**63 - 1


def counts(attributes: Mapping[str, Any], *, restated: bool = False) -> Counts:
    """The quantities that `attributes` state; a unit that they do not state is absent, not 0.

    With `restated`, those that stand under `tollspan.restated.` count too.
    """
    found: Counts = {}
    rows, is_plain = _UNITS_OF[tuple(attributes)]
    for name, unit in rows:
        stated = attributes[name]
        if type(stated) is int and 0 <= stated <= _HUGEST:
            found[unit] = stated
        elif stated is not None and (value := _whole(stated)) is not None:
            found[unit] = value
    if is_plain and not restated:
        return found
    if restated:
        for name, unit in _RESTATED:
            if name in attributes and (value := _whole(attributes[name])) is not None:
                found.setdefault(unit, value)
    if "cache_write_tokens" not in found and not _CACHE_WRITES.isdisjoint(attributes):
        _add_cache_writes(found, attributes)
    if semconv.BILLED_INPUT_TOKENS in attributes:
        found.pop("cache_read_tokens", None)  # nobody says how many of the billed ones are cached
    if semconv.AUDIO_INPUT_SECONDS in attributes:
        seconds = _seconds(attributes[semconv.AUDIO_INPUT_SECONDS])
        if seconds is not None:
            found["audio_seconds"] = found["input_audio_seconds"] = seconds
    return found


def units_of(names: tuple[str, ...]) -> tuple[tuple[tuple[str, str], ...], bool]:
    """The rows of `UNITS` for attributes of these `names`, and whether those rows are all that is to
    be looked at: spans have few shapes."""
    rows = tuple(row for row in UNITS if row[0] in names)
    return rows, _FURTHER.isdisjoint(names)


_UNITS_OF = Remembered(units_of, 1024)


_CACHE_WRITES = frozenset(
    {
        semconv.CACHE_CREATION_TOKENS,
        semconv.CACHE_WRITE_5M_TOKENS,
        semconv.CACHE_WRITE_1H_TOKENS,
    }
)
_FURTHER = _CACHE_WRITES | {semconv.BILLED_INPUT_TOKENS, semconv.AUDIO_INPUT_SECONDS}
"""What more than one unit is read from."""


def estimated(attributes: Mapping[str, Any]) -> Counts:
    """The token counts that `attributes` only estimate; empty where nothing of an answer was seen."""
    found: Counts = {
        unit: value for name, unit in _ESTIMATED if (value := _whole(attributes.get(name)))
    }
    return found if "output_tokens" in found else {}


def _add_cache_writes(found: Counts, attributes: Mapping[str, Any]) -> None:
    value = _whole(attributes.get(semconv.CACHE_CREATION_TOKENS))
    if value is None:
        parts = ("cache_write_5m_tokens", "cache_write_1h_tokens")
        stated = [found[part] for part in parts if part in found]
        if not stated:
            return
        found["cache_write_tokens"] = sum(stated)
    else:
        found["cache_write_tokens"] = value


def _whole(value: Any) -> int | None:
    if type(value) is int:
        return value if 0 <= value <= _HUGEST else None
    if type(value) is float and 0 <= value <= _HUGEST and value.is_integer():
        return int(value)
    return None


def _seconds(value: Any) -> Fraction | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if not math.isfinite(value) or not 0 <= value <= _HUGEST:
        return None
    return Fraction(Decimal(repr(value)))
