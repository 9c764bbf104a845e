"""Records and events of calls into the local ledger: committed when the answer is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future

from tollspan.collector.ingest import Answer, Ingest, Place, There
from tollspan.collector.receiver import Received, Unavailable
from tollspan.collector.span import Span

from .ledger import Busy, Ledger, LedgerError
from .recall import Recall
from .writer import Writer

__all__ = ["ingest_into"]

ASKED_AT_ONCE = 4_000
THERE = """
SELECT trace_id, span_id, max(version) AS version,
       toUnixTimestamp64Nano(argMax(time, spans.version)) AS time_ns
FROM spans WHERE trace_id IN {traces:Array(String)} GROUP BY trace_id, span_id
"""


def ingest_into(ledger: Ledger, writer: Writer, recall: Recall, received: Received) -> Ingest:
    """What takes records for this ledger; requests are counted in `received`."""

    def noted(answer: Answer, spans: int) -> None:
        received.add(requests=1, spans=spans, rejected=answer.rejected)

    return Ingest(_LedgerShelf(ledger, writer, recall), noted)


class _LedgerShelf:
    """A `Shelf`: nobody but this process writes to the ledger."""

    def __init__(self, ledger: Ledger, writer: Writer, recall: Recall) -> None:
        self._ledger = ledger
        self._writer = writer
        self._recall = recall

    def asked(
        self, places: Sequence[Place], *, undated: bool
    ) -> tuple[Mapping[Place, There], bool]:
        return {}, True

    def there(self, places: Sequence[Place]) -> Mapping[Place, There]:
        """
        Raises:
            Unavailable: the ledger cannot be asked; nothing was taken.
        """
        found: dict[Place, There] = {}
        asked = self._recall.perhaps(dict.fromkeys(trace_id for trace_id, _ in places))
        try:
            for begin in range(0, len(asked), ASKED_AT_ONCE):
                wanted = asked[begin : begin + ASKED_AT_ONCE]
                for row in self._ledger.query(THERE, {"traces": wanted}):
                    place = row["trace_id"], row["span_id"]
                    found[place] = There(row["version"], row["time_ns"])
        except (Busy, LedgerError) as error:
            raise Unavailable(f"the ledger could not take the records: {error}") from error
        return found

    def put(self, spans: Sequence[Span]) -> Iterable[tuple[Sequence[Span], Future[None]]]:
        """
        Raises:
            Overloaded: the ledger cannot keep up; nothing was taken.
        """
        return [(spans, self._writer.offer(spans))]
