"""Days and months of a time zone other than UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from .queries import BadFilter

__all__ = ["keeps_hours", "local", "zone_of"]

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}")
HOUR, WEEK = timedelta(hours=1), timedelta(weeks=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def zone_of(name: str) -> tzinfo:
    """The time zone called `name` by IANA.

    Raises:
        BadFilter: there is none of that name on this machine.
    """
    if name == "UTC":
        return UTC
    try:
        if NAME.fullmatch(name):
            return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        pass
    raise BadFilter(f"tz {name[:50]!r} is no time zone: write UTC, Europe/Berlin, America/New_York")


def local(time_ms: int, zone: tzinfo) -> str:
    """Milliseconds since the epoch as ISO-8601 with the offset that `zone` has then."""
    moment = (EPOCH + timedelta(milliseconds=time_ms)).astimezone(zone)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def keeps_hours(zone: tzinfo, begin_ns: int, end_ns: int) -> bool:
    """Whether hours begin in `zone` when they do in UTC, all of that time; no zone changes its clocks
    for less than a week."""
    at, end = (EPOCH + timedelta(microseconds=each // 1000) for each in (begin_ns, end_ns))
    while at < end + WEEK:
        offset = at.astimezone(zone).utcoffset()
        assert offset is not None
        if offset % HOUR:
            return False
        at += WEEK
    return True
