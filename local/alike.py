"""Spans that say the same in the same order, found among many at once, without opening one.

A span is a run of bytes; where its parts stand follows from the lengths in front of them. What one
span is asked in Python costs as much for one as for ten thousand when the question is put to all of
them in one step, so spans go through this together, field by field; those that part ways (another
attribute comes next) go on apart. Whoever is odd in any way is left to those who open spans one by
one. Field numbers: opentelemetry-proto 1.45, trace.proto; encoding:
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tollspan.collector.span import EARLIEST_NS, LATEST_NS

from .attributes import ATTRIBUTE, DOUBLE, INT, TEXT, Name, Window, ahead, all_have, fits
from .packed import Packed, Places, Values, same_or_all, whole

__all__ = ["DOUBLE", "INT", "TEXT", "Alike", "Name", "sorted_out"]

FEWEST = 48
"""Spans that are worth going on with together; fewer are opened sooner than sorted."""

SHORTEST_NAME = 5
"""Of an attribute: with what stands around it, eight bytes."""

MOST_ATTRIBUTES = 64
MOST_PARTINGS = 256

_LEAST_VALUE = 3
"""Bytes of a value with its size."""

_KINDS = 6
_IDS = 28
"""Bytes of trace id and span id with what stands before them."""


@dataclass
class Alike:
    """Spans of one kind, all with a parent or all without, with the same attributes in one order."""

    packed: Packed
    rows: Places
    """Which of the packed spans."""
    names: tuple[Name, ...]
    values: Sequence[Values]
    kind: int
    has_parent: bool
    names_at: Places
    """Where the length of the span's name stands."""
    starts_ns: Places
    ends_ns: Places
    ends_at: Places
    """Where the attributes end."""
    _found: dict[int, Places] = field(default_factory=dict)
    """What `which` has answered; attributes that were found together are asked about together."""

    def of(self, which: NDArray[np.bool_]) -> Alike:
        """Some of them."""
        if which.all():
            return self
        return Alike(
            self.packed,
            self.rows[which],
            self.names,
            self.values,
            self.kind,
            self.has_parent,
            self.names_at[which],
            self.starts_ns[which],
            self.ends_ns[which],
            self.ends_at[which],
        )

    def called(self) -> Values:
        """Names of the spans, with their lengths."""
        sizes = self.packed.byte(self.names_at) + 1
        lanes = self.packed.lanes(self.names_at, whole(int(sizes.max())) // 8)
        return same_or_all(lanes, sizes, self.rows)

    def which(self, values: Values) -> Places | slice:
        """Which of the spans of `values` these are."""
        if len(values.rows) == len(self.rows):
            return slice(None)
        found = self._found.get(id(values.rows))
        if found is None:
            there = np.zeros(len(self.packed), bool)
            there[self.rows] = True
            found = self._found[id(values.rows)] = np.flatnonzero(there[values.rows])
        return found

    def ids_at(self) -> Places:
        """Where the trace id stands, and 18 bytes behind it the span id."""
        return self.packed.starts[self.rows] + 2


def sorted_out(packed: Packed) -> Iterator[Alike]:
    """Spans that are alike; those that are odd or too few are left out.

    Of the ones that are alike everything was seen: nothing stands in them but ids, name, kind,
    times that the ledger can keep, attributes of less than 128 bytes, an empty status and flags.
    """
    return _Sorting(packed).sorted_out()


class _State(NamedTuple):
    """Spans that have had the same attributes so far."""

    rows: Places
    at: Places
    """Where each goes on."""
    names: tuple[Name, ...]
    values: list[Values]
    window: Window | None = None
    """What stands there, where that was looked at with what stood before."""

    def of(self, which: NDArray[np.bool_]) -> _State:
        """Some of them."""
        return _State(self.rows[which], self.at[which], self.names, self.values)


class _Sorting:
    def __init__(self, packed: Packed) -> None:
        self._packed = packed
        count = len(packed)
        self._names_at = np.zeros(count, np.int64)
        self._starts_ns = np.zeros(count, np.int64)
        self._ends_ns = np.zeros(count, np.int64)
        self._partings = 0

    def sorted_out(self) -> Iterator[Alike]:
        fine, at, has_parent, kinds = self._heads()
        groups = has_parent * _KINDS + kinds
        for group in np.flatnonzero(np.bincount(groups[fine], minlength=1)):
            rows = np.flatnonzero(fine & (groups == group))
            yield from self._walk(rows, at[rows], int(group) % _KINDS, bool(group >= _KINDS))

    def _heads(self) -> tuple[NDArray[np.bool_], Places, NDArray[np.bool_], Places]:
        """Which begin as they should, where their attributes do, which have a parent, kinds."""
        packed = self._packed
        byte, at = packed.byte, packed.starts
        # A span that ends before what is looked at is found out at the end: all stands in a row.
        fine = (byte(at) == 0x0A) & (byte(at + 1) == 16)
        fine &= (byte(at + 18) == 0x12) & (byte(at + 19) == 8)
        fine &= _any(packed, at + 2) | _any(packed, at + 10)
        fine &= _any(packed, at + 20)
        at = at + _IDS
        has_parent = (byte(at) == 0x22) & (byte(at + 1) == 8)
        fine &= ~has_parent | _any(packed, at + 2)
        at = at + 10 * has_parent
        size = byte(at + 1)
        fine &= (byte(at) == 0x2A) & (size > 0) & (size < 128)
        self._names_at = at + 1
        at = np.minimum(at + 2 + size, packed.ends)
        has_kind = byte(at) == 0x30
        kinds = np.where(has_kind, byte(at + 1), 0)
        fine &= (kinds < _KINDS) & (has_kind == (kinds > 0))
        at = at + 2 * has_kind
        fine &= (byte(at) == 0x39) & (byte(at + 9) == 0x41) & (at + 18 <= packed.ends)
        starts, ends = packed.numbers(at + 1), packed.numbers(at + 10)
        fine &= (starts >= EARLIEST_NS) & (ends < LATEST_NS) & (ends >= starts)
        self._starts_ns, self._ends_ns = starts.astype(np.int64), ends.astype(np.int64)
        return fine, at + 18, has_parent, np.where(kinds < _KINDS, kinds, 0)

    def _walk(self, rows: Places, at: Places, kind: int, has_parent: bool) -> Iterator[Alike]:
        """Attribute by attribute; where the next one differs, those with it go on first."""
        waiting = [_State(rows, at, (), [])]
        while waiting:
            state = waiting.pop()
            rows, at, names, values, _ = state
            if len(rows) < FEWEST or self._partings > MOST_PARTINGS:
                continue
            begin = int(at[0])
            if begin >= self._packed.ends[rows[0]] or self._packed.bytes[begin] != ATTRIBUTE:
                more = self._packed.byte(at) == ATTRIBUTE
                more &= at < self._packed.ends[rows]
                yield from self._finished(state.of(~more), kind, has_parent)
                waiting.append(state.of(more))
                continue
            found = self._next(begin, state) if len(names) < MOST_ATTRIBUTES else None
            if found is None:
                waiting.append(state.of(np.arange(len(rows)) > 0))
                self._partings += 1
                continue
            name, same, behind, those, window = found
            if not same.all():
                waiting.append(state.of(~same))
                rows, behind = rows[same], behind[same]
                self._partings += 1
            waiting.append(_State(rows, behind, (*names, name), [*values, those], window))

    def _next(
        self, begin: int, state: _State
    ) -> tuple[Name, NDArray[np.bool_], Places, Values, Window | None] | None:
        """The attribute that the first one has next, which of the others have it, too, where it ends,
        what it is of those that have it, and what was seen of what comes behind; None where it is none
        of the usual."""
        packed, (rows, at, _, _, window) = self._packed, state
        head = packed.bytes[begin + 1 : begin + 4]
        key = packed.bytes[begin + 2 : begin + 5 + head[2]]
        if head[1] != 0x0A or head[2] < SHORTEST_NAME or head[0] >= 128 or key[-1:] != b"\x12":
            return None
        if head[0] < len(key) + _LEAST_VALUE:
            return None
        kind = packed.bytes[begin + 3 + len(key)]
        # In one window: tag, size; key; size of the value, its kind and size; and some more.
        value = 2 + len(key) + 2 * (kind == TEXT)
        width = value + whole(2 + head[0] - value) + 8
        if window is None or not window.has(width):
            window = Window(packed.windows(at, max(width, ahead(packed, at))), 0)
        seen, done = window
        table = seen.view(np.uint8).reshape(-1, seen.itemsize)[:, done : done + width]
        size = table[:, 1]
        are_as_long = bool((size == head[0]).all())
        if are_as_long:
            same = np.full(len(rows), True)
            until = value + (1 if kind == TEXT else 2)
            all_have(seen, done, packed.bytes[begin : begin + until], same)
            behind = at + (2 + head[0])
        else:
            same = (table[:, 0] == ATTRIBUTE) & (size < 128)
            all_have(seen, done + 2, key, same)
            behind = at + 2
            behind += size
        of = table[:1] if are_as_long else table
        same &= fits(of[:, 1], of[:, 2 + len(key) : 5 + len(key)], len(key), kind)
        same &= behind <= packed.ends[rows]
        if not same[0]:
            return None
        window = Window(seen, done + 2 + head[0]) if are_as_long and same.all() else None
        if not same.all():
            rows, table, at, size = rows[same], table[same], at[same], size[same]
        sizes = size.astype(np.int64) + (2 - value)
        most = whole(int(sizes.max()))
        if value + most <= width:
            # A copy even of one row: bytes behind the value are cleared, and the window goes on there.
            lanes = table[:, value : value + most].copy().view(np.uint64)
        else:
            lanes = packed.lanes(at + value, most // 8)
        return Name(key, kind), same, behind, same_or_all(lanes, sizes, rows), window

    def _finished(self, state: _State, kind: int, has_parent: bool) -> Iterator[Alike]:
        """Behind the attributes there may be an empty status and flags, and nothing else."""
        byte, at = self._packed.byte, state.at
        behind = at + 2 * ((byte(at) == 0x7A) & (byte(at + 1) == 0))
        behind = behind + 6 * ((byte(behind) == 0x85) & (byte(behind + 1) == 1))
        whole = behind == self._packed.ends[state.rows]
        if not whole.all():
            state = state.of(whole)
        rows, at, names, values, _ = state
        if len(rows) >= FEWEST and len({name.key for name in names}) == len(names):
            yield Alike(
                self._packed,
                rows,
                names,
                values,
                kind,
                has_parent,
                self._names_at[rows],
                self._starts_ns[rows],
                self._ends_ns[rows],
                at,
            )


def _any(packed: Packed, at: Places) -> NDArray[np.bool_]:
    """Whether one of eight bytes is not zero."""
    found: NDArray[np.bool_] = packed.numbers(at) != 0
    return found
