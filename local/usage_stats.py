"""`GET /v1/usage/stats`: measures of calls, in total, by any names, and over time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from .queries import BadFilter
from .readable import Readable
from .usage_asked import Asked, asked, dimension, number
from .usage_buckets import Buckets, buckets
from .usage_measures import IN_TIME, MEASURES, SORTS, iso, measures, measures_in_time

__all__ = ["GROUPS", "MOST_GROUPS", "MOST_OFFSET", "OTHERS", "stats"]

OTHERS = ("by", "interval", "sort", "order", "limit", "offset")
"""Members of the query that are no filters."""

MOST_BY = 4
MOST_GROUPS, GROUPS = 500, 50
MOST_OFFSET = 1_000_000
MOST_POINTS = 50_000
"""Buckets of all groups of a page."""

ERROR_TYPES = 20
Row = dict[str, Any]


def stats(
    ledger: Readable, items: Iterable[tuple[str, str]], *, now: datetime | None = None
) -> dict[str, Any]:
    """Answer `items`, the members of a query string.

    Raises:
        BadFilter: the query cannot be understood; the message says which member.
    """
    found = asked(items, OTHERS, now=now)
    names = _names(found.others.get("by", ""))
    limit = number(found.others, "limit", GROUPS, MOST_GROUPS)
    offset = number(found.others, "offset", 0, MOST_OFFSET, 0)
    order = _order(found.others)
    grouped = [dimension(found.filters, name, place) for place, name in enumerate(names)]
    interval = found.others.get("interval", "")
    in_time = buckets(interval, found, ledger) if interval else None
    if in_time and grouped and in_time.count * limit > MOST_POINTS:
        raise BadFilter(
            f"limit groups of so many buckets are more than {MOST_POINTS} points: ask for fewer "
            "groups, a longer interval or a shorter time"
        )

    count = f", uniqExact({', '.join(grouped)}) AS n_groups" if grouped else ""
    row = ledger.query(
        f"SELECT {MEASURES}{count} FROM tollspan_calls {found.filters.where}", found.filters.bound
    )[0]
    total = measures(row) | {"error_types": _error_types(ledger, found)}
    made: dict[str, Any] = found.range() | {"by": names, "interval": interval or None}
    made["total"] = total | ({"buckets": _over_time(ledger, found, in_time)} if in_time else {})
    if grouped:
        page = _Page(ledger, found, grouped, order, limit, offset)
        made["groups"] = page.groups(names, in_time)
        seen = offset + len(made["groups"])
        more = seen < row["n_groups"] and seen <= MOST_OFFSET
        made |= {"group_count": row["n_groups"], "next_offset": seen if more else None}
    return made


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if len(names) > MOST_BY or len(set(names)) != len(names):
        raise BadFilter(f"by is not a list of at most {MOST_BY} different names, commas between")
    return names


def _order(others: dict[str, str]) -> str:
    sort, order = others.get("sort", "cost"), others.get("order", "desc")
    if sort not in SORTS:
        raise BadFilter(f"sort is unknown: write one of {', '.join(SORTS)}")
    if order not in ("asc", "desc"):
        raise BadFilter("order is unknown: write asc or desc")
    return f"{SORTS[sort]} {order.upper()} NULLS LAST, count() DESC"


def _over_time(ledger: Readable, found: Asked, in_time: Buckets) -> list[Row]:
    rows = ledger.query(
        f"SELECT {in_time.begin} AS b, {IN_TIME} FROM tollspan_calls {found.filters.where} "
        "GROUP BY b ORDER BY b",
        found.filters.bound,
    )
    return [measures_in_time(row) for row in rows]


def _error_types(ledger: Readable, found: Asked) -> list[Row]:
    """The most frequent kinds of errors."""
    where = f"{found.filters.where} AND" if found.filters.where else "WHERE"
    rows = ledger.query(
        f"SELECT error_type AS kind, count() AS n FROM tollspan_calls {where} error_type != '' "
        f"GROUP BY kind ORDER BY n DESC, kind LIMIT {ERROR_TYPES}",
        found.filters.bound,
    )
    return [{"error_type": row["kind"], "calls": row["n"]} for row in rows]


class _Page:
    """Some groups of all. They are chosen by what they are ordered by alone, and then measured."""

    def __init__(
        self,
        ledger: Readable,
        found: Asked,
        grouped: list[str],
        order: str,
        limit: int,
        offset: int,
    ) -> None:
        self._ledger = ledger
        self._bound = found.filters.bound
        names = [f"g_{n}" for n in range(len(grouped))]
        self._keys = ", ".join(names)
        self._order = f"{order}, {self._keys}"
        self._columns = ", ".join(
            f"{expression} AS {name}" for expression, name in zip(grouped, names, strict=True)
        )
        chosen = (
            f"SELECT {self._columns} FROM tollspan_calls {found.filters.where} "
            f"GROUP BY {self._keys} ORDER BY {self._order} LIMIT {limit} OFFSET {offset}"
        )
        base = f"{found.filters.where} AND" if found.filters.where else "WHERE"
        self._where = f"{base} ({', '.join(grouped)}) IN (SELECT {self._keys} FROM ({chosen}))"

    def groups(self, names: list[str], in_time: Buckets | None) -> list[Row]:
        rows = self._ledger.query(
            f"SELECT {self._columns}, {MEASURES} FROM tollspan_calls {self._where} "
            f"GROUP BY {self._keys} ORDER BY {self._order}",
            self._bound,
        )
        made = []
        points = self._points(in_time, len(names)) if in_time and rows else None
        for row in rows:
            key = _key(row, len(names))
            by = {name: value or None for name, value in zip(names, key, strict=True)}
            group = {"by": by, **measures(row), "last_time": iso(row["m_last_ms"])}
            made.append(group if points is None else group | {"buckets": points.get(key, [])})
        return made

    def _points(self, in_time: Buckets, names: int) -> dict[tuple[Any, ...], list[Row]]:
        rows = self._ledger.query(
            f"SELECT {in_time.begin} AS b, {self._columns}, {IN_TIME} FROM tollspan_calls "
            f"{self._where} GROUP BY b, {self._keys} ORDER BY b",
            self._bound,
        )
        made: dict[tuple[Any, ...], list[Row]] = {}
        for row in rows:
            made.setdefault(_key(row, names), []).append(measures_in_time(row))
        return made


def _key(row: Row, names: int) -> tuple[Any, ...]:
    return tuple(row[f"g_{n}"] for n in range(names))
