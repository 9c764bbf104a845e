"""The public price book, genai-prices, compiled to tariffs.

Importing it takes a third of a second (1.6 MB of data, pydantic, an HTTP client), so it is imported
when the first price is asked for, or ahead of that by `warm()` in a thread of its own.
https://github.com/pydantic/genai-prices
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tollspan.ended import settle_all

from .tariff import Tariff, Tiered, compiled
from .usage import Counts

__all__ = ["Entry", "found", "loaded", "version", "warm"]

_PATIENCE_S = 3.0
_loading = threading.RLock()


def _before_fork() -> None:
    """A child that is forked while another thread imports would wait for that thread for ever, so we
    wait for it here. Calls that wait are settled first, since that may be what loads the book."""
    settle_all()
    if _loading.acquire(timeout=_PATIENCE_S):
        _loading.release()


def _after_in_child() -> None:
    global _loading
    _loading = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_in_child)


class _Book(NamedTuple):
    providers: Mapping[str, Any]
    all_providers: list[Any]
    per: Mapping[str, int]
    by_price_key: Mapping[str, str]
    inside: Mapping[str, frozenset[str]]
    joins: Mapping[str, tuple[tuple[str, str], ...]]
    version: str


_book: _Book | None = None


def loaded() -> bool:
    return _book is not None


def warm() -> None:
    """Load the book, or wait until another thread has. Call it in a thread of its own."""
    _open()


def version() -> str:
    """The book's name and version, as amounts are marked by it."""
    return _open().version


def _open() -> _Book:
    global _book
    if _book is not None:
        return _book
    with _loading:
        if _book is None:
            _book = _load()
    return _book


def _load() -> _Book:
    from importlib.metadata import version

    from genai_prices import data_snapshot
    from genai_prices.data_units import unit_data

    dimensions = {unit: set(each["dimensions"].items()) for unit, each in unit_data.items()}
    joins: dict[str, tuple[tuple[str, str], ...]] = {}
    for unit, own in dimensions.items():
        wholes = [each for each, its in dimensions.items() if its < own]
        joins[unit] = tuple(
            (one, other)
            for one in wholes
            for other in wholes
            if one < other and dimensions[one] | dimensions[other] == own
        )
    providers = data_snapshot.get_snapshot().providers
    return _Book(
        providers={each.id: each for each in providers},
        all_providers=providers,
        per={unit: each["per"] for unit, each in unit_data.items()},
        by_price_key={each["price_key"]: unit for unit, each in unit_data.items()},
        inside={
            unit: frozenset(part for part, its in dimensions.items() if own < its)
            for unit, own in dimensions.items()
        },
        joins={unit: pairs for unit, pairs in joins.items() if pairs},
        version=f"genai-prices/{version('genai-prices')}",
    )


class Entry(NamedTuple):
    """One model of the book at one moment, in one context."""

    provider: str
    model: str
    tariff: Tariff
    joins: tuple[tuple[str, str, str], ...]
    """(unit, one, other): where both are used and the unit is not stated, the split is a guess."""
    knows_context: bool
    """False: the book has no price for the context that was asked for, this is the standard one."""
    by_minute: bool
    """The price depends on the time of day."""
    version: str

    @property
    def has_least(self) -> bool:
        """Whether the provider has a smallest charge for this model."""
        return self.provider == "groq" and self.model.startswith("whisper-large-v3")

    def at_least(self, counts: Counts) -> Counts:
        """`counts` with the provider's smallest charge applied."""
        # Groq charges ten seconds at least: https://groq.com/pricing
        if self.has_least:
            seconds = counts.get("audio_seconds") or counts.get("input_audio_seconds")
            if seconds and seconds < 10:
                return {**counts, "audio_seconds": 10, "input_audio_seconds": 10}
            if seconds:
                return {**counts, "audio_seconds": seconds, "input_audio_seconds": seconds}
        return counts


def found(provider: str, model: str, context: Mapping[str, str], start_ns: int) -> Entry | None:
    """The entry of the book for `model` at `provider` (the book's id), or None.

    Args:
        context: `service_tier`, `processing`, `speed` as the book spells them; empty is standard.
        start_ns: when the call started, in ns since the epoch; prices are dated.
    """
    book = _open()
    seller = book.providers.get(provider)
    if seller is None:
        return None
    # Asked of the provider, not of the snapshot, which keeps every name that it was ever asked for.
    info = seller.find_model(model, all_providers=book.all_providers)
    if info is None:
        return None
    return priced(seller, info, context, start_ns)


def priced(seller: Any, info: Any, context: Mapping[str, str], start_ns: int) -> Entry | None:
    """The entry for a model of the book, given as the book's own objects; None without a price."""
    book = _open()
    when = datetime.fromtimestamp(start_ns / 1e9, tz=UTC)
    # Only a provider's own entry knows contexts: one that it borrows from another does not apply.
    own = any(info is each for each in seller.models)
    knows = not context or (own and _matches(info, context, when))
    prices = info.get_prices(when, dict(context) if context and own else None)
    units = _units(book, prices)
    if not units:
        return None
    return Entry(
        provider=seller.id,
        model=info.id,
        tariff=compiled(units, book.per, book.inside),
        joins=tuple(
            (unit, one, other)
            for unit in units
            for one, other in book.joins.get(unit, ())
            if one in units and other in units
        ),
        knows_context=knows,
        by_minute=_by_minute(info),
        version=book.version,
    )


def _units(book: _Book, prices: Any) -> dict[str, Any]:
    units: dict[str, Any] = {}
    for key, price in vars(prices).items():
        unit = book.by_price_key.get(key)
        if unit is None or price is None:
            continue
        tiers = getattr(price, "tiers", None)
        units[unit] = (
            price
            if tiers is None
            else Tiered(price.base, tuple((tier.start, tier.price) for tier in tiers))
        )
    return units


def _matches(info: Any, context: Mapping[str, str], when: datetime) -> bool:
    for variant in info.price_variants or ():
        active = variant.constraint is None or variant.constraint.active(when)
        if active and all(context.get(key) == value for key, value in variant.when.items()):
            return True
    return False


def _by_minute(info: Any) -> bool:
    conditions = [*(info.prices if isinstance(info.prices, list) else ())]
    conditions += info.price_variants or ()
    return any(hasattr(each.constraint, "start_time") for each in conditions)
