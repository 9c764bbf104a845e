"""`make bench`: what tollspan adds to a call, beside what the official instrumentation adds.

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
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
SUBJECTS = ("bare", "tollspan", "official")
CALLS = {"chat": 1500, "stream": 60}
GOALS = {"chat": 0.6, "stream": 0.15, "import_ms": 60.0}
"""Largest ratio to the official instrumentation's added CPU; largest added import time."""

PACKAGES = (
    "tollspan",
    "openai",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation-genai-openai",
    "genai-prices",
)


def run(*arguments: str) -> str:
    # As installed packages are: compiled once, not at every start.
    environ = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, env=environ
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr}")
    return done.stdout


def calls(scenario: str, rounds: int) -> dict[str, Any]:
    """CPU added per call or chunk, in microseconds, and the ratio to the peer."""
    measured: dict[str, list[float]] = {subject: [] for subject in SUBJECTS}
    for _ in range(rounds):
        for subject in SUBJECTS:
            out = run("-m", "bench.subject", subject, scenario, str(CALLS[scenario]))
            measured[subject].append(json.loads(out)["us"])
    added = {
        subject: [one - bare for one, bare in zip(measured[subject], measured["bare"], strict=True)]
        for subject in SUBJECTS[1:]
    }
    ratios = [ours / peer for ours, peer in zip(added["tollspan"], added["official"], strict=True)]
    return {
        "unit": "us of CPU per " + ("chunk" if scenario == "stream" else "call"),
        "bare_us": round(statistics.median(measured["bare"]), 2),
        "tollspan_added_us": round(statistics.median(added["tollspan"]), 2),
        "official_added_us": round(statistics.median(added["official"]), 2),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "goal": GOALS[scenario],
    }


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
        "goal": GOALS["import_ms"],
    }


def main() -> None:
    options = argparse.ArgumentParser(prog="make bench", description=__doc__)
    options.add_argument("--rounds", type=int, default=5, help="runs of each subject (5)")
    rounds = options.parse_args().rounds
    found = {
        "chat": calls("chat", rounds),
        "stream": calls("stream", rounds),
        "import": imports(max(rounds, 9)),
        "machine": {
            "python": platform.python_version(),
            "system": platform.system(),
            "processor": platform.machine(),
            "measured": time.strftime("%Y-%m-%d"),
            **{package: version(package) for package in PACKAGES},
        },
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "calls.json").write_text(json.dumps(found, indent=1) + "\n")
    for scenario in ("chat", "stream"):
        row = found[scenario]
        print(
            f"{scenario:7} tollspan {row['tollspan_added_us']:7.2f}   official "
            f"{row['official_added_us']:7.2f}   ratio {row['ratio']:.3f} (goal {row['goal']})   "
            f"{row['unit']}"
        )
    row = found["import"]
    print(f"import  tollspan.auto adds {row['added_ms']} ms to openai (goal {row['goal']})")


if __name__ == "__main__":
    main()
