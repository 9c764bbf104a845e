"""A price compiled for counting: exact integer rates per unit, whatever book it comes from.

Units nest: an audio token that was read from a cache is an input token, an audio token and a
cache read at once, and is paid once, at the rate of the most specific unit that has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import NamedTuple

from .usage import Counts

__all__ = [
    "DEAREST",
    "InconsistentUsage",
    "Tariff",
    "Tiered",
    "compiled",
    "nearest",
    "rounded",
    "total",
]

_SCALE = 18
"""Rates are integers of 10⁻¹⁸ USD: a price of 10⁻¹² USD per million tokens is still exact."""

DEAREST = 10 ** (_SCALE + 6)
"""A million USD, as `Tariff.total` counts: no call costs that."""

_STEP, _STEPS = 1_000_000, 1_000_000_000_000
"""Twelve decimals: what is left of the scale, and how many there are in a USD."""

_CONTEXT = Context(prec=80, rounding=ROUND_HALF_EVEN)
_TWELVE = Decimal("1e-12")

Term = tuple[str, tuple[str, ...], int | Fraction]
"""Unit, units inside it that have rates of their own, rate."""


class InconsistentUsage(ValueError):
    """Parts that exceed their whole: more cached tokens than tokens."""


class Tiered(NamedTuple):
    """A price that depends on the input tokens of the request: above `start`, all units pay more."""

    base: Decimal
    tiers: tuple[tuple[int, Decimal], ...]
    """(start, price), ascending."""

    def at(self, start: int) -> Decimal:
        price = self.base
        for begins, dearer in self.tiers:
            if begins <= start:
                price = dearer
        return price


class Tariff(NamedTuple):
    """What each unit of one model costs. `amount` is exact in USD."""

    segments: tuple[tuple[int, tuple[Term, ...]], ...]
    """(applies above so many input tokens, terms), the dearest first."""
    units: frozenset[str]
    """Units that have a rate of their own."""
    flat: int | Fraction = 0
    """Per request."""

    def amount(self, counts: Counts) -> Decimal:
        """USD for `counts`, unrounded.

        Raises:
            InconsistentUsage: a part is larger than its whole.
        """
        total = self.total(counts)
        if type(total) is int:
            return _CONTEXT.scaleb(total, -_SCALE)
        exact = Fraction(total)
        return _CONTEXT.scaleb(
            _CONTEXT.divide(Decimal(exact.numerator), Decimal(exact.denominator)), -_SCALE
        )

    def total(self, counts: Counts) -> int | Fraction:
        """As `amount`, in 10⁻¹⁸ USD."""
        total = self.flat
        above = counts.get("request_input_tokens", counts.get("input_tokens", 0))
        segment = 0
        while above <= self.segments[segment][0]:
            segment += 1
        left: dict[str, int | Fraction] = {}
        for unit, inside, rate in self.segments[segment][1]:
            count = counts.get(unit, 0)
            for part in inside:
                if part in left:
                    count -= left[part]
            if count:
                if count < 0:
                    raise InconsistentUsage(f"the parts of {unit} exceed it by {-count}")
                left[unit] = count
                total += rate * count
        return total

    def times(self, factor: Fraction, *, tokens_only: bool = False) -> Tariff:
        """This tariff at so many times its prices, or those of tokens alone and fees as they are."""

        def multiplied(rate: int | Fraction) -> int | Fraction:
            exact = rate * factor
            return int(exact) if exact.denominator == 1 else exact

        segments = tuple(
            (
                start,
                tuple(
                    (unit, inside, rate)
                    if tokens_only and not unit.endswith("_tokens")
                    else (unit, inside, multiplied(rate))
                    for unit, inside, rate in terms
                ),
            )
            for start, terms in self.segments
        )
        flat = self.flat if tokens_only else multiplied(self.flat)
        return self._replace(segments=segments, flat=flat)


def compiled(
    prices: Mapping[str, Decimal | Tiered],
    per: Mapping[str, int],
    inside: Mapping[str, frozenset[str]],
) -> Tariff:
    """A tariff from the price of each unit.

    Args:
        prices: unit to USD for `per[unit]` of it; the unit `requests` is charged once a request.
        per: how many of the unit the price is for.
        inside: unit to the units that are parts of it.
    """
    flat: int | Fraction = 0
    starts = {-1}
    for unit, price in prices.items():
        if isinstance(price, Tiered):
            starts.update(start for start, _ in price.tiers)
        elif unit == "requests":
            flat = _rate(price, per[unit])
    units = frozenset(prices) - {"requests"}
    # Most specific first: what a part takes is taken before its whole is counted.
    ordered = sorted(units, key=lambda unit: (sum(unit in inside[each] for each in units), unit))
    ordered.reverse()
    segments = []
    for start in sorted(starts, reverse=True):
        terms = []
        for unit in ordered:
            price = prices[unit]
            usd = price.at(start) if isinstance(price, Tiered) else price
            parts = tuple(each for each in ordered if each in inside[unit])
            terms.append((unit, parts, _rate(usd, per[unit])))
        segments.append((start, tuple(terms)))
    return Tariff(tuple(segments), units, flat)


def _rate(price: Decimal, per: int) -> int | Fraction:
    exact = Fraction(price) * 10**_SCALE / per
    return int(exact) if exact.denominator == 1 else exact


def rounded(amount: Decimal) -> Decimal:
    """`amount` to 12 decimals of a USD, half to even: what spans carry and the ledger stores."""
    return amount.quantize(_TWELVE, context=_CONTEXT)


def nearest(total: int) -> float:
    """`float(rounded(amount))` of a `Tariff.total` that is whole, by integers alone."""
    whole, rest = divmod(total, _STEP)
    if rest * 2 > _STEP or (rest * 2 == _STEP and whole % 2):
        whole += 1
    return whole / _STEPS  # of two integers that is the float nearest to the exact quotient


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum of `amounts`, in any order."""
    found = Decimal(0)
    for amount in amounts:
        found = _CONTEXT.add(found, amount)
    return found
