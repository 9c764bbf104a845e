"""`python -m bench.sizing`: how many of each part for how many calls a day, from what was measured.

Prints the tables of `docs/sizing.md`; `--write` puts them there. What was measured comes from
`bench/results/*.json`, what was assumed stands in `ASSUMED`; nothing else is a number.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, cos, pi
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "sizing.md"
DAY_S = 86_400
SCALES = {"1 thousand": 1_000, "1 million": 1_000_000, "1 billion": 1_000_000_000}

ASSUMED: dict[str, tuple[float, str]] = {
    "peak": (3.0, "busiest minute against the mean of the day"),
    "spans_per_call": (4.0, "the call, its attempts, and the application's spans around it"),
    "busy": (0.5, "share of a core that may be used at peak: the rest is for restarts and bursts"),
    "outage_s": (3_600.0, "how long ClickHouse may be away at peak while queues fill"),
    "spans_days": (30.0, "days that spans are kept"),
    "calls_days": (400.0, "days that calls are kept"),
    "sampled": (0.15, "share of traces kept where `sampling/` is on (from 1 billion)"),
    "replicas": (2.0, "copies of ClickHouse's data"),
    "kafka_copies": (3.0, "copies of Kafka's data"),
    "kafka_days": (1.0, "days that Kafka keeps it"),
    "partition_bytes_s": (5e6, "bytes a second of one Kafka partition"),
    "shard_cores": (16.0, "cores of a ClickHouse server"),
    "shard_bytes": (4e12, "disk of a ClickHouse server"),
    "query_share": (1.0, "cores for questions and merges, for each core that inserts"),
    "core_usd": (30.0, "a core with 4 GB of memory, a month"),
    "tb_usd": (80.0, "a terabyte of SSD, a month"),
}
"""What nobody here can measure: value and meaning. Change them and run it again."""


@dataclass(frozen=True)
class Measured:
    """Spans or rows per CPU second of each part, and bytes of what they carry and keep."""

    per_cpu_s: Mapping[str, float]
    otlp_gzip: float
    bytes_per_row: Mapping[str, float]
    sources: Mapping[str, str]


def results(name: str) -> dict[str, Any]:
    """A file of `bench/results`, or nothing where it was not made yet."""
    file = ROOT / "bench" / "results" / f"{name}.json"
    return dict(json.loads(file.read_text())) if file.exists() else {}


def measured() -> Measured:
    """What the benchmarks say; the ledger's own benchmark goes before the path's where both know."""
    path, ledger = results("pipeline"), results("ledger")
    speed = {name: float(value) for name, value in path["spans_per_cpu_s"].items()}
    weight = {name: float(value) for name, value in path["bytes_per_row"].items()}
    sources = dict.fromkeys([*speed, *weight], "pipeline.json")
    for table, bytes_ in ledger.get("bytes_per_row", {}).items():
        if table in ("llm_calls", "llm_hops"):
            weight[table], sources[table] = float(bytes_), "ledger.json"
    return Measured(speed, float(path["bytes_per_span"]["otlp_gzip"]), weight, sources)


@dataclass(frozen=True)
class Size:
    """What one number of calls a day needs."""

    calls: int
    spans_s: float
    """At peak."""
    cores: Mapping[str, float]
    stages: int
    partitions: int
    shards: int
    ledger_bytes: float
    spans_bytes: float
    kafka_bytes: float
    """All copies; 0 where there is no Kafka."""
    queue_bytes: float
    usd_month: float


PARTS = ("agent", "gateway", "stage", "after_stage", "ledger")


def size(calls: int, known: Measured) -> Size:
    """The arithmetic; each line stands on the page."""
    a = {name: value for name, (value, _) in ASSUMED.items()}
    spans_s = calls / DAY_S * a["peak"] * a["spans_per_call"]
    cores = {part: spans_s / known.per_cpu_s[part] / a["busy"] for part in PARTS}
    cores["ledger"] *= 1 + a["query_share"]
    kept = a["sampled"] if calls >= SCALES["1 billion"] else 1.0
    rows = known.bytes_per_row
    ledger_bytes = calls * a["calls_days"] * (rows["llm_calls"] + rows["llm_hops"])
    spans_bytes = calls * a["spans_per_call"] * a["spans_days"] * rows["spans"] * kept
    disk = (ledger_bytes + spans_bytes) * a["replicas"]
    bytes_s = spans_s * known.otlp_gzip
    shards = max(
        ceil(cores["ledger"] / a["shard_cores"]),
        ceil((ledger_bytes + spans_bytes) / a["shard_bytes"]),
    )
    small = calls < SCALES["1 million"]
    kafka_bytes = (
        calls * a["spans_per_call"] * known.otlp_gzip * a["kafka_days"] * a["kafka_copies"]
    )
    kafka_bytes *= calls >= SCALES["1 billion"]
    stages = 1 if small else max(2, ceil(cores["stage"]))
    used = sum(cores.values()) if small else sum(max(1, ceil(each)) for each in cores.values())
    return Size(
        calls=calls,
        spans_s=spans_s,
        cores=cores,
        stages=stages,
        partitions=max(12, ceil(bytes_s / a["partition_bytes_s"] / 12) * 12) if kafka_bytes else 0,
        shards=shards,
        ledger_bytes=ledger_bytes,
        spans_bytes=spans_bytes,
        kafka_bytes=kafka_bytes,
        queue_bytes=bytes_s * a["outage_s"],
        usd_month=used * a["core_usd"] + (disk + kafka_bytes) / 1e12 * a["tb_usd"],
    )


# --- a day with an outage -------------------------------------------------------------------------


@dataclass(frozen=True)
class Day:
    """What the queue before ClickHouse did on the worst day."""

    deepest_spans: float
    drained_s: float
    """From the end of the outage until the queue was empty again; infinite if it was not."""


def day(peak_s: float, capacity_s: float, outage_s: float, step_s: float = 10.0) -> Day:
    """Load as a cosine with its peak at noon, nothing taken out for `outage_s` from noon on.

    Args:
        peak_s: spans a second at noon; the mean is that divided by the assumed peak factor.
        capacity_s: spans a second that are taken out while ClickHouse is there.
    """
    mean = peak_s / ASSUMED["peak"][0]
    queue = deepest = 0.0
    begins, ends = DAY_S / 2, DAY_S / 2 + outage_s
    drained = float("inf")
    now = 0.0
    while now < 2 * DAY_S:
        swing = -cos(2 * pi * now / DAY_S)
        load = max(0.0, mean + (peak_s - mean) * swing) if swing > 0 else mean * (1 + swing)
        taken = 0.0 if begins <= now < ends else capacity_s
        queue = max(0.0, queue + (load - taken) * step_s)
        deepest = max(deepest, queue)
        if now >= ends and queue == 0.0:
            drained = now - ends
            break
        now += step_s
    return Day(deepest, drained)


# --- the page ---------------------------------------------------------------------------------------


def tables(known: Measured) -> dict[str, str]:
    """Markdown by the name of its place on the page."""
    sizes = {name: size(calls, known) for name, calls in SCALES.items()}
    return {
        "measured": _measured(known),
        "assumed": _assumed(),
        "sizes": _sizes(sizes),
        "queues": _queues(sizes, known),
    }


def _measured(known: Measured) -> str:
    rows = ["| measured | value | from |", "|---|---|---|"]
    for part in PARTS:
        rows.append(
            f"| {part.replace('_', '-')}, spans per CPU second | {known.per_cpu_s[part]:,.0f} "
            f"| `{known.sources[part]}` |"
        )
    rows.append(f"| a span on the wire, gzip | {known.otlp_gzip:,.0f} B | `pipeline.json` |")
    for table, bytes_ in sorted(known.bytes_per_row.items()):
        rows.append(f"| a row of `{table}` on disk | {bytes_:,.0f} B | `{known.sources[table]}` |")
    for name, found in results("stage").items():
        if isinstance(found, Mapping) and "median" in found:
            rows.append(
                f"| in one process: {name.replace('_', ' ')}, spans per CPU second "
                f"| {found['median']:,.0f} | `stage.json` |"
            )
    return "\n".join(rows)


def _assumed() -> str:
    rows = ["| assumed | value | meaning |", "|---|---|---|"]
    rows += [f"| `{name}` | {_count(value)} | {doc} |" for name, (value, doc) in ASSUMED.items()]
    return "\n".join(rows)


def _sizes(sizes: Mapping[str, Size]) -> str:
    def row(title: str, cells: list[str]) -> str:
        return f"| {title} | {' | '.join(cells)} |"

    found = list(sizes.values())
    rows = [row("calls a day", list(sizes)), "|---" * (len(found) + 1) + "|"]
    rows.append(row("spans a second, at peak", [_count(each.spans_s) for each in found]))
    for part in PARTS:
        title = f"cores: {part.replace('_', '-')}"
        rows.append(row(title, [_cores(each.cores[part]) for each in found]))
    rows += [
        row("`tollspan stage` processes", [f"{each.stages:,}" for each in found]),
        row(
            "Kafka partitions",
            [f"{each.partitions:,}" if each.partitions else "no Kafka" for each in found],
        ),
        row("ClickHouse shards", [f"{each.shards:,}" for each in found]),
        row("calls and hops on disk", [_bytes(each.ledger_bytes) for each in found]),
        row("spans on disk", [_bytes(each.spans_bytes) for each in found]),
        row(
            "Kafka on disk, all copies",
            [_bytes(each.kafka_bytes) if each.kafka_bytes else "no Kafka" for each in found],
        ),
        row("queue for the outage", [_bytes(each.queue_bytes) for each in found]),
        row("US dollars a month", [f"{each.usd_month:,.0f}" for each in found]),
        row(
            "US dollars a million calls",
            [f"{each.usd_month / 30 / each.calls * 1e6:,.2f}" for each in found],
        ),
    ]
    return "\n".join(rows)


def _queues(sizes: Mapping[str, Size], known: Measured) -> str:
    busy, outage_s = ASSUMED["busy"][0], ASSUMED["outage_s"][0]
    rows = [
        "| calls a day | deepest queue | on disk | empty again after |",
        "|---|---|---|---|",
    ]
    for name, each in sizes.items():
        worst = day(each.spans_s, each.spans_s / busy, outage_s)
        rows.append(
            f"| {name} | {worst.deepest_spans:,.0f} spans | "
            f"{_bytes(worst.deepest_spans * known.otlp_gzip)} | {worst.drained_s / 60:,.0f} min |"
        )
    return "\n".join(rows)


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.2g}"


def _cores(cores: float) -> str:
    return "a little" if cores < 0.05 else f"{cores:,.1f}" if cores < 10 else f"{cores:,.0f}"


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:,.3g} {unit}" if count < 1000 else f"{count:,.0f} {unit}"
        count /= 1000
    raise AssertionError


def filled(text: str, made: Mapping[str, str]) -> str:
    """`text` with what stands between `sizing NAME` and `end` made anew."""
    return re.sub(
        r"(<!-- sizing (\w+) -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}{made[match[2]]}\n{match[3]}",
        text,
        flags=re.DOTALL,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sizing", description=__doc__)
    parser.add_argument("--write", action="store_true", help="into docs/sizing.md")
    made = tables(measured())
    if parser.parse_args().write:
        PAGE.write_text(filled(PAGE.read_text(), made))
    else:
        print("\n\n".join(f"## {name}\n{text}" for name, text in made.items()))


if __name__ == "__main__":
    main()
