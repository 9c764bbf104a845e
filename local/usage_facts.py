"""What the sums of an answer are read from: hours that were counted, and calls for the rest of the time.

An hour is read from `tollspan_usage_hours` or the like if it lies whole in the time that is asked for, was
counted, and had no call told since. All other calls are read themselves, so an answer is the same whether or
not anybody has counted. Names that no such table has (users, sessions, …) are read from the calls alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tollspan.config import settings

from .ledger import LedgerError
from .queries import TAG
from .readable import Readable
from .usage_asked import Asked
from .usage_sums import FACTS, OF_A_CALL

__all__ = ["Facts", "Hours", "counted", "facts"]

Span = tuple[int, int]
"""From and until: seconds since the epoch, the end no longer within."""

Hours = tuple[Span, ...]
"""Times of whole hours, in their order."""

HOUR_S = 3600
NS = 10**9
FEWEST_HOURS = 3
"""Fewer are read from the calls: that is one statement, and this would be two."""

MOST_SPANS = 100
"""So many pieces make a statement no longer than an engine reads gladly."""


@dataclass(frozen=True, slots=True)
class Table:
    """Hours by `names`, as the usage API has them; `shown` by the view that has the last count of each."""

    name: str
    shown: str
    names: frozenset[str]
    tags: bool = False

    def knows(self, names: Collection[str]) -> bool:
        return all(name in self.names or (self.tags and name.startswith(TAG)) for name in names)


EVERYWHERE = frozenset(("environment", "data_mode", "status", "error_type", "grade"))
TABLES = (
    Table(
        "usage_by_hour",
        "tollspan_usage_hours",
        EVERYWHERE
        | {
            "provider",
            "model",
            "requested_model",
            "served_model",
            "operation",
            "endpoint",
            "prompt",
        }
        | {"prompt_version", "service", "route", "server", "service_tier", "blame", "blocked_by"}
        | {"waste_reason", "untagged"},
    ),
    Table(
        "usage_by_tenant_hour", "tollspan_usage_tenant_hours", EVERYWHERE | {"tenant", "api_key"}
    ),
    Table("usage_by_tags_hour", "tollspan_usage_tags_hours", EVERYWHERE, tags=True),
)
"""The most useful first."""

SUMMED = ("status", "cost_grade", "error_type")
"""What sums beside the groups ask for."""

STANDING = """
SELECT max(gen) AS gen, (SELECT toUnixTimestamp(min(time)) FROM llm_calls) AS first_s,
       (SELECT toUnixTimestamp(max(time)) FROM llm_calls) AS last_s
FROM {table}
"""
TOLD = """
SELECT DISTINCT toUnixTimestamp(toStartOfHour(time)) AS hour_s FROM llm_calls
WHERE told_at >= toDateTime({since:UInt32}, 'UTC') ORDER BY hour_s
"""
LATE_S = 300
"""Rows that a slow insert brought late carry an earlier time than the count (as in refresh.sql)."""


@dataclass(frozen=True, slots=True)
class Facts:
    """`hours`: times that are read from `counted`; all others are read from the calls."""

    found: Asked
    counted: Table
    hours: Hours

    def table(self, columns: Mapping[str, str], more: str = "") -> str:
        """A subquery of facts with `time`, their `FACTS`, and these columns by their names.

        `more`: a condition on what the names are made of, beside those that were asked for.
        """
        shown = "".join(f", {expression} AS {name}" for name, expression in columns.items())
        summed = ", ".join(SUMMED)
        where = " AND ".join((*self.found.of_names, more or "1"))
        hours = " OR ".join(f"(bucket >= {a} AND bucket < {b})" for a, b in self.hours)
        made = (
            f"SELECT toDateTime64(bucket, 9, 'UTC') AS time, {summed}, {', '.join(FACTS)}{shown} "
            f"FROM {self.counted.shown} WHERE ({hours}) AND {where}"
        )
        rest = " OR ".join(self._around())
        if not rest:
            return f"({made})"
        of_calls = ", ".join(f"{expression} AS {name}" for name, expression in OF_A_CALL.items())
        return (
            f"({made} UNION ALL SELECT time, {summed}, {of_calls}{shown} "
            f"FROM tollspan_calls WHERE ({rest}) AND {where})"
        )

    def _around(self) -> Iterable[str]:
        """Conditions of the times before, between and behind the hours."""
        begin = self.found.begin_ns
        for first, last in self.hours:
            if begin is None or begin < first * NS:
                yield _between(begin, first * NS)
            begin = last * NS
        if self.found.end_ns is None or (begin or 0) < self.found.end_ns:
            yield _between(begin, self.found.end_ns)


def _between(begin_ns: int | None, end_ns: int | None) -> str:
    sides = []
    if begin_ns is not None:
        sides.append(f"time >= fromUnixTimestamp64Nano({begin_ns})")
    if end_ns is not None:
        sides.append(f"time < fromUnixTimestamp64Nano({end_ns})")
    return f"({' AND '.join(sides)})"


def facts(
    ledger: Readable, found: Asked, names: Collection[str], *, now: datetime | None = None
) -> Facts | None:
    """Facts for sums by `names`; None where all of them are read from the calls."""
    asked = found.names.union(names)
    table = next((each for each in TABLES if each.knows(asked)), None)
    hours = counted(ledger, found, table, now=now) if table else ()
    return Facts(found, table, hours) if table and hours else None


def counted(ledger: Readable, found: Asked, table: Table, *, now: datetime | None = None) -> Hours:
    """Times of whole hours that may be read from what was counted; none if it is not worth it."""
    try:
        (standing,) = ledger.query(STANDING.replace("{table}", table.name))
        if not int(standing["gen"]):
            return ()
        since = max(0, int(standing["gen"]) // 1000 - LATE_S)
        told = [row["hour_s"] for row in ledger.query(TOLD, {"since": since})]
    except LedgerError:  # a server whose ledger was made before hours were counted
        return ()
    moment = now or datetime.now(UTC)
    begin_s = _whole(standing["first_s"]) + HOUR_S  # of the first, calls may be gone already
    if kept_days := settings().keep_calls_days:
        begin_s = max(begin_s, _whole(int(moment.timestamp()) - kept_days * 86_400) + HOUR_S)
    if found.begin_ns is not None:
        begin_s = max(begin_s, _whole(-(-found.begin_ns // NS) + HOUR_S - 1))
    end_s = _whole(standing["last_s"]) + HOUR_S
    if found.end_ns is not None:
        end_s = min(end_s, _whole(found.end_ns // NS))
    spans = tuple(_without(begin_s, end_s, told))
    worth_it = sum(b - a for a, b in spans) >= FEWEST_HOURS * HOUR_S and len(spans) <= MOST_SPANS
    return spans if worth_it else ()


def _without(begin_s: int, end_s: int, hours: Iterable[int]) -> Iterable[Span]:
    """The time from begin to end without these hours, which come in their order."""
    for hour_s in hours:
        if begin_s <= hour_s < end_s:
            if begin_s < hour_s:
                yield begin_s, hour_s
            begin_s = hour_s + HOUR_S
    if begin_s < end_s:
        yield begin_s, end_s


def _whole(time_s: int) -> int:
    """When the hour of `time_s` begins."""
    return time_s // HOUR_S * HOUR_S
