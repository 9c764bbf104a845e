"""What the stage appends to a GenAI span of another instrumentation, and how to take it off again.

Such a span is forwarded at once, priced as if it stood alone: `tollspan.cost.role` is `unjoined`.
Whether another span owns the same answer is known only when the trace is, and then the ledger says
so, not the span. Whoever reads the span again reads it as it was before: the same span passes two
stages, or is folded again from storage, with the same result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan import semconv

__all__ = ["APPENDED", "UNJOINED", "before"]

UNJOINED = "unjoined"
"""Value of `tollspan.cost.role`."""

APPENDED = frozenset(
    {
        semconv.BLAME,
        semconv.BLAME_EVIDENCE,
        semconv.BLOCKED_BY,
        semconv.BLOCKED_STAGE,
        semconv.CACHE_HIT,
        semconv.COST_AMOUNT,
        semconv.COST_AVOIDED,
        semconv.COST_CHARGED,
        semconv.COST_CURRENCY,
        semconv.COST_DERIVED,
        semconv.COST_EXTRA,
        semconv.COST_EXTRA_REASON,
        semconv.COST_GRADE,
        semconv.COST_REPORTED,
        semconv.COST_ROLE,
        semconv.COST_SOURCE,
        semconv.COST_WASTED,
        semconv.FALLBACK,
        semconv.GRADE_REASON,
        semconv.HIDDEN_ATTEMPTS,
        semconv.HOP_COUNT,
        semconv.MODEL_DEPLOYMENT,
        semconv.MODEL_ROUTED,
        semconv.MODEL_SERVED,
        semconv.MODEL_SWAPPED,
        semconv.PRICE_VERSION,
        semconv.RETRY_AMPLIFICATION,
        semconv.ROUTE,
        semconv.STATUS,
        semconv.UNPRICED_REASON,
        semconv.UPSTREAM_ATTEMPTS,
        semconv.UPSTREAM_CONFIDENCE,
        semconv.USAGE_UNTRUSTED,
        semconv.WASTE_REASON,
    }
)
"""All that settling a call without attempts can add. Where the sender has written one of these
itself, it moves to the same name behind `tollspan.before.`."""


def before(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """`attributes` of an `unjoined` span without what the stage appended."""
    found: dict[str, Any] = {}
    for name, value in attributes.items():
        if name.startswith(semconv.BEFORE_PREFIX):
            found[name.removeprefix(semconv.BEFORE_PREFIX)] = value
        elif name not in APPENDED:
            found[name] = value
    return found
