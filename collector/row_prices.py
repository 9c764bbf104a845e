"""Prices of calls that are told already: from what their rows keep, without their attempts.

A row keeps everything that its price depends on: models, provider, counts, tier, speed, place. What only
the attempts said (a gateway's word for the model, what it reports) was settled before.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from tollspan import semconv
from tollspan.processors.cost import tier_of
from tollspan.processors.models import provider_name
from tollspan.processors.places import place_of
from tollspan.processors.prices import Asked, Prices, Quote, current
from tollspan.processors.tariff import InconsistentUsage, Tariff, rounded
from tollspan.processors.usage import Counts, counts

__all__ = ["Derived", "asked", "cache_saved", "derived", "uncached"]


class Derived(NamedTuple):
    """Price × usage. `amount` is in USD, rounded to what a row holds."""

    amount: Decimal
    quote: Quote
    used: Counts


def derived(
    said: Mapping[str, Any], maker: str, start_ns: int, prices: Prices | None = None
) -> Derived | None:
    """What the usage that `said` states costs; None where no price is known.

    Args:
        said: attributes of the call, settled or made from its row.
        maker: provider of the model behind the last hop, '' where only `said` tells.
        start_ns: when the call started; prices are dated.
        prices: instead of those that the settings ask for.
    """
    used = counts(said)
    if (answers := said.get(semconv.ANSWERS_SUMMED)) and "input_tokens" in used:
        used = {**used, "request_input_tokens": used["input_tokens"] // answers}
    quote = (prices or current()).quote(asked(said, maker), start_ns)
    tariff = quote.tariff
    if tariff is None or not _is_counted(tariff, used):
        return None
    try:
        return Derived(rounded(tariff.amount(quote.counted(used))), quote, used)
    except InconsistentUsage:
        return None


def cache_saved(said: Mapping[str, Any], maker: str, start_ns: int) -> Decimal | None:
    """What prompt caching saved against the uncached price of the same input, in USD.

    Less than 0 where writing to the cache cost more than reading saved. None where nothing was
    cached, or where today's prices do not give the amount that the call itself states: then they
    are not those that it was paid at.
    """
    if not (said.get(semconv.CACHE_READ_TOKENS) or said.get(semconv.CACHE_WRITE_TOKENS)):
        return None
    stated = said.get(semconv.COST_DERIVED)
    if not isinstance(stated, float) or said.get(semconv.CACHE_HIT) is True:
        return None
    found = derived(said, maker, start_ns)
    if found is None or float(found.amount) != stated:
        return None
    return uncached(found) - found.amount


def uncached(found: Derived) -> Decimal:
    """What the same usage would have cost without a cache, in USD."""
    used = {unit: count for unit, count in found.used.items() if not unit.startswith("cache_")}
    tariff = found.quote.tariff
    assert tariff is not None
    return rounded(tariff.amount(found.quote.counted(used)))


def _is_counted(tariff: Tariff, used: Counts) -> bool:
    """Without any usage nothing is known, whatever a request costs by itself."""
    return bool(used) and (bool(tariff.flat) or any(used.get(unit) for unit in tariff.units))


def asked(said: Mapping[str, Any], maker: str) -> Asked:
    """Which price a call asks for, by what it says and by the provider behind the last hop."""
    through_gateway = " > " in str(said.get(semconv.ROUTE) or "")
    served = said.get(semconv.MODEL_SERVED) or None
    answered = said.get(semconv.RESPONSE_MODEL) or None
    return Asked(
        provider=provider_name(maker or str(said.get(semconv.PROVIDER) or "unknown")),
        served=served if through_gateway else None,
        answered=None if through_gateway else answered or served,
        requested=said.get(semconv.REQUEST_MODEL) or None,
        tier=tier_of(said.get(semconv.SERVICE_TIER), said.get(semconv.SPEED)),
        place=place_of(host := said.get(semconv.SERVER_ADDRESS), said.get(semconv.INFERENCE_GEO)),
        host=host if isinstance(host, str) else None,
    )
