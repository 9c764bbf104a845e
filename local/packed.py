"""Spans as one run of bytes, and what is read out of it for thousands of spans at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tollspan.collector.sealed import Sealed

from .strings import cleared

__all__ = ["Packed", "Places", "Values", "same_or_all", "whole"]

Places = NDArray[np.int64]

_PAD = 256
"""Bytes behind the last span, so that looking ahead never leaves the run."""


_BEGIN, _SIZE = 2, 26
"""Where the trace id stands in a span, with two bytes and the span id behind it."""


class Packed:
    """Spans in one run of bytes, that of their requests."""

    def __init__(self, sealed: Sequence[Sealed]) -> None:
        bodies: list[bytes] = []
        firsts, size = [], 0
        for each in sealed:
            if not bodies or bodies[-1] is not each.body:
                bodies.append(each.body)
                size += len(each.body)
            firsts.append(size - len(each.body))
        self.bytes = b"".join((*bodies, bytes(_PAD)))
        self._all = np.frombuffer(self.bytes, np.uint8)
        shift = np.repeat(firsts, list(map(len, sealed)))
        self.starts: Places = np.concatenate([np.asarray(each.begins) for each in sealed]) + shift
        self.ends: Places = np.concatenate([np.asarray(each.ends) for each in sealed]) + shift

    def __len__(self) -> int:
        return len(self.ends)

    def ids(self) -> NDArray[np.uint8]:
        """Of each span trace id, two bytes, span id; of what is no span some bytes."""
        return self.windows(self.starts + _BEGIN, _SIZE).view(np.uint8).reshape(-1, _SIZE)

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
