"""Spans of traces that the stage holds no more, or never held: asked of the ledger.

Nearly every trace that comes in is new, and asking for each would cost more than the rest of the
work. A Bloom filter says which the ledger may have; its mistakes cost a query, never a span.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tollspan.collector.rows import span_of
from tollspan.collector.stage import Remembered

from .ledger import Ledger

__all__ = ["Recall"]

BITS = 1 << 24
HASHES = 4
MOST_TRACES = 2_000_000
"""Or keys; beyond, so many bits are set that asking always is as good."""

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


LINKED = "SELECT DISTINCT trace_id FROM span_links WHERE key IN {keys:Array(String)}"


class Recall:
    """Callable: trace ids in, what the ledger has of them out. Reads the ledger's ids once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._traces = _Filter()
        self._keys = _Filter()
        for trace_id in _all(ledger, "trace_id", "spans"):
            self._traces.add(trace_id)
            if self._traces.is_full:
                break
        for key in _all(ledger, "key", "span_links"):
            self._keys.add(key)
            if self._keys.is_full:
                break

    def __call__(self, trace_ids: Sequence[str]) -> Remembered:
        perhaps = [each for each in trace_ids if self._traces.add(each)]
        if not perhaps:
            return Remembered()
        hops: dict[str, list[int]] = {}
        for row in self._ledger.recall(HOPS, {"traces": perhaps}):
            hops.setdefault(row["call_id"], []).append(row["hop_index"])
        spans = map(span_of, self._ledger.recall(SPANS, {"traces": perhaps}))
        return Remembered(list(spans), hops)

    def linked(self, keys: Sequence[str]) -> list[str]:
        """Ids of the traces in which the ledger has one of `keys`."""
        perhaps = [key for key in keys if self._keys.add(key)]
        if not perhaps:
            return []
        return [row["trace_id"] for row in self._ledger.recall(LINKED, {"keys": perhaps})]


class _Filter:
    """A Bloom filter over texts, for as long as this process lives: hashes are its own."""

    def __init__(self) -> None:
        self._bits = bytearray(BITS // 8)
        self._held = 0

    def add(self, text: str) -> bool:
        """Whether `text` may have been there before; from now on it is."""
        self._held += 1
        number, bits, there = hash(text), self._bits, 1
        place, step = number & BITS - 1, number >> 24 & BITS - 1 | 1
        for _ in range(HASHES):
            byte, bit = place >> 3, 1 << (place & 7)
            if not bits[byte] & bit:
                there = 0
                bits[byte] |= bit
            place = place + step & BITS - 1
        return bool(there) or self.is_full

    @property
    def is_full(self) -> bool:
        """Whether it holds so many that asking it says nothing."""
        return self._held > MOST_TRACES


def _all(ledger: Ledger, column: str, table: str) -> Iterator[str]:
    last = ""
    while True:
        page = ledger.recall(
            f"SELECT DISTINCT {column} FROM {table} WHERE {column} > {{last:String}} "
            f"ORDER BY {column} LIMIT {PAGE}",
            {"last": last},
        )
        yield from (row[column] for row in page)
        if len(page) < PAGE:
            return
        last = page[-1][column]
