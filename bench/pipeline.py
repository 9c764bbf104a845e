"""`python -m bench.pipeline`: what each part of the production path costs, and what its data weighs.

Spans of `traffic`, three others for each call, go through real processes (agent, gateway, two stages,
after-stage) into an embedded ClickHouse; CPU seconds are those of each process, so that a busy machine
counts as little as it can. Results go to `bench/results/pipeline.json`, which `bench/sizing.py` reads.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import sys
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc

from . import traffic

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
IN_FLIGHT = 4
OTHERS = 3
"""Spans around each call."""

WITHIN_S = 600.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.pipeline", description=__doc__)
    parser.add_argument("--calls", type=int, default=50_000, help="how many calls (50,000)")
    options = parser.parse_args()
    found = measured(options.calls)
    print(json.dumps(found, indent=1))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "pipeline.json").write_text(json.dumps(found, indent=1) + "\n")


def measured(calls: int) -> dict[str, Any]:
    """Send so many calls and their neighbours through, wait for the ledger to have them, and count."""
    # The processes are those of the tests.
    sys.path.insert(0, str(ROOT / "tests"))
    from pipeline_path import production

    asked = list(traffic.calls(calls))
    calls = len(asked) * traffic.BATCH
    around = traffic.others(calls * OTHERS)
    requests = [each for call in asked for each in (call, *islice(around, OTHERS))]
    sent = len(requests) * traffic.BATCH
    with (
        TemporaryDirectory(prefix="tollspan-bench-") as folder,
        production(Path(folder), flush="2s") as path,
    ):
        parts = {
            "agent": [path.agent],
            "gateway": [path.gateway],
            "stage": path.stages,
            "after_stage": [path.after],
        }
        pids = {
            name: [each.process.pid for each in some if each.process]
            for name, some in parts.items()
        }
        before = {name: _cpu_s(some) for name, some in pids.items()}
        own, started = time.process_time(), time.monotonic()
        refused = _send(path.agent_endpoint.removeprefix("http://"), requests)
        ledger = path.clickhouse.ledger
        while _rows(ledger, "llm_calls") < calls or _rows(ledger, "spans") < sent:
            if time.monotonic() > started + WITHIN_S:
                raise RuntimeError(f"only {_rows(ledger, 'spans')} of {sent} spans arrived")
            time.sleep(0.5)
        wall_s = time.monotonic() - started
        cpu_s = {name: _cpu_s(some) - before[name] for name, some in pids.items()}
        cpu_s["ledger"] = time.process_time() - own
        rss_mb = {name: round(sum(map(_rss_mb, some))) for name, some in pids.items()}
        for table in ("spans", "llm_calls", "llm_hops"):
            ledger._writer.query(f"OPTIMIZE TABLE {table} FINAL")
        weights = ledger.query(
            "SELECT table, sum(bytes_on_disk) / sum(rows) AS bytes FROM system.parts "
            "WHERE active AND table IN ('spans', 'llm_calls', 'llm_hops') GROUP BY table"
        )
    raw, some = sum(map(len, requests)), requests[:20]
    return {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "calls": calls,
        "spans": sent,
        "wall_s": round(wall_s, 1),
        "refused": refused,
        "spans_per_cpu_s": {name: round(sent / used) for name, used in cpu_s.items()},
        "rss_mb": rss_mb,
        "bytes_per_span": {
            "otlp": round(raw / sent),
            "otlp_gzip": round(
                sum(len(gzip.compress(each)) for each in some) / len(some) / traffic.BATCH
            ),
        },
        "bytes_per_row": {row["table"]: round(row["bytes"], 1) for row in weights},
    }


def _send(address: str, requests: Iterable[bytes]) -> int:
    """Offer each request until it is taken; how often one was refused."""
    refused = 0
    with grpc.insecure_channel(address) as channel:
        export = channel.unary_unary(TRACES)
        waiting = []
        for request in requests:
            waiting.append((request, export.future(request, timeout=60)))
            if len(waiting) >= IN_FLIGHT:
                refused += _taken(export, *waiting.pop(0))
        for each in waiting:
            refused += _taken(export, *each)
    return refused


def _taken(export: Any, request: bytes, answer: Any) -> int:
    for tries in range(100):
        try:
            answer.result()
            return tries
        except grpc.RpcError:
            time.sleep(0.2)
            answer = export.future(request, timeout=60)
    raise RuntimeError("a request was refused a hundred times")


def _rows(ledger: Any, table: str) -> int:
    return int(ledger.query(f"SELECT count() AS n FROM {table}")[0]["n"])


def _cpu_s(pids: Iterable[int]) -> float:
    used = 0
    for pid in pids:
        said = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        used += int(said[11]) + int(said[12])
    return used / os.sysconf("SC_CLK_TCK")


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
