"""The straight way into the ledger, for the calls of our own applications.

Nearly all that a laptop's ledger is told are calls that tollspan itself has settled in the
application, each with its attempts, and nothing in their traces that says otherwise. Such spans go
from the bytes that came to the blocks of the tables in steps that take thousands at once. All others,
and everything that belongs together with one of the others, go through the stage.

What went straight can be recalled like everything that the stage no longer holds: from the last few
batches here, from the ledger after that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tollspan import semconv
from tollspan.collector.call import Call
from tollspan.collector.opened import Scope
from tollspan.collector.ownership import OWNER
from tollspan.collector.sealed import Sealed

from .alike import Packed, Places, sorted_out
from .coded import fixed
from .judged import Group, judged
from .recall import Recall
from .straight_calls import StraightCalls
from .straight_rows import Source, Straight, source_of

__all__ = ["MOST_TOGETHER", "Gone", "gone_straight"]

MOST_TOGETHER = 16_384
"""Spans of one pass: their bytes and what is made of them fit the memory that is kept for that."""


@dataclass
class Gone:
    """What goes straight, and what does not."""

    blocks: dict[str, list[bytes]] = field(default_factory=dict)
    """By table."""
    told: list[tuple[str, str]] = field(default_factory=list)
    """Id and trace of each call."""
    bearers: list[Call] = field(default_factory=list)
    """One call for each API key that there is."""
    rest: list[tuple[Sealed, int]] = field(default_factory=list)
    """Spans that are to be opened."""

    def add(self, table: str, block: bytes) -> None:
        """A block for `table`; none where it is empty."""
        if block:
            self.blocks.setdefault(table, []).append(block)


def gone_straight(sealed: Sequence[Sealed], elsewhere: Collection[str], recall: Recall) -> Gone:
    """Sort out what goes straight, and note it in `recall`.

    Args:
        elsewhere: traces of spans that come with these and go through the stage.
    """
    gone = Gone()
    part: list[Sealed] = []
    size = 0
    for each in sealed:
        if size and size + len(each.spans) > MOST_TOGETHER:
            _Pass(part, elsewhere, recall, gone).go()
            part, size = [], 0
        part.append(each)
        size += len(each.spans)
    if size:
        _Pass(part, elsewhere, recall, gone).go()
    return gone


class _Pass:
    def __init__(
        self, sealed: Sequence[Sealed], elsewhere: Collection[str], recall: Recall, gone: Gone
    ) -> None:
        self._sealed = sealed
        self._elsewhere = elsewhere
        self._recall = recall
        self._gone = gone
        sizes = [len(each.spans) for each in sealed]
        self._of_sealed = np.repeat(np.arange(len(sealed)), sizes)
        self._firsts = np.cumsum([0, *sizes])
        self._packed = Packed([raw for each in sealed for raw in each.spans])
        self._traces = _traces(self._packed)
        self._groups = [group for group in map(judged, sorted_out(self._packed)[0]) if group]

    def go(self) -> None:
        straight = self._straight()
        for sealed, places in self._by_sealed(np.flatnonzero(~straight)):
            self._gone.rest += ((sealed, place) for place in places)
        groups = [group.of(straight[group.alike.rows]) for group in self._groups]
        groups = [group for group in groups if len(group.alike.rows)]
        if groups:
            self._write(groups)

    def _straight(self) -> NDArray[np.bool_]:
        """Which spans go straight: those of traces that have one call, and all whose spans may."""
        count = len(self._packed.raws)
        may, calls = np.zeros(count, bool), np.zeros(count, bool)
        for group in self._groups:
            may[group.alike.rows] = True
            calls[group.alike.rows] = group.part.is_call
        if not may.any():
            return may
        traces = self._traces
        fine: NDArray[np.bool_] = np.bincount(traces.of, calls) == 1
        fine[traces.of[~may]] = False
        self._none_twice(fine)
        if self._elsewhere:
            fine &= np.array([each not in self._elsewhere for each in traces.ids()])
        fine &= ~self._recall.meets_traces(traces.data)
        for group in self._groups:
            for codes, keys in group.joins():
                shared = np.bincount(codes)[codes] > 1
                shared |= self._recall.meets_keys(keys)[codes]
                fine[traces.of[group.alike.rows[shared]]] = False
        return may & fine[traces.of]

    def _none_twice(self, fine: NDArray[np.bool_]) -> None:
        """Of a span that comes twice, the stage says which copy stands."""
        of = self._traces.of
        if len(fine) < len(of):
            ids = fixed(self._packed.windows(self._packed.starts + 2, 26))
            if len(ids.dictionary) < len(of):
                codes = ids.indices.to_numpy(zero_copy_only=False)
                fine[of[np.bincount(codes)[codes] > 1]] = False

    def _by_sealed(self, rows: Places) -> Iterator[tuple[Sealed, list[int]]]:
        """Spans by whom they came with, and their places there."""
        of = self._of_sealed[rows]
        for at in np.unique(of).tolist():
            yield self._sealed[at], (rows[of == at] - self._firsts[at]).tolist()

    def _write(self, groups: Sequence[Group]) -> None:
        sources, of_sealed = _sources(self._sealed)
        ranks = np.zeros(len(self._traces), np.uint64)
        made: list[Straight] = []
        for group in groups:
            rows = group.alike.rows
            kind = StraightCalls if group.part.is_call else Straight
            made.append(kind(group.alike, group.columns, sources, of_sealed[self._of_sealed[rows]]))
            np.add.at(ranks, self._traces.of[rows], made[-1].evidence())
        joins: list[tuple[list[str], list[str]]] = []
        for group, straight in zip(groups, made, strict=True):
            self._gone.add("spans", straight.span_block())
            if isinstance(straight, StraightCalls):
                ranks_here = ranks[self._traces.of[group.alike.rows]]
                joins += self._write_calls(group, straight, ranks_here)
        rows = np.concatenate([group.alike.rows for group in groups])
        self._recall.note(list(self._by_sealed(rows)), joins)

    def _write_calls(
        self, group: Group, straight: StraightCalls, ranks: NDArray[np.uint64]
    ) -> Iterator[tuple[list[str], list[str]]]:
        """Their rows; yields keys, and the traces of these."""
        calls, hops, ids = straight.call_blocks(ranks)
        self._gone.add("llm_calls", calls)
        self._gone.add("llm_hops", hops)
        traces = straight.trace_ids()
        self._gone.told += zip(ids, traces, strict=True)
        self._gone.bearers += self._bearers(group, ids)
        for prefix, column in group.part.keys:
            of = group.columns[group.part.names[column]]
            self._gone.add("span_links", straight.link_block(prefix, of))
        for codes, known in group.joins():
            yield [known[code] for code in codes.tolist()], traces

    def _bearers(self, group: Group, ids: Sequence[str]) -> Iterator[Call]:
        column = group.columns.get(semconv.API_KEY_FINGERPRINT)
        if column is None:
            return
        for at in np.unique(column.codes, return_index=True)[1].tolist():
            ((sealed, (place,)),) = self._by_sealed(group.alike.rows[at : at + 1])
            span = sealed.opened(place)
            yield Call(ids[at], span, span.attributes, OWNER, span.span_id, [], span.version)


class _Traces:
    """Which trace each span is of, and the ids of these, one behind the other."""

    def __init__(self, of: Places, data: bytes) -> None:
        self.of = of
        self.data = data

    def __len__(self) -> int:
        return len(self.data) // 16

    def ids(self) -> Iterator[str]:
        text = self.data.hex()
        return (text[at : at + 32] for at in range(0, len(text), 32))


def _traces(packed: Packed) -> _Traces:
    found = fixed(packed.windows(packed.starts + 2, 16))
    data = found.dictionary.buffers()[1].to_pybytes()[: 16 * len(found.dictionary)]
    return _Traces(found.indices.to_numpy(zero_copy_only=False).astype(np.int64), data)


def _sources(sealed: Sequence[Sealed]) -> tuple[list[Source], Places]:
    """Who sent them, and which of these sent each."""
    places: dict[tuple[int, Scope], int] = {}
    sources: list[Source] = []
    of: list[int] = []
    for each in sealed:
        key = (id(each.resource), each.scope)
        if key not in places:
            places[key] = len(sources)
            sources.append(source_of(each.resource, each.scope))
        of.append(places[key])
    return sources, np.array(of)
