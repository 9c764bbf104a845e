"""One attribute of many spans: the values that there are, and which span has which.

A value that many spans have is looked at once. Values stand as the engine's Native format writes a
string, length and bytes, which is what protobuf writes, too: they are copied from the one into the
other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from numpy.typing import NDArray

from tollspan.collector.pairs import pair
from tollspan.collector.private import KEEP, rule
from tollspan.collector.receiver import Malformed

from . import native
from .alike import DOUBLE, INT, TEXT, Alike, Codes
from .blocks import as_json
from .spread import Places
from .strings import Strings, listed, of_arrow

__all__ = ["Coded", "coded", "joined"]

_SEVEN = [np.uint64(0x7F << 7 * place) for place in range(5)]
_BEFORE = np.uint64(16)
"""Bits of length and tag."""


@dataclass
class Coded:
    """`codes` says of each row which of the values it has."""

    codes: Codes
    texts: Strings
    """Each value, as a row of `spans` has it: a text as it is, all else as JSON."""
    values: Any
    """Each value: an array of numbers, or a list; of texts nothing, see `known`."""
    is_text: bool
    lacks: bool = False
    """The last of the values stands for none."""

    def of(self, which: NDArray[Any] | slice) -> Coded:
        """Of some of the rows, or of all in another order."""
        return Coded(self.codes[which], self.texts, self.values, self.is_text, self.lacks)

    @cached_property
    def known(self) -> list[Any]:
        """Each value, as Python has it; None for none."""
        if self.is_text:
            found: list[Any] = self.texts.listed()
        else:
            found = self.values.tolist() if isinstance(self.values, np.ndarray) else [*self.values]
        if self.lacks:
            found[-1] = None
        return found

    def at(self, rows: Places) -> list[Any]:
        """The values of some of the rows."""
        return list(map(self.known.__getitem__, self.codes[rows].tolist()))

    def low(self) -> bytes:
        """The texts as data of a LowCardinality(String) column."""
        return native.low_coded(self.texts.data, len(self.texts), self.codes)

    def strings(self) -> bytes:
        """The texts as data of a String column."""
        return self.texts.taken(self.codes)


def joined(parts: Sequence[Coded | None], rows: Sequence[int], nothing: str = "") -> Coded | None:
    """One attribute of groups of spans, so many each, one behind the other; None where none has it.

    Args:
        nothing: the text of those that lack it.
    """
    there = [part for part in parts if part is not None]
    if len(parts) == 1 or not there:
        return parts[0]
    firsts = np.cumsum([0, *(len(part.texts) for part in there)]).tolist()
    codes, texts, values = [], [part.texts for part in there], [part.values for part in there]
    first = iter(firsts)
    for part, count in zip(parts, rows, strict=True):
        own = None if part is None else part.codes + np.int32(next(first))
        codes.append(np.full(count, firsts[-1], np.int32) if own is None else own)
    lacks = len(there) < len(parts)
    if lacks:
        texts.append(Strings.written([nothing]))
        values.append(values[0][:1])
    if there[0].is_text:
        every: Any = ()
    elif all(isinstance(each, np.ndarray) for each in values):
        every = np.concatenate(values)
    else:
        every = [value for each in values for value in each]
    return Coded(np.concatenate(codes), listed(texts), every, there[0].is_text, lacks)


def coded(alike: Alike, column: int) -> Coded | None:
    """An attribute of spans that are alike; None where one of them has to be opened."""
    name, (codes, values) = alike.names[column], alike.said[column]
    if _rule(name.text) != KEEP:
        return None
    if name.kind == INT:
        counts = _integers(values.rows(), values.sizes)
        return Coded(codes, of_arrow(pa.array(counts).cast(pa.string())), counts, False)
    if name.kind == DOUBLE:
        numbers = np.frombuffer(values.data, np.uint8).reshape(-1, 10)[:, 2:].copy().view("<f8")
        fine = bool(np.isfinite(numbers).all())
        return Coded(codes, _written(numbers.tobytes()), numbers[:, 0], False) if fine else None
    if name.kind == TEXT:
        return Coded(codes, values, (), True) if values.are_utf8() else None
    return _anything(name.text, codes, values)


@lru_cache(maxsize=4096)
def _rule(name: str) -> Any:
    return rule(name)


def _integers(rows: NDArray[np.uint64], sizes: Places) -> Places:
    """Counts that are varints of up to five bytes, behind length and tag."""
    digits = rows[:, 0] >> _BEFORE
    total = digits & _SEVEN[0]
    for place in range(1, int(sizes.max()) - 2):
        total |= digits >> np.uint64(place) & _SEVEN[place]
    return total.view(np.int64)


@lru_cache(maxsize=2)
def _written(data: bytes) -> Strings:
    """Numbers as `repr` writes them; Arrow is faster where it writes the same. What a call costs
    stands in it twice."""
    numbers = np.frombuffer(data, "<f8")
    size = np.abs(numbers)
    odd = ~((size >= 1e-4) & (size < 1e6) & (numbers != np.rint(numbers)))
    texts = pa.array(numbers).cast(pa.string())
    if odd.any():
        own = pa.array(list(map(repr, numbers[odd].tolist())), pa.string())
        texts = pa.compute.replace_with_mask(texts, pa.array(odd), own)
    return of_arrow(texts)


def _anything(name: str, codes: Codes, values: Strings) -> Coded | None:
    key = name.encode()
    begin = b"\x0a" + bytes((len(key),)) + key + b"\x12"
    try:
        known = [pair(begin + each)[1] for each in values.each()]
    except Malformed:
        return None
    return Coded(codes, Strings.written(list(map(as_json, known))), known, False)
