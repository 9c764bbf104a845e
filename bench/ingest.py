"""`make bench-ingest`: records into a running stack, a tenth of them twice, and the sums held exactly.

The records go in as a user sends them: `tollspan import` of one file of JSON lines, packed, against a
`tollspan up` of its own; then the whole file a second time, of which nothing may count. Tokens and US
dollars are held against those that the generator knows, to the last digit. Results go to
`bench/results/ingest.json`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tollspan.local import LocalStack

RESULTS = Path(__file__).parent / "results"
INPUT_USD, OUTPUT_USD = Decimal("0.15") / 10**6, Decimal("0.60") / 10**6
"""Of a token of gpt-4o-mini, by the price book that is installed."""

BEGIN_MS = 1_780_000_000_000
AGAIN = 10
"""One in so many comes a second time, a good while later."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.ingest", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000, help="how many (1,000,000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tollspan-bench-") as folder:
        file = Path(folder) / "records.jsonl.gz"
        written = _write(file, options.records)
        with LocalStack(Path(folder) / "ledger") as stack:
            first = _imported(stack, file)
            again = _imported(stack, file)
            found = _sums(stack)
    wanted = _wanted(options.records)
    exact = (
        found == wanted
        and first["accepted"] == options.records
        and first["duplicates"] == written - options.records
        and again["duplicates"] == written
        and not (first["rejected"] or again["accepted"] or again["rejected"])
    )
    report = {
        "tollspan": version("tollspan"),
        "python": platform.python_version(),
        "records": options.records,
        "lines": written,
        "first": first,
        "again": again,
        "sums": {name: str(each) for name, each in found.items()},
        "exact": exact,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "ingest.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    print(json.dumps(report, indent=1))
    return 0 if exact else 1


def _record(number: int) -> dict[str, Any]:
    made = {
        "externalRequestId": f"bench-{number}",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "endpointTag": f"endpoint-{number % 40}",
        "tenantId": f"tenant-{number % 2_000}",
        "inputTokens": 100 + number % 1_000,
        "outputTokens": 10 + number % 100,
        "latencyMs": 500 + number % 700,
        "status": "success",
        "environment": "bench",
    }
    if number % 5:  # every fifth does not say when it was
        made["timestamp"] = BEGIN_MS + number
    return made


def _write(file: Path, records: int) -> int:
    written = 0
    behind = min(50_000, records // 2)
    with gzip.open(file, "wt", compresslevel=1, encoding="utf-8") as out:
        for number in range(records + behind):
            twice = number - behind
            for each in (number, twice if twice % AGAIN == 0 else -1):
                if 0 <= each < records:
                    out.write(json.dumps(_record(each)) + "\n")
                    written += 1
    return written


def _wanted(records: int) -> dict[str, Any]:
    used = sum(100 + number % 1_000 for number in range(records))
    made = sum(10 + number % 100 for number in range(records))
    usd = used * INPUT_USD + made * OUTPUT_USD
    return {"calls": records, "input_tokens": used, "output_tokens": made, "usd": usd.normalize()}


def _sums(stack: LocalStack) -> dict[str, Any]:
    (row,) = stack.ledger.query(
        "SELECT count() AS calls, sum(input_tokens) AS used, sum(output_tokens) AS made, "
        "toString(sum(cost_usd)) AS usd FROM tollspan_calls"
    )
    usd = Decimal(row["usd"]).normalize()
    return {
        "calls": row["calls"],
        "input_tokens": row["used"],
        "output_tokens": row["made"],
        "usd": usd,
    }


def _imported(stack: LocalStack, file: Path) -> dict[str, Any]:
    begun = time.perf_counter()
    typed = [sys.executable, "-m", "tollspan.launcher.command", "import", "records", str(file)]
    ran = subprocess.run(
        [*typed, "--json", "--url", stack.page_url], check=True, capture_output=True, text=True
    )
    took_s = time.perf_counter() - begun
    said = json.loads(ran.stdout)
    told = {name: said[name] for name in ("accepted", "duplicates", "rejected")}
    lines = sum(told.values())
    return told | {"seconds": round(took_s, 1), "records_per_second": round(lines / took_s)}


if __name__ == "__main__":
    sys.exit(main())
