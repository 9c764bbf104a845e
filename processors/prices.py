"""Prices of calls: the price file first, then the public book; each question answered once.

A quote is cached by model, tier and day, so that pricing a usual call is a dict lookup and a few
integer multiplications.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from tollspan.config import Settings, settings

from . import book
from .asked import Asked, candidates, same_but_for_place
from .models import book_provider, undated
from .places import ELSEWHERE, US, uplift
from .tariff import Tariff
from .usage import Counts

if TYPE_CHECKING:
    from . import pricefile
    from .pricefile import PriceFile

__all__ = ["Asked", "Prices", "Quote", "current", "reread", "same_model", "unpriced", "warm"]

_logger = logging.getLogger("tollspan")
_MOST = 4096
"""Entries kept in a cache; names of models are hostile."""

unpriced: Counter[tuple[str, str]] = Counter()
"""Calls without a price by (provider, model), for `tollspan doctor`."""

warm = book.warm


class Quote(NamedTuple):
    """A tariff and how far it can be trusted. Without a tariff the model is unknown."""

    tariff: Tariff | None
    version: str = ""
    doubt: str | None = None
    """Why the amount is only an estimate: a value of `tollspan.cost.grade_reason`."""
    entry: book.Entry | None = None
    by_minute: bool = False

    def counted(self, counts: Counts) -> Counts:
        return self.entry.at_least(counts) if self.entry is not None else counts

    def guessed(self, counts: Counts) -> bool:
        """Whether `counts` use a unit that the price does not tell from its whole and that may be
        cheaper, or a split that they do not state."""
        tariff = self.tariff
        if tariff is None:
            return False
        units = tariff.units
        for unit in counts:
            if unit not in units and unit in _DISTINCT and counts[unit]:
                return True
        if self.entry is not None and self.entry.joins:
            for unit, one, other in self.entry.joins:
                if unit not in counts and counts.get(one) and counts.get(other):
                    return True
        return False

    def unheard(self, counts: Counts) -> bool:
        """Whether sound is counted as words, which never cost more, for want of a price of its own."""
        units = self.tariff.units if self.tariff is not None else _SOUND
        return any(counts.get(unit) and unit not in units for unit in _SOUND)


_SOUND = frozenset({"input_audio_tokens", "output_audio_tokens"})
_DISTINCT = frozenset(
    {
        "cache_read_tokens",
        "cache_write_tokens",
        "cache_write_1h_tokens",
    }
)
"""Units that, like sound, are never charged like their whole by providers that state them. Reasoning always is;
image tokens are where no price of their own stands."""

STANDARD = frozenset({"", "default", "standard", "standard_only", "on_demand", "regular"})
"""Tiers at the usual price, as different providers call it."""
_TIMED = Quote(None, by_minute=True)


class Prices:
    """Prices of one price file (or none) and the book."""

    def __init__(self, file: PriceFile | None = None) -> None:
        self._file = file
        self._quotes: dict[tuple[Asked, int], Quote] = {}
        self.usual: dict[Any, Any] = {}
        """What `usual` keeps of calls that were settled at these prices."""

    @property
    def source(self) -> str:
        """Whose prices they are, as versions of amounts name them."""
        listed = book.version()
        return listed if self._file is None else f"{self._file.version}, {listed}"

    def quote(self, asked: Asked, start_ns: int | None = None) -> Quote:
        """The price for a call that started at `start_ns` (ns since the epoch; None is now)."""
        if start_ns is None:
            start_ns = time.time_ns()
        key = (asked, start_ns // 86_400_000_000_000)
        found = self._quotes.get(key)
        if found is None:
            found = self._keep(key, self._find(asked, start_ns))
        if found.by_minute:
            if found is not _TIMED:  # a price by the time of day: the day only says that it is one
                self._quotes[key] = _TIMED
            minute = (asked, -(start_ns // 60_000_000_000))
            found = self._quotes.get(minute) or self._keep(minute, self._find(asked, start_ns))
        return found

    def _keep(self, key: tuple[Asked, int], quote: Quote) -> Quote:
        if len(self._quotes) >= _MOST:
            self._quotes.clear()
        self._quotes[key] = quote
        return quote

    def _find(self, asked: Asked, start_ns: int) -> Quote:
        entry = self._own(asked, start_ns) if self._file is not None else None
        if entry is not None and self._file is not None:
            if entry.times is None:
                # Whoever chooses the place call by call pays by more than one list.
                chosen = "unknown_region" if asked.place in (US, ELSEWHERE) else None
                return Quote(entry.tariff, self._file.version, chosen)
            # Who says what a host costs has said what its place does.
            listed = self._listed(asked._replace(place=None) if entry.host else asked, start_ns)
            if listed.tariff is None:
                return listed
            version = f"{self._file.version}*{listed.version}"
            return listed._replace(tariff=listed.tariff.times(entry.times), version=version)
        return self._listed(asked, start_ns)

    def _own(self, asked: Asked, start_ns: int) -> pricefile.Entry | None:
        """What the price file has for it."""
        assert self._file is not None
        day = datetime.fromtimestamp(start_ns / 1e9, tz=UTC).date()
        tier = (asked.tier or "").lower()
        wanted = None if tier in STANDARD else tier
        for provider, model, _ in candidates(asked):
            entry = self._file.find(provider, model, wanted, day, asked.host)
            if entry is not None:
                return entry
        return None

    def _listed(self, asked: Asked, start_ns: int) -> Quote:
        """What the book has for it."""
        tier = (asked.tier or "").lower()
        context = _context(tier)
        for provider, model, doubt in candidates(asked):
            seller = book_provider(provider)
            if seller is None:
                continue
            found = book.found(seller, model, context, start_ns)
            if found is not None:
                if not found.knows_context and tier not in STANDARD:
                    doubt = "unknown_tier"
                return _at(asked.place, Quote(found.tariff, found.version, doubt, found))
        return Quote(None)


def _at(place: str | None, quote: Quote) -> Quote:
    """The book's `quote` as a call at `place` is charged."""
    entry, tariff = quote.entry, quote.tariff
    assert entry is not None and tariff is not None
    quote = quote._replace(by_minute=entry.by_minute)
    times = uplift(place, entry.provider, entry.model)
    if times is None:
        return quote._replace(doubt=quote.doubt or "unknown_region")
    if times == 1:
        return quote
    more = f"{quote.version}+{(times - 1) * 100}%"
    return quote._replace(tariff=tariff.times(times, tokens_only=True), version=more)


def _context(tier: str) -> dict[str, str]:
    if tier in STANDARD:
        return {"service_tier": "default"} if tier == "default" else {}
    if tier == "batch":
        return {"processing": "batch"}
    # Anthropic calls its fast tier a speed, OpenAI a service tier.
    return {"service_tier": tier, "speed": tier}


def count_unpriced(provider: str, model: str) -> None:
    """Remember a call that no price was found for; names are cut, and at most 1000 are kept."""
    key = (provider[:64], model[:128])
    if key not in unpriced and len(unpriced) >= 1000:
        key = ("other", "other")
    unpriced[key] += 1


_same: dict[tuple[str, str, str], bool | None] = {}


def same_model(provider: str, one: str, other: str) -> bool | None:
    """Whether two names mean one model, None where the first is no model that the book knows."""
    if one == other:
        return True
    key = (provider, one, other)
    if key not in _same:
        if len(_same) >= _MOST:
            _same.clear()
        _same[key] = _compared(provider, one, other)
    return _same[key]


def _compared(provider: str, one: str, other: str) -> bool | None:
    if undated(one).lower() == undated(other).lower():
        return True
    if same_but_for_place(Asked(provider, None, one, other, None)):
        return True
    now = time.time_ns()

    def entry(name: str) -> book.Entry | None:
        for seller, model, _ in candidates(Asked(provider, None, name, None, None)):
            known = book_provider(seller)
            if known is not None and (found := book.found(known, model, {}, now)) is not None:
                return found
        return None

    first = entry(one)
    if first is None:
        return None
    second = entry(other)
    return second is not None and second.model == first.model


_prices: Prices | None = None
_prices_of: Settings | None = None
problem: str | None = None
"""Why the price file of the settings is not in use, as one sentence; None when it is."""


def current() -> Prices:
    """The prices that the settings ask for.

    A price file that cannot be used is logged with one sentence and the book alone stands: an
    application never fails because of it. Commands call `pricefile.load` and fail.
    """
    global _prices, _prices_of, problem
    chosen = settings()
    if _prices is None or _prices_of is not chosen:
        file = None
        problem = None
        if chosen.prices:
            from .pricefile import PriceFileError, load  # few programs have a file

            try:
                file = load(chosen.prices)
            except PriceFileError as error:
                problem = str(error)
                _logger.warning("TOLLSPAN_PRICES is not used: %s", error)
        _prices, _prices_of = Prices(file), chosen
    return _prices


def reread() -> Prices:
    """As `current`, with the price file as it is now: for whoever prices history again.

    Raises:
        PriceFileError: it cannot be used; what was read before stands.
    """
    global _prices, _prices_of, problem
    chosen = settings()
    if not chosen.prices:
        return current()
    from .pricefile import load

    file = load(chosen.prices)
    kept = _prices._file if _prices is not None and _prices_of is chosen else None
    if _prices is None or kept is None or kept.version != file.version:
        _prices, _prices_of, problem = Prices(file), chosen, None
    return _prices
