"""Demo data in the ledger: put in like any sender's spans, marked, and taken out again."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from tollspan.collector import wire
from tollspan.collector.receiver import Overloaded

from . import rollups, sample
from .ledger import Busy, Ledger
from .writer import Writer

__all__ = ["DemoData", "is_demo"]

COMMIT_TIMEOUT_S = 60.0
TABLES = ("span_links", "spans", "llm_hops", "llm_calls")
COUNT = "SELECT count() AS calls FROM tollspan_calls WHERE startsWith(trace_id, {prefix:String})"
LATER = "the ledger cannot take the demo data now; try again"


def is_demo(trace_id: str) -> bool:
    """Whether the trace is demo data."""
    return trace_id.startswith(sample.TRACE_PREFIX)


class DemoData:
    """A made-up week of calls, of data mode `test`, so that it counts in no budget.

    What is removed is chosen by the trace id, which no other sender makes. `gone` is told after
    a removal, so that open pages ask anew.
    """

    def __init__(self, ledger: Ledger, writer: Writer, gone: Callable[[], None]) -> None:
        self._ledger = ledger
        self._writer = writer
        self._gone = gone
        self._lock = Lock()
        self._calls: int | None = None

    def calls(self) -> int:
        """How many calls of the ledger are demo data. Counted once: only we change it."""
        if self._calls is not None:
            return self._calls
        if not self._lock.acquire(blocking=False):
            # It is being put in or taken out: the count is true for a moment only.
            return self._counted()
        try:
            self._calls = self._counted()
            return self._calls
        finally:
            self._lock.release()

    def _counted(self) -> int:
        rows = self._ledger.query(COUNT, {"prefix": sample.TRACE_PREFIX})
        return int(rows[0]["calls"])

    def load(self) -> int:
        """Put the week in that ends now, unless it is there; returns how many calls there are.

        Raises:
            Busy: the ledger is too busy to take it. Part of it may be there; it can be removed.
        """
        with self._lock:
            if there := self._counted():
                return there
            self._calls = None
            for body in sample.requests(time.time_ns()):
                try:
                    done = self._writer.offer(wire.traces(body, is_json=True).spans)
                    done.result(COMMIT_TIMEOUT_S)
                except (Overloaded, TimeoutError) as error:
                    raise Busy(LATER) from error
            self._calls = self._counted()
            return self._calls

    def remove(self) -> int:
        """Take it out for good; returns how many calls went."""
        with self._lock:
            there = self._counted()
            self._calls = None
            for table in TABLES:
                self._ledger.remove(
                    table, "startsWith(trace_id, {prefix:String})", {"prefix": sample.TRACE_PREFIX}
                )
            # Not counted again from the calls: sums may outlive the calls that they are of.
            # Budgets count no tests, and are counted anew whenever calls go.
            for table in rollups.OF_CALLS:
                self._ledger.remove(
                    table, "environment = {environment:String}", {"environment": sample.ENVIRONMENT}
                )
            self._calls = 0
            self._gone()
            return there
