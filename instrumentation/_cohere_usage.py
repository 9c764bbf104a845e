"""What Cohere states of usage: the tokens that were used, and the fewer that are billed.

Shapes: https://github.com/cohere-ai/cohere-python/blob/main/src/cohere/types/usage.py,
.../api_meta.py, .../api_meta_billed_units.py
Cohere adds a prompt of its own, which is used but not billed: https://docs.cohere.com/docs/how-does-cohere-pricing-work
"""

from __future__ import annotations

from typing import Any

from tollspan import semconv

from ._read import Rule, count, members, some, take

__all__ = ["read_usage"]


def _whole(value: Any) -> int | None:
    """A count, which the SDK has as a float."""
    if isinstance(value, float) and value.is_integer():
        return count(int(value))
    return count(value)


def _some(value: Any) -> int | None:
    return some(_whole(value))


_TOKENS: tuple[Rule, ...] = (
    ("input_tokens", semconv.INPUT_TOKENS, _whole),
    ("output_tokens", semconv.OUTPUT_TOKENS, _whole),
)
_BILLED: tuple[Rule, ...] = (
    ("input_tokens", semconv.BILLED_INPUT_TOKENS, _whole),
    ("output_tokens", semconv.BILLED_OUTPUT_TOKENS, _whole),
    ("search_units", semconv.SEARCH_UNITS, _some),
    ("classifications", semconv.CLASSIFICATIONS, _some),
    ("pages", semconv.DOCUMENT_PAGES, _some),
    ("image_tokens", semconv.IMAGE_INPUT_TOKENS, _some),
)
_USAGE: tuple[Rule, ...] = (("cached_tokens", semconv.CACHE_READ_TOKENS, _whole),)


def read_usage(found: dict[str, Any], usage: Any) -> None:
    """Both counts; where only the billed one is stated, as for embeddings, it is what was used."""
    parts = members(usage)
    billed = members(parts.get("billed_units"))
    take(found, billed, _BILLED)
    take(found, members(parts.get("tokens")), _TOKENS)
    take(found, parts, _USAGE)
    for name, stated in (
        (semconv.INPUT_TOKENS, semconv.BILLED_INPUT_TOKENS),
        (semconv.OUTPUT_TOKENS, semconv.BILLED_OUTPUT_TOKENS),
    ):
        if name not in found and stated in found:
            found[name] = found[stated]
