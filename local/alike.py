"""Spans that say the same in the same order, found among many at once, without opening one.

A span is a run of bytes; where its parts stand follows from the lengths in front of them. What one
span is asked in Python costs as much for one as for ten thousand when the question is put to all of
them in one step, so spans go through this together, field by field; those that part ways (another
attribute comes next) go on apart. Whoever is odd in any way is left to those who open spans one by
one. Field numbers: opentelemetry-proto 1.45, trace.proto; encoding:
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tollspan.collector.span import EARLIEST_NS, LATEST_NS

__all__ = ["DOUBLE", "INT", "TEXT", "Alike", "Name", "Packed", "sorted_out"]

Places = NDArray[np.int64]

TEXT, INT, DOUBLE = 0x0A, 0x18, 0x21
"""Tags of an AnyValue: what kind of value an attribute has."""

FEWEST = 48
"""Spans that are worth going on with together; fewer are opened sooner than sorted."""

SHORTEST_NAME = 5
"""Of an attribute: with what stands around it, eight bytes."""

MOST_ATTRIBUTES = 64
MOST_PARTINGS = 256
_PAD = 256
"""Bytes behind the last span, so that looking ahead never leaves the run."""

_KINDS = 6
_ATTRIBUTE = 0x4A
"""Tag of an attribute in a span."""

_IDS = 28
"""Bytes of trace id and span id with what stands before them."""


class Packed:
    """Spans one behind the other in one run of bytes."""

    def __init__(self, raws: Sequence[bytes]) -> None:
        self.raws = raws
        self.bytes = b"".join((*raws, bytes(_PAD)))
        self._all = np.frombuffer(self.bytes, np.uint8)
        sizes = np.fromiter(map(len, raws), np.int64, len(raws))
        self.ends: Places = np.cumsum(sizes)
        self.starts: Places = self.ends - sizes

    def byte(self, at: Places) -> Places:
        """One byte at each of these places."""
        return self._all[at].astype(np.int64)

    def windows(self, at: Places, width: int) -> NDArray[np.bytes_]:
        """`width` bytes from each of these places on. (Zeros at the end are not told apart from
        nothing when two are compared.)"""
        every: Any = np.ndarray(
            (len(self.bytes) - width,), dtype=f"S{width}", buffer=self.bytes, strides=(1,)
        )
        found: NDArray[np.bytes_] = every[at]
        return found

    def numbers(self, at: Places) -> NDArray[np.uint64]:
        """64 bits, little-endian, from each of these places on."""
        return np.frombuffer(self.windows(at, 8).tobytes(), "<u8")


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
    attributes: NDArray[np.int32]
    """Where each attribute (row) of each span (column) begins."""
    kind: int
    has_parent: bool
    names_at: Places
    """Where the length of the span's name stands."""
    starts_ns: Places
    ends_ns: Places
    ends_at: Places
    """Where the attributes end."""

    def of(self, which: NDArray[np.bool_]) -> Alike:
        """Some of them."""
        if which.all():
            return self
        return Alike(
            self.packed,
            self.rows[which],
            self.names,
            self.attributes[:, which],
            self.kind,
            self.has_parent,
            self.names_at[which],
            self.starts_ns[which],
            self.ends_ns[which],
            self.ends_at[which],
        )

    def values_at(self, column: int) -> Places:
        """Where the length of the value of an attribute stands."""
        begins: Places = self.attributes[column].astype(np.int64)
        return begins + len(self.names[column].key)

    def ids_at(self) -> Places:
        """Where the trace id stands, and 18 bytes behind it the span id."""
        return self.packed.starts[self.rows] + 2


def sorted_out(packed: Packed) -> tuple[list[Alike], Places]:
    """Spans that are alike, and the places of those that are odd or too few.

    Of the ones that are alike everything was seen: nothing stands in them but ids, name, kind,
    times that the ledger can keep, attributes of less than 128 bytes, an empty status and flags.
    """
    return _Sorting(packed).sorted_out()


class _Sorting:
    def __init__(self, packed: Packed) -> None:
        self._packed = packed
        count = len(packed.raws)
        self._attributes = np.zeros((MOST_ATTRIBUTES, count), np.int32)
        self._names_at = np.zeros(count, np.int64)
        self._starts_ns = np.zeros(count, np.int64)
        self._ends_ns = np.zeros(count, np.int64)
        self._odd: list[Places] = []
        self._alike: list[Alike] = []
        self._partings = 0

    def sorted_out(self) -> tuple[list[Alike], Places]:
        fine, at, has_parent, kinds = self._heads()
        self._odd.append(np.flatnonzero(~fine))
        groups = has_parent * _KINDS + kinds
        for group in np.flatnonzero(np.bincount(groups[fine], minlength=1)):
            rows = np.flatnonzero(fine & (groups == group))
            self._walk(rows, at[rows], int(group) % _KINDS, bool(group >= _KINDS))
        return self._alike, np.concatenate(self._odd)

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

    def _walk(self, rows: Places, at: Places, kind: int, has_parent: bool) -> None:
        """Attribute by attribute; where the next one differs, those with it go on first."""
        waiting: list[tuple[Places, Places, tuple[Name, ...]]] = [(rows, at, ())]
        while waiting:
            rows, at, names = waiting.pop()
            if len(rows) < FEWEST or self._partings > MOST_PARTINGS:
                self._odd.append(rows)
                continue
            begin = int(at[0])
            if begin >= self._packed.ends[rows[0]] or self._packed.bytes[begin] != _ATTRIBUTE:
                more = self._packed.byte(at) == _ATTRIBUTE
                more &= at < self._packed.ends[rows]
                self._finish(rows[~more], at[~more], names, kind, has_parent)
                waiting.append((rows[more], at[more], names))
                continue
            found = self._next(begin, rows, at) if len(names) < MOST_ATTRIBUTES else None
            if found is None:
                self._odd.append(rows[:1])
                waiting.append((rows[1:], at[1:], names))
                self._partings += 1
                continue
            name, same, behind = found
            if not same.all():
                waiting.append((rows[~same], at[~same], names))
                rows, at, behind = rows[same], at[same], behind[same]
                self._partings += 1
            self._attributes[len(names), rows] = at + 2
            waiting.append((rows, behind, (*names, name)))

    def _next(
        self, begin: int, rows: Places, at: Places
    ) -> tuple[Name, NDArray[np.bool_], Places] | None:
        """The attribute that the first one has next, which of the others have it, too, and where it
        ends; None where it is none of the usual."""
        packed = self._packed
        head = packed.bytes[begin + 2 : begin + 4]
        key = packed.bytes[begin + 2 : begin + 5 + head[1]]
        if head[0] != 0x0A or head[1] < SHORTEST_NAME or key[-1:] != b"\x12":
            return None
        # In one window: tag, size; key; size of the value, its kind and size.
        width = len(key) + 5
        seen = packed.windows(at, width)
        columns = seen.view(np.uint8).reshape(-1, width).T
        size, inside, kinds = columns[1], columns[-3], columns[-2]
        kind = int(kinds[0])
        same = (columns[0] == _ATTRIBUTE) & (size < 128) & (kinds == kind)
        _all_have(seen, key, same)
        same &= (inside == size - np.uint8(len(key) + 1)) & (inside >= 2) & (inside < 128)
        if kind == TEXT:
            same &= columns[-1] == inside - np.uint8(2)
        elif kind == DOUBLE:
            same &= inside == 9
        behind = at + 2
        behind += size
        same &= behind <= packed.ends[rows]
        return (Name(key, kind), same, behind) if same[0] else None

    def _finish(
        self, rows: Places, at: Places, names: tuple[Name, ...], kind: int, has_parent: bool
    ) -> None:
        """Behind the attributes there may be an empty status and flags, and nothing else."""
        byte, behind = self._packed.byte, at
        behind = behind + 2 * ((byte(behind) == 0x7A) & (byte(behind + 1) == 0))
        behind = behind + 6 * ((byte(behind) == 0x85) & (byte(behind + 1) == 1))
        whole = behind == self._packed.ends[rows]
        self._odd.append(rows[~whole])
        rows, at = rows[whole], at[whole]
        if len(rows) < FEWEST or len({name.key for name in names}) < len(names):
            self._odd.append(rows)
            return
        self._alike.append(
            Alike(
                self._packed,
                rows,
                names,
                self._attributes[: len(names), rows],
                kind,
                has_parent,
                self._names_at[rows],
                self._starts_ns[rows],
                self._ends_ns[rows],
                at,
            )
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
