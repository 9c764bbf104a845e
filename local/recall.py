"""Spans of traces that the stage holds no more, or never held: asked of the ledger.

Nearly every trace that comes in is new, and asking for each would cost more than the rest of the
work. A filter says which the ledger may have; its mistakes cost a query, never a span.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from tollspan import semconv
from tollspan.collector.call import call_id
from tollspan.collector.links import MOST_PLACES
from tollspan.collector.rows import span_of
from tollspan.collector.sealed import Sealed
from tollspan.collector.stage import Remembered

from .keys import STANDING
from .lately import Joins, Lately
from .ledger import Ledger
from .seen import Hashes, Seen, of_texts, of_traces
from .spread import Places

__all__ = ["Recall"]

PAGE = 50_000
SPANS = """
SELECT trace_id, span_id, parent_id, name, kind, scope, scope_version, toUnixTimestamp64Nano(time)
       AS time_ns, duration_ns, status, status_message, resource, attributes, typed, events, version
FROM spans
WHERE trace_id IN {traces:Array(String)}
ORDER BY version DESC LIMIT 1 BY trace_id, span_id
"""
"""What FINAL says, in a fortieth of the time: that reads, and merges, all columns of some thousand rows of each
part."""
HOPS = """
SELECT call_id, hop_index FROM llm_hops FINAL
WHERE trace_id IN {traces:Array(String)} AND owner != 'gone'
"""


_OF_CALLS = "".join(
    f"""
    UNION ALL
    SELECT {column} AS key, trace_id FROM llm_calls WHERE {column} IN {{{column}s:Array(String)}}
    GROUP BY {column}, trace_id LIMIT {MOST_PLACES + 1} BY {column}"""
    for column in STANDING.values()
)
LINKED = f"""
SELECT DISTINCT trace_id FROM
(
    SELECT key, trace_id FROM span_links WHERE key IN {{keys:Array(String)}} LIMIT {MOST_PLACES + 1} BY key{_OF_CALLS}
)
"""
"""Of a key that more traces have than a key may, enough to see that."""

CALLS = f"""
SELECT call_id, {", ".join(STANDING.values())} FROM llm_calls
WHERE call_id > {{last:String}} ORDER BY call_id LIMIT {PAGE}
"""


class Recall:
    """Callable: trace ids in, what the ledger has of them out. Reads the ledger's ids once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._traces = Seen()
        self._keys = Seen()
        self._lately = Lately()
        for page in _all(ledger, "trace_id", "spans"):
            self._traces.add(_of_hex(page))
            if self._traces.is_full:
                break
        for page in _all(ledger, "key", "span_links"):
            self._keys.add(of_texts(page))
            if self._keys.is_full:
                break
        for page in _keys_of_calls(ledger):
            hashes = of_texts(page)
            self._keys.add(hashes[~self._keys.has(hashes)])
            if self._keys.is_full:
                break

    def __call__(self, trace_ids: Sequence[str]) -> Remembered:
        perhaps = list(compress(trace_ids, self._traces.add(_of_hex(trace_ids))))
        if not perhaps:
            return Remembered()
        spans, asked = self._lately.take_out(perhaps)
        calls = [span for span in spans if semconv.COST_ROLE in span.attributes]
        told = {(span.trace_id, span.span_id): span.version for span in calls}
        hops: dict[str, list[int]] = {
            call_id(span.trace_id, span.span_id, span.start_ns): [0] for span in calls
        }
        if asked:
            for row in self._ledger.recall(HOPS, {"traces": asked}):
                hops.setdefault(row["call_id"], []).append(row["hop_index"])
            spans += map(span_of, self._ledger.recall(SPANS, {"traces": asked}))
        return Remembered(spans, hops, told)

    def perhaps(self, trace_ids: Iterable[str]) -> list[str]:
        """Those that the ledger may have; of the others it is certain that it has not.

        For any thread; what the writer has not committed yet is not known here.
        """
        ids = list(trace_ids)
        return list(compress(ids, self._traces.has(_of_hex(ids))))

    def linked(self, keys: Sequence[str]) -> list[str]:
        """Ids of the traces in which the ledger has one of `keys`, or will have with this commit."""
        perhaps = list(compress(keys, self._keys.add(of_texts(keys))))
        if not perhaps:
            return []
        found = self._lately.linked(perhaps)
        standing = {
            f"{column}s": [key[len(prefix) :] for key in perhaps if key.startswith(prefix)]
            for prefix, column in STANDING.items()
        }
        rows = self._ledger.recall(LINKED, {"keys": perhaps, **standing})
        return [*found, *(row["trace_id"] for row in rows)]

    # --- of what goes straight -------------------------------------------------------------------

    def meets_traces(self, ids: bytes) -> NDArray[np.bool_]:
        """Which of these traces (16 bytes each) may have come before; from now on all have."""
        return self._traces.add(of_traces(ids))

    def meets_keys(self, keys: Hashes) -> NDArray[np.bool_]:
        """Which of these keys may have come before; from now on all have."""
        return self._keys.add(keys)

    def note(self, spans: Sequence[tuple[Sealed, Places]], keys: Joins) -> None:
        """Remember spans that go straight (which of each group), and keys with their traces."""
        self._lately.note(spans, keys)

    def committed(self, *, is_safe: bool) -> None:
        """What was noted since the last time stands in the ledger; or it does not, and is forgotten."""
        self._lately.committed(is_safe=is_safe)


def _of_hex(trace_ids: Sequence[str]) -> Hashes:
    return of_traces(bytes.fromhex("".join(trace_ids)))


def _all(ledger: Ledger, column: str, table: str) -> Iterator[list[str]]:
    last = ""
    while True:
        page = ledger.recall(
            f"SELECT DISTINCT {column} FROM {table} WHERE {column} > {{last:String}} "
            f"ORDER BY {column} LIMIT {PAGE}",
            {"last": last},
        )
        yield [row[column] for row in page]
        if len(page) < PAGE:
            return
        last = page[-1][column]


def _keys_of_calls(ledger: Ledger) -> Iterator[list[str]]:
    """Keys that stand in columns of calls."""
    last = ""
    while True:
        page = ledger.recall(CALLS, {"last": last})
        yield [
            prefix + row[column]
            for row in page
            for prefix, column in STANDING.items()
            if row[column]
        ]
        if len(page) < PAGE:
            return
        last = page[-1]["call_id"]
