"""One attribute of many spans: the values that there are, and which span has which.

A value that many spans have is looked at once. Values stand as the engine's Native format writes a
string, length and bytes, which is what protobuf writes, too: they are copied from the one into the
other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from numpy.typing import NDArray

from tollspan.collector.pairs import pair
from tollspan.collector.private import KEEP, rule
from tollspan.collector.receiver import Malformed

from . import native
from .alike import DOUBLE, INT, TEXT, Alike, Places
from .blocks import as_json

__all__ = ["Coded", "Strings", "coded", "encoded", "fixed", "row_by_row"]

_SEVEN = 0x7F


class Strings(NamedTuple):
    """Strings one behind the other, each with its length in front."""

    data: bytes
    sizes: NDArray[np.int64]
    """Of each, with its length; those of one size stand together."""

    def by_size(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Size, and bytes of each (row) of that size."""
        every = np.frombuffer(self.data, np.uint8)
        begin = 0
        for part in np.split(self.sizes, np.flatnonzero(np.diff(self.sizes)) + 1):
            size, count = int(part[0]), len(part)
            yield size, every[begin : begin + size * count].reshape(count, size)
            begin += size * count

    def behind(self, prefix: bytes) -> Strings:
        """Each behind `prefix`, where that leaves it shorter than 128 bytes."""
        found = []
        for size, rows in self.by_size():
            longer = np.empty((len(rows), size + len(prefix)), np.uint8)
            longer[:, 0] = size - 1 + len(prefix)
            longer[:, 1 : 1 + len(prefix)] = np.frombuffer(prefix, np.uint8)
            longer[:, 1 + len(prefix) :] = rows[:, 1:]
            found.append(longer.tobytes())
        return Strings(b"".join(found), self.sizes + len(prefix))


@dataclass
class Coded:
    """`codes` says of each row which of the values it has."""

    codes: NDArray[np.int32]
    texts: Strings
    """Each value once, as a row of `spans` has it: a text as it is, all else as JSON."""
    values: Sequence[Any]
    """Each value once; of texts nothing, see `known`."""
    is_text: bool

    def of(self, which: NDArray[np.bool_]) -> Coded:
        """Of some of the rows."""
        return Coded(self.codes[which], self.texts, self.values, self.is_text)

    @cached_property
    def known(self) -> list[Any]:
        """Each value once, as Python has it."""
        return _decoded(self.texts) if self.is_text else list(self.values)

    def at(self, rows: Places) -> list[Any]:
        """The values of some of the rows."""
        return list(map(self.known.__getitem__, self.codes[rows].tolist()))

    def low(self) -> bytes:
        """The texts as data of a LowCardinality(String) column."""
        return native.low_coded(self.texts.data, len(self.texts.sizes), self.codes)

    def strings(self) -> bytes:
        """The texts as data of a String column."""
        return row_by_row([self])


def coded(alike: Alike, column: int) -> Coded | None:
    """An attribute of spans that are alike; None where one of them has to be opened."""
    name = alike.names[column]
    value_at = alike.values_at(column)
    if rule(pair(name.key[:-1])[0]) != KEEP:
        return None
    if name.kind == TEXT:
        codes, strings = encoded(alike, value_at + 2)
        return Coded(codes, strings, (), True) if _is_utf8(strings.data) else None
    codes, strings = encoded(alike, value_at)
    read = _READ.get(name.kind)
    found = read(strings) if read else _anything(name.key, strings)
    return Coded(codes, found.texts, found.values, False) if found else None


def encoded(alike: Alike, at: Places) -> tuple[NDArray[np.int32], Strings]:
    """Strings whose lengths stand at these places: which each is, and each once."""
    packed = alike.packed
    sizes = packed.byte(at) + 1
    size = int(sizes[0])
    if (sizes == size).all():
        windows = packed.windows(at, size)
        one = windows[:1].tobytes()
        if alike_all(windows, one):
            return np.zeros(len(at), np.int32), Strings(one, np.array([size]))
    counts = np.bincount(sizes)
    codes = np.empty(len(at), np.int32)
    data: list[bytes] = []
    each: list[NDArray[np.int64]] = []
    known = 0
    for size in np.flatnonzero(counts).tolist():
        every = counts[size] == len(at)
        rows = slice(None) if every else np.flatnonzero(sizes == size)
        found = fixed(packed.windows(at[rows], size))
        count, values = len(found.dictionary), found.dictionary.buffers()[1]
        codes[rows] = found.indices.to_numpy(zero_copy_only=False) + known
        data.append(values.to_pybytes()[: count * size])
        each.append(np.full(count, size))
        known += count
    return codes, Strings(b"".join(data), np.concatenate(each))


def alike_all(windows: NDArray[np.bytes_], one: bytes) -> bool:
    """Whether all are the same."""
    width = len(one)
    if width < 8:
        return bool((windows.view(f"V{width}") == np.void(one)).all())
    every: Any
    for place in (*range(0, width - 8, 8), width - 8):
        every = np.ndarray(len(windows), "<u8", windows, place, (width,))
        if not (every == every[0]).all():
            return False
    return True


def fixed(windows: NDArray[np.bytes_]) -> Any:
    """Runs of bytes, all of one size, as an Arrow array of codes and a dictionary."""
    kind = pa.binary(windows.itemsize)
    data = pa.py_buffer(np.ascontiguousarray(windows).view(np.uint8))
    return pa.FixedSizeBinaryArray.from_buffers(
        kind, len(windows), [None, data]
    ).dictionary_encode()


def row_by_row(columns: Sequence[Coded]) -> bytes:
    """The texts of all columns of the first row, then of the second, and so on."""
    sizes = np.concatenate([column.texts.sizes for column in columns])
    ends = np.zeros(len(sizes) + 1, np.int32)
    np.cumsum(sizes, out=ends[1:])
    data = pa.py_buffer(b"".join(column.texts.data for column in columns))
    pool = pa.BinaryArray.from_buffers(pa.binary(), len(sizes), [None, pa.py_buffer(ends), data])
    places = np.empty((len(columns[0].codes), len(columns)), np.int32)
    first = 0
    for at, column in enumerate(columns):
        places[:, at] = column.codes + np.int32(first)
        first += len(column.texts.sizes)
    taken = pool.take(pa.array(places.ravel()))
    _, offsets, found = taken.buffers()
    end = np.frombuffer(offsets, np.int32)[len(taken)]
    return bytes(memoryview(found)[:end])


def _is_utf8(data: bytes) -> bool:
    """Whether strings are UTF-8; their lengths, less than 128, part them."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _decoded(strings: Strings) -> list[str]:
    ends = np.cumsum(strings.sizes)
    begins = ends - strings.sizes + 1
    if strings.data.isascii():
        text = strings.data.decode()
        return [text[a:b] for a, b in zip(begins.tolist(), ends.tolist(), strict=True)]
    data = strings.data
    return [data[a:b].decode() for a, b in zip(begins.tolist(), ends.tolist(), strict=True)]


def _written(texts: Sequence[str]) -> Strings:
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    if lengths.max(initial=0) < 128 and all(map(str.isascii, texts)):
        return Strings(native.texts(texts), lengths + 1)
    data = [native.texts([text]) for text in texts]
    return Strings(b"".join(data), np.fromiter(map(len, data), np.int64, len(data)))


class _Read(NamedTuple):
    values: Sequence[Any]
    texts: Strings


def _integers(strings: Strings) -> _Read | None:
    """Counts as varints of up to five bytes, behind length and tag; None where one is none."""
    found: list[int] = []
    for size, rows in strings.by_size():
        digits = rows[:, 2:]
        if not 3 <= size <= 7 or (digits[:, :-1] < 0x80).any() or (digits[:, -1] >= 0x80).any():
            return None
        total = np.zeros(len(rows), np.int64)
        for place in range(size - 2):
            total |= (digits[:, place] & _SEVEN).astype(np.int64) << 7 * place
        found += total.tolist()
    return _Read(found, _written(list(map(str, found))))


@lru_cache(maxsize=2)
def _numbers(data: bytes) -> _Read | None:
    """Finite numbers behind length and tag, ten bytes each. What a call costs stands in it twice."""
    rows = np.frombuffer(data, np.uint8).reshape(-1, 10)
    found = np.frombuffer(np.ascontiguousarray(rows[:, 2:]).tobytes(), "<f8")
    if not np.isfinite(found).all():
        return None
    values = found.tolist()
    return _Read(values, _written(_as_text(found)))


def _as_text(numbers: NDArray[np.float64]) -> list[str]:
    """As `repr` writes them; Arrow is faster where it writes the same."""
    size = np.abs(numbers)
    alike = (size >= 1e-4) & (size < 1e6) & (numbers != np.rint(numbers))
    texts: list[str] = pa.array(numbers).cast(pa.string()).to_pylist()
    for at in np.flatnonzero(~alike).tolist():
        texts[at] = repr(float(numbers[at]))
    return texts


def _anything(key: bytes, strings: Strings) -> _Read | None:
    ends = np.cumsum(strings.sizes).tolist()
    parts = zip(ends, strings.sizes.tolist(), strict=True)
    try:
        values = [pair(key + strings.data[end - size : end])[1] for end, size in parts]
    except Malformed:
        return None
    return _Read(values, _written(list(map(as_json, values))))


_READ: dict[int, Callable[[Strings], _Read | None]] = {
    INT: _integers,
    DOUBLE: lambda strings: _numbers(strings.data),
}
