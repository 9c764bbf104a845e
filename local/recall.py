"""Spans of traces that the stage holds no more, or never held: asked of the ledger.

Nearly every trace that comes in is new, and asking for each would cost more than the rest of the
work. A Bloom filter says which the ledger may have; its mistakes cost a query, never a span.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tollspan.collector.stage import Remembered

from .ledger import Ledger
from .rows import span_of

__all__ = ["Recall"]

BITS = 1 << 24
HASHES = 4
MOST_TRACES = 2_000_000
"""Beyond, so many bits are set that asking always is as good."""

PAGE = 50_000
SPANS = """
SELECT trace_id, span_id, parent_id, name, kind, scope, scope_version, toUnixTimestamp64Nano(time)
       AS time_ns, duration_ns, status, status_message, resource, attributes, typed, events, version
FROM spans FINAL
WHERE trace_id IN {traces:Array(String)}
"""
HOPS = """
SELECT call_id, hop_index FROM llm_hops FINAL
WHERE trace_id IN {traces:Array(String)} AND owner != 'gone'
"""


class Recall:
    """Callable: trace ids in, what the ledger has of them out. Reads the ledger's ids once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._bits = bytearray(BITS // 8)
        self._traces = 0
        for trace_id in _trace_ids(ledger):
            self._add(trace_id)
            if self._traces > MOST_TRACES:
                break

    def __call__(self, trace_ids: Sequence[str]) -> Remembered:
        perhaps = [trace_id for trace_id in trace_ids if self._may_have(trace_id)]
        for trace_id in trace_ids:
            self._add(trace_id)
        if not perhaps:
            return Remembered()
        hops: dict[str, list[int]] = {}
        for row in self._ledger.recall(HOPS, {"traces": perhaps}):
            hops.setdefault(row["call_id"], []).append(row["hop_index"])
        spans = map(span_of, self._ledger.recall(SPANS, {"traces": perhaps}))
        return Remembered(list(spans), hops)

    def _add(self, trace_id: str) -> None:
        self._traces += 1
        for place in _places(trace_id):
            self._bits[place >> 3] |= 1 << (place & 7)

    def _may_have(self, trace_id: str) -> bool:
        return self._traces > MOST_TRACES or all(
            self._bits[place >> 3] & 1 << (place & 7) for place in _places(trace_id)
        )


def _places(trace_id: str) -> Iterator[int]:
    number = int(trace_id, 16)
    number ^= number >> 64
    for each in range(HASHES):
        yield (number >> 16 * each ^ number << 5 * each) % BITS


def _trace_ids(ledger: Ledger) -> Iterator[str]:
    last = ""
    while True:
        page = ledger.recall(
            "SELECT DISTINCT trace_id FROM spans WHERE trace_id > {last:String} "
            f"ORDER BY trace_id LIMIT {PAGE}",
            {"last": last},
        )
        yield from (row["trace_id"] for row in page)
        if len(page) < PAGE:
            return
        last = page[-1]["trace_id"]
