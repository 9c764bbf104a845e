"""Buckets of time: which one a call lies in, and how many there are at most."""

from __future__ import annotations

from dataclasses import dataclass

from .queries import BadFilter
from .readable import Readable
from .usage_asked import Asked, seconds

__all__ = ["INTERVALS", "Buckets", "buckets"]

LENGTH_S = {"minute": 60, "hour": 3600, "day": 86_400, "week": 604_800, "month": 28 * 86_400}
INTERVALS = tuple(LENGTH_S)
"""Names of intervals, beside lengths such as `15m`."""

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


def buckets(interval: str, found: Asked, ledger: Readable) -> Buckets:
    """Buckets of a length such as `15m` or `2d`, or of a calendar's `week` or `month`.

    Raises:
        BadFilter: it is no interval, or there would be too many of them.
    """
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
    return Buckets(_begin(interval, length_s * 1000), count, length_s % 3600 == 0)


def _begin(interval: str, length_ms: int) -> str:
    if interval == "month":
        return "toUnixTimestamp64Milli(toDateTime64(toStartOfMonth(time), 3, 'UTC'))"
    late = MONDAY_MS if interval == "week" else 0
    return f"intDiv(toUnixTimestamp64Milli(time) + {late}, {length_ms}) * {length_ms} - {late}"
