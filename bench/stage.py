"""`make bench-stage`: how many spans a second of CPU takes, through the stage's inner step and end to
end into the embedded ledger.

Everything is measured in one run: rounds in turn, each subject in a process of its own, requests
made off the clock and never used twice, so that nothing is remembered but what a stage in service
remembers. `ledger` and its kin start behind two whole commits; `steady` sends a million calls, so that
parts of all tables are merged within its time, and waits for the last of these merges. Figures are the
best round, which the machine disturbed least; ratios are medians of the rounds' own. Results go to
`bench/results/stage.json`; there `again` says what was measured later than the rest (`--again`).
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
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import into_ledger, traffic
from bench.memory import rss_mb
from tollspan.collector.allocator import keep_pages, look_less_often

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
WARM_SPANS = 16_384
GOALS = {"step": 150_000, "ratio_to_naive": 2.5, "others": 1_000_000, "ledger": 90_000}
"""Spans per second of CPU, and how many times what the naive step does."""


def step(spans: int) -> dict[str, float]:
    """Calls of another instrumentation, 25 attributes each: cost and path appended."""
    from tollspan.collector.enrich import enrich

    return _timed(lambda body: enrich(body).body, traffic.calls, spans)


def behind(spans: int) -> dict[str, float]:
    """The same as a collector in front writes them, which is the other way round."""
    from bench.backwards import backwards
    from tollspan.collector.enrich import enrich

    def made(spans: int, seed: int = 1) -> Iterable[bytes]:
        return map(backwards, traffic.calls(spans, seed))

    return _timed(lambda body: enrich(body).body, made, spans)


def naive(spans: int) -> dict[str, float]:
    """The same on generated classes."""
    from bench.naive import enrich

    return _timed(enrich, traffic.calls, spans)


def others(spans: int) -> dict[str, float]:
    """Spans that have nothing to do with models."""
    from tollspan.collector.enrich import enrich

    return _timed(lambda body: enrich(body).body, traffic.others, spans)


def hostile(spans: int) -> dict[str, float]:
    """Calls of which no two have anything in common: nothing can be remembered of them."""
    from tollspan.collector.enrich import enrich

    return _timed(lambda body: enrich(body).body, traffic.strangers, spans)


SUBJECTS: dict[str, Callable[[int], dict[str, float]]] = {
    "step": step,
    "behind": behind,
    "naive": naive,
    "others": others,
    "hostile": hostile,
    "ledger": into_ledger.ledger,
    "steady": into_ledger.steady,
    "traces": into_ledger.traces,
    "foreign": into_ledger.foreign,
    "uncompiled": into_ledger.uncompiled,
    "floor": into_ledger.floor,
}
LESS = {"behind": 4, "naive": 4, "hostile": 8, "foreign": 4, "uncompiled": 8, "steady": 1 / 8}
"""Takes so many times fewer spans, because it is slower; or more, because it has to last."""
MOST_ROUNDS = {"steady": 2}


def _timed(
    enrich: Callable[[bytes], bytes], made: Callable[..., Iterable[bytes]], spans: int
) -> dict[str, float]:
    for body in made(WARM_SPANS, seed=7):
        enrich(body)
    bodies = list(made(spans))
    before = time.process_time()
    for body in bodies:
        enrich(body)
    took = time.process_time() - before
    return {"per_cpu_s": len(bodies) * traffic.BATCH / took, "rss_mb": rss_mb()}


def agree() -> None:
    """The step and the naive step append the same to the same spans.

    Raises:
        SystemExit: they do not.
    """
    from bench import naive as slow
    from tollspan import semconv
    from tollspan.collector import wire
    from tollspan.collector.enrich import enrich
    from tollspan.collector.unjoined import before

    def said(body: bytes) -> list[dict[str, Any]]:
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

        request = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
        (scope,) = request.resource_spans[0].scope_spans
        return [
            {pair.key: str(pair.value) for pair in span.attributes if pair.key != semconv.COST_ROLE}
            for span in scope.spans
        ]

    for body in traffic.calls(WARM_SPANS, seed=3):
        fast = enrich(body).body
        if said(fast) != said(slow.enrich(body)):
            raise SystemExit("the step and the naive step do not agree")
        for one, two in zip(wire.traces(fast).spans, wire.traces(body).spans, strict=True):
            if before(one.attributes) != two.attributes:
                raise SystemExit("the step has changed what was there")


def one(subject: str, spans: int) -> dict[str, float]:
    """One round of `subject` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.stage", "--subject", subject, "--spans", str(spans)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if done.returncode:
        raise SystemExit(f"{subject} failed:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def in_turn(subjects: Iterable[str], spans: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """What each round of each said."""
    found: dict[str, list[dict[str, float]]] = {subject: [] for subject in subjects}
    for number in range(rounds):
        for subject, each in found.items():
            if number >= MOST_ROUNDS.get(subject, rounds):
                continue
            many = max(int(spans / LESS.get(subject, 1)), traffic.BATCH)
            each.append(one(subject, many))
            rate = each[-1]["per_cpu_s"]
            print(
                f"round {number + 1}: {subject:11} {rate:12,.0f} spans per CPU-second", flush=True
            )
    return found


def measured(spans: int, rounds: int) -> dict[str, Any]:
    """Everything."""
    found = in_turn(SUBJECTS, spans, rounds)
    ratios = [
        fast["per_cpu_s"] / slow["per_cpu_s"]
        for fast, slow in zip(found["step"], found["naive"], strict=True)
    ]
    return {
        "unit": "spans per second of CPU, user and system, all threads",
        "spans": spans,
        "rounds": rounds,
        "batch": traffic.BATCH,
        "goals": GOALS,
        **{subject: _summary(each) for subject, each in found.items()},
        "ratio_to_naive": round(statistics.median(ratios), 2),
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version()},
    }


def again(subjects: Sequence[str], spans: int, rounds: int) -> dict[str, Any]:
    """What was kept, with some subjects measured again: of what the others do nothing has changed."""
    kept: dict[str, Any] = json.loads((RESULTS / "stage.json").read_text())
    found = {name: _summary(each) for name, each in in_turn(subjects, spans, rounds).items()}
    return {**kept, **found, "again": {**kept.get("again", {}), **dict.fromkeys(found, _today())}}


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _summary(rounds: Sequence[dict[str, float]]) -> dict[str, Any]:
    rates = [round(each["per_cpu_s"]) for each in rounds]
    return {
        "best": max(rates),
        "median": round(statistics.median(rates)),
        "rounds": rates,
        "rss_mb": round(max(each["rss_mb"] for each in rounds)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.stage", description=__doc__)
    parser.add_argument("--spans", type=int, default=131_072)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--again", nargs="+", choices=SUBJECTS, help="these alone, beside the others that were kept"
    )
    parser.add_argument("--subject", choices=SUBJECTS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    keep_pages()
    look_less_often()
    if asked.subject:
        print(json.dumps(SUBJECTS[asked.subject](asked.spans)))
        return
    if asked.again:
        found = again(asked.again, asked.spans, asked.rounds)
    else:
        agree()
        found = measured(asked.spans, asked.rounds)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "stage.json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
