"""Which ids were there before: a Bloom filter that grows, asked for many at once.

Its mistakes cost a query of the ledger, never a span: what it has not seen was not there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Hashes", "Seen", "of_rows", "of_texts", "of_traces"]

Hashes = NDArray[np.uint64]
Probes = list[tuple[NDArray[np.int64], NDArray[np.uint8]]]

FIRST, LARGEST = 1 << 22, 1 << 25
"""Bytes of the first layer; each has twice those of the one before, up to the largest."""
PROBES = 5
BYTES_OF_EACH = 8
"""Of a layer for each id: one in half a million is mistaken. A mistake is a query for each commit, which
costs the more the larger the ledger is, so there are to be fewer mistakes than commits."""
MOST_LAYERS = 18
"""64 million ids; beyond, asking always is as good."""

_ONE, _TWO, _THREE = (
    np.uint64(each) for each in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)
)
_MANY = np.random.default_rng().integers(1, 1 << 64, 64, np.uint64) | np.uint64(1)
"""Nobody else knows them, so nobody can choose texts that meet."""
_SEVEN, _THREE_BITS, _HALF = np.uint64(7), np.uint64(3), np.uint64(32)


def of_texts(texts: Sequence[str]) -> Hashes:
    """Hashes of texts, for as long as this process lives; of long ones, of their beginnings."""
    data = [text.encode("utf-8", "surrogatepass")[: 8 * len(_MANY)] for text in texts]
    lanes = -(-max(map(len, data), default=0) // 8)
    rows = b"".join(each.ljust(8 * lanes, b"\0") for each in data)
    return of_rows(np.frombuffer(rows, "<u8").reshape(len(texts), lanes))


def of_rows(lanes: NDArray[np.uint64]) -> Hashes:
    """The same of texts as rows of bytes, taken as 64-bit numbers, with zeros behind each."""
    found = np.zeros(len(lanes), np.uint64)
    for lane, factor in zip(lanes.T, _MANY, strict=False):
        found += (lane ^ lane >> _HALF) * factor
    return found


def of_traces(ids: bytes) -> Hashes:
    """Hashes of trace ids, 16 bytes each, one behind the other."""
    halves = np.frombuffer(ids, "<u8").reshape(-1, 2)
    return halves[:, 0] * _ONE ^ halves[:, 1] * _TWO


class Seen:
    """Hashes that were added; those that its layers have room for are told apart from others."""

    def __init__(self) -> None:
        self._layers = [np.zeros(FIRST, np.uint8)]
        self._in_last = 0

    @property
    def is_full(self) -> bool:
        """Whether it holds so many that asking it says nothing."""
        return len(self._layers) == MOST_LAYERS and self._has_no_room

    @property
    def _has_no_room(self) -> bool:
        return self._in_last * BYTES_OF_EACH > len(self._layers[-1])

    def add(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Which may have been there before, those before it in `hashes` not counted; from now on
        all are."""
        found, probes = self._asked(hashes)
        if self._has_no_room and not self.is_full:
            self._layers.append(np.zeros(min(2 * len(self._layers[-1]), LARGEST), np.uint8))
            self._in_last = 0
            probes = _probes(hashes, len(self._layers[-1]))
        for byte, bit in probes:
            _set(self._layers[-1], byte, bit)
        self._in_last += len(hashes)
        return found

    def has(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Which may be there. For any thread."""
        return self._asked(hashes)[0]

    def _asked(self, hashes: Hashes) -> tuple[NDArray[np.bool_], Probes]:
        """Which may be there, and where they have their bits in the last layer."""
        found = np.full(len(hashes), self.is_full)
        probes: Probes = []
        for layer in self._layers:
            there = np.full(len(hashes), True)
            probes = _probes(hashes, len(layer))
            for byte, bit in probes:
                there &= (layer[byte] & bit) != 0
            found |= there
        return found, probes


def _set(layer: NDArray[np.uint8], byte: NDArray[np.int64], bit: NDArray[np.uint8]) -> None:
    """Set bits of `layer`. Of two bits in one byte a plain assignment keeps the last; `ufunc.at` keeps
    both, but takes five times as long for all of them."""
    layer[byte] |= bit
    lost = (layer[byte] & bit) == 0
    if lost.any():
        np.bitwise_or.at(layer, byte[lost], bit[lost])


def _probes(hashes: Hashes, size: int) -> Probes:
    """Where each of them has its bits in a layer of `size` bytes, a power of two: bytes, and the bit in
    each."""
    mixed = hashes * _THREE
    mixed = (mixed ^ mixed >> _HALF) * _ONE
    step = mixed >> _HALF | np.uint64(1)
    found = []
    for probe in range(PROBES):
        place = mixed + np.uint64(probe) * step & np.uint64(8 * size - 1)
        byte = (place >> _THREE_BITS).astype(np.int64)
        found.append((byte, np.uint8(1) << (place & _SEVEN).astype(np.uint8)))
    return found
