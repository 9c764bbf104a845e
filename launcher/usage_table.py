"""A table of the usage API's answers: for a terminal, as lines for programs, and as CSV."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import figures
from .screen import Cell, Column, Paint, clip, table, tsv

__all__ = [
    "FIELDS",
    "MEASURES",
    "Line",
    "Read",
    "Table",
    "as_csv",
    "as_tsv",
    "by",
    "joined",
    "left_out",
    "measured",
    "member",
    "name_of",
    "printed",
    "total_of",
]

Line = Mapping[str, Any]


Read = Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Table:
    """`lines` takes them out of an answer, `columns` and `row` show them, `fields` are for programs."""

    lines: Callable[[Line], Sequence[Line]]
    columns: Callable[[Line], Sequence[Column]]
    row: Callable[[Line, Line], Sequence[Cell]]
    fields: Callable[[Line], Mapping[str, Read]]
    head: Callable[[Line], str]
    note: Callable[[Line], str] = lambda found: ""


MEASURES = (
    Column("COST", 11, right=True),
    Column("$/CALL", 10, right=True, rank=2),
    Column("CALLS", 6, right=True),
    Column("ERR", 5, right=True, rank=3),
    Column("TOKENS", 10, right=True, rank=5),
    Column("P50", 6, right=True, rank=7),
    Column("P95", 6, right=True, rank=4),
    Column("1ST P95", 7, right=True, rank=8),
)


def measured(line: Line) -> list[Cell]:
    money, kind = _money(line)
    return [
        (money, kind),
        (figures.per_call(figures.amount(line["cost_per_call_usd"])), ""),
        (figures.count(line["calls"]), ""),
        (figures.percent(line["errors"], line["calls"]), "bad" if line["errors"] else "dim"),
        (figures.tokens(line["tokens"]["input"], line["tokens"]["output"]), ""),
        (figures.duration(line["duration_s"]["p50"]), ""),
        (figures.duration(line["duration_s"]["p95"]), ""),
        (figures.duration(line["time_to_first_chunk_s"]["p95"]), ""),
    ]


def _money(line: Line) -> Cell:
    cost = figures.amount(line["cost_usd"])
    if cost is None:
        return ("unpriced", "warn") if line["unpriced_calls"] else (figures.UNKNOWN, "dim")
    grades = line["cost_by_grade"]
    lacks = line["unpriced_calls"] or "lower_bound" in grades
    mark = "≥" if lacks else "~" if "estimated" in grades else ""
    return mark + figures.spent(cost), "bold"


FIELDS: Mapping[str, Read] = {
    "calls": lambda line: line["calls"],
    "cost_usd": lambda line: line["cost_usd"],
    "cost_per_call_usd": lambda line: line["cost_per_call_usd"],
    "unpriced_calls": lambda line: line["unpriced_calls"],
    "wasted_usd": lambda line: line["wasted_usd"],
    "input_tokens": lambda line: line["tokens"]["input"],
    "output_tokens": lambda line: line["tokens"]["output"],
    "cache_read_tokens": lambda line: line["tokens"]["cache_read"],
    "reasoning_tokens": lambda line: line["tokens"]["reasoning"],
    "errors": lambda line: line["errors"],
    "error_rate": lambda line: line["error_rate"],
    "retry_ratio": lambda line: line["retry_ratio"],
    "tool_calls": lambda line: line["tool_calls"],
    "p50_s": lambda line: line["duration_s"]["p50"],
    "p95_s": lambda line: line["duration_s"]["p95"],
    "p99_s": lambda line: line["duration_s"]["p99"],
    "first_p50_s": lambda line: line["time_to_first_chunk_s"]["p50"],
    "first_p95_s": lambda line: line["time_to_first_chunk_s"]["p95"],
    "first_p99_s": lambda line: line["time_to_first_chunk_s"]["p99"],
    "output_tokens_per_s": lambda line: line["output_tokens_per_s"],
    "cache_write_tokens": lambda line: line["tokens"]["cache_write"],
    "lower_bound_calls": lambda line: _graded(line, "lower_bound"),
    "estimated_calls": lambda line: _graded(line, "estimated"),
}
"""Of a line for programs, in this order for good."""


def _graded(line: Line, grade: str) -> int:
    """Calls in a sum that are known so well and no better."""
    calls: int = line["cost_by_grade"].get(grade, {"calls": 0})["calls"]
    return calls


def left_out(found: Line, shown: int) -> str:
    """How many lines there are beside those shown, and how to see them; '' where there are none."""
    every = next((found[name] for name in found if name.endswith("_count")), shown)
    if not isinstance(every, int) or every <= shown:
        return ""
    return f"{every - shown:,} more lines are not shown: --limit {every}"


def name_of(value: Any) -> Cell:
    return (str(value), "") if value is not None else ("not known", "warn")


def by(name: str) -> Read:
    return lambda line: line["by"][name]


def member(name: str) -> Read:
    return lambda line: line[name]


def joined(name: str) -> Read:
    return lambda line: ", ".join(line[name])


def total_of(found: Line) -> str:
    total = found["total"]
    errors = figures.percent(total["errors"], total["calls"] or 1)
    calls = f"{figures.count(total['calls'])} calls · {errors} errors"
    return f"{_money(total)[0]} · {calls}"


def printed(shape: Table, found: Line, told: str) -> str:
    """The table on a terminal."""
    cells, paint = shutil.get_terminal_size().columns, Paint()
    rows = [shape.row(line, found) for line in shape.lines(found)]
    below = [] if rows else [paint("dim", clip(_none(found), cells))]
    return "\n".join(
        [
            paint("bold", clip(f"{shape.head(found)} · {told}", cells)),
            paint("dim", clip(shape.note(found), cells)),
            *table(shape.columns(found), rows, cells, paint),
            *below,
        ]
    )


def _none(found: Line) -> str:
    total = found.get("total", found)
    if total.get("calls"):
        return "none"
    if "month" in found:
        return "no real calls in both months: --where data_mode=all shows all, --month another"
    return "no real calls in this time: --where data_mode=all shows all, --last all every time"


def as_tsv(shape: Table, found: Line) -> str:
    """A line of names, and a line of fields with tabs between for each."""
    fields = shape.fields(found)
    lines = [tsv([read(line) for read in fields.values()]) for line in shape.lines(found)]
    return "\n".join([tsv(list(fields)), *lines])


def as_csv(shape: Table, found: Line) -> str:
    """CSV that is safe in a spreadsheet."""
    from tollspan.local.usage_cells import safe

    fields = shape.fields(found)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(fields)
    for line in shape.lines(found):
        writer.writerow([_cell(name, read(line), safe) for name, read in fields.items()])
    return buffer.getvalue()


def _cell(name: str, value: Any, safe: Callable[[Any], Any]) -> Any:
    """Money is a number, also below 0."""
    return value if name.endswith("_usd") else safe(value)
