"""Calls like one before: nearly all are, and only their token counts tell them apart.

A direct call that was answered at its first attempt is settled by a dozen of its attributes and by
which units it used. What they decide is kept; what is left to do is to count tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from tollspan import semconv

from .gateways import FINGERPRINT_ATTRIBUTES, HINT_ATTRIBUTES, HOSTS, doubtful
from .prices import Quote
from .tariff import DEAREST, InconsistentUsage, Tariff, nearest
from .usage import Counts

__all__ = ["DECIDING", "Usual", "keep", "kind_of"]

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

Kind = tuple[Any, ...]


class Usual(NamedTuple):
    """What calls of one kind have in common."""

    attributes: dict[str, Any]
    """All that settling adds; the amounts are those of the first such call."""
    tariff: Tariff

    def settled(self, used: Counts) -> dict[str, Any] | None:
        """The attributes of a call that used so much; None if it takes a closer look."""
        try:
            total = self.tariff.total(used)
        except InconsistentUsage:
            return None
        if type(total) is not int or not 0 < total < DEAREST:
            return None
        amount = nearest(total)
        return {**self.attributes, semconv.COST_AMOUNT: amount, semconv.COST_DERIVED: amount}


def kind_of(
    call: Attributes, attempts: Sequence[Attributes], used: Counts, start_ns: int
) -> Kind | None:
    """All that decides about `call` but the number of tokens; None for one that is not usual."""
    if len(attempts) != 1 or not FINGERPRINT_ATTRIBUTES.isdisjoint(attempts[0]):
        return None
    status = attempts[0].get(semconv.HTTP_STATUS)
    if type(status) is not int or status >= 400:
        return None
    deciding = _deciding(tuple(call))
    host = call.get(semconv.SERVER_ADDRESS)
    if type(host) is not str or host in HOSTS or deciding is None:
        return None
    names, values_of = deciding
    decided = values_of(call)
    if not _PLAIN.issuperset(map(type, decided)):
        return None
    somebodys = doubtful(host, call)
    if somebodys and not HINT_ATTRIBUTES.isdisjoint(attempts[0]):
        return None
    spent = tuple(map(bool, used.values()))
    return (start_ns // _DAY_NS, tuple(used), spent, somebodys, names, decided)


@lru_cache(maxsize=1024)
def _deciding(
    names: tuple[str, ...],
) -> tuple[tuple[str, ...], Callable[[Attributes], tuple[Any, ...]]] | None:
    """Those of `names` that decide, and what reads their values; None for fewer than two of them."""
    found = tuple(name for name in DECIDING if name in names)
    return (found, itemgetter(*found)) if len(found) > 1 else None


def keep(
    usual: dict[Kind, Usual],
    kind: Kind,
    used: Counts,
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
    usual[kind] = Usual(dict(attributes), quote.tariff.of(used))
