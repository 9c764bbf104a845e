"""`make bench`: what tollspan adds to a call, beside what a peer adds: the official instrumentation
of each SDK, or the SDK's own.

Every round runs each subject in a process of its own, in turn, so that a machine whose speed
drifts slows all of them alike; the figures are medians over the rounds, the ratios medians of the
rounds' own ratios. Results go to `bench/results/calls.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import hops

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
SUBJECTS = ("bare", "tollspan", "peer")
SDKS = ("openai", "anthropic", "google_genai", "bedrock", "litellm")
CALLS = {"chat": 1500, "stream": 60}
SLOWER = {"litellm": 3}
"""Makes so many times fewer calls: its own work for each takes milliseconds."""
GOALS = {("openai", "chat"): 0.6, ("openai", "stream"): 0.15}
"""Largest ratio to the added CPU of the official instrumentation."""
IMPORT_GOAL_MS = 60.0
PYTHONS = {"litellm": ROOT / ".venv-demo" / "bin" / "python"}
"""SDKs that live in an environment of their own."""


def run(*arguments: str, python: Path | str = sys.executable) -> str:
    # As installed packages are: compiled once, not at every start.
    environ = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }
    done = subprocess.run(
        [str(python), *arguments], capture_output=True, text=True, check=False, env=environ
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr}")
    return done.stdout


def calls(sdk: str, scenario: str, rounds: int) -> dict[str, Any]:
    """CPU added per call or chunk, in microseconds, and the ratio to the peer."""
    count = str(CALLS[scenario] // SLOWER.get(sdk, 1))
    measured: dict[str, list[float]] = {subject: [] for subject in SUBJECTS}
    for _ in range(rounds):
        for subject in SUBJECTS:
            asked = ("-m", "bench.subject", subject, sdk, scenario, count)
            out = run(*asked, python=PYTHONS.get(sdk, sys.executable))
            measured[subject].append(json.loads(out.splitlines()[-1])["us"])
    added = {
        subject: [one - bare for one, bare in zip(measured[subject], measured["bare"], strict=True)]
        for subject in SUBJECTS[1:]
    }
    ratios = [ours / peer for ours, peer in zip(added["tollspan"], added["peer"], strict=True)]
    return {
        "unit": "us of CPU per " + ("chunk" if scenario == "stream" else "call"),
        "bare_us": round(statistics.median(measured["bare"]), 2),
        "tollspan_added_us": round(statistics.median(added["tollspan"]), 2),
        "peer_added_us": round(statistics.median(added["peer"]), 2),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "goal": GOALS.get((sdk, scenario)),
        "counted": "CPU of all threads, spans and metrics flushed before the clock stops",
    }


def versions(sdk: str) -> dict[str, str]:
    """Of the SDK and of the peer, as they are where it is measured."""
    told = (
        "import json; from importlib import import_module; from importlib.metadata import version;"
        f"asked = import_module('bench.asked.{sdk}');"
        "print(json.dumps({name: version(name) for name in (asked.SDK, asked.PEER)}))"
    )
    found: dict[str, str] = json.loads(run("-c", told, python=PYTHONS.get(sdk, sys.executable)))
    return found


def imports(rounds: int) -> dict[str, Any]:
    """Milliseconds that `import tollspan.auto` adds to `import openai`."""
    program = "import time; b=time.perf_counter(); import openai{}; print(time.perf_counter()-b)"
    added = []
    for _ in range(rounds + 1):
        bare = float(run("-c", program.format("")).strip())
        ours = float(run("-c", program.format("; import tollspan.auto")).strip())
        added.append((ours - bare) * 1000)
    del added[0]  # the one that compiled what was not compiled yet
    return {
        "unit": "ms",
        "added_ms": round(statistics.median(added), 1),
        "rounds": [round(one, 1) for one in added],
        "goal": IMPORT_GOAL_MS,
    }


def main() -> None:
    options = argparse.ArgumentParser(prog="make bench", description=__doc__)
    options.add_argument("--rounds", type=int, default=5, help="runs of each subject (5)")
    options.add_argument(
        "--sdk", choices=SDKS, action="append", help="only this one; keeps nothing"
    )
    given = options.parse_args()
    found: dict[str, Any] = {"sdks": {}}
    for sdk in given.sdk or SDKS:
        row = found["sdks"][sdk] = {"versions": versions(sdk)}
        for scenario in CALLS:
            row[scenario] = calls(sdk, scenario, given.rounds)
            show(sdk, scenario, row[scenario])
    found["import"] = imports(max(given.rounds, 9))
    print(
        f"import  tollspan.auto adds {found['import']['added_ms']} ms to openai "
        f"(goal {found['import']['goal']})"
    )
    found["hops"] = hops.measured()
    print(f"hops    {found['hops']}")
    found["machine"] = {
        "python": platform.python_version(),
        "system": platform.system(),
        "processor": platform.machine(),
        "measured": time.strftime("%Y-%m-%d"),
        **{package: version(package) for package in ("tollspan", "opentelemetry-sdk")},
    }
    if not given.sdk:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "calls.json").write_text(json.dumps(found, indent=1) + "\n")


def show(sdk: str, scenario: str, row: Mapping[str, Any]) -> None:
    goal = f" (goal {row['goal']})" if row["goal"] else ""
    print(
        f"{sdk:13}{scenario:7} tollspan {row['tollspan_added_us']:7.2f}   peer "
        f"{row['peer_added_us']:7.2f}   ratio {row['ratio']:.3f}{goal}   {row['unit']}",
        flush=True,
    )


if __name__ == "__main__":
    main()
