"""Spans that say the same in the same order, found among many at once, without opening one.

A span is a run of bytes; where its parts stand follows from the lengths in front of them. What a span
is asked in Python costs as much for one as for ten thousand when it is put to all of them in one step,
so spans that have the same attributes are brought together here (`local/columns/alike.c`), and what
each attribute says stands in a column. Whoever is odd in any way is left to those who open spans one
by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tollspan.collector.span import EARLIEST_NS, LATEST_NS

from . import compiled
from .spread import Places, Spread
from .strings import Strings

__all__ = ["DOUBLE", "INT", "TEXT", "Alike", "Codes", "Name", "Said", "sorted_out"]

Codes = NDArray[np.int32]

TEXT, INT, DOUBLE = 0x0A, 0x18, 0x21
"""Tags of an AnyValue: what kind of value an attribute has."""

FEWEST = 48
"""Spans that are worth going on with together; fewer are opened sooner."""

MOST_SHAPES = 256
"""Of a pass; spans of more than these are opened."""

SAMPLE, DIFFERENT = 128, 120
"""Where so many of the first spans have values that differ, it is not asked which ones are the same."""


class Name(NamedTuple):
    """Of an attribute."""

    text: str
    kind: int
    """Of its value."""


class Said(NamedTuple):
    """What one attribute says: values, and which of them each span has. A value stands behind its length;
    one that is no text has its kind in front of it, too."""

    codes: Codes
    values: Strings

    def of(self, which: NDArray[np.bool_]) -> Said:
        """Of some of the spans."""
        return Said(self.codes[which], self.values)


@dataclass
class Alike:
    """Spans of one kind, all with a parent or all without, with the same attributes in one order."""

    rows: Places
    """Which of the spans."""
    kind: int
    names: tuple[Name, ...]
    said: Sequence[Said]
    called: Said
    """Names of the spans."""
    parents: NDArray[np.uint8] | None
    """8 bytes of each; None where they have none."""
    starts_ns: Places
    ends_ns: Places
    sizes: NDArray[np.uint64]
    """Of what stands behind the ids of each, up to the end of its attributes."""
    crcs: NDArray[np.uint64]
    """CRC-32 of that."""

    def of(self, which: NDArray[np.bool_]) -> Alike:
        """Some of them."""
        if which.all():
            return self
        return Alike(
            self.rows[which],
            self.kind,
            self.names,
            [each.of(which) for each in self.said],
            self.called.of(which),
            None if self.parents is None else self.parents[which],
            self.starts_ns[which],
            self.ends_ns[which],
            self.sizes[which],
            self.crcs[which],
        )


def sorted_out(spread: Spread) -> tuple[NDArray[np.uint8], list[Alike]]:
    """Of each span trace id, two bytes, span id (of what is no span some bytes); and spans that are alike,
    without those that are odd or too few.

    Of the ones that are alike everything was seen: nothing stands in them but ids, name, kind,
    times that the ledger can keep, attributes of less than 128 bytes, an empty status and flags.
    """
    ids, shapes = compiled.columns.alike(
        spread.bodies,
        spread.firsts,
        spread.begins,
        spread.ends,
        EARLIEST_NS,
        LATEST_NS,
        FEWEST,
        MOST_SHAPES,
        SAMPLE,
        DIFFERENT,
    )
    found = []
    for kind, names, columns, called, lines, parents in shapes:
        table = np.frombuffer(lines, np.int64).reshape(-1, 5)
        starts_ns, ends_ns, rows, sizes, crcs = np.ascontiguousarray(table.T)
        named = _names(names)
        if named is None:
            continue
        found.append(
            Alike(
                rows,
                kind,
                named,
                [_said(*column) for column in columns],
                _said(*called),
                None if parents is None else np.frombuffer(parents, np.uint8).reshape(-1, 8),
                starts_ns,
                ends_ns,
                sizes.view(np.uint64),
                crcs.view(np.uint64),
            )
        )
    return np.frombuffer(ids, np.uint8).reshape(len(spread), -1), found


def _names(told: Sequence[tuple[bytes, int]]) -> tuple[Name, ...] | None:
    """Names of attributes; None where they are no texts, or one stands there twice."""
    try:
        found = tuple(Name(key.decode(), kind) for key, kind in told)
    except UnicodeDecodeError:
        return None
    return found if len({name.text for name in found}) == len(found) else None


def _said(codes: bytes, values: bytes, ends: bytes) -> Said:
    return Said(np.frombuffer(codes, np.int32), Strings(values, np.frombuffer(ends, np.uint32)))
