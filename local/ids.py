"""Ids of many spans, in the order in which the table `spans` keeps its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .packed import AT_ONCE, Packed, Places

__all__ = ["Ids"]

_BEGIN, _SIZE = 2, 26
"""Where the trace id stands in a span, with two bytes and the span id behind it."""


class Ids:
    """Ids of spans that are still bytes; of what is no span some bytes, or zeros."""

    def __init__(self, raws: Sequence[bytes]) -> None:
        heads = b"".join([raw[_BEGIN : _BEGIN + _SIZE] for raw in raws])
        if len(heads) < _SIZE * len(raws):
            heads = b"".join([raw[_BEGIN : _BEGIN + _SIZE].ljust(_SIZE, b"\0") for raw in raws])
        table = np.frombuffer(heads, np.uint8).reshape(len(raws), _SIZE)
        self.places = _ordered(table)
        """Of each span in order, where it stood."""
        self.table: NDArray[np.uint8] = table[self.places]
        new = np.full(len(raws), False)
        new[1:] = (self.table[1:, :16] != self.table[:-1, :16]).any(axis=1)
        self.traces: Places = np.cumsum(new)
        """Which trace each is of."""

    def __len__(self) -> int:
        return len(self.places)

    def twice(self) -> NDArray[np.bool_]:
        """Spans that have the same ids as the one before."""
        found = np.full(len(self), False)
        if self.traces[-1] + 1 < len(self):
            found[1:] = (self.table[1:] == self.table[:-1]).all(axis=1)
        return found

    def of_traces(self) -> bytes:
        """The id of each trace, 16 bytes each."""
        first = np.flatnonzero(np.diff(self.traces, prepend=-1))
        return self.table[first, :16].tobytes()

    def trace_ids(self) -> Iterator[str]:
        """The same as hex."""
        text = self.of_traces().hex()
        return (text[at : at + 32] for at in range(0, len(text), 32))

    def packed(self, raws: Sequence[bytes]) -> Iterator[Packed]:
        """The spans in order, as many at once as are gone through together."""
        parts = -(-len(self) // AT_ONCE)
        size = -(-len(self) // parts)
        for first in range(0, len(self), size):
            places = self.places[first : first + size].tolist()
            yield Packed([raws[place] for place in places], first)


def _ordered(table: NDArray[np.uint8]) -> Places:
    high, low, spans = (_numbers(table, at) for at in (0, 8, 18))
    order: Places = np.argsort(high)
    if (np.diff(high[order]) == 0).any():
        order = np.lexsort((spans, low, high))
    return order


def _numbers(table: NDArray[np.uint8], at: int) -> NDArray[np.uint64]:
    """64 bits, big-endian, of each row."""
    return table[:, at : at + 8].copy().view(">u8")[:, 0].astype(np.uint64)
