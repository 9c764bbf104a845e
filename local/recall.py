"""Spans of traces that the stage holds no more, or never held: asked of the ledger.

Nearly every trace that comes in is new, and asking for each would cost more than the rest of the
work. A Bloom filter says which the ledger may have; its mistakes cost a query, never a span.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b

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
            if not self._traces.add(int(trace_id, 16)):
                break
        for key in _all(ledger, "key", "span_links"):
            if not self._keys.add(_number(key)):
                break

    def __call__(self, trace_ids: Sequence[str]) -> Remembered:
        perhaps = [each for each in trace_ids if self._traces.may_have(int(each, 16))]
        for trace_id in trace_ids:
            self._traces.add(int(trace_id, 16))
        if not perhaps:
            return Remembered()
        hops: dict[str, list[int]] = {}
        for row in self._ledger.recall(HOPS, {"traces": perhaps}):
            hops.setdefault(row["call_id"], []).append(row["hop_index"])
        spans = map(span_of, self._ledger.recall(SPANS, {"traces": perhaps}))
        return Remembered(list(spans), hops)

    def linked(self, keys: Sequence[str]) -> list[str]:
        """Ids of the traces in which the ledger has one of `keys`."""
        perhaps = [key for key in keys if self._keys.may_have(_number(key))]
        for key in keys:
            self._keys.add(_number(key))
        if not perhaps:
            return []
        return [row["trace_id"] for row in self._ledger.recall(LINKED, {"keys": perhaps})]


class _Filter:
    """A Bloom filter over numbers of 128 bits."""

    def __init__(self) -> None:
        self._bits = bytearray(BITS // 8)
        self._held = 0

    def add(self, number: int) -> bool:
        """False once it holds so many that asking it says nothing."""
        self._held += 1
        for place in _places(number):
            self._bits[place >> 3] |= 1 << (place & 7)
        return self._held <= MOST_TRACES

    def may_have(self, number: int) -> bool:
        return self._held > MOST_TRACES or all(
            self._bits[place >> 3] & 1 << (place & 7) for place in _places(number)
        )


def _number(key: str) -> int:
    return int.from_bytes(blake2b(key.encode("utf-8", "replace"), digest_size=16).digest())


def _places(number: int) -> Iterator[int]:
    number ^= number >> 64
    for each in range(HASHES):
        yield (number >> 16 * each ^ number << 5 * each) % BITS


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
