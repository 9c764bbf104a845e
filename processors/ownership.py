"""Who owns the tokens and the money of an answer that several spans describe.

The outermost span of ours does; every other span of the same answer is a restatement: it keeps its
numbers under `tollspan.restated.*`, names the owner, and carries no amount. So the sum over any
set of spans counts each answer once. What moves has standard or foreign names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tollspan import semconv

from .dialect_gateways import call_id, gateway_of, is_on_the_way
from .foreign import COSTS, standard
from .gateways import usd
from .settle import Settled, settle

__all__ = ["normalised", "owned", "priced", "restated", "restated_usage", "unrestated"]

Attributes = Mapping[str, Any]

_USAGE = "gen_ai.usage."
_TICKS, _USD_PER_TICK = "gen_ai.usage.cost_in_usd_ticks", 1e-10
"""What xAI bills: https://docs.x.ai/docs/guides/usage"""
_RESTATED_USAGE = semconv.RESTATED_PREFIX + "usage."
_OTHERS = (
    "agw.ai.usage.",
    "gen_ai.cost.",
    "langfuse.observation.cost_details",
    "langfuse.observation.usage_details",
    "litellm.cost.",
    "llm.cost.",
    "llm.token_count.",
    "llm.usage.",
    "model.token_count_",
)
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
        elif name.startswith("tollspan.usage."):
            found[semconv.RESTATED_PREFIX + name[len("tollspan.") :]] = value
        elif name.startswith(_OTHERS):
            found[semconv.RESTATED_PREFIX + name] = value
        else:
            found[name] = value
    if (cost := usd(amount)) is not None:
        found[semconv.RESTATED_COST] = float(cost)
    found[semconv.COST_ROLE] = "restated"
    found[semconv.OWNER_SPAN_ID] = f"{owner_span_id:016x}"
    return found


def unrestated(attributes: Attributes) -> dict[str, Any]:
    """`attributes` of a restated span as those of a call of its own, not yet priced.

    For one whose owner was lost: what it kept is then all that is known of the answer.
    """
    found: dict[str, Any] = {}
    for name, value in attributes.items():
        if name in (semconv.COST_ROLE, semconv.OWNER_SPAN_ID):
            continue
        if name.startswith(_RESTATED_USAGE):
            name = "tollspan." + name[len(semconv.RESTATED_PREFIX) :]
        elif name.startswith(semconv.RESTATED_PREFIX) and name != semconv.RESTATED_COST:
            name = _USAGE + name[len(semconv.RESTATED_PREFIX) :]
        found[name] = value
    return found


def restated_usage(attributes: Attributes) -> dict[str, Any]:
    """The counts that a restated span kept, under the names that they had."""
    found = unrestated({name: value for name, value in attributes.items() if _kept(name)})
    found.pop(semconv.RESTATED_COST, None)
    if semconv.RESTATED_COST in attributes:
        found[semconv.COST_REPORTED] = attributes[semconv.RESTATED_COST]
    return found


def _kept(name: str) -> bool:
    return name.startswith(semconv.RESTATED_PREFIX)


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


def normalised(attributes: Attributes, *, failed: bool, scope: str = "") -> dict[str, Any]:
    """`attributes` of a foreign call in standard names, as `priced` takes them.

    What others say that it cost leaves the names that are summed. `scope`: its instrumentation's.
    """
    found = standard(attributes)
    gateway = gateway_of(attributes, scope)
    if gateway is not None and is_on_the_way(attributes, gateway):
        found[semconv.GATEWAY_NAME] = gateway.name
        if (request := call_id(attributes)) is not None:
            found[semconv.GATEWAY_REQUEST_ID] = request
    found.setdefault(
        semconv.STATUS, "error" if failed or semconv.ERROR_TYPE in found else "success"
    )
    stated = None
    for name in (semconv.COST_AMOUNT, *COSTS):
        value = found.pop(name, None)
        if not stated and (amount := usd(value)) is not None:
            stated = amount  # 0 is what many write who do not know
    billed = found.pop(semconv.COST_SOURCE, None) == "provider" or bool(gateway and gateway.sells)
    if (ticks := found.pop(_TICKS, None)) is not None and not isinstance(ticks, (str, bool)):
        stated, billed = usd(ticks * _USD_PER_TICK), True
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
    if (name := call.get(semconv.GATEWAY_NAME)) and not settled.hops:
        settled = _seen_from(str(name), call, own)
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
    if call.get(semconv.CACHE_HIT) is True and not attempts:
        _cached(own)
    return settled


def _seen_from(name: str, call: Attributes, own: dict[str, Any]) -> Settled:
    """The path of a call whose span a gateway made: two hops, both seen by it."""
    route = str(own.get(semconv.ROUTE, ""))
    answered = own.get(semconv.MODEL_SERVED)
    if answered is None and name != "litellm":  # whose models are names of its own
        answered = call.get(semconv.REQUEST_MODEL)
    hops: list[dict[str, Any]] = [
        {semconv.HOP_ROLE: "proxy", semconv.HOP_NAME: name, semconv.GATEWAY_NAME: name}
    ]
    for key in (semconv.GATEWAY_REQUEST_ID, semconv.GATEWAY_VERSION):
        if key in call:
            hops[0][key] = call[key]
    if call.get(semconv.CACHE_HIT) is True:
        hops.append({semconv.HOP_ROLE: "cache", semconv.HOP_NAME: "cache"})
    elif answered:
        provider = call.get(semconv.PROVIDER)
        hops.append({semconv.HOP_ROLE: "model", semconv.HOP_NAME: route})
        hops[-1] |= {semconv.PROVIDER: provider, semconv.RESPONSE_MODEL: answered}
    for index, hop in enumerate(hops):
        hop |= {semconv.HOP_INDEX: index, semconv.HOP_EVIDENCE: "observed"}
    own[semconv.ROUTE] = " > ".join(str(hop[semconv.HOP_NAME]) for hop in hops)
    own[semconv.HOP_COUNT] = len(hops)
    return Settled(own, tuple(hops))


def _cached(own: dict[str, Any]) -> None:
    """No model was asked: what it would have cost is avoided, whatever is stated."""
    spared = own.pop(semconv.COST_AMOUNT, None)
    if spared:
        own[semconv.COST_AVOIDED] = spared
    for name in (semconv.UNPRICED_REASON, semconv.GRADE_REASON, semconv.COST_WASTED):
        own.pop(name, None)
    own |= {
        semconv.COST_AMOUNT: 0.0,
        semconv.COST_CURRENCY: "USD",
        semconv.COST_SOURCE: "provider",
        semconv.COST_GRADE: "billed",
        semconv.UPSTREAM_ATTEMPTS: 0,
        semconv.UPSTREAM_CONFIDENCE: "exact",
    }
