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

BITS = 1 << 25
PROBES = 5
PER_LAYER = 2_000_000
"""Ids for which so many bits are enough: one in two thousand is mistaken."""
MOST_LAYERS = 32
"""4 MB each; beyond, asking always is as good."""

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
    """Hashes that were added; at most `PER_LAYER` × `MOST_LAYERS` are told apart from others."""

    def __init__(self) -> None:
        self._layers = [np.zeros(BITS // 8, np.uint8)]
        self._in_last = 0

    @property
    def is_full(self) -> bool:
        """Whether it holds so many that asking it says nothing."""
        return len(self._layers) == MOST_LAYERS and self._in_last > PER_LAYER

    def add(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Which may have been there before, those before it in `hashes` not counted; from now on
        all are."""
        probes = _probes(hashes)
        found = self._has(probes, len(hashes))
        if self._in_last > PER_LAYER and not self.is_full:
            self._layers.append(np.zeros(BITS // 8, np.uint8))
            self._in_last = 0
        last = self._layers[-1]
        for byte, bit in probes:
            np.bitwise_or.at(last, byte, bit)
        self._in_last += len(hashes)
        return found

    def has(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Which may be there. For any thread."""
        return self._has(_probes(hashes), len(hashes))

    def _has(self, probes: Probes, count: int) -> NDArray[np.bool_]:
        found = np.full(count, self.is_full)
        for layer in self._layers:
            there = np.full(count, True)
            for byte, bit in probes:
                there &= (layer[byte] & bit) != 0
            found |= there
        return found


def _probes(hashes: Hashes) -> Probes:
    """Where each of them has its bits: bytes, and the bit in each."""
    mixed = hashes * _THREE
    mixed = (mixed ^ mixed >> _HALF) * _ONE
    step = mixed >> _HALF | np.uint64(1)
    found = []
    for probe in range(PROBES):
        place = mixed + np.uint64(probe) * step & np.uint64(BITS - 1)
        byte = (place >> _THREE_BITS).astype(np.int64)
        found.append((byte, np.uint8(1) << (place & _SEVEN).astype(np.uint8)))
    return found
