"""What guardrails of Bedrock did, as Converse and InvokeModel say it.

https://docs.aws.amazon.com/bedrock/latest/userguide/guardrails-use-converse-api.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tollspan import semconv

from ._read import items, members

__all__ = ["add_intervention"]


def add_intervention(found: dict[str, Any], trace: Any) -> None:
    """Add to `found`, which has the usage, who blocked a call in which a guardrail intervened.

    `trace` is what it says of itself, where that was asked for: then an answer in which it only
    masked words is none that was blocked. A prompt that was blocked was read by no model; the
    usage says so too, with zeros.
    """
    stated = members(trace)
    before = [*_actions(stated.get("inputAssessment")), *_actions(stated.get("input"))]
    after = [*_actions(stated.get("outputAssessments")), *_actions(stated.get("outputs"))]
    if (before or after) and "BLOCKED" not in (*before, *after):
        return
    found[semconv.BLOCKED_BY] = "model"
    used = found.get(semconv.INPUT_TOKENS), found.get(semconv.OUTPUT_TOKENS)
    if any(used) or "BLOCKED" in after:
        found[semconv.BLOCKED_STAGE] = "after"
    elif "BLOCKED" in before or used == (0, 0):
        found[semconv.BLOCKED_STAGE] = "before"


def _actions(value: Any, depth: int = 6) -> Iterator[Any]:
    """Every `action` in an assessment: lists of findings, by policy, by guardrail."""
    if depth == 0:
        return
    if isinstance(value, dict):
        if "action" in value:
            yield value["action"]
        for inner in list(value.values())[:128]:
            yield from _actions(inner, depth - 1)
    else:
        for inner in items(value)[:128]:
            yield from _actions(inner, depth - 1)
