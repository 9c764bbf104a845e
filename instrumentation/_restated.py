"""What a call inside another call says of usage: the same counts, under names that nobody sums."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan import calls, semconv

__all__ = ["counted_by_library", "restated"]

_RENAMED = {
    semconv.INPUT_TOKENS: semconv.RESTATED_INPUT_TOKENS,
    semconv.OUTPUT_TOKENS: semconv.RESTATED_OUTPUT_TOKENS,
    semconv.COST_REPORTED: semconv.RESTATED_COST,
}
_PARTS = frozenset(
    name
    for name in semconv.ATTRIBUTES
    if name.startswith(("gen_ai.usage.", "tollspan.usage.")) and name not in _RENAMED
)
_RENAMED |= {
    name: semconv.RESTATED_PREFIX + name.removeprefix("gen_ai.usage.").removeprefix("tollspan.")
    for name in _PARTS
}


def restated(known: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """`known` split in two: usage and cost as stated, and everything as a restated span has it."""
    usage = {name: value for name, value in known.items() if name in _RENAMED or name in _PARTS}
    return usage, {_RENAMED.get(name, name): value for name, value in known.items()}


def counted_by_library(known: Mapping[str, Any], inner: calls.OpenCall) -> bool:
    """Whether `known` has token counts that the answer inside did not state.

    LiteLLM counts words itself where a stream states no usage, and does not say so.
    """
    if semconv.OUTPUT_TOKENS not in known or inner.attributes.get(semconv.STATUS) != "success":
        return False
    stated = inner.usage
    return semconv.OUTPUT_TOKENS not in stated or bool(stated.get(semconv.USAGE_UNTRUSTED))
