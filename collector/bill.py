"""What calls of one shape cost, as arithmetic on their token counts alone.

Calls of one shape (the same names, the same deciding values) are settled alike but for how many
tokens they used. What settling one of them said is kept with the tariff that it was counted by; the
next one's amount is a sum of products in integers, exactly as `Tariff.total` counts it. Whatever
leaves the ground on which that holds (a part larger than its whole, a count that was zero, another
day) is settled from the beginning.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tollspan import semconv
from tollspan.guard import quietly
from tollspan.processors.cost import money
from tollspan.processors.hops import path
from tollspan.processors.prices import Quote
from tollspan.processors.tariff import DEAREST, Tariff, nearest
from tollspan.processors.usage import counts

from .fields import field, written
from .unjoined import APPENDED, UNJOINED

__all__ = ["Bill", "appendix", "drawn_up", "of_tariff", "vectors"]

Vector = tuple[int, ...]
"""One factor for each stated count."""

_BY_CALL = (
    semconv.COST_AVOIDED,
    semconv.COST_CHARGED,
    semconv.COST_EXTRA,
    semconv.COST_REPORTED,
    semconv.COST_WASTED,
)
"""Amounts that do not follow from counts."""
_NOT_SIMPLE = frozenset({semconv.ANSWERS_SUMMED, semconv.USAGE_UNTRUSTED})
"""Of calls with these, counts are not what they seem."""
_double = struct.Struct("<d").pack
_MARK = 1.2345678901234567e-89
"""Stands for the amount until it is known: no call costs that."""


class Bill(NamedTuple):
    """The attributes to append, as bytes, around the places of the amount."""

    pieces: tuple[bytes, ...]
    """One, where nothing depends on counts; else three or more with the amount between them."""
    own: Mapping[str, Any]
    """What settling adds; the amounts are those of the first such call."""
    grade: str
    rates: Vector = ()
    """In 10⁻¹⁸ USD; none where nothing depends on counts."""
    above: Vector = ()
    """Gives the input tokens that choose the segment."""
    segments: tuple[tuple[int, Vector], ...] = ()
    """(applies above so many, rates), the dearest first, where there are several."""
    flat: int = 0
    never_less: tuple[tuple[int, int], ...] = ()
    """Places of two counts, of which the first is a whole and the second a part of it."""
    never_negative: tuple[Vector, ...] = ()
    """The same where more than two are in play."""
    has_more: bool = False
    """Whether there are `segments` or any `never_negative`."""
    steps: Vector = ()
    """The rates in steps of an amount, 10⁻¹² USD, where they and `flat` are whole and there is no
    more to it: then nothing is rounded."""
    flat_steps: int = 0

    def total(self, stated: Sequence[int]) -> int | None:
        """What so much costs, in 10⁻¹⁸ USD; None if it takes a closer look."""
        for whole, inside in self.never_less:
            if stated[whole] < stated[inside]:
                return None
        if self.has_more:
            return self._total(stated)
        total = sum(map(_mul, self.rates, stated), self.flat)
        return total if 0 < total < DEAREST else None

    def _total(self, stated: Sequence[int]) -> int | None:
        """The same where more than two counts are in play, or a price that depends on one."""
        for vector in self.never_negative:
            if sum(map(_mul, vector, stated)) < 0:
                return None
        above = sum(map(_mul, self.above, stated))
        rates = next((each for start, each in self.segments if above > start), self.rates)
        total = sum(map(_mul, rates, stated), self.flat)
        return total if 0 < total < DEAREST else None

    def settled(self, stated: Sequence[int]) -> Mapping[str, Any] | None:
        """What settling adds to a call with these counts; None if it takes a closer look."""
        if not self.rates:
            return self.own
        total = self.total(stated)
        if total is None:
            return None
        amount = nearest(total)
        return {**self.own, semconv.COST_AMOUNT: amount, semconv.COST_DERIVED: amount}

    def appended(self, stated: Sequence[int]) -> bytes | None:
        """The bytes to append to a span with these counts; None if it takes a closer look."""
        steps = self.steps
        if not steps:
            if not self.rates:
                return self.pieces[0]
            total = self.total(stated)
            return None if total is None else _double(nearest(total)).join(self.pieces)
        for whole, inside in self.never_less:
            if stated[whole] < stated[inside]:
                return None
        total = sum(map(_mul, steps, stated), self.flat_steps)
        return _double(total / STEPS).join(self.pieces) if 0 < total < MOST_STEPS else None

    def among(self, places: Sequence[int], size: int) -> Bill:
        """The same for `size` counts: its own are at these places of them, and the others zero."""

        def wider(vector: Vector) -> Vector:
            found = [0] * size
            for place, each in zip(places, vector, strict=True):
                found[place] = each
            return tuple(found)

        return self._replace(
            rates=wider(self.rates) if self.rates else (),
            above=wider(self.above) if self.above else (),
            segments=tuple((start, wider(rates)) for start, rates in self.segments),
            never_less=tuple((places[whole], places[part]) for whole, part in self.never_less),
            never_negative=tuple(map(wider, self.never_negative)),
            steps=wider(self.steps) if self.steps else (),
        )


_mul = operator.mul
STEP = 10**6
STEPS = 1e12
MOST_STEPS = 2**53
"""What a step is in what tariffs count in, how many there are in a USD, and up to how many a float
tells each from the next."""


def drawn_up(
    call: Mapping[str, Any],
    own: Mapping[str, Any],
    start_ns: int,
    stated: Sequence[int],
    restate: Callable[[Sequence[int]], Mapping[str, Any]],
) -> Bill | None:
    """The bill of calls like one; None where its cost is not so simple.

    Args:
        call: its attributes, normalised.
        own: what settling it added.
        stated: the counts in it that stand in attributes of their own.
        restate: `call` as it would be with other counts.
    """
    found = None
    with quietly:
        found = _drawn_up(call, own, start_ns, stated, restate)
    return found


def _drawn_up(
    call: Mapping[str, Any],
    own: Mapping[str, Any],
    start_ns: int,
    stated: Sequence[int],
    restate: Callable[[Sequence[int]], Mapping[str, Any]],
) -> Bill | None:
    grade = str(own.get(semconv.COST_GRADE, ""))
    if not stated:
        return Bill((appendix(own),), own, grade)
    if semconv.COST_AMOUNT not in own:
        # Whatever the counts: nobody knows the model.
        unknown = own.get(semconv.UNPRICED_REASON) == "unknown_model"
        return Bill((appendix(own),), own, grade) if unknown else None
    quote = _quote(call, start_ns)
    if quote is None or quote.tariff is None or not _is_plain(own):
        return None
    used = vectors(stated, restate)
    if used is None or "audio_seconds" in used or not call.keys().isdisjoint(_NOT_SIMPLE):
        return None
    bill = of_tariff(quote.tariff, used, len(stated))
    if bill is None:
        return None
    bill = bill._replace(pieces=_around(own), own=own, grade=grade)
    total = bill.total(stated)
    return bill if total is not None and nearest(total) == own[semconv.COST_AMOUNT] else None


def _quote(call: Mapping[str, Any], start_ns: int) -> Quote | None:
    quote = money(call, path(call, ()), (), start_ns=start_ns).quote
    return None if quote is None or quote.by_minute else quote


def _is_plain(own: Mapping[str, Any]) -> bool:
    amount = own.get(semconv.COST_AMOUNT)
    return bool(amount) and amount == own.get(semconv.COST_DERIVED) and not own.keys() & _BY_CALL


def vectors(
    stated: Sequence[int], restate: Callable[[Sequence[int]], Mapping[str, Any]]
) -> dict[str, Vector] | None:
    """How each unit that a call uses follows from the stated counts: as the sum of some."""
    base = counts(restate(stated))
    columns: list[dict[str, Any]] = []
    for place in range(len(stated)):
        more = list(stated)
        more[place] += 1
        changed = counts(restate(more))
        if changed.keys() != base.keys():
            return None
        columns.append({unit: changed[unit] - base[unit] for unit in base})
    found = {unit: tuple(column[unit] for column in columns) for unit in base}
    for unit, vector in found.items():
        if not set(vector) <= {0, 1} or _times(vector, stated) != base[unit]:
            return None
    return found


def of_tariff(tariff: Tariff, used: Mapping[str, Vector], size: int) -> Bill | None:
    """`Tariff.total` of what `used` says, for any counts that keep its parts within their wholes."""
    nothing = (0,) * size
    guards: list[Vector] = []
    segments: list[tuple[int, Vector]] = []
    for start, terms in tariff.segments:
        left: dict[str, Vector] = {}
        rates = nothing
        for unit, inside, rate in terms:
            vector = used.get(unit, nothing)
            for part in inside:
                vector = _minus(vector, left.get(part, nothing))
            if type(rate) is not int:
                return None
            left[unit] = vector
            guards.append(vector)
            rates = tuple(one + rate * each for one, each in zip(rates, vector, strict=True))
        segments.append((start, rates))
    whole = used.get("input_tokens")
    if whole is not None:  # as `foreign.standard` corrects it where they exceed it
        read, wrote = (used.get(f"cache_{way}_tokens", nothing) for way in ("read", "write"))
        guards.append(_minus(_minus(whole, read), wrote))
    if type(tariff.flat) is not int:
        return None
    pairs = {vector: _pair(vector) for vector in guards if min(vector) < 0}
    several = tuple(vector for vector, each in pairs.items() if each is None)
    has_more = bool(several) or len(segments) > 1
    rates = segments[0][1]
    is_whole = not has_more and not any(each % STEP for each in (*rates, tariff.flat))
    return Bill(
        pieces=(),
        own={},
        grade="",
        above=whole or nothing,
        rates=rates,
        segments=tuple(segments) if len(segments) > 1 else (),
        flat=tariff.flat,
        never_less=tuple(each for each in pairs.values() if each is not None),
        never_negative=several,
        has_more=has_more,
        steps=tuple(each // STEP for each in rates) if is_whole else (),
        flat_steps=tariff.flat // STEP if is_whole else 0,
    )


def _pair(vector: Vector) -> tuple[int, int] | None:
    """Places of the two counts that `vector` takes the difference of, if it is that."""
    if sorted(each for each in vector if each) != [-1, 1]:
        return None
    return vector.index(1), vector.index(-1)


def _minus(one: Vector, other: Vector) -> Vector:
    return tuple(map(operator.sub, one, other))


def _times(vector: Iterable[int], stated: Iterable[int]) -> int:
    return sum(map(operator.mul, vector, stated))


def appendix(own: Mapping[str, Any]) -> bytes:
    """What settling a call alone adds (`own`), as bytes to append to its span."""
    appended = {name: value for name, value in own.items() if name in APPENDED}
    appended[semconv.COST_ROLE] = UNJOINED
    return b"".join(field(written(name, value)) for name, value in appended.items())


def _around(own: Mapping[str, Any]) -> tuple[bytes, ...]:
    """The attributes as bytes, cut where the amount stands."""
    unknown = {**own, semconv.COST_AMOUNT: _MARK, semconv.COST_DERIVED: _MARK}
    return tuple(appendix(unknown).split(_double(_MARK)))
