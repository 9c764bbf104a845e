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
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tollspan.collector.span import EARLIEST_NS, LATEST_NS

from .packed import Packed, Places, Values, same_or_all, whole

__all__ = ["DOUBLE", "INT", "TEXT", "Alike", "Name", "sorted_out"]

TEXT, INT, DOUBLE = 0x0A, 0x18, 0x21
"""Tags of an AnyValue: what kind of value an attribute has."""

FEWEST = 48
"""Spans that are worth going on with together; fewer are opened sooner than sorted."""

SHORTEST_NAME = 5
"""Of an attribute: with what stands around it, eight bytes."""

MOST_ATTRIBUTES = 64
MOST_PARTINGS = 256

_KINDS = 6
_ATTRIBUTE = 0x4A
"""Tag of an attribute in a span."""

_IDS = 28
"""Bytes of trace id and span id with what stands before them."""


class Name(NamedTuple):
    """What attributes begin with that have one name and one kind of value."""

    key: bytes
    """Up to the tag of the value."""
    kind: int


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
            rows, at, names, values = state
            if len(rows) < FEWEST or self._partings > MOST_PARTINGS:
                continue
            begin = int(at[0])
            if begin >= self._packed.ends[rows[0]] or self._packed.bytes[begin] != _ATTRIBUTE:
                more = self._packed.byte(at) == _ATTRIBUTE
                more &= at < self._packed.ends[rows]
                yield from self._finished(state.of(~more), kind, has_parent)
                waiting.append(state.of(more))
                continue
            found = self._next(begin, rows, at) if len(names) < MOST_ATTRIBUTES else None
            if found is None:
                waiting.append(state.of(np.arange(len(rows)) > 0))
                self._partings += 1
                continue
            name, same, behind, those = found
            if not same.all():
                waiting.append(state.of(~same))
                rows, behind = rows[same], behind[same]
                self._partings += 1
            waiting.append(_State(rows, behind, (*names, name), [*values, those]))

    def _next(
        self, begin: int, rows: Places, at: Places
    ) -> tuple[Name, NDArray[np.bool_], Places, Values] | None:
        """The attribute that the first one has next, which of the others have it, too, where it ends,
        and what it is of those that have it; None where it is none of the usual."""
        packed = self._packed
        head = packed.bytes[begin + 1 : begin + 4]
        key = packed.bytes[begin + 2 : begin + 5 + head[2]]
        if head[1] != 0x0A or head[2] < SHORTEST_NAME or head[0] >= 128 or key[-1:] != b"\x12":
            return None
        kind = packed.bytes[begin + 3 + len(key)]
        # In one window: tag, size; key; size of the value, its kind and size; and some more.
        value = 2 + len(key) + 2 * (kind == TEXT)
        width = value + whole(2 + head[0] - value) + 8
        seen = packed.windows(at, width)
        table = seen.view(np.uint8).reshape(-1, width)
        columns = table[:, 2 + len(key) : 5 + len(key)].T
        size, inside = table[:, 1], columns[0]
        same = (table[:, 0] == _ATTRIBUTE) & (size < 128) & (columns[1] == kind)
        _all_have(seen, key, same)
        same &= (inside == size - np.uint8(len(key) + 1)) & (inside >= 2) & (inside < 128)
        if kind == TEXT:
            same &= columns[2] == inside - np.uint8(2)
        elif kind == DOUBLE:
            same &= inside == 9
        behind = at + 2
        behind += size
        same &= behind <= packed.ends[rows]
        if not same[0]:
            return None
        if not same.all():
            rows, table, at, size = rows[same], table[same], at[same], size[same]
        sizes = size.astype(np.int64) + (2 - value)
        most = whole(int(sizes.max()))
        if value + most <= width:
            lanes = np.ascontiguousarray(table[:, value : value + most]).view(np.uint64)
        else:
            lanes = packed.lanes(at + value, most // 8)
        return Name(key, kind), same, behind, same_or_all(lanes, sizes, rows)

    def _finished(self, state: _State, kind: int, has_parent: bool) -> Iterator[Alike]:
        """Behind the attributes there may be an empty status and flags, and nothing else."""
        byte, at = self._packed.byte, state.at
        behind = at + 2 * ((byte(at) == 0x7A) & (byte(at + 1) == 0))
        behind = behind + 6 * ((byte(behind) == 0x85) & (byte(behind + 1) == 1))
        whole = behind == self._packed.ends[state.rows]
        if not whole.all():
            state = state.of(whole)
        rows, at, names, values = state
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


def _all_have(seen: NDArray[np.bytes_], key: bytes, same: NDArray[np.bool_]) -> None:
    """Keep in `same` those of the windows that have `key` from their third byte on: eight bytes at a
    time, the last ones over again where it is no multiple of eight."""
    last = len(key) - 8
    for place in (*range(0, last, 8), last):
        part = np.frombuffer(key, "<u8", 1, place)[0]
        every: Any = np.ndarray(len(seen), "<u8", seen, 2 + place, (seen.itemsize,))
        same &= every == part


def _any(packed: Packed, at: Places) -> NDArray[np.bool_]:
    """Whether one of eight bytes is not zero."""
    found: NDArray[np.bool_] = packed.numbers(at) != 0
    return found
