"""Calls like one before: nearly all are, and only their token counts tell them apart.

A direct call that was answered at its first attempt is settled by a dozen of its attributes and by
which units it used. What they decide is kept; what is left to do is to count tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from operator import itemgetter, mul, sub
from typing import Any, NamedTuple

from tollspan import semconv
from tollspan.remembered import Remembered

from .gateways import FINGERPRINT_ATTRIBUTES, HINT_ATTRIBUTES, HOSTS, doubtful
from .prices import Quote
from .tariff import DEAREST, Term, nearest
from .usage import counts, units_of

__all__ = ["DECIDING", "Looked", "Usual", "keep", "kind_of"]

Attributes = Mapping[str, Any]

DECIDING = (
    semconv.SERVER_ADDRESS,
    semconv.OPERATION,
    semconv.PROVIDER,
    semconv.REQUEST_MODEL,
    semconv.RESPONSE_MODEL,
    semconv.STATUS,
    semconv.ERROR_TYPE,
    semconv.FINISH_REASONS,
    semconv.BLOCKED_BY,
    semconv.BLOCKED_STAGE,
    semconv.COST_ROLE,
    semconv.COST_REPORTED,
    semconv.SERVICE_TIER,
    semconv.SPEED,
    semconv.INFERENCE_GEO,
    semconv.USAGE_UNTRUSTED,
    semconv.RESPONSE_PROVIDER,
    semconv.GATEWAY_STATED,
    semconv.AUDIO_INPUT_SECONDS,
    semconv.ESTIMATED_INPUT_TOKENS,
    semconv.ESTIMATED_OUTPUT_TOKENS,
    semconv.ANSWERS_SUMMED,
    semconv.MODELS_USED,
    semconv.BACKGROUND,
)
"""What settling reads of a call beside its token counts."""

_PLAIN = frozenset({str, bool, tuple, type(None)})
"""Types of what decides about a usual call; spans from elsewhere may hold anything."""
_DAY_NS = 86_400_000_000_000
_MOST = 4096
_AMOUNTS = (semconv.COST_WASTED, semconv.COST_AVOIDED, semconv.COST_REPORTED)

_new = tuple.__new__
"""What the constructor of a named tuple does, in a third of the time."""
_INT = frozenset({int})
_HUGEST = 2**63 - 1
Kind = tuple[Any, ...]
Quantities = tuple[Any, ...]
"""How much was used, in the order of the units: whole numbers, or what `usage.counts` makes of others."""
Weights = tuple["int | Fraction", ...]
"""One for each of the quantities, which are added up with them."""


class Looked(NamedTuple):
    """What a first look says of a call."""

    kind: Kind
    """All that decides but the number of tokens."""
    units: tuple[str, ...]
    used: Quantities


class Usual(NamedTuple):
    """What calls of one kind have in common."""

    attributes: dict[str, Any]
    """All that settling adds; the amounts are those of the first such call."""
    flat: int | Fraction
    segments: tuple[tuple[int, Weights, tuple[Weights, ...]], ...]
    """Those of the tariff: what a quantity adds to the cost, which for a part is its own rate less that
    of its whole; and what makes, of the quantities, the rest of each unit that has parts."""
    asked: int | None
    """Place of the input tokens, which choose the segment; None where there are none."""

    def settled(self, used: Quantities) -> dict[str, Any] | None:
        """The attributes of a call that used so much; None if it takes a closer look."""
        above = 0 if self.asked is None else used[self.asked]
        segment = 0
        while above <= self.segments[segment][0]:
            segment += 1
        _, rates, rests = self.segments[segment]
        for rest in rests:
            if sum(map(mul, rest, used)) < 0:
                return None  # its parts exceed it
        total = self.flat + sum(map(mul, rates, used))
        if type(total) is not int or not 0 < total < DEAREST:
            return None
        amount = nearest(total)
        return {**self.attributes, semconv.COST_AMOUNT: amount, semconv.COST_DERIVED: amount}


def kind_of(call: Attributes, attempts: Sequence[Attributes], start_ns: int) -> Looked | None:
    """All that decides about `call`, and how much it used; None for one that is not usual."""
    if len(attempts) != 1:
        return None
    attempt = attempts[0]
    shape = _SHAPES[tuple(call), tuple(attempt)]
    if shape is None:
        return None
    status = attempt[semconv.HTTP_STATUS]
    host = call[semconv.SERVER_ADDRESS]
    if type(status) is not int or status >= 400 or type(host) is not str or host in HOSTS:
        return None
    decided = shape.values_of(call)
    if not _PLAIN.issuperset(map(type, decided)):
        return None
    somebodys = doubtful(host, call)
    if somebodys and shape.hints:
        return None
    units, used = shape.units, shape.quantities_of(call)
    if not units or not _INT.issuperset(map(type, used)) or min(used) < 0 or max(used) > _HUGEST:
        read = counts(call)
        units, used = tuple(read), tuple(read.values())
    spent = tuple(map(bool, used))
    kind = start_ns // _DAY_NS, units, spent, somebodys, shape.names, decided
    return _new(Looked, (kind, units, used))


class _Shape(NamedTuple):
    """What the names of the attributes of a call and of its one attempt say: they are few."""

    names: tuple[str, ...]
    """Those of the call's that decide."""
    values_of: Callable[[Attributes], tuple[Any, ...]]
    hints: bool
    """The attempt's headers hint at somebody who passed the answer on."""
    units: tuple[str, ...]
    """What is stated of it; empty where reading that takes more than to look."""
    quantities_of: Callable[[Attributes], Quantities]


def _shape(named: tuple[tuple[str, ...], tuple[str, ...]]) -> _Shape | None:
    """None for calls that are not usual, whatever the values are."""
    call, attempt = named
    found = tuple(name for name in DECIDING if name in call)
    if len(found) < 2 or semconv.SERVER_ADDRESS not in found:
        return None
    if semconv.HTTP_STATUS not in attempt or not FINGERPRINT_ATTRIBUTES.isdisjoint(attempt):
        return None
    rows, is_plain = units_of(call)
    units: tuple[str, ...] = ()
    read: Callable[[Attributes], Quantities] = _nothing
    if is_plain and len(rows) > 1:
        units, read = tuple(unit for _, unit in rows), itemgetter(*(name for name, _ in rows))
    hints = not HINT_ATTRIBUTES.isdisjoint(attempt)
    return _Shape(found, itemgetter(*found), hints, units, read)


def _nothing(call: Attributes) -> Quantities:
    return ()


_SHAPES = Remembered(_shape, 1024)


def keep(
    usual: dict[Kind, Usual],
    looked: Looked,
    attributes: dict[str, Any],
    quote: Quote | None,
) -> None:
    """Remember what settling added to the first call of a `kind`, if the next may have it."""
    if quote is None or quote.tariff is None or quote.by_minute:
        return
    if quote.entry is not None and quote.entry.has_least:
        return
    amount = attributes.get(semconv.COST_AMOUNT)
    if not amount or amount != attributes.get(semconv.COST_DERIVED):
        return
    if any(name in attributes for name in _AMOUNTS):
        return
    if len(usual) >= _MOST:
        usual.clear()
    tariff, places = quote.tariff, {unit: place for place, unit in enumerate(looked.units)}
    segments = tuple((start, *_weighed(terms, places)) for start, terms in tariff.segments)
    usual[looked.kind] = Usual(dict(attributes), tariff.flat, segments, places.get("input_tokens"))


def _weighed(
    terms: Sequence[Term], places: Mapping[str, int]
) -> tuple[Weights, tuple[Weights, ...]]:
    """What `terms` of a tariff, one after another, make of the quantities at `places`."""
    rates: list[int | Fraction] = [0] * len(places)
    left: dict[str, Weights] = {}
    rests: list[Weights] = []
    for unit, inside, rate in terms:
        if unit not in places:
            continue
        rest: list[int | Fraction] = [0] * len(places)
        rest[places[unit]] = 1
        parts = [left[part] for part in inside if part in left]
        for part in parts:
            rest = list(map(sub, rest, part))
        left[unit] = tuple(rest)
        if parts:
            rests.append(left[unit])
        rates = [known + rate * each for known, each in zip(rates, rest, strict=True)]
    return tuple(rates), tuple(rests)
