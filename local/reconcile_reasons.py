"""Reasons for which a bill and the ledger differ: what they are called, and what to do about each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

__all__ = ["NEXT", "OPEN", "REASONS", "Reason", "summed", "written"]

REASONS = {
    "tax": "taxes on the bill",
    "credit": "credits, refunds and discounts on lines of their own",
    "other_charge": "charges that are for no call: storage, tools, hosting, fees",
    "discount": "the provider bills less than its list prices",
    "negotiated": "the provider asks less than the price book and the price file: negotiated, or dated",
    "tier": "other tiers than the ledger saw: batch, flex, priority",
    "cache": "cached tokens counted otherwise than in the answers",
    "unpriced": "calls that the ledger has no price for",
    "own_price": "amounts in the ledger that are not from today's prices: reported, or priced before",
    "tools": "searches that the ledger counts with their calls, on a line of their own",
    "boundary": "calls around midnight, which both sides count on other days",
    "not_final": "the provider says, or its usual delay, that this day is not final yet",
    "rounding": "digits that the export does not write",
    "silent": "calls in the ledger that state no usage",
    "lower_bound": "calls in the ledger that cost more than they state: attempts or answers were lost",
    "not_seen": "calls that the ledger has not seen: not instrumented, or of somebody else's",
    "no_lines": "days of calls that the export has no line of at all",
    "not_billed": "calls in the ledger that the export does not have: another account, key or project",
    "dearer": "the provider asks more than the price book and the price file",
    "unexplained": "nothing known explains it",
}
OPEN = ("silent", "lower_bound", "not_seen", "no_lines", "not_billed", "dearer", "unexplained")
"""Reasons that leave a question; all others account for what they explain."""

NEXT = {
    "own_price": "give TOLLSPAN_PRICES here as where calls are priced, or price them again: tollspan reprice",
    "silent": "have the usage of streams sent (TOLLSPAN_STREAM_USAGE=1)",
    "lower_bound": "look at calls that were cut off or retried: tollspan usage stats --by status",
    "not_seen": "find who calls without tollspan: export by key or project, and give --key",
    "no_lines": "fetch the export of these days, too",
    "not_billed": "fetch the other accounts' and projects' exports, too",
    "dearer": "compare with your contract, and put the price into TOLLSPAN_PRICES",
    "unexplained": "look at each day (--days), and ask the provider with its numbers",
}
"""What to do about each of them, and about one that another price file here may make open."""


def written(amount: Decimal) -> str:
    """An amount as a decimal string without zeros at its end."""
    return format(amount.normalize(), "f") if amount else "0"


@dataclass(slots=True)
class Reason:
    """A part of a difference: billed less told. `certain` is False where it is what is likely."""

    name: str
    amount: Decimal
    certain: bool = True
    calls: int | None = None

    def as_json(self, unit: str) -> dict[str, Any]:
        amount = written(self.amount) if unit == "usd" else int(self.amount)
        made: dict[str, Any] = {"reason": self.name, unit: amount, "certain": self.certain}
        if self.calls is not None:
            made["calls"] = self.calls
        is_open = self.name in OPEN
        return made | {"meaning": REASONS[self.name], "open": is_open, "next": NEXT.get(self.name)}


def summed(every: Iterable[Reason], unit: str) -> list[dict[str, Any]]:
    """Every reason with what it explains in all, in the order of `REASONS`."""
    sums: dict[str, Decimal] = {}
    calls: dict[str, int] = {}
    for each in every:
        sums[each.name] = sums.get(each.name, Decimal(0)) + each.amount
        if each.calls is not None:
            calls[each.name] = calls.get(each.name, 0) + each.calls
    return [
        {
            "reason": name,
            unit: written(sums[name]) if unit == "usd" else int(sums[name]),
            "calls": calls.get(name),
            "meaning": meaning,
            "open": name in OPEN,
            "next": NEXT.get(name),
        }
        for name, meaning in REASONS.items()
        if name in sums
    ]
