"""What providers that speak OpenAI's wires say a call cost, in the `usage` of their answers.

OpenRouter: https://openrouter.ai/docs/use-cases/usage-accounting
xAI: https://docs.x.ai/developers/cost-tracking
Perplexity: https://docs.perplexity.ai/docs/agent-api
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._read import count, flag, number, text

__all__ = ["COSTS", "reported_cost"]

COSTS = frozenset({"cost", "tensorzero_cost", "cost_in_usd_ticks"})
"""Keys of a `usage` without which it states none."""
_TICKS_PER_USD = 10_000_000_000


def reported_cost(usage: Mapping[str, Any]) -> float | None:
    """US dollars: a number (OpenRouter, LiteLLM streams, TensorZero with rates), a total beside its
    parts (Perplexity), or ticks (xAI).

    With the caller's own provider key (BYOK) OpenRouter's `cost` is its fee alone, and the
    provider bills `upstream_inference_cost` beside it.
    """
    if COSTS.isdisjoint(usage):
        return None
    stated = usage.get("cost")
    cost = number(stated)
    if cost is None and stated is not None and text(stated, "currency") in (None, "USD"):
        cost = number(stated, "total_cost")
    if cost is None:
        cost = number(usage.get("tensorzero_cost"))
    if cost is None and (ticks := count(usage.get("cost_in_usd_ticks"))) is not None:
        cost = ticks / _TICKS_PER_USD
    if cost is None or cost < 0:
        return None
    if not flag(usage.get("is_byok")):
        return cost
    upstream = number(usage.get("cost_details"), "upstream_inference_cost")
    return None if upstream is None or upstream < 0 else cost + upstream
