"""Many strings in one run of bytes, each behind its length, as the engine's Native format has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from numpy.typing import NDArray

from . import native

__all__ = ["Strings", "cleared", "listed", "of_arrow", "trimmed"]

Sizes = NDArray[np.int64]
Table = NDArray[np.uint8]
Lanes = NDArray[np.uint64]

_KEEP = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)
"""Of 64 bits the first bytes, none to all."""


class Strings:
    """Strings one behind the other, each with its length in front.

    Args:
        sizes: of each, with its length.
        table: the same strings as rows, zeros behind each; of strings shorter than 128 bytes only.
    """

    def __init__(self, data: bytes, sizes: Sizes, table: Table | None = None) -> None:
        self.data = data
        self.sizes = sizes
        self.table = table

    @classmethod
    def of(cls, table: Table, sizes: Sizes) -> Strings:
        """Strings that stand in rows, their lengths in front, zeros behind them."""
        return cls(trimmed(table, sizes), sizes, table)

    @classmethod
    def written(cls, texts: Sequence[str]) -> Strings:
        """Any texts."""
        data = [native.texts([text]) for text in texts]
        return cls(b"".join(data), np.fromiter(map(len, data), np.int64, len(data)))

    def each(self) -> Iterator[bytes]:
        """Each with its length in front."""
        ends = np.cumsum(self.sizes).tolist()
        for size, end in zip(self.sizes.tolist(), ends, strict=True):
            yield self.data[end - size : end]

    def listed(self) -> list[str]:
        """The texts; of strings shorter than 128 bytes."""
        ends = np.cumsum(self.sizes)
        places = zip((ends - self.sizes + 1).tolist(), ends.tolist(), strict=True)
        if self.data.isascii():
            text = self.data.decode()
            return [text[a:b] for a, b in places]
        return [self.data[a:b].decode() for a, b in places]

    def are_utf8(self) -> bool:
        """Whether strings shorter than 128 bytes are UTF-8: their lengths part them."""
        if self.data.isascii():
            return True
        try:
            self.data.decode()
        except UnicodeDecodeError:
            return False
        return True

    def times(self, other: Strings) -> Strings:
        """Each of them with each of the others behind it: one may be two or more strings then."""
        behind = list(other.each())
        data = b"".join([each + end for each in self.each() for end in behind])
        return Strings(data, np.add.outer(self.sizes, other.sizes).ravel())

    def taken(self, codes: NDArray[Any]) -> native.Data:
        """Those that `codes` name, one behind the other."""
        count = len(self.sizes)
        if len(codes) == count and codes[0] == 0 and (np.diff(codes) == 1).all():
            return self.data
        if count == 1:
            return self.data * len(codes)
        ends = np.zeros(count + 1, np.int32)
        np.cumsum(self.sizes, out=ends[1:])
        pool = pa.BinaryArray.from_buffers(
            pa.binary(), count, [None, pa.py_buffer(ends), pa.py_buffer(self.data)]
        )
        taken = pool.take(pa.array(codes))
        _, offsets, found = taken.buffers()
        end = np.frombuffer(offsets, np.int32)[len(taken)]
        return memoryview(found)[:end]


def listed(parts: Sequence[Strings]) -> Strings:
    """All of them, one behind the other."""
    return Strings(
        b"".join(part.data for part in parts), np.concatenate([part.sizes for part in parts])
    )


def cleared(lanes: Lanes, sizes: Sizes) -> Lanes:
    """Rows of bytes, as 64-bit numbers, with zeros behind the first so many of each; changes them."""
    least, most = int(sizes.min()), int(sizes.max())
    for lane in range(least // 8, lanes.shape[1]):
        if least == most:
            lanes[:, lane] &= _KEEP[min(max(least - 8 * lane, 0), 8)]
        else:
            lanes[:, lane] &= _KEEP[np.clip(sizes - 8 * lane, 0, 8)]
    return lanes


def trimmed(table: Table, sizes: Sizes) -> bytes:
    """The first so many bytes of each row, one row behind the other."""
    size = int(sizes[0])
    if (sizes == size).all():
        return table[:, :size].tobytes()
    return table[np.arange(table.shape[1]) < sizes[:, None]].tobytes()


def of_arrow(texts: Any) -> Strings:
    """Texts in an Arrow array, each of less than 128 ASCII characters."""
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int32, len(texts) + 1).astype(np.int64)
    sizes = np.diff(ends) + 1
    found = np.empty(int(ends[-1]) + len(texts), np.uint8)
    lengths = ends[:-1] + np.arange(len(texts))
    is_text = np.full(len(found), True)
    is_text[lengths] = False
    found[lengths] = sizes - 1
    found[is_text] = np.frombuffer(data, np.uint8, int(ends[-1]))
    return Strings(found.tobytes(), sizes)
