"""`GET /v1/usage/stats`: measures of calls, in total, by any names, and over time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, tzinfo
from typing import Any

from .queries import BadFilter
from .readable import Readable
from .usage_asked import asked, dimension, names_of, number
from .usage_buckets import Buckets, buckets
from .usage_measures import iso, measures, measures_in_time
from .usage_rows import Asking, Key, Row, Rows
from .usage_sums import SORTS
from .usage_zone import local, zone_of

__all__ = ["GROUPS", "MOST_GROUPS", "MOST_OFFSET", "OTHERS", "stats"]

OTHERS = ("by", "interval", "tz", "sort", "order", "limit", "offset")
"""Members of the query that are no filters."""

MOST_GROUPS, GROUPS = 500, 50
MOST_OFFSET = 1_000_000
MOST_POINTS = 50_000
"""Buckets of all groups of a page."""

ERROR_TYPES = 20


def stats(
    ledger: Readable, items: Iterable[tuple[str, str]], *, now: datetime | None = None
) -> dict[str, Any]:
    """Answer `items`, the members of a query string.

    Raises:
        BadFilter: the query cannot be understood; the message says which member.
    """
    found = asked(items, OTHERS, now=now)
    names = names_of(found.others.get("by", ""))
    limit = number(found.others, "limit", GROUPS, MOST_GROUPS)
    offset = number(found.others, "offset", 0, MOST_OFFSET, 0)
    sort, order = _order(found.others)
    grouped = {name: dimension(found.filters, name, at) for at, name in enumerate(names)}
    interval = found.others.get("interval", "")
    zone = zone_of(found.others["tz"]) if "tz" in found.others else None
    in_time = buckets(interval, found, ledger, zone) if interval else None
    if in_time and grouped and in_time.count * limit > MOST_POINTS:
        raise BadFilter(
            f"limit groups of so many buckets are more than {MOST_POINTS} points: ask for fewer "
            "groups, a longer interval or a shorter time"
        )

    of_hours = in_time is None or in_time.of_hours
    asking = Asking(ledger, found, grouped, of_hours=of_hours, now=now)
    chosen = asking.chosen(sort, order, limit, offset) if grouped else None
    if chosen and chosen.count and chosen.count == len(chosen.keys):
        rows = of_groups = asking.by_names(in_time)
    else:
        rows = asking.in_total(in_time)
        of_groups = asking.of_groups(chosen, in_time) if chosen else Rows()
    made: dict[str, Any] = found.range() | {"by": names, "interval": interval or None}
    # Of no call there is no row where rows stand under times.
    total = rows.total or asking.in_total(None).total or {}
    made["total"] = measures(total) | {"error_types": _error_types(asking)}
    if in_time:
        made["total"]["buckets"] = [_bucket(row, zone) for row in rows.in_time]
    if chosen:
        made["groups"] = [
            _group(names, key, of_groups, in_time, zone)
            for key in chosen.keys
            if key in of_groups.groups  # told or corrected since they were chosen
        ]
        count = asking.count() if chosen.count is None else chosen.count
        seen = offset + len(chosen.keys)
        more = bool(chosen.keys) and seen < count and seen <= MOST_OFFSET
        made |= {"group_count": count, "next_offset": seen if more else None}
    return made


def _order(others: dict[str, str]) -> tuple[str, str]:
    sort, order = others.get("sort", "cost"), others.get("order", "desc")
    if sort not in SORTS:
        raise BadFilter(f"sort is unknown: write one of {', '.join(SORTS)}")
    if order not in ("asc", "desc"):
        raise BadFilter("order is unknown: write asc or desc")
    return sort, order.upper()


def _error_types(asking: Asking) -> list[Row]:
    found = asking.error_types(ERROR_TYPES)
    return [{"error_type": row["kind"], "calls": row["n"]} for row in found]


def _group(
    names: list[str], key: Key, rows: Rows, in_time: Buckets | None, zone: tzinfo | None
) -> Row:
    row = rows.groups[key]
    by = {name: value or None for name, value in zip(names, key, strict=True)}
    group = {"by": by, **measures(row), "last_time": iso(row["m_last_ms"])}
    if in_time is None:
        return group
    return group | {"buckets": [_bucket(each, zone) for each in rows.points.get(key, ())]}


def _bucket(row: Row, zone: tzinfo | None) -> Row:
    found = measures_in_time(row)
    return found if zone is None else found | {"time": local(row["b"], zone)}
