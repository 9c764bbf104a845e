"""What prompt caching saved calls that differ in nothing but counts, as arithmetic on these.

The same as `row_prices.cache_saved`, exactly, for thousands of calls at once; what leaves the ground
on which that holds is asked of `row_prices` itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tollspan import semconv
from tollspan.collector.bill import Bill, of_tariff, vectors
from tollspan.collector.row_prices import asked, cache_saved
from tollspan.guard import quietly
from tollspan.processors.prices import Prices, current

from .blocks import STEPS, steps

__all__ = ["COUNTED", "saved"]

COUNTED = frozenset(
    {
        semconv.INPUT_TOKENS,
        semconv.OUTPUT_TOKENS,
        semconv.CACHE_READ_TOKENS,
        semconv.CACHE_WRITE_TOKENS,
        semconv.REASONING_TOKENS,
    }
)
"""Counts that prices depend on in the same way for every call."""

DAY_NS = 86_400_000_000_000
_STEP = 10**6
"""Of a row's money, in what a tariff counts in."""

_LARGEST = 2**53
"""Steps up to which a float tells every one of them."""

Steps = NDArray[np.int64]
Counted = NDArray[np.int64]
"""Counts (columns) of calls (rows)."""


def saved(
    said: Mapping[str, Any],
    names: Sequence[str],
    stated: Counted,
    derived: Sequence[Any],
    starts_ns: Sequence[int],
) -> tuple[Steps, NDArray[np.bool_]]:
    """What each call saved, in steps of a row's money, and of which that is known.

    Args:
        said: what all of them say, but for counts and cost.
        names: those of `COUNTED` that they state.
        stated: these counts.
        derived: the cost that each states.
        starts_ns: when each started.
    """
    found, known = np.zeros(len(stated), np.int64), np.zeros(len(stated), bool)
    unclear = np.full(len(stated), True)
    days = np.array(starts_ns) // DAY_NS
    for day in np.unique(days).tolist():
        both = _both(tuple(said.items()), tuple(names), day, current())
        at = np.flatnonzero(days == day)
        if both is not None:
            cached, clear = both.cached.of(stated[at])
            plain, clear_too = both.plain.of(stated[at])
            paid = cached / STEPS == np.array([derived[each] for each in at.tolist()], float)
            found[at], known[at] = plain - cached, paid
            unclear[at] = ~(clear & clear_too)
    for each in np.flatnonzero(unclear).tolist():
        counts = dict(zip(names, stated[each].tolist(), strict=True))
        row = {**said, **counts, semconv.COST_DERIVED: derived[each]}
        usd = cache_saved(row, str(said.get(semconv.PROVIDER) or ""), starts_ns[each])
        known[each] = usd is not None
        found[each] = steps(usd) or 0
    return found, known


class _Rates(NamedTuple):
    """A `Bill` whose prices are whole steps."""

    bill: Bill
    rates: Steps
    segments: tuple[tuple[int, Steps], ...]
    flat: int

    def of(self, stated: Counted) -> tuple[Steps, NDArray[np.bool_]]:
        """What so much costs, and of which calls that is certain: see `Bill.total`."""
        bill = self.bill
        clear = np.full(len(stated), True)
        for whole, inside in bill.never_less:
            clear &= stated[:, whole] >= stated[:, inside]
        for vector in bill.never_negative:
            clear &= stated @ np.array(vector) >= 0
        above = stated @ np.array(bill.above)
        total = stated @ self.rates
        for start, rates in reversed(self.segments):
            total = np.where(above > start, stated @ rates, total)
        total += self.flat
        highest = max(int(each.max()) for each in (self.rates, *(it[1] for it in self.segments)))
        if highest * int(stated.sum(axis=1).max(initial=0)) >= _LARGEST:
            clear[:] = False
        return total, clear & (total > 0)


class _Both(NamedTuple):
    cached: _Rates
    plain: _Rates


@lru_cache(maxsize=4096)
def _both(
    told: tuple[tuple[str, Any], ...], names: tuple[str, ...], day: int, prices: Prices
) -> _Both | None:
    """With the cache, and without; None where prices are not so simple."""
    found = None
    with quietly:
        found = _drawn_up(dict(told), names, day * DAY_NS, prices)
    return found


def _drawn_up(
    said: Mapping[str, Any], names: tuple[str, ...], start_ns: int, prices: Prices
) -> _Both | None:
    def restate(stated: Sequence[int]) -> Mapping[str, Any]:
        return {**said, **dict(zip(names, stated, strict=True))}

    quote = prices.quote(asked(said, str(said.get(semconv.PROVIDER) or "")), start_ns)
    used = vectors([1000] * len(names), restate)
    if quote.tariff is None or quote.by_minute or not used or semconv.ANSWERS_SUMMED in said:
        return None
    plain = {unit: vector for unit, vector in used.items() if not unit.startswith("cache_")}
    if not plain:
        return None
    both = [_rates(of_tariff(quote.tariff, each, len(names))) for each in (used, plain)]
    return None if both[0] is None or both[1] is None else _Both(both[0], both[1])


def _rates(bill: Bill | None) -> _Rates | None:
    if bill is None:
        return None
    every = [*bill.rates, bill.flat, *(rate for _, rates in bill.segments for rate in rates)]
    if any(rate % _STEP for rate in every):
        return None
    segments = tuple((start, _in_steps(rates)) for start, rates in bill.segments)
    return _Rates(bill, _in_steps(bill.rates), segments, bill.flat // _STEP)


def _in_steps(rates: Sequence[int]) -> Steps:
    return np.array([rate // _STEP for rate in rates], np.int64)
