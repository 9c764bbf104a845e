"""Sessions, and API keys, each as one line with what it did and what it spent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .queries import MODEL, BadFilter
from .readable import Readable
from .usage_asked import asked, number
from .usage_measures import iso, measures
from .usage_stats import GROUPS, MOST_GROUPS, MOST_OFFSET
from .usage_sums import MEASURES, SORTS

__all__ = ["KEYS", "OTHERS", "SESSIONS", "View", "view"]

OTHERS = ("sort", "order", "limit", "offset")
MOST_NAMES = 20
END_NS = "toUnixTimestamp64Nano(time) + toInt64(round(least(coalesce(duration_s, 0), 1e8) * 1e9))"
LASTED_NS = f"(max({END_NS}) - toUnixTimestamp64Nano(min(time)))"


@dataclass(frozen=True, slots=True)
class View:
    """`plural` names the lines in the answer, `column` is what a line is of, `sort` the usual order."""

    plural: str
    name: str
    column: str
    names: tuple[tuple[str, str], ...]
    """Lists of a line: its name, and the column whose values it holds."""
    sort: str


SESSIONS = View(
    "sessions",
    "session",
    "session",
    (("models", MODEL), ("endpoints", "endpoint"), ("tenants", "tenant"), ("users", "user")),
    "last",
)
KEYS = View(
    "keys",
    "api_key",
    "api_key",
    (
        ("providers", "provider"),
        ("models", MODEL),
        ("services", "service"),
        ("environments", "environment"),
        ("tenants", "tenant"),
    ),
    "cost",
)


def view(
    ledger: Readable,
    of: View,
    items: Iterable[tuple[str, str]],
    *,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Answer `items`, the members of a query string. Calls of none are counted, and are no line.

    Raises:
        BadFilter: the query cannot be understood; the message says which member.
    """
    found = asked(items, OTHERS, now=now)
    limit = number(found.others, "limit", GROUPS, MOST_GROUPS)
    offset = number(found.others, "offset", 0, MOST_OFFSET, 0)
    where, bound = found.filters.where, found.filters.bound
    total = ledger.query(
        f"SELECT {MEASURES}, uniqExactIf({of.column}, {of.column} != '') AS n_lines, "
        f"countIf({of.column} = '') AS n_without FROM tollspan_calls {where}",
        bound,
    )[0]
    only = f"{where} AND {of.column} != ''" if where else f"WHERE {of.column} != ''"
    order = f"{_order(found.others, of)}, line"
    chosen = (
        f"SELECT {of.column} AS line FROM tollspan_calls {only} GROUP BY line ORDER BY {order} "
        f"LIMIT {limit} OFFSET {offset}"
    )
    lists = ", ".join(f"{_names(column)} AS v_{name}" for name, column in of.names)
    rows = ledger.query(
        f"SELECT {of.column} AS line, {MEASURES}, {lists}, {LASTED_NS} AS lasted_ns, "
        "toUnixTimestamp64Milli(min(time)) AS first_ms FROM tollspan_calls "
        f"{only} AND {of.column} IN (SELECT line FROM ({chosen})) GROUP BY line ORDER BY {order}",
        bound,
    )
    seen = offset + len(rows)
    more = seen < total["n_lines"] and seen <= MOST_OFFSET
    return found.range() | {
        "total": measures(total) | {f"calls_without_{of.name}": total["n_without"]},
        of.plural: [_line(row, of) for row in rows],
        f"{of.name}_count": total["n_lines"],
        "next_offset": seen if more else None,
    }


def _line(row: dict[str, Any], of: View) -> dict[str, Any]:
    made: dict[str, Any] = {
        of.name: row["line"],
        "first_time": iso(row["first_ms"]),
        "last_time": iso(row["m_last_ms"]),
        "lasted_s": int(row["lasted_ns"]) / 1e9,
    }
    for name, _ in of.names:
        made[name] = row[f"v_{name}"]
    return made | measures(row)


def _names(column: str) -> str:
    """Which values of `column` a line's calls have, at most so many, in the order of their letters."""
    known = f"groupUniqArrayIf({column}, {column} != '')"
    return f"arraySlice(arraySort({known}), 1, {MOST_NAMES})"


def _order(others: dict[str, str], of: View) -> str:
    sorts = SORTS | {"lasted": LASTED_NS}
    sort, order = others.get("sort", of.sort), others.get("order", "desc")
    if sort not in sorts:
        raise BadFilter(f"sort is unknown: write one of {', '.join(sorts)}")
    if order not in ("asc", "desc"):
        raise BadFilter("order is unknown: write asc or desc")
    return f"{sorts[sort]} {order.upper()} NULLS LAST"
