"""A call of another tracer, seen through by the span of the gateway that carried it.

Such a tracer knows the alias that the application asked for, and nothing of what became of it: no
price book has `house-model`, and no path shows. The gateway's own span of the same answer, below it,
has both. The application stays the owner, with its service and its attribution.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan import semconv

from .known import Known, Part
from .ownership import ancestors

__all__ = ["fits", "is_of_gateway", "lenders", "states_usage", "through"]

_PATH = (
    semconv.CACHE_HIT,
    semconv.FALLBACK,
    semconv.GATEWAY_NAME,
    semconv.GATEWAY_REQUEST_ID,
    semconv.GATEWAY_VERSION,
    semconv.HIDDEN_ATTEMPTS,
    semconv.HOP_COUNT,
    semconv.MODEL_DEPLOYMENT,
    semconv.MODEL_ROUTED,
    semconv.MODEL_SERVED,
    semconv.MODEL_SWAPPED,
    semconv.RETRY_AMPLIFICATION,
    semconv.ROUTE,
    semconv.UPSTREAM_ATTEMPTS,
    semconv.UPSTREAM_CONFIDENCE,
)
_MONEY = (
    semconv.COST_AMOUNT,
    semconv.COST_AVOIDED,
    semconv.COST_CHARGED,
    semconv.COST_CURRENCY,
    semconv.COST_DERIVED,
    semconv.COST_GRADE,
    semconv.COST_REPORTED,
    semconv.COST_SOURCE,
    semconv.GRADE_REASON,
    semconv.PRICE_VERSION,
    semconv.UNPRICED_REASON,
)
_COUNTS = (semconv.INPUT_TOKENS, semconv.OUTPUT_TOKENS)


def lenders(spans: Mapping[str, Known], decided: Mapping[str, str]) -> dict[str, Known]:
    """By the id of a call that owns its answer without knowing its path: the call of the gateway
    nearest to it that does, and states the same usage.

    Args:
        spans: what is known of a trace, its calls settled.
        decided: by span id of each call the owner's.
    """
    found: dict[str, tuple[tuple[int, str], Known]] = {}
    for span_id, owner in decided.items():
        lender, borrower = spans[span_id], spans.get(owner)
        if owner == span_id or borrower is None or not fits(lender, borrower):
            continue
        above = ancestors(spans, span_id)
        if owner not in above:
            continue
        place = (above.index(owner), span_id)
        if owner not in found or place < found[owner][0]:
            found[owner] = place, lender
    return {owner: lender for owner, (_, lender) in found.items()}


def is_of_gateway(known: Known) -> bool:
    """Whether a call is told by a gateway that carried it, and not by who asked."""
    return semconv.GATEWAY_NAME in known.normalised


def states_usage(known: Known) -> bool:
    """Whether a call of another tracer says how many tokens it used."""
    return any(known.normalised.get(name) for name in _COUNTS)


def fits(lender: Known, borrower: Known) -> bool:
    """Whether a gateway's call tells of the same answer as another tracer's, and its path."""
    if lender.part != Part.FOREIGN or borrower.part != Part.FOREIGN:
        return False
    one, two = lender.settled, borrower.settled
    hops, known = one.get(semconv.HOP_COUNT), two.get(semconv.HOP_COUNT)
    return (
        isinstance(hops, int)
        and hops > 1
        and known in (None, 1)
        and semconv.COST_GRADE in one
        and states_usage(lender)
        and all(one.get(name) == two.get(name) for name in _COUNTS)
    )


def through(said: Mapping[str, Any], lender: Known) -> dict[str, Any]:
    """Attributes of a call with the path that its gateway tells.

    The gateway's money stands where the tracer knew no price, and where nobody was asked because the
    gateway had the answer.
    """
    lent = lender.settled
    found = dict(said)
    names: tuple[str, ...] = _PATH
    if said.get(semconv.UNPRICED_REASON) == "unknown_model" or lent.get(semconv.CACHE_HIT) is True:
        names = (*_PATH, *_MONEY)
        for name in _MONEY:
            found.pop(name, None)
    found |= {name: lent[name] for name in names if name in lent}
    return found
