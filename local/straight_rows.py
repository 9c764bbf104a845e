"""Spans that go straight as blocks of the ledger's tables.

The same rows as `blocks` makes of opened spans, column by column from the bytes that came;
`tests/test_straight.py` holds both to the same result. One block in the order in which the table keeps
its rows goes in for two thirds of what two others take: the engine need not bring them together and
sort them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tollspan.collector.opened import Scope
from tollspan.collector.span import STATUSES, Span
from tollspan.collector.values import mapped

from . import compiled, native
from .blocks import LOW, MAP, TIME
from .coded import Coded, joined
from .judged import Group
from .native import Column, Data
from .ragged import Cells, lows_coded
from .spread import Places
from .strings import Strings

__all__ = ["LOWS", "Part", "Source", "Straight", "source_of", "split"]

LOWS = "Array(LowCardinality(String))"


@dataclass(frozen=True)
class Source:
    """Who sent spans."""

    service: str
    environment: str
    resource: Mapping[str, Any]
    scope: str
    scope_version: str


def source_of(resource: Mapping[str, Any], scope: Scope) -> Source:
    """Who sent spans of this resource and scope."""
    one = Span("", "", "", "", "", 0, 0, {}, resource)
    return Source(one.service, one.environment, resource, scope.name, scope.version)


class Part:
    """Spans of one group: who they are and who sent them."""

    def __init__(self, group: Group, ids: NDArray[np.uint8], of_source: NDArray[np.int64]) -> None:
        self.group = group
        self.ids = ids
        """Trace id, two bytes, span id."""
        self.of_source = of_source

    def __len__(self) -> int:
        return len(self.group)

    def traces(self) -> bytes:
        """Their trace ids, 16 bytes each."""
        return np.ascontiguousarray(self.ids[:, :16]).tobytes()

    def trace_ids(self) -> list[str]:
        """The same as hex."""
        return split(self.traces(), 16)

    def evidence(self) -> NDArray[np.uint64]:
        """What each adds to the rank of its trace: see `stage._evidence`."""
        return (self.group.versions >> np.uint64(40)) + np.uint64(1 << 24)


class Straight:
    """Spans of some groups in one order.

    Args:
        sources: who sends.
        order: where each of them stands in the groups, one group behind the other.
    """

    def __init__(self, parts: Sequence[Part], sources: Sequence[Source], order: Places) -> None:
        self._parts = parts
        self._sources = sources
        self._order = order
        self._groups = [part.group for part in parts]
        self._sizes = list(map(len, parts))
        self._ids = self._ordered([part.ids for part in parts])
        self.versions = self._ordered([group.versions for group in self._groups])
        self.starts_ns = self._ordered([group.starts_ns for group in self._groups])
        self._lasted = self._ordered([group.ends_ns for group in self._groups]) - self.starts_ns
        self._of_source = self._ordered([part.of_source for part in parts])
        self._of_part = np.repeat(np.arange(len(parts)), self._sizes)[order]

    def __len__(self) -> int:
        return len(self._order)

    def _ordered(self, each: Sequence[NDArray[Any]]) -> NDArray[Any]:
        every: NDArray[Any] = np.concatenate(each) if len(each) > 1 else each[0]
        return every[self._order]

    @cached_property
    def traces(self) -> bytes:
        """Their ids, 16 bytes each."""
        return np.ascontiguousarray(self._ids[:, :16]).tobytes()

    @cached_property
    def _trace_column(self) -> bytes:
        return compiled.columns.hexed(self.traces, 16)

    @cached_property
    def _span_column(self) -> bytes:
        return compiled.columns.hexed(np.ascontiguousarray(self._ids[:, 18:]), 8)

    def _column(self, *names: str, nothing: str = "") -> Coded | None:
        """An attribute of all of them, the first of `names` that a group has; None where none has any."""
        each = [
            next((group.columns[name] for name in names if name in group.columns), None)
            for group in self._groups
        ]
        found = joined(each, self._sizes, nothing)
        return found.of(self._order) if found is not None else None

    def _cells(self, names: Sequence[Sequence[str]]) -> Cells:
        """Attributes of each group."""
        each = zip(self._groups, names, strict=True)
        columns = [[group.columns[name] for name in some] for group, some in each]
        return Cells(columns, self._sizes, self._order)

    def span_block(self) -> list[Data]:
        """A block of `spans`, in pieces."""
        size = len(self)
        names = [tuple(group.columns) for group in self._groups]
        typed = [
            tuple(name for name, each in group.columns.items() if not each.is_text)
            for group in self._groups
        ]
        found: list[Column] = [
            ("trace_id", "String", self._trace_column),
            ("span_id", "String", self._span_column),
            ("parent_id", "String", self._parents()),
            ("name", LOW, self._names().low()),
            ("kind", LOW, _low([group.kind for group in self._groups], self._of_part)),
            ("status", LOW, self._same(STATUSES[0])),
            ("scope", LOW, self._of_sources(lambda source: source.scope)),
            ("scope_version", LOW, self._of_sources(lambda source: source.scope_version)),
            *self._resources(),
            ("time", TIME, self.starts_ns.tobytes()),
            ("duration_ns", "Nullable(UInt64)", bytes(size) + self._lasted.tobytes()),
            ("version", "UInt64", self.versions.tobytes()),
            ("resource", MAP, self._resource_maps()),
            ("attributes", MAP, self._maps(names, self._cells(names).texts())),
            ("typed", LOWS, lows_coded(typed, self._of_part)),
        ]
        return native.pieces(found, size)

    # --- of all rows -----------------------------------------------------------------------------

    def _parents(self) -> bytes:
        each = [(len(group), [_parents(group)]) for group in self._groups]
        return compiled.columns.laid(each, self._order)

    def _names(self) -> Coded:
        found = joined([group.called for group in self._groups], self._sizes)
        assert found is not None
        return found.of(self._order)

    def _maps(self, keys: Sequence[tuple[str, ...]], values: Data) -> bytes:
        """Data of a map, with the keys of each group."""
        return b"".join((lows_coded(keys, self._of_part), values))

    def _same(self, value: str) -> bytes:
        return native.low_coded(native.texts([value]), 1, np.zeros(len(self), np.uint8))

    def _of_sources(self, said: Callable[[Source], str]) -> bytes:
        return _low(list(map(said, self._sources)), self._of_source)

    def _resources(self) -> list[Column]:
        return [
            ("service", LOW, self._of_sources(lambda source: source.service)),
            ("environment", LOW, self._of_sources(lambda source: source.environment)),
        ]

    def _resource_maps(self) -> bytes:
        written = [mapped(source.resource)[0] for source in self._sources]
        data = [native.texts(list(each.values())) for each in written]
        values = Strings.sized(b"".join(data), np.fromiter(map(len, data), np.int64, len(data)))
        keys = lows_coded([tuple(each) for each in written], self._of_source)
        return b"".join((keys, values.taken(self._of_source)))


def _parents(group: Group) -> tuple[bytes, NDArray[np.uint32], NDArray[np.int32]]:
    """Ids of their parents, each behind its length, where each ends, and which each span has."""
    if group.parents is None:
        return b"\0", np.ones(1, np.uint32), np.zeros(len(group), np.int32)
    ids = compiled.columns.hexed(np.ascontiguousarray(group.parents), 8)
    codes = np.arange(len(group), dtype=np.int32)
    return ids, ((codes + 1) * 17).astype(np.uint32), codes


def _low(values: Sequence[str], codes: NDArray[Any]) -> bytes:
    """A LowCardinality column from values, which may be the same, and which of them each row has."""
    places = {value: place for place, value in enumerate(dict.fromkeys(values))}
    of = np.array([places[value] for value in values])
    return native.low_coded(native.texts(list(places)), len(places), of[codes])


def split(data: bytes, size: int) -> list[str]:
    """Ids of `size` bytes each as hex, one by one."""
    return data.hex(" ", size).split(" ")
