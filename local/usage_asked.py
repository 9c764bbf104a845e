"""What somebody asks the usage API for: which calls, of which time, and under which names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

from .queries import MODEL, TAG, UNKNOWN, UNPRICED, BadFilter, Filters, nanoseconds
from .usage_zone import zone_of

__all__ = [
    "DEFAULT_LAST",
    "DIMENSIONS",
    "IDS",
    "RANGE",
    "REAL",
    "Asked",
    "asked",
    "dimension",
    "names_of",
    "number",
    "seconds",
]

DIMENSIONS = {
    "provider": "provider",
    "model": MODEL,
    "requested_model": "request_model",
    "served_model": "served_model",
    "operation": "operation",
    "endpoint": "endpoint",
    "prompt": "prompt",
    "prompt_version": "prompt_version",
    "tenant": "tenant",
    "user": "user",
    "session": "session",
    "api_key": "api_key",
    "service": "service",
    "environment": "environment",
    "data_mode": "data_mode",
    "route": "route",
    "server": "server_address",
    "service_tier": "service_tier",
    "status": "status",
    "error_type": "error_type",
    "grade": "cost_grade",
    "blame": "blame",
    "blocked_by": "blocked_by",
    "waste_reason": "waste_reason",
}
"""What calls can be chosen and grouped by; `tag.<key>` beside these."""

IDS = {"trace_id": "trace_id", "request_id": "request_id", "response_id": "response_id"}
"""What a call can be found by, and nothing is grouped by."""

FLAGS = {"unpriced": UNPRICED, "untagged": "(endpoint = '')", "swapped": "(model_swapped = 1)"}
RANGE = ("from", "to", "last")
REAL = ("real", "")
"""Calls whose money is real, and those of which nobody says that it is not."""

DEFAULT_LAST = "30d"
WINDOW = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
MOST_VALUES = 50
MOST_BY = 4
LONGEST = 1_000
"""Letters of one value."""


@dataclass
class Asked:
    """The calls that are asked for, and the other members of the query by their name.

    `begin_ns` and `end_ns`: nanoseconds since the epoch, the end no longer within; None is open.
    `of_names`: the conditions of `filters` beside those of the time, `names` what they ask for.
    """

    filters: Filters
    begin_ns: int | None
    end_ns: int | None
    of_names: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()
    others: dict[str, str] = field(default_factory=dict)

    def range(self) -> dict[str, str | None]:
        """`{from, to}` as ISO-8601, None where open."""
        return {"from": _iso(self.begin_ns), "to": _iso(self.end_ns)}


def asked(
    items: Iterable[tuple[str, str]], others: Collection[str] = (), *, now: datetime | None = None
) -> Asked:
    """Read a query string; several values of one name mean any of them, `-` is not known.

    Args:
        others: names of the query that are no filters; each may stand once. If `tz` is one, times without
            an offset are that zone's.

    Raises:
        BadFilter: a name that is unknown, or a value that is none.
    """
    values: dict[str, list[str]] = {}
    for name, value in items:
        if len(value) > LONGEST:
            raise BadFilter(f"{name[:50]} is longer than {LONGEST} letters")
        if value:
            values.setdefault(name, []).append(value)
    rest = {name: _once(name, values.pop(name)) for name in others if name in values}
    zone = zone_of(rest["tz"]) if "tz" in rest else UTC
    begin_ns, end_ns = _range(values, now or datetime.now(UTC), zone)
    made = Filters()
    if begin_ns is not None:
        made.add("time >= fromUnixTimestamp64Nano({f_from:Int64})", f_from=begin_ns)
    if end_ns is not None:
        made.add("time < fromUnixTimestamp64Nano({f_to:Int64})", f_to=end_ns)
    of_time = len(made.conditions)
    modes = values.pop("data_mode", None)
    if modes is None:
        _among(made, "data_mode", "data_mode", list(REAL))
    elif modes != ["all"]:
        values["data_mode"] = modes
    for name, wanted in values.items():
        _filter(made, name, wanted, others)
    of_names = tuple(made.conditions[of_time:])
    return Asked(made, begin_ns, end_ns, of_names, frozenset(values), rest)


def _filter(made: Filters, name: str, wanted: list[str], others: Collection[str]) -> None:
    if len(wanted) > MOST_VALUES:
        raise BadFilter(f"{name[:50]} has more than {MOST_VALUES} values")
    known = ["" if value == UNKNOWN else value for value in wanted]
    if name in FLAGS:
        made.add(FLAGS[name] if _yes(name, _once(name, wanted)) else f"NOT {FLAGS[name]}")
    elif name in DIMENSIONS or name in IDS:
        _among(made, name, DIMENSIONS.get(name) or IDS[name], known)
    elif name.startswith(TAG) and name != TAG:
        at = len(made.conditions)
        made.bound |= {f"f_tag_{at}": name.removeprefix(TAG)}
        _among(made, f"tagged_{at}", f"tags[{{f_tag_{at}:String}}]", known)
    else:
        names = ", ".join((*DIMENSIONS, "tag.<key>", *IDS, *FLAGS, *RANGE, *others))
        raise BadFilter(f"{name[:50]!r} is no member of this query; known are {names}")


def _among(made: Filters, name: str, expression: str, values: list[str]) -> None:
    made.add(f"{expression} IN {{f_{name}:Array(String)}}", **{f"f_{name}": values})


def _once(name: str, values: list[str]) -> str:
    if len(values) > 1:
        raise BadFilter(f"{name[:50]} may stand once")
    return values[0]


def _yes(name: str, value: str) -> bool:
    if value.lower() not in ("1", "true", "yes", "0", "false", "no"):
        raise BadFilter(f"{name} is not a yes or no: write true or false")
    return value.lower() in ("1", "true", "yes")


def _range(
    values: dict[str, list[str]], now: datetime, zone: tzinfo
) -> tuple[int | None, int | None]:
    found = {name: _once(name, values.pop(name)) for name in RANGE if name in values}
    if "last" in found and len(found) > 1:
        raise BadFilter("last goes with neither from nor to")
    begin_ns = nanoseconds(found["from"], "from", zone) if "from" in found else None
    end_ns = nanoseconds(found["to"], "to", zone) if "to" in found else None
    if begin_ns is not None and end_ns is not None and begin_ns >= end_ns:
        raise BadFilter("from is not before to")
    if begin_ns is None and end_ns is None:
        last = found.get("last", DEFAULT_LAST)
        if last != "all":
            end_ns = int(now.timestamp() * 1e6) * 1000
            begin_ns = max(0, end_ns - seconds("last", last) * 10**9)
    return begin_ns, end_ns


def seconds(name: str, text: str) -> int:
    """Seconds of `15m`, `24h`, `7d`.

    Raises:
        BadFilter: it is no length of time.
    """
    found = WINDOW.fullmatch(text)
    if found is None:
        every = " or all" if name == "last" else ", or minute, hour, day, week, month"
        raise BadFilter(f"{name} is no length of time: write 15m, 24h, 7d, 4w{every}")
    return int(found[1]) * UNIT_S[found[2]]


def number(others: dict[str, str], name: str, usual: int, most: int, least: int = 1) -> int:
    """A whole number of the query.

    Raises:
        BadFilter: it is none from `least` to `most`.
    """
    text = others.get(name, str(usual))
    if text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most:
        return int(text)
    raise BadFilter(f"{name} is not a number from {least} to {most}")


def names_of(text: str) -> list[str]:
    """The names of `by`.

    Raises:
        BadFilter: they are too many, or one stands twice.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if len(names) > MOST_BY or len(set(names)) != len(names):
        raise BadFilter(f"by is not a list of at most {MOST_BY} different names, commas between")
    return names


def dimension(made: Filters, name: str, place: int) -> str:
    """The expression that calls are grouped by under `name`.

    Raises:
        BadFilter: there is none of that name.
    """
    if name in DIMENSIONS:
        return DIMENSIONS[name]
    if name.startswith(TAG) and name != TAG:
        made.bound |= {f"g_tag_{place}": name.removeprefix(TAG)}
        return f"tags[{{g_tag_{place}:String}}]"
    raise BadFilter(
        f"{name[:50]!r} is nothing to group by: write some of {', '.join(DIMENSIONS)}, tag.<key>"
    )


def _iso(time_ns: int | None) -> str | None:
    if time_ns is None:
        return None
    moment = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=time_ns // 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
