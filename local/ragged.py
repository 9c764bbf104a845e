"""Rows of several values each, not always as many: columns of arrays and maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from numpy.typing import NDArray

from . import compiled, native
from .alike import Codes
from .coded import Coded
from .strings import Strings

__all__ = ["Cells", "lows_coded"]


class Cells:
    """Attributes of groups of spans (of each group as many as it has), one row behind the other.

    Args:
        columns: of each group.
        rows: how many spans each group has.
        order: where each row stands in the groups, one group behind the other.
    """

    def __init__(
        self,
        columns: Sequence[Sequence[Coded]],
        rows: Sequence[int],
        order: NDArray[np.int64],
    ) -> None:
        self._columns = columns
        self._rows = rows
        self._order = order

    def texts(self) -> bytes:
        """Data of a String column of all their texts."""
        groups: list[tuple[int, list[Any]]] = [
            (count, [(each.texts.data, each.texts.ends, each.codes) for each in group])
            for count, group in zip(self._rows, self._columns, strict=True)
        ]
        return compiled.columns.laid(groups, self._order)

    def numbers(self) -> bytes:
        """Data of a column of all their numbers."""
        every = [np.asarray(each.values, float) for group in self._columns for each in group]
        if not every:
            return b""
        codes = [[each.codes for each in group] for group in self._columns]
        return np.concatenate(every)[self._places(codes, list(map(len, every)))].tobytes()

    def _places(self, codes: Sequence[Sequence[Codes]], counts: Sequence[int]) -> Codes:
        """Where the values of all rows stand, the values of all columns one behind the other: so many of
        each column."""
        found = []
        firsts = iter(np.cumsum([0, *counts], dtype=np.int32))
        for group, count in zip(codes, self._rows, strict=True):
            places = np.empty((count, len(group)), np.int32)
            for at, column in enumerate(group):
                np.add(column, next(firsts), out=places[:, at])
            found.append(places)
        return _flat(found, self._order)


def _flat(rows: Sequence[NDArray[np.int32]], order: NDArray[np.int64]) -> NDArray[np.int32]:
    """Tables of rows, one behind the other, in another order."""
    if len(rows) == 1:
        return rows[0][order].ravel()
    sizes = np.repeat([each.shape[1] for each in rows], list(map(len, rows)))
    return _taken(sizes, np.concatenate([each.ravel() for each in rows]), order)


def _taken(sizes: NDArray[Any], flat: NDArray[Any], codes: NDArray[Any]) -> NDArray[Any]:
    """Of rows of so many values each those that `codes` name, one behind the other."""
    ends = np.zeros(len(sizes) + 1, np.int32)
    np.cumsum(sizes, out=ends[1:])
    found = pa.ListArray.from_arrays(pa.array(ends), pa.array(flat)).take(pa.array(codes))
    values: NDArray[Any] = found.flatten().to_numpy(zero_copy_only=False)
    return values


def lows_coded(rows: Sequence[tuple[str, ...]], codes: NDArray[Any]) -> bytes:
    """Data of an Array(LowCardinality(String)) column from rows that there are and which of these each
    row is; before the values of a map, of its keys."""
    sizes = np.fromiter(map(len, rows), np.int64, len(rows))
    offsets = np.cumsum(sizes[codes]).astype("<u8").tobytes()
    names = {name: place for place, name in enumerate(dict.fromkeys(sum(rows, ())))}
    if not names or not sizes[codes].any():
        return native.LOW_VERSION + offsets
    kind, code = native.index_kind(len(names))
    flat = np.array([names[name] for row in rows for name in row], code)
    indexes = Strings.sized(flat.tobytes(), sizes * flat.itemsize).taken(codes)
    count = len(indexes) // flat.itemsize
    keys = native.low_indexed(kind, native.texts(list(names)), len(names), count, indexes)
    return b"".join((native.LOW_VERSION, offsets, keys))
