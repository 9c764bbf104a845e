"""ClickHouse's Native format, columns in: the fastest way into the engine that needs no library.

A block is a number of columns and of rows, then each column as name, type and data. Numbers are
little-endian; a string is its length (LEB128, as in protobuf) and its UTF-8 bytes.
https://clickhouse.com/docs/en/interfaces/formats/Native
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain
from typing import Any

__all__ = [
    "Column",
    "Data",
    "block",
    "index_kind",
    "length",
    "low",
    "low_coded",
    "low_indexed",
    "lows",
    "lows_alike",
    "maps",
    "maps_alike",
    "numbers",
    "optional",
    "pieces",
    "strings",
    "texts",
]

Data = bytes | memoryview

Column = tuple[str, str, Data]
"""Name, type, data. The type may be any that the engine converts to that of the table."""

LOW_VERSION = (1).to_bytes(8, "little")
"""SharedDictionariesWithAdditionalKeys, in front of a LowCardinality column."""

ADDITIONAL_KEYS, UPDATED = 1 << 9, 1 << 10
INDEXES = (("B", 1 << 8), ("H", 1 << 16), ("I", 1 << 32))
"""Array codes of the indexes of a LowCardinality column, and how many values each can tell apart."""


def length(number: int) -> bytes:
    """A count as LEB128."""
    found = b""
    while number > 0x7F:
        found += bytes((number & 0x7F | 0x80,))
        number >>= 7
    return found + bytes((number,))


LENGTHS = [length(each) for each in range(1 << 14)]
LENGTH_TEXTS = [each.decode("latin-1") for each in LENGTHS]
"""Those of most strings, made once."""


def block(columns: Iterable[Column], rows: int) -> bytes:
    """`columns` of `rows` rows each as one block."""
    return b"".join(pieces(columns, rows))


def pieces(columns: Iterable[Column], rows: int) -> list[Data]:
    """The same in pieces, not copied into one."""
    parts: list[Data] = [b"", length(rows)]
    count = 0
    for name, type_, data in columns:
        for text in (name.encode(), type_.encode()):
            parts += (length(len(text)), text)
        parts.append(data)
        count += 1
    parts[0] = length(count)
    return parts


def numbers(code: str, values: Iterable[Any]) -> bytes:
    """Data of a column of numbers; `code` as for `array`: B and H and I and Q unsigned, q, d.

    Raises:
        OverflowError, TypeError: a value that is no such number.
    """
    return array(code, values).tobytes()


def optional(code: str, values: Sequence[Any]) -> bytes:
    """Data of a Nullable column of numbers; None is not known."""
    if None not in values:
        return bytes(len(values)) + array(code, values).tobytes()
    mask = bytes([value is None for value in values])
    return mask + array(code, [0 if value is None else value for value in values]).tobytes()


def texts(values: Sequence[str]) -> bytes:
    """Data of a String column."""
    if not "".join(values).isascii():
        return strings([value.encode("utf-8", "replace") for value in values])
    sizes = list(map(len, values))
    if max(sizes, default=0) >= len(LENGTHS):
        return strings([value.encode() for value in values])
    parts = [""] * (2 * len(values))
    parts[0::2] = map(LENGTH_TEXTS.__getitem__, sizes)
    parts[1::2] = values
    return "".join(parts).encode("latin-1")


def strings(values: Sequence[bytes]) -> bytes:
    """Data of a String column whose values are bytes already."""
    sizes = list(map(len, values))
    if len(set(sizes)) == 1 and sizes[0] < len(LENGTHS):  # ids
        size = LENGTHS[sizes[0]]
        return size + size.join(values)
    parts: list[bytes] = [b""] * (2 * len(values))
    parts[1::2] = values
    if max(sizes, default=0) < len(LENGTHS):
        parts[0::2] = map(LENGTHS.__getitem__, sizes)
    else:
        parts[0::2] = map(length, sizes)
    return b"".join(parts)


def low(values: Sequence[str]) -> bytes:
    """Data of a LowCardinality(String) column of one row at least."""
    places = dict.fromkeys(values, 0)
    for place, value in enumerate(places):
        places[value] = place
    kind, code = index_kind(len(places))
    if len(places) == 1:
        indexes = bytes(len(values))
    else:
        indexes = array(code, map(places.__getitem__, values)).tobytes()
    return LOW_VERSION + _with_keys(kind, [*places], len(values), indexes)


def low_coded(keys: bytes, count: int, codes: Any) -> bytes:
    """The same from `count` values as data of a String column and which of them each row has: a
    numpy array."""
    kind, code = index_kind(count)
    indexes = codes.astype(code).tobytes()
    return LOW_VERSION + low_indexed(kind, keys, count, len(codes), indexes)


def lows(values: Sequence[tuple[str, ...]]) -> bytes:
    """Data of an Array(LowCardinality(String)) column."""
    return LOW_VERSION + _offsets(values) + _low_rows(values)


def maps(keys: Sequence[tuple[str, ...]], values: bytes) -> bytes:
    """Data of a Map(LowCardinality(String), …) column.

    Args:
        keys: of each row.
        values: data of the values of all rows, one row after the other.
    """
    return LOW_VERSION + _offsets(keys) + _low_rows(keys) + values


def maps_alike(keys: Sequence[str], rows: int, values: bytes) -> bytes:
    """The same where all rows have the same keys."""
    return lows_alike(keys, rows) + values


def lows_alike(values: Sequence[str], rows: int) -> bytes:
    """Data of an Array(LowCardinality(String)) column all rows of which have the same values."""
    size = len(values)
    offsets = array("Q", range(size, size * rows + 1, size) if size else [0] * rows).tobytes()
    if not size:
        return LOW_VERSION + offsets
    kind, code = index_kind(size)
    indexes = array(code, range(size)).tobytes() * rows
    return LOW_VERSION + offsets + _with_keys(kind, values, size * rows, indexes)


def _low_rows(values: Sequence[tuple[str, ...]]) -> bytes:
    """Values of all rows, one row after the other; most rows have the same as some other."""
    alike = dict.fromkeys(values)
    places = dict.fromkeys(chain.from_iterable(alike), 0)
    if not places:
        return b""
    for place, value in enumerate(places):
        places[value] = place
    kind, code = index_kind(len(places))
    of = {each: array(code, map(places.__getitem__, each)).tobytes() for each in alike}
    return _with_keys(kind, [*places], sum(map(len, values)), b"".join(map(of.__getitem__, values)))


def index_kind(values: int) -> tuple[int, str]:
    """Kind and array code of the indexes that tell so many values apart."""
    return next((kind, code) for kind, (code, most) in enumerate(INDEXES) if values <= most)


def _with_keys(kind: int, keys: Sequence[str], count: int, indexes: bytes) -> bytes:
    return low_indexed(kind, texts(keys), len(keys), count, indexes)


def low_indexed(kind: int, keys: bytes, values: int, count: int, indexes: Data) -> bytes:
    """Data of a LowCardinality(String) column without its version: so many `values` as data of a String
    column, and as `count` indexes of a `kind` which of them stands where."""
    flags = kind | ADDITIONAL_KEYS | UPDATED
    return b"".join(
        (
            flags.to_bytes(8, "little"),
            values.to_bytes(8, "little"),
            keys,
            count.to_bytes(8, "little"),
            indexes,
        )
    )


def _offsets(values: Sequence[Sequence[Any]]) -> bytes:
    return array("Q", accumulate(map(len, values))).tobytes()
