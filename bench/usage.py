"""What the usage API costs over a large ledger: `python -m bench.usage --ledger FOLDER` over one that
`python -m bench.ledger --keep FOLDER` made.

Questions of `/v1/usage/stats` over a day and a week, each the median of five after one that warms up, on
the wall's clock and in CPU time. Exports of the
whole ledger, each in a process of its own: calls per second, the time to the first byte, and the most
memory that the process held, beside what it holds with the ledger open. `/api/status` when it is first
asked and after that. Results go to `bench/results/usage.json`; exit code 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tollspan.local.ledger import Ledger
from tollspan.local.status import size
from tollspan.local.usage_export import FORMATS, export
from tollspan.local.usage_stats import stats
from tollspan.local.whole import Whole

from .ledger_data import cores

RESULT = Path(__file__).parent / "results" / "usage.json"
ROUNDS = 5
GOALS_MS = {"24h": 250.0, "7d": 1000.0, "7d by tag.team, hour": 2000.0}
NAMES = (
    *("model", "provider", "endpoint", "prompt_version", "route", "status", "error_type"),
    *("tenant", "api_key", "tag.team", "user", "session"),
)
Items = list[tuple[str, str]]


def questions() -> dict[str, Items]:
    """Names of the questions, which begin with their range, and what they ask for."""
    made: dict[str, Items] = {}
    for last in ("24h", "7d"):
        made[last] = [("last", last)]
        made |= {f"{last} by {name}": [("last", last), ("by", name)] for name in NAMES}
        for name in ("model", "tag.team"):
            asked = [("last", last), ("by", name), ("interval", "hour"), ("limit", "20")]
            made[f"{last} by {name}, hour"] = asked
    made["7d, day"] = [("last", "7d"), ("interval", "day")]
    made["7d by tenant, day"] = [("last", "7d"), ("by", "tenant"), ("interval", "day")]
    made["7d by tenant, p95"] = [("last", "7d"), ("by", "tenant"), ("sort", "p95")]
    return made


def goal_ms(name: str) -> float:
    return GOALS_MS.get(name) or GOALS_MS[name.split(",")[0].split(" ")[0]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.usage", description=__doc__)
    parser.add_argument("--ledger", type=Path, required=True, help="one that bench.ledger kept")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", default="", help="what has this in its name; keeps no result")
    parser.add_argument("--export", choices=FORMATS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.export:
        print(json.dumps(exported(options.ledger, options.export)))
        return 0
    result = asked(options.ledger, options.rounds, options.only)
    result["exports"] = {}
    for form in FORMATS:
        if options.only in f"export {form}":
            result["exports"][form] = found = in_a_process(options.ledger, form)
            print(f"{found['calls_per_s']:9,} calls/s {found['peak_mb']:5} MB  export {form}")
    result["missed"] = missed = [
        name for name, each in result["stats"].items() if each["ms"] > goal_ms(name)
    ]
    for name in missed:
        print(f"MISSED {name}: {result['stats'][name]['ms']} ms, goal {goal_ms(name):.0f}")
    if not options.only:
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
    return 1 if missed else 0


def asked(folder: Path, rounds: int, only: str) -> dict[str, Any]:
    """The ledger, and what its questions took."""
    ledger = Ledger(folder)
    try:
        began = time.process_time()
        ledger.count_again()
        counting_s = time.process_time() - began
        whole = Whole(ledger)
        status = [timed(lambda: whole.counts() | size(ledger)) for _ in range(rounds + 1)]
        found = {
            "machine": {"cores": cores(), "python": platform.python_version()},
            "engine": version("chdb-core"),
            "calls": whole.counts()["calls"],
            "goals_ms": GOALS_MS,
            "counting_cpu_s": round(counting_s, 2),
            "status": {
                "first_ms": round(status[0][0], 1),
                "ms": round(statistics.median(each[0] for each in status[1:]), 1),
            },
            "stats": {},
        }
        now = end(ledger)
        for name, items in questions().items():
            if only not in name:
                continue
            times = [timed(lambda: stats(ledger, items, now=now)) for _ in range(rounds + 1)][1:]  # noqa: B023
            ms, cpu_ms = (
                round(statistics.median(column), 1) for column in zip(*times, strict=True)
            )
            found["stats"][name] = {"ms": ms, "cpu_ms": cpu_ms}
            print(f"{ms:9.1f} ms {cpu_ms:9.1f} CPU-ms  {name}", flush=True)
        return found
    finally:
        ledger.close()


def timed(ask: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds on the wall's clock, and of CPU."""
    begun, used = time.perf_counter(), time.process_time()
    ask()
    return (time.perf_counter() - begun) * 1000, (time.process_time() - used) * 1000


def end(ledger: Ledger) -> datetime:
    """When the newest call began: the moment that is asked at."""
    (row,) = ledger.query("SELECT toUnixTimestamp(max(time)) AS s FROM tollspan_calls")
    return datetime.fromtimestamp(int(row["s"]) + 1, UTC)


def in_a_process(folder: Path, form: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.usage", "--ledger", str(folder), "--export", form]
    made = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(made.stdout)
    return found


def exported(folder: Path, form: str) -> dict[str, Any]:
    """Every call of the ledger in this format, read and let go."""
    ledger = Ledger(folder)
    try:
        (row,) = ledger.query("SELECT count() AS calls FROM tollspan_calls")
        opened_mb = peak_mb()
        begun, used = time.perf_counter(), time.process_time()
        first_s, size_bytes = 0.0, 0
        items = [("data_mode", "all"), ("last", "all"), ("format", form)]
        for piece in export(ledger, items).pieces:
            first_s = first_s or time.perf_counter() - begun
            size_bytes += len(piece)
        took_s = time.perf_counter() - begun
    finally:
        ledger.close()
    return {
        "calls": row["calls"],
        "calls_per_s": round(row["calls"] / took_s),
        "s": round(took_s, 1),
        "cpu_s": round(time.process_time() - used, 1),
        "first_byte_s": round(first_s, 2),
        "mb": round(size_bytes / 1e6),
        "peak_mb": peak_mb(),
        "opened_mb": opened_mb,
    }


def peak_mb() -> int:
    """The most memory that this process has held; Linux's `ru_maxrss` has that of whoever started it, too."""
    told = Path("/proc/self/status")
    if told.exists():
        (line,) = (each for each in told.read_text().splitlines() if each.startswith("VmHWM:"))
        return round(int(line.split()[1]) / 1024)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)  # macOS: bytes


if __name__ == "__main__":
    sys.exit(main())
