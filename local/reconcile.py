"""A provider's bill against the ledger: what differs, by how much, and why.

`reconcile` takes what `read` made of exports and a way to ask the ledger's side, so that the API, the
command line and a production ledger share all of it. Money is compared where the export has money,
tokens where it has only those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

from .reconcile_ledger import Sum
from .reconcile_lines import DAY, USAGE, BadExport, Read, days
from .reconcile_reasons import summed, written
from .reconcile_sides import ALL, Bill, Matching, Period, Sides, Use, following, sides
from .reconcile_value import Worth
from .reconcile_why import Explained, explained, left_over, moved

__all__ = ["MOST_DAYS", "Asked", "Told", "reconcile"]

MOST_DAYS = 400
FINAL_AFTER = timedelta(days=2)
"""Bills go on growing so long: Azure's and Google's by a day or two, Cost Explorer's by a day."""

CENT = Decimal("0.01")
DIGITS = 60
"""Of amounts on the way, so that no sum of what an export can hold is rounded."""

Told = Callable[[str, date, date, str], Iterable[Sum]]
"""The ledger's sums: of a provider, from a day to a day, both included, of days as they begin in a zone."""

Place = tuple[Period, str, tuple[tuple[str, ...], tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user wants compared. `first` and `last` are days, both included."""

    provider: str = ""
    first: date | None = None
    last: date | None = None
    tolerance: Decimal = Decimal("0.01")
    """Part of the larger side that may stay open."""
    matching: Matching = field(default_factory=Matching)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))


def reconcile(reads: Sequence[Read], told: Told, asked: Asked) -> dict[str, Any]:
    """The report, as the API answers it: see `OPERATIONS` of the API.

    Raises:
        BadExport: the exports are not of one provider, hold nothing, or cannot be compared.
    """
    with localcontext() as context:
        context.prec = DIGITS
        return _report(reads, told, asked)


def _report(reads: Sequence[Read], told: Told, asked: Asked) -> dict[str, Any]:
    provider = _provider(reads, asked.provider)
    zone = _zone(reads)
    span = _span(reads, asked)
    every, reads = reads, [_within(read, span, asked) for read in reads]
    _not_another_time(every, reads, span)
    found = sides(reads, told(provider, *span, zone), asked.matching, span)
    unit = "usd" if found.has_money else "tokens"
    there = _days_there(reads, found.has_money)
    places = _by_money(found, provider, there) if found.has_money else _by_tokens(found)
    for place, one in places.items():
        period, key, model = place
        if (next_day := following(period)) and (other := places.get((next_day, key, model))):
            moved(one, other)
    for (period, _, _), one in places.items():
        left_over(one, _is_recent(period, asked.now), _is_there(period, there))
    rows = [_row(place, one, found, unit) for place, one in sorted(places.items(), key=_order)]
    return {
        "provider": provider,
        "from": span[0].isoformat(),
        "to": span[1].isoformat(),
        "zone": zone,
        "unit": unit,
        "exports": [
            {
                "name": read.name,
                "shape": read.shape,
                "lines": len(read.lines),
                "skipped": read.skipped,
            }
            for read in reads
        ],
        "total": _total(places.values(), found, unit, asked.tolerance),
        "reasons": summed((each for one in places.values() for each in one.reasons), unit),
        "rows": rows,
    }


def _provider(reads: Sequence[Read], wanted: str) -> str:
    stated = sorted({read.provider for read in reads if read.provider})
    if len(stated) > 1:
        raise BadExport(f"the exports are of {' and '.join(stated)}: give those of one provider")
    if not stated and not wanted:
        raise BadExport("the export does not say whose it is: say it with --provider openai")
    if wanted and stated and wanted != stated[0]:
        raise BadExport(f"the export is of {stated[0]}, not of {wanted}")
    return wanted or stated[0]


def _zone(reads: Sequence[Read]) -> str:
    zones = sorted({read.zone for read in reads if read.lines}) or ["UTC"]
    if len(zones) > 1:
        raise BadExport(f"the exports begin their days in {' and '.join(zones)}: give one of them")
    return zones[0]


def _span(reads: Sequence[Read], asked: Asked) -> Period:
    lines = [line for read in reads for line in read.lines]
    begins = [line.start.date() for line in lines]
    ends = [(line.end - timedelta(microseconds=1)).date() for line in lines]
    first = asked.first or (min(begins) if begins else None)
    last = asked.last or (max(ends) if ends else None)
    if first is None or last is None:
        raise BadExport(
            "the export has no lines about models: say which days it is of, with --from and --to"
        )
    if not timedelta(0) <= last - first <= timedelta(days=MOST_DAYS):
        raise BadExport(f"from {first} to {last} is no period, or more than {MOST_DAYS} days")
    return first, last


def _within(read: Read, span: Period, asked: Asked) -> Read:
    """Lines inside the days that were asked for; a line that lies across their edge is left out only
    where it is of no call's use."""
    lines = []
    for line in read.lines:
        first, last = line.start.date(), (line.end - timedelta(microseconds=1)).date()
        if first >= span[0] and last <= span[1]:
            lines.append(line)
        elif first <= span[1] and last >= span[0] and line.category == USAGE:
            raise BadExport(
                f"{read.name} has a line from {first} to {last}, across the edge of {span[0]} to "
                f"{span[1]}: ask for whole periods of it"
            )
    return Read(read.name, read.shape, read.provider, lines, read.zone, read.more, read.skipped)


def _not_another_time(every: Sequence[Read], within: Sequence[Read], span: Period) -> None:
    """Nothing of a bill is no agreement with it."""
    lines = [line for read in every for line in read.lines]
    if lines and not any(read.lines for read in within):
        first = min(line.start for line in lines).date()
        last = (max(line.end for line in lines) - timedelta(microseconds=1)).date()
        raise BadExport(
            f"the export has no line from {span[0]} to {span[1]}: it is of {first} to {last}"
        )


def _days_there(reads: Sequence[Read], has_money: bool) -> set[date]:
    """Days that some line speaks of, whatever model it is for."""
    lines = (line for read in reads for line in read.lines)
    stating = (line for line in lines if line.amount is not None or not has_money)
    return {day for line in stating for day in days(line.start, line.end)}


def _is_there(period: Period, there: set[date]) -> bool:
    """Whether some line is of it; one that is longer than a day is a line's."""
    return period[0] in there or period[0] != period[1]


def _is_recent(period: Period, now: datetime) -> bool:
    last = datetime(period[1].year, period[1].month, period[1].day, tzinfo=UTC) + DAY
    return last + FINAL_AFTER > now


def _by_money(found: Sides, provider: str, there: set[date]) -> dict[Place, Explained]:
    made: dict[Place, Explained] = {}
    for place, bill in found.bills.items():
        period, key, _ = place
        if found.is_whole:
            uses = [use for (day, of, _), use in found.uses.items() if (day, of) == (period, key)]
        else:
            uses = [found.uses[place]] if place in found.uses else []
        searched = any(
            "search" in what.lower()
            for (day, _, _), each in found.bills.items()
            if day == period
            for _, what in each.beside
        )
        own = bill if not found.is_whole else None
        parts = [(use, Worth(provider, use, own, period[0])) for use in uses]
        is_there = _is_there(period, there)
        made[place] = explained(bill, parts, searched, found.has_tokens, is_there)
    return made


def _by_tokens(found: Sides) -> dict[Place, Explained]:
    """Of an export without money: tokens in and out as one number."""
    made: dict[Place, Explained] = {}
    for place, use in found.uses.items():
        billed, told = _all(use.billed()), _all(use.told())
        one = Explained(billed, told, use=use, has_lines=bool(use.tokens))
        one.rest = billed - told
        speaking = use.calls - sum(each.silent for each in use.sums)
        one.average = told / speaking if speaking > 0 else Decimal(0)
        usd = sum((each.usd for each in use.sums), Decimal(0))
        if usd:
            early = sum((each.early_usd for each in use.sums), Decimal(0))
            late = sum((each.late_usd for each in use.sums), Decimal(0))
            one.edges = told * early / usd, told * late / usd
        made[place] = one
    return made


def _all(tokens: dict[str, int]) -> Decimal:
    return Decimal(tokens.get("input", 0) + tokens.get("output", 0))


def _order(item: tuple[Place, Explained]) -> tuple[Any, ...]:
    (period, key, model), one = item
    return period, key, model[0] == ALL[0], -abs(one.billed), model


def _row(place: Place, one: Explained, found: Sides, unit: str) -> dict[str, Any]:
    period, key, model = place
    use, bill = found.uses.get(place), found.bills.get(place, Bill())
    if found.is_whole and unit == "usd":
        use = None
    beside = bill.beside if not (use or bill.lines) else {}
    return {
        "from": period[0].isoformat(),
        "to": period[1].isoformat(),
        "model": _name(use, model, beside),
        "key": key or None,
        "billed": _side(
            one.billed, unit, use.billed() if use else None, use.requests if use else None
        ),
        "ledger": _side(one.told, unit, use.told() if use else None, one.use.calls),
        "difference": _written(one.difference, unit),
        "open": _written(one.open, unit),
        "reasons": [each.as_json(unit) for each in one.reasons],
    }


def _name(use: Use | None, model: tuple[tuple[str, ...], Any], beside: Any) -> str:
    """The name that the ledger has most calls under, else the export's."""
    if use is not None and use.sums and model != ALL:
        calls: Counter[str] = Counter()
        for each in use.sums:
            calls[each.model] += each.calls
        return min(calls, key=lambda name: (-calls[name], name))
    if use is not None and use.names:
        return next(iter(use.names))
    return " + ".join(sorted({what for _, what in beside})) if beside else "all models"


def _side(
    amount: Decimal, unit: str, tokens: dict[str, int] | None, calls: int | None
) -> dict[str, Any]:
    made: dict[str, Any] = {"usd": _written(amount, unit) if unit == "usd" else None}
    return made | {"calls": calls, "tokens": tokens or None}


def _written(amount: Decimal, unit: str) -> str | int:
    return written(amount) if unit == "usd" else int(amount)


def _total(
    every: Iterable[Explained], found: Sides, unit: str, tolerance: Decimal
) -> dict[str, Any]:
    each = list(every)
    billed = sum((one.billed for one in each), Decimal(0))
    told = sum((one.told for one in each), Decimal(0))
    left = sum((one.open for one in each), Decimal(0))
    larger = max(abs(billed), abs(told))
    allowed = max(larger * tolerance, CENT if unit == "usd" else Decimal(0))
    return {
        "billed": _written(billed, unit),
        "ledger": _written(told, unit),
        "difference": _written(billed - told, unit),
        "open": _written(left, unit),
        "allowed": _written(allowed, unit),
        "tolerance": format(tolerance, "f"),
        "calls": sum(one.use.calls for one in each),
        "within_tolerance": left <= allowed,
    }
