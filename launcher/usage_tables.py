"""What the usage API answers, as tables: groups, calls, sessions, keys, replaced models."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from . import figures
from .screen import Cell, Column
from .sparkline import sparkline
from .usage_month import MONTH
from .usage_table import (
    FIELDS,
    MEASURES,
    Line,
    Read,
    Table,
    by,
    joined,
    measured,
    member,
    name_of,
    total_of,
)

__all__ = ["IN_TIME", "TABLES"]

WHOLE_SECONDS = re.compile("([0-9]{1,9})s")


MOST_CELLS = 24
"""Of a sparkline: of more buckets the last are shown."""


def _times(found: Line) -> list[str]:
    """Where the buckets of an answer begin, the earliest first, those without calls as well."""
    known = [each["time"] for each in found["total"].get("buckets", [])]
    length = WHOLE_SECONDS.fullmatch(found.get("interval") or "")
    if not (length and found["from"] and found["to"]):
        return known[-MOST_CELLS:]
    step_s = int(length[1])
    begin, end = (datetime.fromisoformat(found[name]).timestamp() for name in ("from", "to"))
    made = [
        datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for at in range(int(begin) // step_s * step_s, int(end) + 1, step_s)
    ]
    return made[-MOST_CELLS:]


def _spark(line: Line, times: Sequence[str]) -> str:
    spent = {each["time"]: figures.amount(each["cost_usd"]) for each in line.get("buckets", [])}
    return sparkline([_float(spent[each]) if each in spent else None for each in times])


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def _stats_lines(found: Line) -> Sequence[Line]:
    return found["groups"] if found["by"] else [found["total"] | {"by": {}}]


def _stats_columns(found: Line) -> Sequence[Column]:
    names = [Column(name.replace("_", " ").upper(), least=18) for name in found["by"] or ["all"]]
    spark = len(_times(found))
    over = [Column("OVER TIME", max(9, spark), rank=6)] if spark else []
    return [*names, *MEASURES, *over]


def _stats_row(line: Line, found: Line) -> Sequence[Cell]:
    names: list[Cell] = [name_of(line["by"][name]) for name in found["by"]] or [("all calls", "")]
    times = _times(found)
    return [*names, *measured(line), *([(_spark(line, times), "dim")] if times else [])]


def _stats_fields(found: Line) -> Mapping[str, Read]:
    made: dict[str, Read] = {name: by(name) for name in found["by"]}
    return made | dict(FIELDS)


def _times_lines(found: Line) -> Sequence[Line]:
    """A line for each group and bucket that has calls."""
    return [
        {**bucket, "by": line["by"]} for line in _stats_lines(found) for bucket in line["buckets"]
    ]


def _times_fields(found: Line) -> Mapping[str, Read]:
    made: dict[str, Read] = {"time": member("time")}
    made |= {name: by(name) for name in found["by"]}
    of_both = ("calls", "cost_usd", "unpriced_calls", "input_tokens", "output_tokens", "errors")
    more = ("error_rate", "p50_s", "p95_s", "p99_s", "first_p50_s", "first_p95_s", "first_p99_s")
    return made | {name: FIELDS[name] for name in (*of_both, *more)}


def _stats_note(found: Line) -> str:
    total = found["total"]
    times = _times(found)
    grades = [f"over time {_spark(total, times)}"] if times else []
    grades += [
        f"{grade.replace('_', ' ')} {figures.spent(figures.amount(each['usd']))}"
        for grade, each in total["cost_by_grade"].items()
    ]
    if total["unpriced_calls"]:
        grades.append(f"{figures.count(total['unpriced_calls'])} unpriced")
    return ", ".join(grades)


RECENT_FIELDS = (
    *("time", "call_id", "endpoint", "prompt_version", "tenant", "user", "session", "provider"),
    *("request_model", "served_model", "route", "status", "error_type", "cost_usd", "cost_grade"),
    *("input_tokens", "output_tokens", "duration_s", "time_to_first_chunk_s", "app_attempts"),
    *("api_key", "request_id", "trace_id"),
)


def _recent_row(call: Line, found: Line) -> Sequence[Cell]:
    cost = figures.amount(call["cost_usd"])
    unpriced = cost is None and call["cost_grade"] == "unpriced"
    mark = {"lower_bound": "≥", "estimated": "~"}.get(call["cost_grade"] or "", "")
    return [
        (call["time"][:19].replace("T", " "), "dim"),
        name_of(call["endpoint"]),
        (call["tenant"] or figures.UNKNOWN, ""),
        (call["route"] or call["request_model"] or "path unknown", ""),
        (figures.tokens(call["input_tokens"], call["output_tokens"]), ""),
        ("unpriced", "warn") if unpriced else (mark + figures.per_call(cost), "bold"),
        (figures.duration(call["duration_s"]), ""),
        (str(call["status"]), "good" if call["status"] == "success" else "bad"),
    ]


RECENT = (
    Column("TIME (UTC)", 19),
    Column("ENDPOINT", share=4, least=12),
    Column("TENANT", 10, rank=5),
    Column("ROUTE", share=5, least=14, rank=2),
    Column("TOKENS", 10, right=True, rank=4),
    Column("COST", 11, right=True),
    Column("TOOK", 6, right=True, rank=3),
    Column("STATUS", 9),
)


NEW_KEYS = (
    Column("FIRST SEEN (UTC)", 19),
    Column("API KEY", share=3, least=12),
    Column("PROVIDER", share=1, least=10),
    Column("SERVICE", share=1, least=10),
    Column("ENVIRONMENT", share=1, least=11, rank=5),
)
NEW_KEY_FIELDS = (
    "time",
    "fingerprint",
    "provider",
    "service",
    "environment",
    "call_id",
    "trace_id",
)


def _view(plural: str, name: str, lists: Sequence[str]) -> Table:
    """A table of sessions or of keys."""

    def columns(found: Line) -> Sequence[Column]:
        return (
            Column(name.replace("_", " ").upper(), share=3, least=12),
            Column(lists[0].upper(), share=4, least=12, rank=6),
            Column("LAST (UTC)", 16, rank=9),
            *MEASURES,
        )

    def row(line: Line, found: Line) -> Sequence[Cell]:
        last = line["last_time"][:16].replace("T", " ")
        return [(line[name], ""), (", ".join(line[lists[0]]), ""), (last, "dim"), *measured(line)]

    def fields(found: Line) -> Mapping[str, Read]:
        known = (name, "first_time", "last_time", "lasted_s")
        made = {each: member(each) for each in known} | {each: joined(each) for each in lists}
        return made | dict(FIELDS)

    def head(found: Line) -> str:
        without = found["total"][f"calls_without_{name}"]
        many = found[f"{name}_count"]
        said = f"{many} {plural if many != 1 else plural.removesuffix('s')} · {total_of(found)}"
        return f"{said} · {figures.count(without)} calls without one" if without else said

    return Table(lambda found: found[plural], columns, row, fields, head)


PAIRS = (
    Column("ASKED FOR", share=1, least=14),
    Column("ANSWERED", share=1, least=14),
    Column("CALLS", 6, right=True),
    Column("$/CALL", 10, right=True),
    Column("KEPT $", 10, right=True, rank=3),
    Column("P50", 6, right=True, rank=4),
    Column("KEPT P50", 8, right=True, rank=5),
)


def _pair(line: Line, found: Line) -> Sequence[Cell]:
    kept = line["kept"] or {"cost_per_call_usd": None, "duration_s": {"p50": None}}
    return [
        name_of(line["requested_model"]),
        name_of(line["served_model"]),
        (figures.count(line["replaced"]["calls"]), ""),
        (figures.per_call(figures.amount(line["replaced"]["cost_per_call_usd"])), "bold"),
        (figures.per_call(figures.amount(kept["cost_per_call_usd"])), "dim"),
        (figures.duration(line["replaced"]["duration_s"]["p50"]), ""),
        (figures.duration(kept["duration_s"]["p50"]), "dim"),
    ]


PAIR_FIELDS: Mapping[str, Read] = {
    "requested_model": lambda line: line["requested_model"],
    "served_model": lambda line: line["served_model"],
    "calls": lambda line: line["replaced"]["calls"],
    "cost_per_call_usd": lambda line: line["replaced"]["cost_per_call_usd"],
    "difference_per_call_usd": lambda line: (line["difference"] or {}).get("cost_per_call_usd"),
    "p50_s": lambda line: line["replaced"]["duration_s"]["p50"],
    "difference_p50_s": lambda line: (line["difference"] or {}).get("duration_p50_s"),
}


def _replacement_head(found: Line) -> str:
    turns = found["turns_before_replacement"]
    said = (
        f"{figures.count(found['replaced_calls'])} of {figures.count(found['calls'])} calls "
        f"answered by another model ({figures.percent(found['replaced_calls'], found['calls'])})"
        f" · {figures.count(found['opt_out_calls'])} opted out"
    )
    if turns["replaced_sessions"]:
        said += f" · after {turns['mean']:.1f} turns on average"
    return said


IN_TIME = Table(_times_lines, _stats_columns, _stats_row, _times_fields, total_of)
"""What `--interval` asks for, for programs: `columns` and `row` are those of the whole time."""

TABLES: Mapping[str, Table] = {
    "stats": Table(_stats_lines, _stats_columns, _stats_row, _stats_fields, total_of, _stats_note),
    "month": MONTH,
    "recent": Table(
        lambda found: found["calls"],
        lambda found: RECENT,
        _recent_row,
        lambda found: {name: member(name) for name in RECENT_FIELDS},
        lambda found: f"{len(found['calls'])} calls, the newest first",
    ),
    "sessions": _view("sessions", "session", ("models", "endpoints", "tenants", "users")),
    "keys": _view("keys", "api_key", ("providers", "models", "services", "environments")),
    "new_keys": Table(
        lambda found: found["events"],
        lambda found: NEW_KEYS,
        lambda line, found: [
            (line["time"][:19].replace("T", " "), "dim"),
            (line["fingerprint"], ""),
            *(name_of(line[name]) for name in ("provider", "service", "environment")),
        ],
        lambda found: {name: member(name) for name in NEW_KEY_FIELDS},
        lambda found: f"keys never seen before: {len(found['events'])}",
    ),
    "replacement": Table(
        lambda found: found["by_pair"],
        lambda found: PAIRS,
        _pair,
        lambda found: PAIR_FIELDS,
        _replacement_head,
    ),
}
