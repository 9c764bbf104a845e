"""Buckets of time: which one a call lies in, and how many there are at most."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo

from .queries import BadFilter
from .readable import Readable
from .usage_asked import Asked, seconds
from .usage_zone import keeps_hours

__all__ = ["INTERVALS", "Buckets", "buckets"]

LENGTH_S = {"minute": 60, "hour": 3600, "day": 86_400, "week": 604_800, "month": 28 * 86_400}
INTERVALS = tuple(LENGTH_S)
"""Names of intervals, beside lengths such as `15m`."""

_TZ = "{f_tz:String}"
IN_ZONE = {
    "minute": f"toStartOfMinute(time, {_TZ})",
    "hour": f"toStartOfHour(time, {_TZ})",
    "day": f"toStartOfDay(time, {_TZ})",
    "week": f"toDateTime(toStartOfWeek(time, 1, {_TZ}), {_TZ})",
    "month": f"toDateTime(toStartOfMonth(time, {_TZ}), {_TZ})",
}
"""When the bucket of a call begins by the clocks of a zone."""

MOST = 2_000
MONDAY_MS = 3 * 86_400_000
"""The epoch was a Thursday; weeks begin on Mondays."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """`begin`: the expression of where a call's bucket begins, in ms since the epoch, UTC.

    `of_hours`: each is made of whole hours.
    """

    begin: str
    count: int
    of_hours: bool


def buckets(interval: str, found: Asked, ledger: Readable, zone: tzinfo | None = None) -> Buckets:
    """Buckets of a length such as `15m` or `2d`, or of a calendar's `week` or `month`.

    Args:
        zone: whose days they are, instead of UTC's; `tz` of what is asked for is its name.

    Raises:
        BadFilter: it is no interval, or there would be too many of them.
    """
    if zone is not None and interval not in IN_ZONE:
        raise BadFilter(f"tz goes with the intervals {', '.join(IN_ZONE)}: a length is no zone's")
    length_s = LENGTH_S.get(interval) or seconds("interval", interval)
    begin_ns, end_ns = found.begin_ns, found.end_ns
    if begin_ns is None or end_ns is None:
        row = ledger.query(
            "SELECT toUnixTimestamp64Nano(minOrNull(time)) AS low, "
            f"toUnixTimestamp64Nano(maxOrNull(time)) AS high FROM tollspan_calls {found.filters.where}",
            found.filters.bound,
        )[0]
        if row["low"] is None:  # of no call there is no bucket
            begin_ns = end_ns = 0
        begin_ns = int(row["low"]) if begin_ns is None else begin_ns
        end_ns = int(row["high"]) if end_ns is None else end_ns
    count = max(0, end_ns - begin_ns) // (length_s * 10**9) + 2
    if count > MOST:
        raise BadFilter(
            f"interval makes more than {MOST} buckets of this time: ask for a longer interval or "
            "a shorter time"
        )
    of_hours = length_s % 3600 == 0
    if zone is None:
        return Buckets(_begin(interval, length_s * 1000), count, of_hours)
    _know(found, ledger)
    begin = f"toInt64(toUnixTimestamp({IN_ZONE[interval]})) * 1000"
    return Buckets(begin, count, of_hours and keeps_hours(zone, begin_ns, end_ns))


def _know(found: Asked, ledger: Readable) -> None:
    """Bind the zone's name, if the engine has a zone of that name, too.

    Raises:
        BadFilter: it has none.
    """
    found.filters.bound |= {"f_tz": found.others["tz"]}
    known = "SELECT count() AS n FROM system.time_zones WHERE time_zone = {f_tz:String}"
    if not ledger.query(known, {"f_tz": found.others["tz"]})[0]["n"]:
        raise BadFilter(f"tz {found.others['tz']!r} is no time zone of the ledger's engine")


def _begin(interval: str, length_ms: int) -> str:
    if interval == "month":
        return "toUnixTimestamp64Milli(toDateTime64(toStartOfMonth(time), 3, 'UTC'))"
    late = MONDAY_MS if interval == "week" else 0
    return f"intDiv(toUnixTimestamp64Milli(time) + {late}, {length_ms}) * {length_ms} - {late}"
