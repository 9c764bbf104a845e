"""A month of the usage API as a table: beside the month before it, and where it ends."""

from __future__ import annotations

from collections.abc import Sequence

from . import figures
from .screen import Cell, Column
from .usage_table import Line, Table, by, member, name_of

__all__ = ["MONTH"]

COLUMNS = (
    Column("LAST MONTH", 11, right=True, rank=4),
    Column("THEN", 11, right=True, rank=3),
    Column("SO FAR", 11, right=True),
    Column("CHANGE", 11, right=True, rank=2),
    Column("MONTH END", 11, right=True),
    Column("FROM – TO", 21, right=True, rank=6),
    Column("CALLS", 6, right=True, rank=5),
)
FIELDS = (
    *("calls", "cost_usd", "unpriced_calls", "lower_bound_calls", "estimated_calls"),
    *("projected_usd", "projected_low_usd", "projected_high_usd", "change_usd"),
    *("before_calls", "before_cost_usd"),
    *("last_month_calls", "last_month_cost_usd"),
)


def _month_row(line: Line, found: Line) -> Sequence[Cell]:
    def usd(name: str, sign: str = "") -> str:
        amount = figures.amount(line[name])
        if amount is None:
            return figures.UNKNOWN
        return (sign if amount > 0 else "-" if amount < 0 else "") + figures.spent(abs(amount))

    return [
        *(name_of(line["by"][name]) for name in found["by"]),
        (usd("last_month_cost_usd"), "dim"),
        (usd("before_cost_usd"), ""),
        (_so_far(line), "bold"),
        (usd("change_usd", "+"), ""),
        (usd("projected_usd"), "bold"),
        (_range(line), "dim"),
        (figures.count(line["calls"]), ""),
    ]


def _range(line: Line) -> str:
    """Empty where nobody can say one yet."""
    low, high = (figures.amount(line[f"projected_{each}_usd"]) for each in ("low", "high"))
    if low is None or high is None:
        return ""
    return f"{figures.spent(low)} – {figures.spent(high)}"


def _so_far(line: Line) -> str:
    amount = figures.amount(line["cost_usd"])
    if amount is None:
        return "unpriced" if line["unpriced_calls"] else figures.UNKNOWN
    lacks = line["unpriced_calls"] or line["lower_bound_calls"]
    mark = "≥" if lacks else "~" if line["estimated_calls"] else ""
    return mark + figures.spent(amount)


def _month_head(found: Line) -> str:
    total = found["total"]
    ends, last = (
        figures.spent(amount) if amount is not None else figures.UNKNOWN
        for amount in map(figures.amount, (total["projected_usd"], total["last_month_cost_usd"]))
    )
    over = found["as_of"] == found["to"]
    between = _range(total)
    likely = f" ({between})" if between else " (too early for a range)"
    where = "" if over else f", ends at {ends}{likely if total['projected_usd'] else ''}"
    return f"{found['month']} · {_so_far(total)}{where} · {last} the month before"


def _month_note(found: Line) -> str:
    if found["as_of"] == found["to"]:
        return "the month is over: THEN and CHANGE are of the whole month before"
    at = found["as_of"][:16].replace("T", " ")
    return (
        f"at {at} UTC; THEN: the month before to the same moment; MONTH END: at the pace of a week; "
        "FROM – TO: 4 months of 5"
    )


MONTH = Table(
    lambda found: found.get("groups", ()),
    lambda found: (
        *(Column(name.replace("_", " ").upper(), least=18) for name in found["by"]),
        *COLUMNS,
    ),
    _month_row,
    lambda found: {
        **{name: by(name) for name in found["by"]},
        **{name: member(name) for name in FIELDS},
    },
    _month_head,
    _month_note,
)
