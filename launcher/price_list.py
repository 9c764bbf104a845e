"""`tollspan prices MODEL`: every rate of a model, its tiers, its source and the source's version."""

from __future__ import annotations

import difflib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from fractions import Fraction

from genai_prices import data_snapshot

from tollspan.config import settings
from tollspan.processors import book, models, pricefile
from tollspan.processors.tariff import Tariff

__all__ = ["Section", "price_list", "sections"]

TIERS = ("batch", "flex", "priority", "fast", "scale")
"""Served tiers that providers charge apart; the book is asked for each."""

_RATE = 10**18
"""A tariff's rates are integers of 10⁻¹⁸ USD."""

_PER = {"tokens": (1_000_000, "1M tokens"), "seconds": (60, "minute"), "searches": (1, "search")}
"""Last word of a unit to how many of it a price is quoted for."""


@dataclass(frozen=True, slots=True)
class Section:
    """The rates of one source for one tier.

    `rates` are (what, USD, per what, above how many input tokens).
    """

    source: str
    model: str
    tier: str
    applies: str
    rates: tuple[tuple[str, Decimal, str, int], ...]


def price_list(model: str, provider: str) -> int:
    """Print what `model` costs; 1 where nobody knows it.

    Raises:
        PriceFileError: `TOLLSPAN_PRICES` names a file that cannot be used.
    """
    found = list(sections(model, provider))
    if not found:
        print(f"tollspan: {_unknown(model, provider)}", file=sys.stderr)
        return 1
    for section in found:
        print(_text(section))
    if len({section.source for section in found}) > 1:
        print("The first that applies is used.")
    return 0


def sections(model: str, provider: str) -> Iterator[Section]:
    """What is known of `model`, what is used first first: the price file, then the book."""
    if settings().prices:
        yield from _of_file(pricefile.load(settings().prices), model, provider)
    yield from _of_book(model, provider)


def _of_file(file: pricefile.PriceFile, model: str, provider: str) -> Iterator[Section]:
    named, bare = models.split(model)
    seller = models.book_provider(provider or named or "") or provider.lower()
    for entry in file.entries:
        names = {model.lower(), bare.lower()}
        if not any(fnmatchcase(name, entry.model) for name in names):
            continue
        if entry.provider and seller and entry.provider != seller:
            continue
        begins = f"from {entry.begins}" if entry.begins != date.min else ""
        ends = f"until {entry.ends}" if entry.ends != date.max else ""
        times = f"{float(entry.times):g} times the book" if entry.times is not None else ""
        at = f"at {entry.host}" if entry.host else ""
        yield Section(
            source=f"{file.version}, entry {entry.number}",
            model="/".join(part for part in (entry.provider, entry.model) if part),
            tier=entry.tier or ("standard" if entry.times is None else "any tier"),
            applies=" ".join(part for part in (times, at, begins, ends) if part),
            rates=tuple(_rates(entry.tariff)) if entry.tariff is not None else (),
        )


def _of_book(model: str, provider: str) -> Iterator[Section]:
    named, bare = models.split(model)
    seller = models.book_provider(provider or named or "") or provider or _seller(bare)
    if not seller:
        return
    now = time.time_ns()
    # The last is for who sells others' models under their makers' names.
    names = (bare, models.undated(bare), model)
    entries = (book.found(seller, name, {}, now) for name in names)
    standard = next((each for each in entries if each is not None), None)
    if standard is None:
        return
    yield _section(standard, "standard")
    for tier in TIERS:
        context = {"processing": tier} if tier == "batch" else {"service_tier": tier, "speed": tier}
        found = book.found(standard.provider, standard.model, context, now)
        if found is not None and found.knows_context:
            yield _section(found, tier)


def _seller(model: str) -> str:
    """Who sells `model` first of all; the book knows it by its name, or who has one called like it."""
    book_of_all = data_snapshot.get_snapshot()
    try:
        return book_of_all.find_provider_model(model, None, None, None)[0].id
    except LookupError:
        pass
    sold = [
        (difflib.SequenceMatcher(None, model, found.id).ratio(), each.id)
        for each in book_of_all.providers
        if (found := each.find_model(model, all_providers=book_of_all.providers)) is not None
    ]
    return max(sold, key=lambda one: one[0])[1] if sold else ""


def _section(entry: book.Entry, tier: str) -> Section:
    return Section(
        source=entry.version,
        model=f"{entry.provider}/{entry.model}",
        tier=tier,
        applies="at this time of day" if entry.by_minute else "",
        rates=tuple(_rates(entry.tariff)),
    )


def _rates(tariff: Tariff) -> Iterator[tuple[str, Decimal, str, int]]:
    if tariff.flat:
        yield "request", _usd(tariff.flat), "request", 0
    base: dict[str, Decimal] = {}
    for start, terms in reversed(tariff.segments):
        for unit, _, rate in sorted(terms, key=lambda term: _rank(term[0])):
            count, name = _PER.get(unit.rpartition("_")[2], (1, "one"))
            usd = _usd(rate * count)
            if start < 0 or base.get(unit) != usd:
                yield unit, usd, name, max(start, 0)
            if start < 0:
                base[unit] = usd


def _rank(unit: str) -> tuple[int, str]:
    first = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
    return first.index(unit) if unit in first else len(first), unit


def _usd(rate: int | Fraction) -> Decimal:
    exact = Fraction(rate) / _RATE
    return Decimal(exact.numerator) / Decimal(exact.denominator)


def _text(section: Section) -> str:
    head = f"{section.model}  {section.tier}"
    if section.applies:
        head += f", {section.applies}"
    lines = [f"{head}  ({section.source})"]
    for unit, usd, per, above in section.rates:
        name = unit.removesuffix("_tokens").replace("_", " ")
        more = f"  above {above:,} input tokens" if above else ""
        lines.append(f"  {name:<22} ${usd.normalize():f} / {per}{more}")
    return "\n".join(lines) + "\n"


def _unknown(model: str, provider: str) -> str:
    _, bare = models.split(model)
    seller = models.book_provider(provider) or provider
    sellers = sorted(sells.id for sells in data_snapshot.get_snapshot().providers)
    if seller and seller not in sellers:
        return f"no provider {provider!r} is in the book, which has {', '.join(sellers)}"
    known = {
        each.id
        for sells in data_snapshot.get_snapshot().providers
        if not seller or sells.id == seller
        for each in sells.models
    }
    near = difflib.get_close_matches(bare, sorted(known), 3, 0.5)
    sentence = f"no price is known for {model!r}" + (f" at {provider!r}" if provider else "")
    if near:
        sentence += f"; near: {', '.join(near)}"
    return sentence + ". Your own prices go into a file named by TOLLSPAN_PRICES"
