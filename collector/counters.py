"""What a stage counts of itself, as Prometheus reads it.

https://prometheus.io/docs/instrumenting/exposition_formats/. Names are fixed: boards and alerts ask
for them. Label values are words of ours, never data; those of `senders` are names that others sent.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from tollspan import __version__

__all__ = ["COUNTERS", "GAUGES", "Counters"]


class Counter(NamedTuple):
    """A count that only grows: its meaning, its label and the values of that."""

    meaning: str
    label: str = ""
    values: tuple[str, ...] = ("",)


SIGNALS = ("traces", "metrics", "logs")
GRADES = ("billed", "derived", "lower_bound", "estimated", "unpriced")

COUNTERS = {
    "received_requests": Counter(
        "Requests that came in, whatever became of them", "signal", SIGNALS
    ),
    "received_spans": Counter("Spans in requests that were read"),
    "forwarded_spans": Counter("Spans that the collector behind has acknowledged"),
    "refused_requests": Counter(
        "Requests that were refused; senders try again those that may",
        "reason",
        ("overload", "stopping", "downstream", "malformed", "fault"),
    ),
    "refused_spans": Counter(
        "Spans of refused requests", "reason", ("overload", "stopping", "downstream", "fault")
    ),
    "rejected_spans": Counter(
        "Spans left out of requests that were taken, as the sender was told",
        "reason",
        ("downstream",),
    ),
    "unusable_spans": Counter(
        "Spans forwarded that no record can be made of: their ids or times are broken"
    ),
    "priced_spans": Counter("Spans that cost was appended to", "grade", GRADES),
    "shed_spans": Counter(
        "Spans told without the rest of their trace (hops, span_limit), or not yet told",
        "reason",
        ("hops", "span_limit", "enrichment", "fault"),
    ),
    "late_spans": Counter("Spans of a trace whose window had passed"),
    "records": Counter(
        "Records acknowledged: of calls told first, corrected, mended; and left out there",
        "kind",
        ("first", "corrected", "mended", "rejected"),
    ),
    "told_records": Counter(
        "Records and events that came to /v1/ingest",
        "outcome",
        ("accepted", "duplicates", "ignored", "rejected"),
    ),
    "released_traces": Counter("Traces that are held no more", "reason", ("window", "memory")),
    "downstream_failures": Counter(
        "Requests that the collector behind did not take", "signal", SIGNALS
    ),
    "mended_traces": Counter("Traces folded again from ClickHouse"),
    "mend_failures": Counter("Mends that did not come to their end"),
    "request_seconds": Counter("Time from taking requests to answering them, in all"),
}
"""By name, without `tollspan_stage_` in front and `_total` behind."""

GAUGES = {
    "lag_seconds": "Age of the oldest request that is not yet answered",
    "inflight_bytes": "Of requests taken and not yet answered",
    "waiting_bytes": "Of requests that the step has not come to",
    "overload_level": "0 all is done, 1 hops are shed, 2 enrichment is shed, 3 requests are refused",
    "traces_held": "Traces within their window",
    "held_bytes": "Memory that held traces take, estimated",
    "traces_remembered": "Traces remembered after their window",
    "suspect_traces": "Traces that wait to be mended",
    "up": "1 where the collector behind can be reached and the stage is not stopping",
}
"""By name, without `tollspan_stage_` in front: meaning."""

PREFIX = "tollspan_stage_"
STARTED_S = time.time()


class Counters:
    """Counts from many threads. `gauges` are asked when somebody looks."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: dict[tuple[str, str], float] = {
            (name, value): 0 for name, each in COUNTERS.items() for value in each.values
        }
        self.gauges: dict[str, Callable[[], float]] = {}
        self.more: list[Callable[[], Iterable[str]]] = []
        """Lines of others, in the same format."""

    def add(self, name: str, count: float = 1, label: str = "") -> None:
        """Count `name` of `COUNTERS`, under the value of its label where it has one."""
        with self._lock:
            self._counts[name, label] = self._counts.get((name, label), 0) + count

    def count(self, name: str, label: str | None = None) -> float:
        """How much was counted; over all labels where `label` is None."""
        with self._lock:
            return sum(
                count
                for (counted, under), count in self._counts.items()
                if counted == name and label in (None, under)
            )

    def text(self) -> str:
        """Everything, in Prometheus' text format."""
        with self._lock:
            counts = sorted(self._counts.items())
        lines: list[str] = []
        for name, each in COUNTERS.items():
            full = f"{PREFIX}{name}_total"
            lines += [f"# HELP {full} {each.meaning}.", f"# TYPE {full} counter"]
            for (counted, under), count in counts:
                if counted == name:
                    labelled = f'{{{each.label}="{under}"}}' if each.label else ""
                    lines.append(f"{full}{labelled} {count:.15g}")
        for name, meaning in GAUGES.items():
            if name in self.gauges:
                full = PREFIX + name
                lines += [f"# HELP {full} {meaning}.", f"# TYPE {full} gauge"]
                lines.append(f"{full} {self.gauges[name]():.15g}")
        for others in self.more:
            lines += others()
        return "\n".join([*lines, *_process(), ""])


def _process() -> list[str]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    lines = [
        "# HELP tollspan_build_info Which tollspan runs.",
        "# TYPE tollspan_build_info gauge",
        f'tollspan_build_info{{version="{__version__}"}} 1',
        "# HELP process_start_time_seconds When it started, since 1970.",
        "# TYPE process_start_time_seconds gauge",
        f"process_start_time_seconds {STARTED_S:.3f}",
        "# HELP process_cpu_seconds_total User and system time.",
        "# TYPE process_cpu_seconds_total counter",
        f"process_cpu_seconds_total {used.ru_utime + used.ru_stime:.6f}",
    ]
    statm = Path("/proc/self/statm")
    if statm.exists():
        resident = int(statm.read_text().split()[1]) * resource.getpagesize()
        lines += [
            "# HELP process_resident_memory_bytes Memory in use.",
            "# TYPE process_resident_memory_bytes gauge",
            f"process_resident_memory_bytes {resident}",
        ]
    return lines
