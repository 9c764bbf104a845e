"""Both sides of a reconciliation put against each other: by period, key and model.

A period is a day where the export counts days or less, else as long as the export's lines are. The
same model has other names in bills: see `identity`; `Matching.same` says which are the same beyond
that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from .reconcile_ledger import Sum
from .reconcile_lines import DAY, USAGE, BadExport, Line, Read
from .reconcile_meters import identity

__all__ = ["ALL", "Bill", "Matching", "Period", "Sides", "Use", "sides"]

Period = tuple[date, date]
"""First and last day, both included."""

Model = tuple[tuple[str, ...], tuple[str, ...]]
ALL: Model = (("*",), ())
"""In place of a model: all of them, where the export does not tell them apart."""

STANDARD = "standard"


@dataclass(frozen=True, slots=True)
class Matching:
    """What only the user knows: US dollars of one unit of a currency, names of models in the export to
    those in the ledger, ids of keys in the export to their fingerprints."""

    rates: Mapping[str, Decimal] = field(default_factory=dict)
    same: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)

    def model(self, name: str) -> Model:
        return identity(self.same.get(name, name))

    def usd(self, amount: Decimal, currency: str) -> Decimal:
        """Raises:
        BadExport: nobody said what the currency is worth.
        """
        rate = Decimal(1) if currency == "USD" else self.rates.get(currency)
        if re.fullmatch(r"[A-Z]{3}", currency) is None:
            raise BadExport(f"{currency[:20]!r} is no currency: three letters, as USD")
        if rate is None:
            raise BadExport(
                f"the export counts in {currency}, the ledger in USD: say what one is worth, "
                f"with --rate {currency}=1.08"
            )
        return amount * rate


@dataclass(slots=True)
class Use:
    """What both sides say of one model in one period, under one key."""

    names: dict[str, None] = field(default_factory=dict)
    """As the export has them."""
    tokens: dict[str, dict[str, int]] = field(default_factory=dict)
    """Billed, by tier and part; empty where the export counts none."""
    requests: int | None = None
    provisional: bool = False
    part_usd: dict[str, Decimal] = field(default_factory=dict)
    """What each part cost, where lines count one part each."""
    sums: list[Sum] = field(default_factory=list)

    @property
    def calls(self) -> int:
        return sum(each.calls for each in self.sums)

    def billed(self) -> dict[str, int]:
        return added(self.tokens.values())

    def told(self) -> dict[str, int]:
        """The ledger's."""
        return added(each.tokens for each in self.sums)


@dataclass(slots=True)
class Bill:
    """Money of one period and key for one model, or for all, in USD."""

    usd: Decimal = Decimal(0)
    list_usd: Decimal | None = None
    lines: int = 0
    rounding_usd: Decimal = Decimal(0)
    """At most so much comes from the digits that the export writes."""
    beside: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    """Category and name of lines that are no usage, to their amounts."""


@dataclass(slots=True)
class Sides:
    """Everything, by period, key and model."""

    uses: dict[tuple[Period, str, Model], Use] = field(default_factory=dict)
    bills: dict[tuple[Period, str, Model], Bill] = field(default_factory=dict)
    has_money: bool = False
    has_tokens: bool = False
    is_whole: bool = False
    """The money is of all models together."""

    def use(self, period: Period, key: str, model: Model) -> Use:
        return self.uses.setdefault((period, key, model), Use())

    def bill(self, period: Period, key: str, model: Model) -> Bill:
        return self.bills.setdefault((period, key, model), Bill())


def added(each: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for tokens in each:
        for part, count in tokens.items():
            total[part] = total.get(part, 0) + count
    return total


def sides(reads: Sequence[Read], told: Iterable[Sum], matching: Matching, span: Period) -> Sides:
    """The exports and the ledger's sums of the days of `span`, put together.

    Raises:
        BadExport: amounts in a currency of unknown worth, or the same usage in two ways.
    """
    made = Sides()
    counted_apart = any(read.shape.endswith(" usage") for read in reads)
    lines = [(read, line) for read in reads for line in read.lines]
    steps = {id(read): read.step for read in reads}
    periods = _periods(line for _, line in lines if line.category == USAGE)
    usage = [line for _, line in lines if line.category == USAGE]
    made.is_whole = any(not line.model and line.amount is not None for line in usage)
    made.has_money = any(line.amount is not None for _, line in lines)
    for read, line in lines:
        period = _within(periods, line)
        key = matching.keys.get(line.key, "")
        if line.category == USAGE and not (counted_apart and read.shape.endswith(" cost")):
            _count(made, made.use(period, key, _model(line, matching)), line)
        if line.amount is not None:
            _charge(made, period, key, line, matching, steps[id(read)])
    known = set(matching.keys.values())
    counted_together = any(line.tokens and not line.model for line in usage)
    for each in told:
        if not span[0] <= each.day <= span[1]:
            continue
        period = _of_day(periods, each.day)
        key = each.key if each.key in known else ""
        model = ALL if counted_together else identity(each.model)
        use = made.use(period, key, model)
        use.sums.append(each)
        if made.has_money:
            made.bill(period, key, ALL if made.is_whole else model)
    return made


def _model(line: Line, matching: Matching) -> Model:
    return matching.model(line.model) if line.model else ALL


def _count(made: Sides, use: Use, line: Line) -> None:
    if line.tokens:
        made.has_tokens = True
        tier = line.tier or STANDARD
        use.tokens[tier] = added((use.tokens.get(tier, {}), line.tokens))
    if line.model:
        use.names[line.model] = None
    if line.requests is not None:
        use.requests = (use.requests or 0) + line.requests
    use.provisional = use.provisional or line.provisional


def _charge(
    made: Sides, period: Period, key: str, line: Line, matching: Matching, step: Decimal
) -> None:
    assert line.amount is not None
    usd = matching.usd(line.amount, line.currency)
    model = _model(line, matching)
    if line.category != USAGE:
        bill = made.bill(period, key, model if line.model and not made.is_whole else ALL)
        place = (line.category, line.what or line.category)
        bill.beside[place] = bill.beside.get(place, Decimal(0)) + usd
        return
    bill = made.bill(period, key, ALL if made.is_whole else model)
    bill.usd += usd
    bill.lines += 1
    bill.rounding_usd += matching.usd(step, line.currency) / 2
    if line.list_amount is not None:
        bill.list_usd = (bill.list_usd or Decimal(0)) + matching.usd(
            line.list_amount, line.currency
        )
    if line.model:
        use = made.use(period, key, model)
        use.names[line.model] = None
        parts = set(line.tokens) - ({"input"} if len(line.tokens) > 1 else set())
        if len(parts) == 1:
            part = parts.pop()
            use.part_usd[part] = use.part_usd.get(part, Decimal(0)) + usd


def _days(line: Line) -> Period:
    return line.start.date(), (line.end - timedelta(microseconds=1)).date()


def _periods(lines: Iterable[Line]) -> list[Period]:
    """Periods that do not overlap: of lines that do, the whole."""
    found = sorted({_days(line) for line in lines})
    made: list[Period] = []
    for first, last in found:
        if made and first <= made[-1][1]:
            made[-1] = made[-1][0], max(last, made[-1][1])
        else:
            made.append((first, last))
    return made


def _of_day(periods: Sequence[Period], day: date) -> Period:
    return next((each for each in periods if each[0] <= day <= each[1]), (day, day))


def _within(periods: Sequence[Period], line: Line) -> Period:
    """The period that a line belongs to; one that is no usage may lie across several."""
    days = _days(line)
    found = _of_day(periods, days[0])
    return found if days[1] <= found[1] else days


def following(period: Period) -> Period | None:
    """The day behind a period of one day."""
    return (period[0] + DAY, period[1] + DAY) if period[0] == period[1] else None
