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
from .alike import DOUBLE, INT, TEXT, Alike, Name
from .blocks import as_json
from .packed import Places, Values
from .strings import Strings, listed, of_arrow

__all__ = ["Coded", "Codes", "coded", "different", "encoded", "fixed", "joined"]

Codes = NDArray[np.int32]

SAMPLE, DIFFERENT = 128, 120
"""Where so many of the first spans have values that differ, it is not asked which ones are the same."""

_SEVEN = [np.uint64(0x7F << 7 * place) for place in range(5)]
_MORE = np.array([0, 0x80, 0x8080, 0x808080, 0x80808080], np.uint64)
"""Bits that say that a varint of one to five bytes goes on."""
_DIGITS = np.uint64(0x8080808080)
_TAG = np.uint64(16)


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
        return native.low_coded(self.texts.data, len(self.texts.sizes), self.codes)

    def strings(self) -> native.Data:
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
    firsts = np.cumsum([0, *(len(part.texts.sizes) for part in there)]).tolist()
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
    name, values = alike.names[column], alike.values[column]
    if values.read is None:
        values.read = _read(name, values) or False
    if not values.read:
        return None
    found: Coded = values.read
    return found.of(alike.which(values))


def _read(name: Name, values: Values) -> Coded | None:
    """One attribute, in whatever spans it was found."""
    count = len(values.rows)
    if _rule(name) != KEEP:
        return None
    if name.kind == INT:
        return _integers(values, count)
    if name.kind == DOUBLE:
        return _numbers(values.lanes, count)
    codes, strings = encoded(values, count)
    if name.kind == TEXT:
        return Coded(codes, strings, (), True) if strings.are_utf8() else None
    return _anything(name.key, codes, strings)


@lru_cache(maxsize=4096)
def _rule(name: Name) -> Any:
    return rule(pair(name.key[:-1])[0])


def encoded(values: Values, count: int) -> tuple[Codes, Strings]:
    """Strings, each behind its length: which each of so many spans has, and each once (or, where nearly
    all differ, all of them)."""
    lanes, sizes = values.lanes, values.sizes
    if values.are_same:
        return np.zeros(count, np.int32), Strings.of(lanes.view(np.uint8), sizes)
    if different(lanes):
        return np.arange(count, dtype=np.int32), Strings.of(lanes.view(np.uint8), sizes)
    codes, table = fixed(lanes)
    return codes, Strings.of(table, table[:, 0].astype(np.int64) + 1)


def different(lanes: NDArray[np.uint64]) -> bool:
    """Whether rows seem to have a value each."""
    if len(lanes) < SAMPLE:
        return False
    some, width = lanes[:SAMPLE].tobytes(), 8 * lanes.shape[1]
    return len({some[at : at + width] for at in range(0, len(some), width)}) > DIFFERENT


def fixed(lanes: NDArray[np.uint64]) -> tuple[Codes, NDArray[np.uint8]]:
    """Of rows of 64-bit numbers which each is, and the bytes of each once."""
    width = 8 * lanes.shape[1]
    data = pa.py_buffer(np.ascontiguousarray(lanes))
    if width == 8:
        every = pa.UInt64Array.from_buffers(pa.uint64(), len(lanes), [None, data])
    else:
        every = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(lanes), [None, data])
    found = every.dictionary_encode()
    codes = found.indices.to_numpy(zero_copy_only=False)
    table = np.frombuffer(found.dictionary.buffers()[1], np.uint8, width * len(found.dictionary))
    return codes, table.reshape(-1, width)


def _integers(values: Values, count: int) -> Coded | None:
    """Counts as varints of up to five bytes, behind length and tag; None where one is none."""
    lanes, sizes = values.lanes, values.sizes
    if lanes.shape[1] > 1 or sizes.max() > 7:
        return None
    digits = lanes[:, 0] >> _TAG
    if ((digits & _DIGITS) != _MORE[sizes - 3]).any():
        return None
    total = digits & _SEVEN[0]
    for place in range(1, int(sizes.max()) - 2):
        total |= digits >> np.uint64(place) & _SEVEN[place]
    codes, table = fixed(total[:, None])
    found = table.view(np.int64)[:, 0]
    texts = of_arrow(pa.array(found).cast(pa.string()))
    return Coded(_of_all(codes, count), texts, found, False)


def _numbers(lanes: NDArray[np.uint64], count: int) -> Coded | None:
    """Finite numbers behind length and tag; None where one is none."""
    numbers = np.ascontiguousarray(lanes.view(np.uint8)[:, 2:10]).view(np.uint64)
    if different(numbers):
        codes = np.arange(count, dtype=np.int32)
        data = numbers.tobytes()
    else:
        codes, table = fixed(numbers)
        data = table.tobytes()
    values = np.frombuffer(data, "<f8")
    if not np.isfinite(values).all():
        return None
    return Coded(_of_all(codes, count), _written(data), values, False)


def _of_all(codes: Codes, count: int) -> Codes:
    """Of so many spans, where all may have the same value."""
    return codes if len(codes) == count else np.zeros(count, np.int32)


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


def _anything(key: bytes, codes: Codes, strings: Strings) -> Coded | None:
    try:
        values = [pair(key + each)[1] for each in strings.each()]
    except Malformed:
        return None
    return Coded(codes, Strings.written(list(map(as_json, values))), values, False)
