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
from tollspan.collector.call import Call, call_id
from tollspan.collector.known import OWNER
from tollspan.collector.opened import Scope
from tollspan.collector.sealed import Sealed

from . import compiled
from .alike import sorted_out
from .ids import Ids
from .judged import Group, judged
from .lately import Joins
from .native import Data
from .recall import Recall
from .seen import Hashes
from .spread import Places, Spread
from .straight_calls import of_calls
from .straight_rows import Part, Source, Straight, source_of

__all__ = ["MOST_TOGETHER", "Gone", "gone_straight"]

MOST_TOGETHER = 32_768
"""Spans of one pass, as many as of one commit: its steps cost nearly the same for fewer, and what goes in as
one block goes in for less."""


@dataclass
class Gone:
    """What goes straight, and what does not."""

    blocks: dict[str, list[Data]] = field(default_factory=dict)
    """By table, each block in pieces."""
    told: list[tuple[str, str]] = field(default_factory=list)
    """Id and trace of each call."""
    bearers: list[Call] = field(default_factory=list)
    """One call for each API key that there is."""
    rest: list[tuple[Sealed, int]] = field(default_factory=list)
    """Spans that are to be opened."""

    def add(self, table: str, block: Sequence[Data]) -> None:
        """A block for `table`, in pieces; none where it is empty."""
        if block:
            self.blocks.setdefault(table, []).extend(block)


def gone_straight(sealed: Sequence[Sealed], elsewhere: Collection[str], recall: Recall) -> Gone:
    """Sort out what goes straight, and note it in `recall`.

    Args:
        elsewhere: traces of spans that come with these and go through the stage.
    """
    if not compiled.IS_COMPILED:
        return Gone(rest=[(each, place) for each in sealed for place in range(len(each))])
    gone = Gone()
    part: list[Sealed] = []
    size = 0
    for each in sealed:
        if size and size + len(each) > MOST_TOGETHER:
            _Pass(part, elsewhere, recall, gone).go()
            part, size = [], 0
        part.append(each)
        size += len(each)
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
        self._spread = Spread(sealed)
        ids, alike = sorted_out(self._spread)
        self._groups: list[Group] = list(filter(None, map(judged, alike)))
        self._ids = Ids(ids)

    def go(self) -> None:
        straight = self._straight()
        for sealed, places in self._by_sealed(np.flatnonzero(~straight)):
            self._gone.rest += ((sealed, place) for place in places.tolist())
        groups = [group.of(straight[group.rows]) for group in self._groups]
        groups = [group for group in groups if len(group)]
        if groups:
            self._write(groups)

    def _straight(self) -> NDArray[np.bool_]:
        """Which spans go straight: those of traces that have one call, and all whose spans may."""
        ids = self._ids
        may, calls = np.zeros(len(ids), bool), np.zeros(len(ids), bool)
        for group in self._groups:
            may[group.rows] = True
            calls[group.rows] = group.part.is_call
        if not may.any():
            return may
        fine: NDArray[np.bool_] = np.bincount(ids.traces, calls) == 1
        fine[ids.traces[~may]] = False
        fine[ids.traces[ids.twice()]] = False
        if self._elsewhere:
            fine &= np.array([each not in self._elsewhere for each in ids.trace_ids()])
        fine &= ~self._recall.meets_traces(ids.of_traces())
        joining = [(group.rows, keys) for group in self._groups for keys in group.joining()]
        if joining:
            hashes = np.concatenate([keys.hashes() for _, keys in joining])
            shared = _twice(hashes) | self._recall.meets_keys(hashes)
            fine[ids.traces[np.concatenate([rows for rows, _ in joining])[shared]]] = False
        return may & fine[ids.traces]

    def _by_sealed(self, rows: Places) -> Iterator[tuple[Sealed, Places]]:
        """Spans, in the order in which they came, by whom they came with, and their places there."""
        firsts = self._spread.firsts
        cuts = np.searchsorted(rows, firsts).tolist()
        for sealed, first, begin, end in zip(
            self._sealed, firsts.tolist(), cuts[:-1], cuts[1:], strict=False
        ):
            if begin < end:
                yield sealed, rows[begin:end] - first

    def _write(self, groups: Sequence[Group]) -> None:
        sources, of_sealed = _sources(self._sealed)
        of_sealed = of_sealed[self._spread.of_sealed]
        parts = [Part(each, self._ids.table[each.rows], of_sealed[each.rows]) for each in groups]
        ranks = np.zeros(self._ids.trace_count, np.uint64)
        for part in parts:
            np.add.at(ranks, self._ids.traces[part.group.rows], part.evidence())
        rows = np.concatenate([group.rows for group in groups])
        spans = Straight(parts, sources, self._ids.ordered(rows))
        self._gone.add("spans", spans.span_block())
        calls = [part for part in parts if part.group.part.is_call]
        joins: Joins = []
        if calls:
            trace_of = self._ids.traces[np.concatenate([part.group.rows for part in calls])]
            joins = self._write_calls(calls, ranks[trace_of], sources)
        self._recall.note(list(self._by_sealed(np.sort(rows))), joins)

    def _write_calls(
        self,
        parts: Sequence[Part],
        ranks: NDArray[np.uint64],
        sources: Sequence[Source],
    ) -> Joins:
        """Their rows; returns keys, and the traces of these."""
        straight = of_calls(parts, sources)
        calls, hops = straight.call_blocks(ranks)
        self._gone.add("llm_calls", calls)
        self._gone.add("llm_hops", hops)
        self._gone.add("span_links", straight.link_block())
        self._gone.told += straight.told()
        self._gone.bearers += self._bearers(parts)
        return [(keys, part.trace_ids) for part in parts for keys in part.group.joining()]

    def _bearers(self, parts: Sequence[Part]) -> Iterator[Call]:
        """A call for each API key."""
        seen: set[str] = set()
        for part in parts:
            column = part.group.columns.get(semconv.API_KEY_FINGERPRINT)
            if column is None:
                continue
            for at in np.unique(column.codes, return_index=True)[1].tolist():
                key = column.known[column.codes[at]]
                if key in seen:
                    continue
                seen.add(key)
                ((sealed, places),) = self._by_sealed(part.group.rows[at : at + 1])
                span = sealed.opened(int(places[0]))
                own = call_id(span.trace_id, span.span_id, span.start_ns)
                yield Call(own, span, span.attributes, OWNER, span.span_id, [], span.version)


def _twice(hashes: Hashes) -> NDArray[np.bool_]:
    """Which of them some other equals."""
    ordered = np.sort(hashes)
    again = ordered[1:][ordered[1:] == ordered[:-1]]
    return np.isin(hashes, again) if len(again) else np.zeros(len(hashes), bool)


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
