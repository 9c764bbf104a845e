"""`make bench-ledger`: the ledger under load. Insert rate, bytes per row, and how long boards wait.

Synthetic calls of seven days: 2,000 tenants by Zipf's law, 40 endpoints, 12 models; 3 % come a second
time, 2 % are corrected. Every statement of every board runs as it is committed, over the range that the
boards open with and over all seven days; questions that sums by time can answer run on the rollups, too;
a few run as they would on the clickhouse exporter's own table, with attributes in a Map. Before that the
engine has merged what it merges after a quiet quarter of an hour. Times are medians of five after one that
warms up. Sums are held against those that the generator knows. Results go to
`bench/results/ledger.json`.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tollspan.local import expand
from tollspan.local.ledger import Ledger

from . import ledger_data as data

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
DASHBOARDS = ROOT / "grafana" / "dashboards"
ROUNDS = 5
BLOCK = 65_536
"""Rows of one insert, as a collector's sending queue gathers them."""

GOALS_MS = {"ledger": 250.0, "rollup": 60.0}
RANGES = {"24h": 86_400, "7d": 7 * 86_400}
OPENED = "24h"
"""The range that the boards open with, which the goals are for."""

POINTS = 120
"""Time buckets of a series."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.ledger", description=__doc__)
    parser.add_argument("--calls", type=int, default=5_000_000, help="how many (5,000,000)")
    parser.add_argument("--no-raw", action="store_true", help="leave out the table of Maps")
    parser.add_argument("--only", default="", help="statements whose name has this in it")
    parser.add_argument(
        "--keep", type=Path, help="a folder to build the ledger in, or to use again"
    )
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="tollspan-bench-"))
    try:
        found = run(folder, options)
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    if not options.only:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "ledger.json").write_text(json.dumps(found, indent=1) + "\n")
    return 0 if found["exact"] else 1


def run(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    ledger = Ledger(folder)
    found: dict[str, Any] = {
        "machine": {"cores": data.cores(), "python": platform.python_version()},
        "engine": version("chdb-core"),
        "calls": options.calls,
        "goals_ms": GOALS_MS,
    }
    connection = ledger._writer
    there = data.count(connection, "llm_calls")
    if not there:
        found["insert"] = filled(connection, ledger, options)
    started = time.process_time()
    ledger.count_again()
    found["rollups_cpu_s"] = round(time.process_time() - started, 2)
    data.settled(connection)
    found["bytes_per_row"] = data.sizes(connection)
    found["exact"] = exact(ledger, options.calls)
    print(f"sums exact: {found['exact']}; bytes per row: {found['bytes_per_row']}")
    found["statements"] = timed(ledger, options)
    found["missed"] = sorted(
        name
        for name, each in found["statements"].items()
        if each["range"] == OPENED and each["ms"] > GOALS_MS.get(each["on"], math.inf)
    )
    for name in found["missed"]:
        print(f"MISSED {name}: {found['statements'][name]['ms']} ms")
    ledger.close()
    return found


def filled(connection: Any, ledger: Ledger, options: argparse.Namespace) -> dict[str, Any]:
    """Put the calls in, as blocks; what that took of the engine, in rows."""
    made: dict[str, Any] = {}
    ledger.insert("budgets", data.BUDGETS)
    connection.query(data.RAW_TABLE)
    for table, statement in data.TABLES.items():
        if table == "raw" and options.no_raw:
            continue
        cpu_s = wall_s = 0.0
        for first, size in data.portions(options.calls, BLOCK):
            answer = connection.query(statement(options.calls, first, size), "Native")
            body = bytes(answer.bytes())
            cpu, wall = time.process_time(), time.perf_counter()
            ledger.append(table, body)
            cpu_s += time.process_time() - cpu
            wall_s += time.perf_counter() - wall
        rows = data.count(connection, table)
        made[table] = {
            "rows": rows,
            "rows_per_cpu_s": round(rows / cpu_s),
            "rows_per_s": round(rows / wall_s),
        }
        print(f"{table}: {made[table]}", flush=True)
    return made


def exact(ledger: Ledger, calls: int) -> bool:
    """Whether ledger and rollups say what the generator knows, to the last digit."""
    (known,) = ledger.query(data.truth(calls))
    said = [
        ledger.query(f"SELECT {counted} AS calls, sum(cost_usd) AS usd FROM {view}")[0]
        for view, counted in (
            ("tollspan_calls", "count()"),
            ("tollspan_minutes", "sum(calls)"),
            ("tollspan_hours", "sum(calls)"),
            ("tollspan_tenant_hours", "sum(calls)"),
            ("tollspan_tenant_days", "sum(calls)"),
        )
    ]
    # A sum of nothing would equal any other such sum.
    return Decimal(known["usd"]) > 0 and all(
        each["calls"] == calls and Decimal(each["usd"]) == Decimal(known["usd"]) for each in said
    )


def timed(ledger: Ledger, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Name of each statement to what it ran on, its range and its median."""
    (last,) = ledger.query(
        "SELECT toUnixTimestamp(max(time)) AS s, argMax(trace_id, time) AS trace_id FROM llm_calls"
    )
    values = data.VALUES | {"trace_id": last["trace_id"]}
    asked = [*_board_statements(values), *_questions("rollup", data.ON_ROLLUPS)]
    if not options.no_raw:
        asked += _questions("raw", data.ON_RAW)
        asked += _questions("ledger", data.BESIDE_RAW)
    found: dict[str, dict[str, Any]] = {}
    for name, on, sql in asked:
        for window, seconds in RANGES.items():
            label = f"{name} | {window}"
            if options.only not in label:
                continue
            end = last["s"] + 1
            sent = expand.server(sql, end - seconds, end, max(1, seconds // POINTS))
            found[label] = {"on": on, "range": window, **_median(ledger, sent)}
            each = found[label]
            print(f"{each['ms']:8.1f} ms {each['cpu_ms']:8.1f} CPU-ms  {on:6}  {label}", flush=True)
    return found


def _median(ledger: Ledger, sql: str) -> dict[str, Any]:
    times: list[float] = []
    cpu: list[float] = []
    rows = 0
    for _ in range(ROUNDS + 1):
        begun, used = time.perf_counter(), time.process_time()
        rows = len(ledger.query(sql))
        times.append((time.perf_counter() - begun) * 1000)
        cpu.append((time.process_time() - used) * 1000)
    return {
        "ms": round(statistics.median(times[1:]), 1),
        "cpu_ms": round(statistics.median(cpu[1:]), 1),
        "rows": rows,
    }


def _questions(on: str, statements: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    for name, sql in statements.items():
        yield f"{on} | {name}", on, sql


def _board_statements(values: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Each distinct statement of the boards, with the values that they open with and a trace."""
    seen: set[str] = set()
    for file in sorted(DASHBOARDS.glob("*.json")):
        board = json.loads(file.read_text("utf-8"))
        for name, sql in _of_board(board):
            sent = expand.browser(sql, values)
            if sent not in seen:
                seen.add(sent)
                yield f"{file.stem.removeprefix('tollspan-')} | {name}", "ledger", sent


def _of_board(board: dict[str, Any]) -> Iterator[tuple[str, str]]:
    panels = [each for panel in board["panels"] for each in (panel, *(panel.get("panels") or ()))]
    for panel in panels:
        for target in panel.get("targets") or ():
            if "rawSql" in target:
                yield f"{panel['title']} {target['refId']}", target["rawSql"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield f"${variable['name']}", variable["query"]["rawSql"]
    for note in board["annotations"].get("list", ()):
        if "rawSql" in note.get("target", {}):
            yield f"annotation {note['name']}", note["target"]["rawSql"]


if __name__ == "__main__":
    sys.exit(main())
