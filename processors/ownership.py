"""Who owns the tokens and the money of an answer that several spans describe.

The outermost span of ours does; every other span of the same answer is a restatement: it keeps its
numbers under `tollspan.restated.*`, names the owner, and carries no amount. So the sum over any
set of spans counts each answer once. What moves has standard or foreign names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tollspan import semconv

from .foreign import COSTS, standard
from .gateways import usd
from .settle import Settled, settle

__all__ = ["normalised", "owned", "priced", "restated"]

Attributes = Mapping[str, Any]

_USAGE = "gen_ai.usage."
_OTHERS = ("llm.token_count.", "llm.usage.", "llm.cost.", "gen_ai.cost.", "litellm.cost.")
_OURS = (
    "gen_ai.usage.cost.",
    "tollspan.cost.",
    "tollspan.waste_reason",
    "tollspan.unpriced_reason",
    "tollspan.price.",
)


def restated(attributes: Attributes, owner_span_id: int) -> dict[str, Any]:
    """`attributes` of a span whose answer `owner_span_id` owns: numbers moved, nothing to sum."""
    found: dict[str, Any] = {}
    amount = attributes.get(semconv.COST_AMOUNT)
    for name, value in standard(attributes).items():
        if name in COSTS:
            amount = value if amount is None else amount
        elif name.startswith(_OURS):
            continue
        elif name.startswith(_USAGE):
            found[semconv.RESTATED_PREFIX + name[len(_USAGE) :]] = value
        elif name.startswith(_OTHERS):
            found[semconv.RESTATED_PREFIX + name] = value
        else:
            found[name] = value
    if (cost := usd(amount)) is not None:
        found[semconv.RESTATED_COST] = float(cost)
    found[semconv.COST_ROLE] = "restated"
    found[semconv.OWNER_SPAN_ID] = f"{owner_span_id:016x}"
    return found


def owned(
    attributes: Attributes,
    attribution: Attributes,
    *,
    failed: bool = False,
    start_ns: int | None = None,
) -> dict[str, Any]:
    """`attributes` of a foreign span that owns its answer: normalised, attributed, priced.

    Args:
        attribution: who caused it, as it was when the span started.
        failed: the span's status is an error.
        start_ns: when it started, ns since the epoch.
    """
    found = normalised({**attribution, **attributes}, failed=failed)
    found.update(priced(found, start_ns=start_ns).attributes)
    return found


def normalised(attributes: Attributes, *, failed: bool) -> dict[str, Any]:
    """`attributes` of a foreign call in standard names, as `priced` takes them.

    What others say that it cost leaves the names that are summed.
    """
    found = standard(attributes)
    found.setdefault(
        semconv.STATUS, "error" if failed or semconv.ERROR_TYPE in found else "success"
    )
    stated = None
    for name in (semconv.COST_AMOUNT, *COSTS):
        value = found.pop(name, None)
        if not stated and (amount := usd(value)) is not None:
            stated = amount  # 0 is what many write who do not know
    billed = found.pop(semconv.COST_SOURCE, None) == "provider"
    found.pop(semconv.COST_CURRENCY, None)
    if stated is not None and billed:
        found[semconv.COST_REPORTED] = float(stated)
    elif stated:
        found[semconv.RESTATED_COST] = float(stated)
    return found


def priced(
    call: Attributes, attempts: Sequence[Attributes] = (), *, start_ns: int | None = None
) -> Settled:
    """Cost and path of a foreign call, given as `normalised`; see `settle` for the arguments."""
    settled = settle(call, attempts, start_ns=start_ns)
    own = settled.attributes
    stated = usd(call.get(semconv.RESTATED_COST))
    if stated and own.get(semconv.COST_GRADE) == "unpriced":
        # What another instrumentation derived is better than nothing, and no more than that.
        own.pop(semconv.UNPRICED_REASON, None)
        own |= {
            semconv.COST_AMOUNT: float(stated),
            semconv.COST_CURRENCY: "USD",
            semconv.COST_SOURCE: "local",
            semconv.COST_GRADE: "estimated",
            semconv.GRADE_REASON: "stated_by_other",
        }
        if semconv.WASTE_REASON in own:
            own[semconv.COST_WASTED] = float(stated)
    return settled
