"""Ids of many spans: whose trace each is of, and the order in which the table `spans` keeps its rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .spread import Places

__all__ = ["Ids"]


class Ids:
    """Ids of spans.

    Args:
        table: of each span (row) trace id, two bytes, span id.
    """

    def __init__(self, table: NDArray[np.uint8]) -> None:
        self.table = table
        self.order = _ordered(table)
        """Spans by their ids."""
        ordered = table[self.order]
        same = np.zeros(len(table), bool)
        same[1:] = (ordered[1:, :16] == ordered[:-1, :16]).all(axis=1)
        self.traces: Places = np.empty(len(table), np.int64)
        """Which trace each is of."""
        self.traces[self.order] = np.cumsum(~same) - 1
        self._firsts = self.order[~same]
        self._ordered = ordered

    def __len__(self) -> int:
        return len(self.table)

    @property
    def trace_count(self) -> int:
        """Of how many traces they are."""
        return len(self._firsts)

    def twice(self) -> Places:
        """Spans that have the same ids as another."""
        if self.trace_count == len(self):
            return self.order[:0]
        same = (self._ordered[1:] == self._ordered[:-1]).all(axis=1)
        found: Places = self.order[1:][same]
        return found

    def of_traces(self) -> bytes:
        """The id of each trace, 16 bytes each."""
        return self.table[self._firsts, :16].tobytes()

    def trace_ids(self) -> Iterator[str]:
        """The same as hex."""
        text = self.of_traces().hex()
        return (text[at : at + 32] for at in range(0, len(text), 32))

    def ordered(self, rows: Places) -> Places:
        """Where each of these spans stands among them, by their ids."""
        places = np.full(len(self), -1)
        places[rows] = np.arange(len(rows))
        found: Places = places[self.order]
        if len(rows) < len(self):
            found = found[found >= 0]
        return found


def _ordered(table: NDArray[np.uint8]) -> Places:
    high, low, spans = (_numbers(table, at) for at in (0, 8, 18))
    order: Places = np.argsort(high)
    if (np.diff(high[order]) == 0).any():
        order = np.lexsort((spans, low, high))
    return order


def _numbers(table: NDArray[np.uint8], at: int) -> NDArray[np.uint64]:
    """64 bits, big-endian, of each row."""
    return table[:, at : at + 8].copy().view(">u8")[:, 0].astype(np.uint64)
