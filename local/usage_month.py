"""`GET /v1/usage/month`: what a month costs, beside the month before it, and where it ends.

The month ends where its spend so far and the pace of its last days lead (`usage_pace`), as on the board.
Groups go by the pace of the same time, so that they add up to the total; each has a range of its own, and
those add up to none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from .queries import UNPRICED, BadFilter
from .readable import Readable
from .usage_asked import RANGE, Asked, asked, dimension, names_of, number
from .usage_measures import iso, money
from .usage_pace import DAY_S, MOST_DAYS, WEEK_S, off, pace_s
from .usage_stats import GROUPS, MOST_GROUPS, MOST_OFFSET
from .usage_zone import zone_of

__all__ = ["OTHERS", "month"]

OTHERS = ("by", "month", "tz", "limit", "offset")
"""Members of the query that are no filters."""

MONTH = re.compile(r"(\d{4})-(\d{2})")
US = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STEP = Decimal("0.000000000001")
AGE = f"intDiv({{t_as_of:Int64}} - toUnixTimestamp64Nano(time), {DAY_S * 10**9})"
"""Whole days between a call and now."""
PARTS = {"month": "m", "before": "b", "last": "l"}
"""Times of which calls and spend are told: this month, the one before to the same moment, and whole."""


@dataclass(frozen=True, slots=True)
class Times:
    """Nanoseconds since the epoch; `same` is as far in the last month as `as_of` is in this."""

    last: int
    same: int
    begin: int
    as_of: int
    end: int

    @property
    def week(self) -> int:
        return self.as_of - WEEK_S * 10**9

    @property
    def known(self) -> int:
        """Since when calls say how long there have been any: a week before the week may have had none."""
        return min(self.begin, self.as_of - 2 * WEEK_S * 10**9)


@dataclass(frozen=True, slots=True)
class Pace:
    """Of all groups: what the last seven days cost was spent over `over_s`; `days` whole days before now
    are known."""

    over_s: Decimal
    left_s: int
    days: int


def month(
    ledger: Readable, items: Iterable[tuple[str, str]], *, now: datetime | None = None
) -> dict[str, Any]:
    """Answer `items`, the members of a query string.

    Raises:
        BadFilter: the query cannot be understood; the message says which member.
    """
    items = list(items)
    for name, value in items:
        if name in RANGE and value:
            raise BadFilter(f"{name} does not go with a month: write month=2026-10, or nothing")
    found = asked([*items, ("last", "all")], OTHERS, now=now)
    zone = zone_of(tz := found.others.get("tz", "UTC"))
    begin = _begin(found.others.get("month", ""), now or datetime.now(UTC), zone)
    times = _times(begin, now or datetime.now(UTC))
    names = names_of(found.others.get("by", ""))
    limit = number(found.others, "limit", GROUPS, MOST_GROUPS)
    offset = number(found.others, "offset", 0, MOST_OFFSET, 0)
    grouped = {name: dimension(found.filters, name, at) for at, name in enumerate(names)}
    _among(found, times)
    total = ledger.query(_statement({}, found), found.filters.bound)[0]
    pace = _pace(total, times)
    made: dict[str, Any] = {
        "month": f"{begin:%Y-%m}",
        "tz": tz,
        "from": iso(times.begin // 10**6),
        "to": iso(times.end // 10**6),
        "as_of": iso(times.as_of // 10**6),
        "by": names,
        "total": _line(total, pace),
    }
    if not grouped:
        return made
    page = f" LIMIT {limit} OFFSET {offset}"
    rows = ledger.query(_statement(grouped, found) + page, found.filters.bound)
    made["groups"] = [
        {
            "by": {name: row[f"g_{at}"] or None for at, name in enumerate(names)},
            **_line(row, pace),
        }
        for row in rows
    ]
    count = rows[0]["n"] if rows else 0
    more = offset + len(rows) < count
    return made | {"group_count": count, "next_offset": offset + len(rows) if more else None}


def _begin(text: str, now: datetime, zone: tzinfo) -> datetime:
    """When the month `text` begins in `zone`; of nothing the one of now."""
    first = now.astimezone(zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    if not text:
        return first
    stated = MONTH.fullmatch(text)
    if stated is None or not 1 <= int(stated[2]) <= 12 or int(stated[1]) < 1971:
        raise BadFilter("month is none: write 2026-10")
    begin = datetime(int(stated[1]), int(stated[2]), 1, tzinfo=zone)
    if begin > first:
        raise BadFilter(f"month {text} has not begun yet")
    return begin


def _times(begin: datetime, now: datetime) -> Times:
    last = (begin - timedelta(days=1)).replace(day=1)
    end = (begin + timedelta(days=32)).replace(day=1)
    of = {"last": last, "begin": begin, "end": end, "as_of": min(now, end)}
    ns = {name: (each.astimezone(UTC) - EPOCH) // US * 1000 for name, each in of.items()}
    passed = ns["as_of"] - ns["begin"]
    # A month that is over stands beside the whole of the other, however long each is.
    over = ns["as_of"] == ns["end"]
    return Times(same=ns["begin"] if over else min(ns["last"] + passed, ns["begin"]), **ns)


def _among(found: Asked, times: Times) -> None:
    """Bind the times, and leave the calls of none of them."""
    found.filters.bound |= {
        f"t_{name}": getattr(times, name)
        for name in ("last", "same", "begin", "week", "known", "as_of")
    }
    low, high = min(times.last, times.known), times.as_of
    found.filters.add(f"time >= {_at('low')} AND time < {_at('high')}", t_low=low, t_high=high)


def _at(name: str) -> str:
    return f"fromUnixTimestamp64Nano({{t_{name}:Int64}})"


def _statement(grouped: Mapping[str, str], found: Asked) -> str:
    within = {
        "m": f"time >= {_at('begin')}",
        "b": f"time >= {_at('last')} AND time < {_at('same')}",
        "l": f"time >= {_at('last')} AND time < {_at('begin')}",
    }
    sums = []
    for part, when in within.items():
        sums += [
            f"sumIf(cost_usd, {when}) AS {part}_usd",
            f"countIf({when}) AS {part}_calls",
            f"countIf(cost_usd IS NOT NULL AND {when}) AS {part}_priced",
        ]
    sums += [
        f"countIf({UNPRICED} AND {within['m']}) AS unpriced",
        *(
            f"countIf(cost_grade = '{grade}' AND {within['m']}) AS {grade}"
            for grade in ("lower_bound", "estimated")
        ),
        f"sumIf(cost_usd, time >= {_at('week')}) AS week_usd",
        f"countIf(time >= {_at('week')}) AS week_calls",
        f"sumMapIf([{AGE}], [ifNull(cost_usd, 0)], {AGE} < {MOST_DAYS}) AS days",
        f"toUnixTimestamp(minIf(time, time >= {_at('known')})) AS first_s",
    ]
    columns = [f"{each} AS g_{at}" for at, each in enumerate(grouped.values())]
    names = ", ".join(f"g_{at}" for at in range(len(columns)))
    more = (
        f" GROUP BY {names} ORDER BY m_usd DESC NULLS LAST, l_usd DESC NULLS LAST, {names}"
        if columns
        else ""
    )
    counted = ["count() OVER () AS n"] if columns else []
    return (
        f"SELECT {', '.join((*columns, *counted, *sums))} "
        f"FROM tollspan_calls {found.filters.where}{more}"
    )


def _pace(total: Mapping[str, Any], times: Times) -> Pace:
    since_s = times.as_of // 10**9 - total["first_s"] if total["first_s"] else WEEK_S
    return Pace(
        over_s=pace_s(since_s, total["week_calls"]),
        left_s=(times.end - times.as_of) // 10**9,
        days=min(MOST_DAYS, since_s // DAY_S) if total["first_s"] else 0,
    )


def _ends(row: Mapping[str, Any], spent: Decimal | None, pace: Pace) -> dict[str, str | None]:
    """Where the month ends, and between which amounts four of five such months would."""
    middle = low = high = None
    if spent is not None or row["week_usd"] is not None:
        so_far = spent or Decimal(0)
        rest = Decimal(row["week_usd"] or 0) * pace.left_s / pace.over_s
        middle = so_far + rest
        paid = dict(zip(*row["days"], strict=True))
        days = [Decimal(paid.get(age, 0)) for age in range(pace.days)]
        around = off(days, pace.left_s, pace.over_s)
        if around is not None:
            low, high = so_far + max(Decimal(0), rest - around), middle + around
    return {
        name: money(usd and usd.quantize(STEP, ROUND_HALF_EVEN))
        for name, usd in (
            ("projected_usd", middle),
            ("projected_low_usd", low),
            ("projected_high_usd", high),
        )
    }


def _line(row: Mapping[str, Any], pace: Pace) -> dict[str, Any]:
    usd = {name: _usd(row, part) for name, part in PARTS.items()}
    spent, before = usd["month"], usd["before"]
    changed = spent - before if spent is not None and before is not None else None
    return {
        "calls": row["m_calls"],
        "cost_usd": money(spent),
        "unpriced_calls": row["unpriced"],
        "lower_bound_calls": row["lower_bound"],
        "estimated_calls": row["estimated"],
        **_ends(row, spent, pace),
        "change_usd": money(changed),
        "before_calls": row["b_calls"],
        "before_cost_usd": money(before),
        "last_month_calls": row["l_calls"],
        "last_month_cost_usd": money(usd["last"]),
    }


def _usd(row: Mapping[str, Any], part: str) -> Decimal | None:
    """0 of no calls; None where there are some and none is priced."""
    if row[f"{part}_priced"]:
        return Decimal(row[f"{part}_usd"])
    return None if row[f"{part}_calls"] else Decimal(0)
