"""Why a bill and the ledger differ, in US dollars or tokens, part by part.

The difference of one model on one day is taken apart so that the parts add up to it to the last digit:
what the provider asks for a token other than the price book, what other tiers make, what was cached
other than the ledger saw, what the ledger has no price for, and tokens that only one side knows. The
last part is set against what the ledger knows of calls that it could not count, and against the next
day's; what then is left is unexplained.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from .reconcile_lines import CREDIT, OTHER, TAX
from .reconcile_reasons import OPEN, Reason
from .reconcile_sides import STANDARD, Bill, Use, added
from .reconcile_value import Worth

__all__ = ["Explained", "explained", "left_over", "moved"]

CATEGORIES = {TAX: "tax", CREDIT: "credit", OTHER: "other_charge"}
STEP = Decimal("0.000000000001")
"""US dollars that the ledger counts in."""

NOTHING = Decimal("0.000000001")
"""US dollars below which nobody asks why."""


@dataclass(slots=True)
class Explained:
    """A difference and its parts so far; `rest` is what is left of the tokens only one side knows."""

    billed: Decimal
    told: Decimal
    reasons: list[Reason] = field(default_factory=list)
    rest: Decimal = Decimal(0)
    average: Decimal = Decimal(0)
    """Of a call in the ledger that states its usage."""
    edges: tuple[Decimal, Decimal] = (Decimal(0), Decimal(0))
    """What the ledger has near the day's beginning and end."""
    rounding: Decimal = Decimal(0)
    use: Use = field(default_factory=Use)
    has_lines: bool = True

    def add(
        self, name: str, amount: Decimal, *, certain: bool = True, calls: int | None = None
    ) -> None:
        if abs(amount) > NOTHING:
            self.reasons.append(Reason(name, amount.quantize(STEP), certain, calls))

    @property
    def difference(self) -> Decimal:
        return self.billed - self.told

    @property
    def open(self) -> Decimal:
        return sum((abs(each.amount) for each in self.reasons if each.name in OPEN), Decimal(0))


def explained(
    bill: Bill,
    parts: Sequence[tuple[Use, Worth]],
    searched: bool,
    counts: bool,
    is_there: bool = True,
) -> Explained:
    """The parts that are certain. `parts` are the models that `bill` is for.

    Args:
        searched: the bill of this period has lines for searches.
        counts: the export counts tokens.
        is_there: some line of the bill is of this period, of whatever model.
    """
    sums = [each for use, _ in parts for each in use.sums]
    beside = sum(bill.beside.values(), Decimal(0))
    made = Explained(
        bill.usd + beside,
        sum((each.usd for each in sums), Decimal(0)),
        use=_one(use for use, _ in parts),
        rounding=bill.rounding_usd,
        has_lines=bool(bill.lines),
    )
    made.edges = (
        sum((each.early_usd for each in sums), Decimal(0)),
        sum((each.late_usd for each in sums), Decimal(0)),
    )
    for (category, _), amount in bill.beside.items():
        made.add(CATEGORIES[category], amount)
    known = all(worth.is_known or not _matters(use) for use, worth in parts)
    # Images, seconds and letters are money alone, though other models of the bill have tokens; and the
    # tokens of a day whose costs are missing are no cheaper than others.
    in_tokens = not bill.lines or any(any(use.billed().values()) for use, _ in parts)
    if not known or not counts or not in_tokens or not is_there:
        _by_money(made, bill, parts)
    else:
        _by_tokens(made, bill, parts, searched)
    speaking = sum(each.calls - each.silent for each in sums)
    made.average = made.told / speaking if speaking > 0 else Decimal(0)
    return made


def _matters(use: Use) -> bool:
    return any(use.billed().values()) or any(use.told().values())


def _by_money(made: Explained, bill: Bill, parts: Sequence[tuple[Use, Worth]]) -> None:
    """Of an export without tokens, or a model without prices: what needs neither."""
    difference = bill.usd - made.told
    for use, worth in parts:
        unpriced = added(each.tokens for each in use.sums if each.grade == "unpriced")
        worth_usd = worth.of(unpriced, calls=max(1, use.calls)) if worth.is_known else Decimal(0)
        if worth_usd and difference > 0:
            taken = min(worth_usd, difference)
            made.add("unpriced", taken, certain=False)
            difference -= taken
        elif not worth.is_known and use.calls and difference > 0 and _is_unpriced(use):
            made.add("unpriced", difference, certain=False, calls=use.calls)
            difference = Decimal(0)
    if bill.list_usd is not None and bill.list_usd > bill.usd and bill.lines:
        discount = bill.usd - bill.list_usd
        made.add("discount", discount)
        difference -= discount
    made.rest = difference


def _is_unpriced(use: Use) -> bool:
    return all(each.grade == "unpriced" for each in use.sums)


def _by_tokens(
    made: Explained, bill: Bill, parts: Sequence[tuple[Use, Worth]], searched: bool
) -> None:
    """Parts that add up to the difference: `billed − list − … − told`, each step one reason."""
    listed = tier = cache = rest = unpriced = own = tools = Decimal(0)
    for use, worth in parts:
        billed, told = use.billed(), use.told()
        calls = max(1, use.requests or use.calls)
        billed_at_tiers = sum(
            (worth.of(tokens, name, calls) for name, tokens in use.tokens.items()), Decimal(0)
        )
        listed += billed_at_tiers
        billed_plain = worth.of(billed, calls=calls)
        told_plain = worth.of(told, calls=max(1, use.calls))
        told_at_tiers = Decimal(0)
        for each in use.sums:
            at_tier = worth.of(each.tokens, each.tier or STANDARD, each.calls)
            told_at_tiers += at_tier
            if each.grade == "unpriced":
                unpriced += at_tier
            if searched and each.searches:
                there = worth.of(each.tokens, each.tier or STANDARD, each.calls, each.searches)
                tools -= there - at_tier
        tier += (billed_at_tiers - billed_plain) - (told_at_tiers - told_plain)
        otherwise = worth.of(_cached_as(billed, told), calls=max(1, use.calls)) - told_plain
        cache += otherwise
        rest += billed_plain - told_plain - otherwise
        own += told_at_tiers - sum((each.usd for each in use.sums), Decimal(0))
    price, own = _apart(bill.usd - listed, own - unpriced - tools)
    _add_price(made, bill, price)
    made.add("tier", tier)
    made.add("cache", cache)
    made.add("unpriced", unpriced)
    made.add("tools", tools)
    made.add("own_price", own)
    made.rest = rest


def _apart(billed: Decimal, own: Decimal) -> tuple[Decimal, Decimal]:
    """What bill and ledger differ by from the price of plain tokens, without what both do.

    Regions, cache writes of an hour, long inputs and sound cost more than is counted here, on both
    sides alike: that is no difference between them.
    """
    if billed * own >= 0:
        return billed, own
    both = min(abs(billed), abs(own)).copy_sign(billed)
    return billed - both, own + both


def _add_price(made: Explained, bill: Bill, amount: Decimal) -> None:
    if abs(amount) <= bill.rounding_usd:
        made.add("rounding", amount)
        return
    if bill.list_usd is not None and bill.list_usd > bill.usd:
        discount = max(amount, bill.usd - bill.list_usd) if amount < 0 else Decimal(0)
        made.add("discount", discount)
        amount -= discount
    made.add("dearer" if amount > 0 else "negotiated", amount)


def _cached_as(billed: Mapping[str, int], told: Mapping[str, int]) -> dict[str, int]:
    """What the ledger counts, with as much of it cached as the bill says."""
    made = dict(told)
    left = told.get("input", 0)
    if not any(billed.values()) or not left:
        return made
    for part in ("cache_read", "cache_write"):
        if part in billed:
            made[part] = min(billed[part], left)
        left -= made.get(part, 0)
        left = max(0, left)
    return made


def _one(uses: Iterable[Use]) -> Use:
    made = Use()
    for use in uses:
        made.sums += use.sums
        made.provisional = made.provisional or use.provisional
        if use.requests is not None:
            made.requests = (made.requests or 0) + use.requests
    return made


def moved(one: Explained, following: Explained) -> None:
    """What one day has too much of and the next too little, as far as calls near midnight go."""
    if one.rest * following.rest >= 0:
        return
    near = one.edges[1] if one.rest < 0 else following.edges[0]
    amount = min(abs(one.rest), abs(following.rest), near)
    amount = amount if one.rest > 0 else -amount
    one.add("boundary", amount, certain=False)
    following.add("boundary", -amount, certain=False)
    one.rest -= amount
    following.rest += amount


def left_over(made: Explained, is_recent: bool, is_there: bool = True) -> None:
    """Set what is left against calls that the ledger could not count, and name the remainder.

    Args:
        is_recent: the bill of this period may still grow.
        is_there: the export has some line of this period, of whatever model.
    """
    use = made.use
    calls = use.calls
    silent, unsure = (
        sum(each.silent for each in use.sums),
        sum(each.unsure for each in use.sums),
    )
    if made.rest > 0 and silent:
        _take(made, "silent", silent, calls)
    if made.rest > 0 and unsure:
        _take(made, "lower_bound", unsure, calls)
    if abs(made.rest) <= made.rounding:
        made.add("rounding", made.rest)
    elif made.rest > 0 and not calls:
        made.add("not_seen", made.rest, calls=use.requests)
    elif made.rest > 0 and use.requests is not None and use.requests > calls:
        made.add("not_seen", made.rest, certain=False, calls=use.requests - calls)
    elif made.rest < 0 and (use.provisional or is_recent):
        made.add("not_final", made.rest, certain=use.provisional)
    elif made.rest < 0 and not is_there:
        made.add("no_lines", made.rest, calls=calls)
    elif made.rest < 0 and (not made.has_lines or (use.requests or calls) < calls):
        missing = calls - (use.requests or 0)
        made.add("not_billed", made.rest, certain=not made.has_lines, calls=missing)
    else:
        made.add("unexplained", made.rest)
    made.rest = Decimal(0)


def _take(made: Explained, name: str, number: int, calls: int) -> None:
    most = made.average * number if number < calls or made.average else made.rest
    amount = min(made.rest, most)
    made.add(name, amount, certain=False, calls=number)
    made.rest -= amount
