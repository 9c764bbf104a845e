"""Many strings in one run of bytes, each behind its length, as the engine's Native format has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import compiled, native

__all__ = ["Strings", "listed", "of_arrow", "trimmed"]

Sizes = NDArray[np.int64]
Ends = NDArray[np.uint32]
Table = NDArray[np.uint8]

_KEEP = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)
"""Of 64 bits the first bytes, none to all."""


class Strings:
    """Strings one behind the other, each with its length in front.

    Args:
        ends: where each ends.
    """

    def __init__(self, data: bytes, ends: Ends) -> None:
        self.data = data
        self.ends = ends

    @classmethod
    def sized(cls, data: bytes, sizes: Sizes) -> Strings:
        """From the sizes of each, with its length."""
        return cls(data, np.cumsum(sizes).astype(np.uint32))

    @classmethod
    def written(cls, texts: Sequence[str]) -> Strings:
        """Any texts."""
        data = [native.texts([text]) for text in texts]
        return cls.sized(b"".join(data), np.fromiter(map(len, data), np.int64, len(data)))

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def sizes(self) -> Sizes:
        """Of each, with its length."""
        ends = self.ends.astype(np.int64)
        ends[1:] -= ends[:-1].copy()
        return ends

    def each(self) -> Iterator[bytes]:
        """Each with its length in front."""
        begin = 0
        for end in self.ends.tolist():
            yield self.data[begin:end]
            begin = end

    def listed(self) -> list[str]:
        """The texts; of strings shorter than 128 bytes."""
        ends = self.ends.tolist()
        places = zip([0, *ends], ends, strict=False)
        if self.data.isascii():
            text = self.data.decode()
            return [text[begin + 1 : end] for begin, end in places]
        return [self.data[begin + 1 : end].decode() for begin, end in places]

    def are_utf8(self) -> bool:
        """Whether strings shorter than 128 bytes are UTF-8: their lengths part them."""
        if self.data.isascii():
            return True
        try:
            self.data.decode()
        except UnicodeDecodeError:
            return False
        return True

    def rows(self) -> NDArray[np.uint64]:
        """Strings (rows) 64 bits at a time, zeros behind each."""
        sizes = self.sizes
        least, most = int(sizes.min()), int(sizes.max())
        width = -(-most // 8) * 8
        every: Any = np.ndarray(
            (len(self.data),), f"S{width}", self.data + bytes(width), strides=(1,)
        )
        lanes: NDArray[np.uint64] = every[self.ends - sizes].view(np.uint64)
        lanes = lanes.reshape(len(sizes), -1)
        for lane in range(least // 8, lanes.shape[1]):
            lanes[:, lane] &= _KEEP[np.clip(sizes - 8 * lane, 0, 8)]
        return lanes

    def taken(self, codes: NDArray[Any]) -> bytes:
        """Those that `codes` name, one behind the other."""
        count = len(self.ends)
        if count == 1:
            return self.data * len(codes)
        if len(codes) == count and codes[0] == 0 and (np.diff(codes) == 1).all():
            return self.data
        column = (self.data, self.ends, np.ascontiguousarray(codes, np.int32))
        return compiled.columns.laid([(len(codes), [column])])


def listed(parts: Sequence[Strings]) -> Strings:
    """All of them, one behind the other."""
    if len(parts) == 1:
        return parts[0]
    before = np.cumsum([0, *(len(part.data) for part in parts)])
    ends = [part.ends + first for part, first in zip(parts, before, strict=False)]
    data = b"".join(part.data for part in parts)
    return Strings(data, np.concatenate(ends).astype(np.uint32))


def trimmed(table: Table, sizes: Sizes) -> bytes:
    """The first so many bytes of each row, one row behind the other."""
    size = int(sizes[0])
    if (sizes == size).all():
        return table[:, :size].tobytes()
    return table[np.arange(table.shape[1]) < sizes[:, None]].tobytes()


def of_arrow(texts: Any) -> Strings:
    """Texts in an Arrow array, each of less than 128 characters of ASCII."""
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int32, len(texts) + 1)[1:] + np.arange(1, len(texts) + 1)
    return Strings(compiled.columns.texts(data, offsets, len(texts)), ends.astype(np.uint32))
