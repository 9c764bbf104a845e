"""Spans as one run of bytes, and what is read out of it for thousands of spans at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .strings import cleared

__all__ = ["AT_ONCE", "Packed", "Places", "Values", "same_or_all", "whole"]

Places = NDArray[np.int64]

AT_ONCE = 16_384
"""Spans that are gone through together: their bytes fit into the processor's memory."""

_PAD = 256
"""Bytes behind the last span, so that looking ahead never leaves the run."""


class Packed:
    """Spans one behind the other in one run of bytes."""

    def __init__(self, raws: Sequence[bytes], first: int = 0) -> None:
        self.raws = raws
        self.bytes = b"".join((*raws, bytes(_PAD)))
        self.first = first
        """How many others stood before them."""
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

    def lanes(self, at: Places, count: int) -> NDArray[np.uint64]:
        """So many times 64 bits, little-endian, from each of these places (rows) on."""
        return self.windows(at, 8 * count).view("<u8").reshape(len(at), count)

    def numbers(self, at: Places) -> NDArray[np.uint64]:
        """64 bits, little-endian, from each of these places on."""
        return self.lanes(at, 1)[:, 0]


class Values:
    """One attribute of spans, as it travels: a text with its length in front; of all else its kind, too,
    and the length of both.

    Args:
        lanes: bytes of each span (row), zeros behind them; one row where all are the same.
        sizes: how many bytes; one where all are the same.
        rows: which of the packed spans; those that part ways later still share this.
    """

    def __init__(self, lanes: NDArray[np.uint64], sizes: Places, rows: Places) -> None:
        self.lanes = lanes
        self.sizes = sizes
        self.rows = rows
        self.read: Any = None
        """What somebody who has read it knows of it."""

    @property
    def are_same(self) -> bool:
        """Whether all have the same value."""
        return len(self.lanes) == 1


def whole(size: int) -> int:
    """The next multiple of eight."""
    return -(-size // 8) * 8


def same_or_all(lanes: NDArray[np.uint64], sizes: Places, rows: Places) -> Values:
    """Values that stand in front of the first so many bytes of each row, one where all are the same."""
    lanes = cleared(lanes, sizes)
    if all((lanes[:, lane] == lanes[0, lane]).all() for lane in range(lanes.shape[1])):
        return Values(lanes[:1], sizes[:1], rows)
    return Values(lanes, sizes, rows)
