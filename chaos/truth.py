"""What a provider would have charged for its log.

Independent of tollspan's own pricing: this asks the price book directly, from what was really
answered, so that the two can be compared. https://github.com/pydantic/genai-prices
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal

from .answers import Answer

__all__ = ["bill"]

_TWELVE_PLACES = Decimal(1).scaleb(-12)
_STANDARD = frozenset({"default", "standard", "auto"})


def bill(
    log: Iterable[Answer], *, provider: str | None = None
) -> list[tuple[Answer, Decimal | None]]:
    """Each answer with its price in USD, to 12 decimals.

    0 where nothing was billed; None where the book does not know the served model or its tier.

    Args:
        provider: the book's id of the provider; default: `anthropic` for messages, else `openai`.
    """
    return [(answer, _price(answer, provider)) for answer in log]


def _price(answer: Answer, provider: str | None) -> Decimal | None:
    if answer.cost is not None:
        return _rounded(answer.cost)
    if answer.usage is None:
        return Decimal(0)
    if answer.model_served is None:
        return None
    from genai_prices import Usage, calc_price

    used = answer.usage
    written, written_1h = used["cache_write_tokens"], used["cache_write_1h_tokens"]
    counts = {
        "input_tokens": used["input_tokens"],
        "output_tokens": used["output_tokens"],
        "cache_read_tokens": used["cache_read_tokens"],
        "cache_write_tokens": written,
    }
    if written_1h:
        counts["cache_write_5m_tokens"] = written - written_1h
        counts["cache_write_1h_tokens"] = written_1h
    tier = answer.service_tier or "default"
    try:
        found = calc_price(
            Usage(**{name: count for name, count in counts.items() if count}),
            answer.model_served,
            provider_id=provider or ("anthropic" if answer.api == "messages" else "openai"),
            genai_request_timestamp=datetime.fromtimestamp(answer.started_s, UTC),
            price_context=None if tier in _STANDARD else {"service_tier": tier},
        )
    except LookupError:
        return None
    variants = found.model.price_variants or ()
    if tier not in _STANDARD and not any(
        variant.when.get("service_tier") == tier for variant in variants
    ):
        return None
    return _rounded(found.total_price)


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(_TWELVE_PLACES, rounding=ROUND_HALF_EVEN)
