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

from tollspan.collector.receiver import Malformed, Overloaded
from tollspan.collector.span import Span
from tollspan.collector.stage import Call, Stage
from tollspan.collector.wire import Decoded
from tollspan.guard import quietly

from .blocks import call_block, hop_block, link_block, span_block
from .ledger import Ledger, LedgerError
from .recall import Recall
from .straight import Gone, gone_straight

__all__ = ["Told", "Writer"]

MOST_WAITING_SPANS = 65_536
MOST_AT_ONCE_SPANS = 32_768
"""Of one commit: the engine takes one such block in half the time of four small ones."""

GATHER_S = 0.02
"""How long a group waits for others, and again as long as others come: many small commits make many
small files."""
MOST_GATHERING = 10

TABLES = ("spans", "span_links", "llm_hops", "llm_calls")
"""In the order in which they are written: a call that can be read has its hops."""


@dataclass(slots=True)
class Told:
    """Calls that a commit has added or changed."""

    ids: Sequence[tuple[str, str]]
    """Of each its own and its trace's."""
    calls: Sequence[Call]
    """Those that the stage has told of; of the others one for each API key that they bear."""


Committed = Callable[[Told], None]


@dataclass(slots=True)
class _Batch:
    decoded: Decoded
    done: Future[None]
    size: int


class Writer:
    """A `Sink` for receivers. `committed` hears, on the writer's thread, which calls changed.

    With `recall` what can goes straight into the ledger, past the stage.
    """

    def __init__(
        self, ledger: Ledger, stage: Stage, committed: Committed, recall: Recall | None = None
    ) -> None:
        self._ledger = ledger
        self._stage = stage
        self._committed = committed
        self._recall = recall
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
        return self.take(Decoded(list(spans)))

    def take(self, decoded: Decoded) -> Future[None]:
        """See `Sink`. A batch is never split between commits."""
        done: Future[None] = Future()
        size = decoded.size
        if not size:
            done.set_result(None)
            return done
        with self._changed:
            full = self._waiting_spans + size > MOST_WAITING_SPANS and self._waiting_spans
            if full or self._stopping:
                raise Overloaded(1.0)
            self._waiting.append(_Batch(decoded, done, size))
            self._waiting_spans += size
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
            self._gather()
            self._commit_group(self._group())

    def _gather(self) -> None:
        before = 0
        for _ in range(MOST_GATHERING):
            now = self._waiting_spans
            if self._stopping or now >= MOST_AT_ONCE_SPANS or now == before:
                return
            before = now
            time.sleep(GATHER_S)

    def _group(self) -> list[_Batch]:
        with self._changed:
            group = [self._waiting.popleft()]
            size = group[0].size
            while self._waiting and size + self._waiting[0].size <= MOST_AT_ONCE_SPANS:
                group.append(self._waiting.popleft())
                size += group[-1].size
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
        gone = self._gone_straight(group)
        opened = self._opened(group, gone)
        if len(opened) < len(group):
            self._note(is_safe=False)
            return self._commit([batch for batch in group if not batch.done.done()])
        spans = [span for batch in group for span in batch.decoded.spans]
        spans += [span for each in opened for span in each.spans]
        try:
            calls = self._stage.take(spans)
            links = [*self._stage.keys]
            gone.add("spans", [span_block(spans)] if spans else [])
            keys, traces = ([each[at] for each in links] for at in (0, 1))
            gone.add("span_links", [link_block(keys, traces)] if links else [])
            gone.add("llm_hops", [block] if (block := hop_block(calls)) else [])
            gone.add("llm_calls", [call_block(calls)] if calls else [])
            for table in TABLES:
                if table in gone.blocks:
                    self._ledger.append(table, *gone.blocks[table])
        except BaseException:
            self._stage.forget({span.trace_id for span in spans})
            self._stage.forget(trace_id for _, trace_id in gone.told)
            self._note(is_safe=False)
            raise
        self._note(is_safe=True)
        for batch, found in zip(group, opened, strict=True):
            batch.decoded.reject(found)
            batch.done.set_result(None)
        told = gone.told + [(call.call_id, call.span.trace_id) for call in calls]
        if told:
            self._committed(Told(told, [*calls, *gone.bearers]))

    def _gone_straight(self, group: Sequence[_Batch]) -> Gone:
        sealed = [each for batch in group for each in batch.decoded.sealed]
        if self._recall is None or not sealed:
            return Gone(rest=[(each, place) for each in sealed for place in range(len(each))])
        elsewhere = {span.trace_id for batch in group for span in batch.decoded.spans}
        return gone_straight(sealed, elsewhere, self._recall)

    def _opened(self, group: Sequence[_Batch], gone: Gone) -> list[Decoded]:
        """Of each batch the spans that do not go straight; of one that is no OTLP its sender hears."""
        found = {id(each): batch for batch in group for each in batch.decoded.sealed}
        opened = {id(batch): Decoded() for batch in group}
        for sealed, place in gone.rest:
            batch = found[id(sealed)]
            try:
                if id(batch) in opened:
                    opened[id(batch)].add(sealed.opened(place))
            except Malformed as error:
                del opened[id(batch)]
                batch.done.set_exception(error)
        return list(opened.values())

    def _note(self, *, is_safe: bool) -> None:
        if self._recall is not None:
            self._recall.committed(is_safe=is_safe)
