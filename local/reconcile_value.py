"""What tokens of a model are worth: by the price book and the user's price file, else by the bill."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from tollspan import semconv
from tollspan.collector.row_prices import derived

from .reconcile_ledger import midnight, names_of
from .reconcile_sides import STANDARD, Bill, Use

__all__ = ["Worth"]

ATTRIBUTES = {
    "input": semconv.INPUT_TOKENS,
    "output": semconv.OUTPUT_TOKENS,
    "cache_read": semconv.CACHE_READ_TOKENS,
    "cache_write": semconv.CACHE_WRITE_TOKENS,
}

HALF = ("batch", "flex")
"""Tiers at half the price, wherever the book has no price of their own:
https://learn.microsoft.com/azure/ai-services/openai/how-to/batch, https://aws.amazon.com/bedrock/pricing,
https://platform.openai.com/docs/guides/flex-processing"""


class Worth:
    """Prices of one model on one day.

    `by_book` is False where nobody has listed a price: then what the bill itself asks for a token of
    each part is taken, so that amounts can be told apart by what they are for.
    """

    def __init__(self, provider: str, use: Use, bill: Bill | None, day: date) -> None:
        self._day = day
        self._names = [each.model for each in use.sums] + list(use.names)
        self._provider = (
            use.sums[0].provider if use.sums else (names_of(provider) or (provider,))[0]
        )
        self._prices = _asked_for(use, bill)
        self.by_book = self._by_book({"input": 1000, "output": 1000}, STANDARD, 1, 0) is not None

    @property
    def is_known(self) -> bool:
        return self.by_book or bool(self._prices)

    def of(
        self, tokens: Mapping[str, int], tier: str = STANDARD, calls: int = 1, searches: int = 0
    ) -> Decimal:
        """US dollars; 0 where nothing is known."""
        if not any(tokens.values()) and not searches:
            return Decimal(0)
        if self.by_book:
            found = self._by_book(tokens, tier, calls, searches)
            if found is None:  # the book knows no price of this tier
                found = self._by_book(tokens, STANDARD, calls, searches) or Decimal(0)
                found = found / 2 if tier in HALF else found
            return found
        fresh = tokens.get("input", 0) - tokens.get("cache_read", 0) - tokens.get("cache_write", 0)
        parts = {**tokens, "input": max(0, fresh)}
        return sum(
            (self._prices.get(part, Decimal(0)) * count for part, count in parts.items()),
            Decimal(0),
        )

    def _by_book(
        self, tokens: Mapping[str, int], tier: str, calls: int, searches: int
    ) -> Decimal | None:
        said: dict[str, str | int] = {
            attribute: tokens[part] for part, attribute in ATTRIBUTES.items() if tokens.get(part)
        }
        said.setdefault(semconv.INPUT_TOKENS, 0)
        said.setdefault(semconv.OUTPUT_TOKENS, 0)
        said[semconv.PROVIDER] = self._provider
        if tier != STANDARD:
            said[semconv.SERVICE_TIER] = tier
        if calls > 1:
            said[semconv.ANSWERS_SUMMED] = calls
        if searches:
            said[semconv.WEB_SEARCHES] = searches
        start_ns = int(midnight(self._day, "UTC").timestamp()) * 10**9
        for name in self._names:
            found = derived(said | {semconv.RESPONSE_MODEL: name}, "", start_ns)
            if found is not None and found.quote.doubt is None:
                return found.amount
        return None


def _asked_for(use: Use, bill: Bill | None) -> dict[str, Decimal]:
    """US dollars that the bill asks for a token of each part; one price for all where it does not
    say."""
    tokens = use.billed()
    fresh = tokens.get("input", 0) - tokens.get("cache_read", 0) - tokens.get("cache_write", 0)
    counts = {**tokens, "input": fresh}
    if use.part_usd:
        return {
            part: usd / counts[part]
            for part, usd in use.part_usd.items()
            if counts.get(part, 0) > 0
        }
    told = use.told()
    total = tokens or told
    every = total.get("input", 0) + total.get("output", 0)
    if bill is None or not every or not bill.usd:
        return {}
    return dict.fromkeys((*ATTRIBUTES,), bill.usd / every)
