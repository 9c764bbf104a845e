"""`GET /v1/usage/export`: every call that is asked for, in a file, however many there are.

Calls are read in the order of their ids, a page at a time, each page from where the last one ended:
memory holds one page, and the ledger is free between two.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tollspan.collector.rows import COUNTS, FLAGS, MONEY
from tollspan.columns import TEXTS

from .queries import BadFilter
from .readable import Readable
from .usage_asked import Asked, asked
from .usage_cells import safe
from .usage_focus import focus, focus_parquet
from .usage_line import line

__all__ = ["COLUMNS", "FORMATS", "OTHERS", "Export", "export"]

OTHERS = ("format", "charge_period")
PAGE = 5_000
COLUMNS = (
    *("call_id", "trace_id", "span_id", "service", "environment", "scope"),
    *TEXTS,
    *("tags", "streaming"),
    *COUNTS,
    *("usage", *MONEY, "cache_saved_usd", "time_to_first_chunk_s", "duration_s", "status"),
    *(name for name in FLAGS if name != "streaming"),
    "finish_reasons",
)
"""Columns of a call, as `tollspan_calls` has them; `time` goes before them."""

HOPS = """
SELECT call_id, hop_index, span_id, role, name, provider, model, evidence, gateway, gateway_version,
       overhead_ms, status FROM tollspan_hops
"""


@dataclass(frozen=True, slots=True)
class Export:
    """A file on its way: its name, its media type, its bytes, and headers that say more of it."""

    name: str
    media_type: str
    pieces: Iterator[bytes]
    headers: Mapping[str, str]


def export(
    ledger: Readable, items: Iterable[tuple[str, str]], *, now: datetime | None = None
) -> Export:
    """The file that `items`, the members of a query string, ask for.

    Raises:
        BadFilter: the query cannot be understood; the message says which member.
    """
    found = asked(items, OTHERS, now=now)
    form = found.others.get("format", "jsonl")
    if form not in FORMATS:
        raise BadFilter(f"format is unknown: write one of {', '.join(FORMATS)}")
    if "charge_period" in found.others and not form.startswith("focus"):
        raise BadFilter("charge_period goes with format=focus-csv and focus-parquet alone")
    ending, media_type, make = FORMATS[form]
    day = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    name = f"tollspan-{'focus-1.4' if form.startswith('focus') else 'usage'}-{day}.{ending}"
    pieces, headers = make(ledger, found)
    return Export(name, media_type, pieces, headers)


Made = tuple[Iterator[bytes], Mapping[str, str]]


def _jsonl(ledger: Readable, found: Asked) -> Made:
    def pieces() -> Iterator[bytes]:
        for rows, page in _pages(ledger, found):
            hops: dict[str, list[dict[str, Any]]] = {}
            for hop in ledger.query(
                f"{HOPS} WHERE call_id IN ({page.ids}) ORDER BY call_id, hop_index", page.bound
            ):
                hops.setdefault(hop.pop("call_id"), []).append(hop)
            written = (json.dumps(line(row, hops.get(row["call_id"], []))) for row in rows)
            yield ("\n".join(written) + "\n").encode()

    return pieces(), {}


def _csv(ledger: Readable, found: Asked) -> Made:
    def pieces() -> Iterator[bytes]:
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\r\n")
        writer.writerow(["time", *COLUMNS])
        for rows, _ in _pages(ledger, found):
            for row in rows:
                writer.writerow([_time(row["time_ns"]), *(safe(row[name]) for name in COLUMNS)])
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
        yield buffer.getvalue().encode()

    return pieces(), {}


def _parquet(ledger: Readable, found: Asked) -> Made:
    columns = ", ".join(("time", *COLUMNS))
    sql = f"SELECT {columns} FROM tollspan_calls {found.filters.where} ORDER BY call_id"
    return ledger.parquet(sql, found.filters.bound), {}


FORMATS: Mapping[str, tuple[str, str, Callable[[Readable, Asked], Made]]] = {
    "jsonl": ("jsonl", "application/x-ndjson", _jsonl),
    "csv": ("csv", "text/csv; charset=utf-8", _csv),
    "parquet": ("parquet", "application/vnd.apache.parquet", _parquet),
    "focus-csv": ("csv", "text/csv; charset=utf-8", focus),
    "focus-parquet": ("parquet", "application/vnd.apache.parquet", focus_parquet),
}
"""By its name: how the file's name ends, its media type, and what makes it."""


@dataclass(frozen=True, slots=True)
class _Page:
    """`ids`: a statement that selects the ids of the page's calls, `bound` what is bound in it."""

    ids: str
    bound: dict[str, Any]


def _pages(ledger: Readable, found: Asked) -> Iterator[tuple[list[dict[str, Any]], _Page]]:
    """Rows of the calls that are there now, in the order of their ids. Later ones are left out."""
    where, bound = found.filters.where, found.filters.bound
    newest = ledger.query(f"SELECT max(call_id) AS newest FROM tollspan_calls {where}", bound)
    base = f"{where} AND" if where else "WHERE"
    after, last = "", newest[0]["newest"]
    end = (
        f"FROM tollspan_calls {base} call_id > {{x_after:String}} AND call_id <= {{x_last:String}} "
        f"ORDER BY call_id LIMIT {PAGE}"
    )
    while after < last:
        page = _Page(f"SELECT call_id {end}", bound | {"x_after": after, "x_last": last})
        rows = ledger.query(
            f"SELECT toUnixTimestamp64Nano(time) AS time_ns, {', '.join(COLUMNS)} {end}", page.bound
        )
        if not rows:
            return
        yield rows, page
        after = rows[-1]["call_id"]


def _time(time_ns: int) -> str:
    seconds, rest = divmod(int(time_ns), 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
