"""Days, weeks from Monday and months, in UTC, as the ledger counts them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

__all__ = ["Period", "period_at"]


class Period(NamedTuple):
    """Seconds since the epoch: `begin` lies in it, `end` in the next."""

    begin: float
    end: float

    @property
    def ends(self) -> datetime:
        return datetime.fromtimestamp(self.end, UTC)


def period_at(kind: str, moment_s: float) -> Period:
    """The `day`, `week` or `month` that `moment_s` (seconds since the epoch) lies in."""
    moment = datetime.fromtimestamp(moment_s, UTC)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if kind == "day":
        begin, end = day, day + timedelta(days=1)
    elif kind == "week":
        begin = day - timedelta(days=day.weekday())
        end = begin + timedelta(days=7)
    else:
        begin = day.replace(day=1)
        end = (begin + timedelta(days=32)).replace(day=1)
    return Period(begin.timestamp(), end.timestamp())
