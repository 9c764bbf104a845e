"""`make bench`: what tollspan adds to a call, beside what a peer adds: the official instrumentation
of each SDK, or the SDK's own.

In every round each subject has a process of its own, and the three take turns, a few hundredths of a
second each: a machine whose speed drifts slows all of them alike. A process counts all that it uses
from its first turn to its end. The figures are medians over the rounds, the ratios medians of the
rounds' own ratios. Results go to `bench/results/calls.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import hops
from bench.asked import CHUNKS

ROOT = Path(__file__).parent.parent
KEPT = Path(__file__).parent / "results" / "calls.json"
SUBJECTS = ("bare", "tollspan", "peer")
SDKS = ("openai", "anthropic", "google_genai", "bedrock", "litellm")
CALLS = {"chat": 1500, "stream": 60}
"""Of each subject in a round."""
TURN = {"chat": 25, "stream": 2}
"""Calls in a turn."""
SLOWER = {"litellm": 3}
"""Makes so many times fewer calls: its own work for each takes milliseconds."""
AIMED = {"chat": 2, "stream": 6}
"""What has a goal is measured in so many times as many rounds: a chunk takes so little that what two
processes differ by, for no reason of ours, is more."""
GOALS = {("openai", "chat"): 0.6, ("openai", "stream"): 0.15}
"""Largest ratio to the added CPU of the official instrumentation."""
IMPORT_GOAL_MS = 60.0
PYTHONS = {"litellm": ROOT / ".venv-demo" / "bin" / "python"}
"""SDKs that live in an environment of their own."""


def environ() -> dict[str, str]:
    """As installed packages have it: compiled once, not at every start."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run(*arguments: str, python: Path | str = sys.executable) -> str:
    done = subprocess.run(
        [str(python), *arguments], capture_output=True, text=True, check=False, env=environ()
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr}")
    return done.stdout


class Subject:
    """A process that makes calls when it is told to."""

    def __init__(self, subject: str, sdk: str, scenario: str) -> None:
        python = str(PYTHONS.get(sdk, sys.executable))
        self._process = subprocess.Popen(
            [python, "-m", "bench.subject", subject, sdk, scenario],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environ(),
        )

    def hear(self, awaited: str) -> None:
        """Wait for a line; an SDK may print others before."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip() == awaited:
                return
        raise SystemExit(f"{' '.join(map(str, self._process.args))} failed")

    def turn(self, calls: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{calls}\n")
        self._process.stdin.flush()
        self.hear("done")

    def used_s(self) -> float:
        """CPU of all its turns, and of what was left to do after them; the process ends."""
        out, _ = self._process.communicate()
        return float(out.splitlines()[-1])


def used_us(sdk: str, scenario: str) -> dict[str, float]:
    """CPU microseconds per call or chunk of each subject, in one round."""
    count, turn = CALLS[scenario] // SLOWER.get(sdk, 1), TURN[scenario]
    subjects = {each: Subject(each, sdk, scenario) for each in SUBJECTS}
    for each in subjects.values():
        each.hear("warm")
    order = list(subjects.values())
    turns, chance = count // turn, random.Random(0)
    for _ in range(turns):
        chance.shuffle(order)  # nobody is always the first, or always behind the same one
        for each in order:
            each.turn(turn)
    units = turns * turn * (CHUNKS if scenario == "stream" else 1)
    return {name: each.used_s() / units * 1e6 for name, each in subjects.items()}


def calls(sdk: str, scenario: str, rounds: int) -> dict[str, Any]:
    """CPU added per call or chunk, in microseconds, and the ratio to the peer."""
    found = [used_us(sdk, scenario) for _ in range(rounds)]
    measured = {subject: [one[subject] for one in found] for subject in SUBJECTS}
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
    """Milliseconds that `import openai` takes, and `import tollspan.auto` after it."""
    program = (
        "import time; a = time.perf_counter(); import openai; b = time.perf_counter();"
        " import tollspan.auto; print(b - a, time.perf_counter() - b)"
    )
    found = _timed_ms(program, rounds)
    at_once = _timed_ms(FIRST_CALL, rounds)
    return {
        "unit": "ms",
        "sdk_ms": round(statistics.median(sdk for sdk, _ in found), 1),
        "added_ms": round(statistics.median(added for _, added in found), 1),
        "rounds": [round(added, 1) for _, added in found],
        "first_call_ms": round(statistics.median(first - next for first, next in at_once), 1),
        "goal": IMPORT_GOAL_MS,
    }


FIRST_CALL = """
import time, httpx, openai
answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini",
          "choices": [{"index": 0, "finish_reason": "stop",
                       "message": {"role": "assistant", "content": "hello"}}],
          "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}}
transport = httpx.MockTransport(lambda request: httpx.Response(200, json=answer))
client = openai.OpenAI(api_key="none", http_client=httpx.Client(transport=transport))
def ask():
    started = time.perf_counter()
    client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}])
    return time.perf_counter() - started
ask()
import tollspan.auto
print(ask(), ask())
"""
"""The first call, made in the moment in which the import is done, and the next: the first waits for
what the import leaves to a thread."""


def _timed_ms(program: str, rounds: int) -> list[list[float]]:
    found = [[float(each) * 1000 for each in run("-c", program).split()] for _ in range(rounds + 1)]
    return found[1:]  # the first compiled what was not compiled yet


def main() -> None:
    options = argparse.ArgumentParser(prog="make bench", description=__doc__)
    options.add_argument("--rounds", type=int, default=4, help="processes of each subject (4)")
    options.add_argument(
        "--sdk", choices=SDKS, action="append", help="only this one; keeps nothing"
    )
    options.add_argument(
        "--import-again", action="store_true", help="only that, beside what is kept of the rest"
    )
    given = options.parse_args()
    if given.import_again:
        kept = json.loads(KEPT.read_text())
        kept["import"] = {**imports(9), "measured": time.strftime("%Y-%m-%d")}
        show_import(kept["import"])
        KEPT.write_text(json.dumps(kept, indent=1) + "\n")
        return
    found: dict[str, Any] = {"sdks": {}}
    for sdk in given.sdk or SDKS:
        row = found["sdks"][sdk] = {"versions": versions(sdk)}
        for scenario in CALLS:
            aimed = (sdk, scenario) in GOALS
            row[scenario] = calls(
                sdk, scenario, given.rounds * AIMED[scenario] if aimed else given.rounds
            )
            show(sdk, scenario, row[scenario])
    found["import"] = imports(max(given.rounds, 9))
    show_import(found["import"])
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
        KEPT.parent.mkdir(exist_ok=True)
        KEPT.write_text(json.dumps(found, indent=1) + "\n")


def show_import(row: Mapping[str, Any]) -> None:
    print(
        f"import  tollspan.auto adds {row['added_ms']} ms to {row['sdk_ms']} ms of openai "
        f"(goal {row['goal']}), a call made at once waits {row['first_call_ms']}"
    )


def show(sdk: str, scenario: str, row: Mapping[str, Any]) -> None:
    goal = f" (goal {row['goal']})" if row["goal"] else ""
    print(
        f"{sdk:13}{scenario:7} tollspan {row['tollspan_added_us']:7.2f}   peer "
        f"{row['peer_added_us']:7.2f}   ratio {row['ratio']:.3f}{goal}   {row['unit']}",
        flush=True,
    )


if __name__ == "__main__":
    main()
