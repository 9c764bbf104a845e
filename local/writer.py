"""The one thread that writes to the ledger: what came in meanwhile is committed together.

A sender is told that its spans are safe only after the commit that holds them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from tollspan.collector.receiver import Overloaded
from tollspan.collector.span import Span
from tollspan.collector.stage import Call, Stage
from tollspan.guard import quietly

from .blocks import call_block, hop_block, link_block, span_block
from .ledger import Ledger, LedgerError

__all__ = ["Writer"]

MOST_WAITING_SPANS = 50_000
MOST_AT_ONCE_SPANS = 8_192
GATHER_S = 0.02
"""How long the first of a group waits for others: many small commits make many small files."""

Committed = Callable[[Sequence[Call]], None]


@dataclass(slots=True)
class _Batch:
    spans: Sequence[Span]
    done: Future[None]


class Writer:
    """A `Sink` for receivers. `committed` hears, on the writer's thread, which calls changed."""

    def __init__(self, ledger: Ledger, stage: Stage, committed: Committed) -> None:
        self._ledger = ledger
        self._stage = stage
        self._committed = committed
        self._waiting: deque[_Batch] = deque()
        self._waiting_spans = 0
        self._at_work = False
        self._stopping = False
        self._changed = threading.Condition()
        self.failed_commits = 0
        self._thread = threading.Thread(target=self._run, name="tollspan-writer", daemon=True)
        self._thread.start()

    def offer(self, spans: Sequence[Span]) -> Future[None]:
        """See `Sink`. A batch is never split between commits."""
        done: Future[None] = Future()
        if not spans:
            done.set_result(None)
            return done
        with self._changed:
            full = self._waiting_spans + len(spans) > MOST_WAITING_SPANS and self._waiting_spans
            if full or self._stopping:
                raise Overloaded(1.0)
            self._waiting.append(_Batch(spans, done))
            self._waiting_spans += len(spans)
            self._changed.notify_all()
        return done

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until everything offered so far is committed; False when that took too long."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._waiting and not self._at_work, timeout=timeout_s
            )

    def stop(self) -> None:
        """Commit what waits, then end. Idempotent."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._at_work = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting or self._stopping)
                if not self._waiting:
                    return
                self._at_work = True
            if not self._stopping:
                time.sleep(GATHER_S)
            self._commit_group(self._group())

    def _group(self) -> list[_Batch]:
        with self._changed:
            group = [self._waiting.popleft()]
            size = len(group[0].spans)
            while self._waiting and size + len(self._waiting[0].spans) <= MOST_AT_ONCE_SPANS:
                group.append(self._waiting.popleft())
                size += len(group[-1].spans)
            self._waiting_spans -= size
            return group

    def _commit_group(self, group: list[_Batch]) -> None:
        try:
            with quietly:
                try:
                    self._commit(group)
                except LedgerError as error:
                    if len(group) == 1:
                        self.failed_commits += 1
                        group[0].done.set_exception(error)
                    else:
                        # One sender's batch must not stand in the way of the others'.
                        for batch in group:
                            self._commit_group([batch])
        finally:
            for batch in group:
                if not batch.done.done():
                    batch.done.set_exception(LedgerError("the commit did not come to its end"))

    def _commit(self, group: Sequence[_Batch]) -> None:
        spans = [span for batch in group for span in batch.spans]
        try:
            calls = self._stage.take(spans)
            for table, block in (
                ("spans", span_block(spans)),
                ("span_links", link_block([*self._stage.keys])),
                ("llm_hops", hop_block(calls)),
                ("llm_calls", call_block(calls) if calls else b""),
            ):
                if block:
                    self._ledger.append(table, block)
        except BaseException:
            self._stage.forget({span.trace_id for span in spans})
            raise
        for batch in group:
            batch.done.set_result(None)
        if calls:
            self._committed(calls)
