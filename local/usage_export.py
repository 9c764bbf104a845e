"""`GET /v1/usage/export`: every call that is asked for, in a file, however many there are.

Calls are read in the order of their ids, a page at a time, each page from where the last one ended:
memory holds one page, as the engine has written it, and the ledger is free between two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .queries import BadFilter
from .readable import Readable
from .usage_asked import Asked, asked
from .usage_cells import LINES
from .usage_focus import focus, focus_parquet
from .usage_written import COLUMNS, HOP, LINE, ROW

__all__ = ["FORMATS", "OTHERS", "Export", "export"]

OTHERS = ("format", "charge_period")
PAGE = 16_384
"""Calls; some 30 MB of JSON lines, which are four times as long as those of CSV."""


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
        for page in _pages(ledger, found, PAGE):
            hops = (
                "SELECT call_id, arrayStringConcat(arrayMap(each -> each.2, "
                f"arraySort(groupArray((hop_index, {HOP})))), ', ') AS hops FROM tollspan_hops "
                f"WHERE {page.within} AND call_id GLOBAL IN "
                f"(SELECT call_id FROM tollspan_calls {page.where}) GROUP BY call_id"
            )
            sql = (
                f"SELECT line FROM (SELECT call_id, {LINE} AS line FROM "
                f"(SELECT time, {', '.join(COLUMNS)} FROM tollspan_calls {page.where}) AS c "
                f"LEFT JOIN ({hops}) AS h USING (call_id)) ORDER BY call_id"
            )
            yield ledger.written(sql, LINES, page.bound)

    return pieces(), {}


def _csv(ledger: Readable, found: Asked) -> Made:
    def pieces() -> Iterator[bytes]:
        yield f"time,{','.join(COLUMNS)}\r\n".encode()
        for page in _pages(ledger, found, 2 * PAGE):
            sql = f"SELECT {ROW} AS line FROM tollspan_calls {page.where} ORDER BY call_id"
            yield ledger.written(sql, LINES, page.bound)

    return pieces(), {}


def _parquet(ledger: Readable, found: Asked) -> Made:
    columns = ", ".join(("time", *COLUMNS))
    sql = f"SELECT {columns} FROM tollspan_calls {found.filters.where} ORDER BY call_id"
    return ledger.file(sql, "Parquet", found.filters.bound), {}


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
    """`where`: the condition of the page's calls, `within`: of the ids between its ends."""

    where: str
    within: str
    bound: dict[str, Any]


def _pages(ledger: Readable, found: Asked, most: int) -> Iterator[_Page]:
    """Pages of the calls that are there now, in the order of their ids. Later ones are left out."""
    where, bound = found.filters.where, found.filters.bound
    within = "call_id > {x_after:String} AND call_id <= {x_last:String}"
    paged = f"{where} AND {within}" if where else f"WHERE {within}"
    newest = ledger.query(f"SELECT max(call_id) AS newest FROM tollspan_calls {where}", bound)
    ends = (
        f"SELECT max(call_id) AS last FROM (SELECT call_id FROM tollspan_calls {paged} "
        f"ORDER BY call_id LIMIT {most})"
    )
    after, last = "", newest[0]["newest"]
    while after < last:
        (found_end,) = ledger.query(ends, bound | {"x_after": after, "x_last": last})
        end = found_end["last"] or last
        yield _Page(paged, within, bound | {"x_after": after, "x_last": end})
        after = end
