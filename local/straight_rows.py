"""Spans that are alike as blocks of the ledger's tables.

The same rows as `blocks` makes of opened spans, column by column from the bytes that came;
`tests/test_straight.py` holds both to the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from tollspan import semconv
from tollspan.collector.opened import Scope
from tollspan.collector.span import KINDS, STATUSES, Span
from tollspan.collector.values import mapped

from . import native
from .alike import Alike
from .blocks import LOW, MAP, TIME
from .coded import Coded, encoded, row_by_row
from .native import Column

__all__ = ["LOWS", "Source", "Straight", "hexes", "source_of"]

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


class Straight:
    """Spans that are alike.

    Args:
        alike: the spans.
        columns: their attributes by name, in order.
        sources: who sends.
        of_source: which of these sent each span.
    """

    def __init__(
        self,
        alike: Alike,
        columns: Mapping[str, Coded],
        sources: Sequence[Source],
        of_source: NDArray[np.int64],
    ) -> None:
        self._alike = alike
        self._columns = columns
        self._sources = sources
        self._of_source = of_source
        ids = alike.packed.windows(alike.ids_at(), 26).view(np.uint8).reshape(-1, 26)
        self._ids = ids
        self._traces = np.ascontiguousarray(ids[:, :16]).tobytes()
        self.versions = self._versions()
        self._trace_column = hexes(self._traces, 16)
        self._span_column = hexes(np.ascontiguousarray(ids[:, 18:]).tobytes(), 8)

    def __len__(self) -> int:
        return len(self._alike.rows)

    def _versions(self) -> NDArray[np.uint64]:
        """See `span.version_of`."""
        alike, content = self._alike, memoryview(self._alike.packed.bytes)
        begins, ends = alike.ids_at() + 26, alike.ends_at
        places = zip(begins.tolist(), ends.tolist(), strict=True)
        sums = np.fromiter((crc32(content[a:b]) for a, b in places), np.uint64, len(ends))
        told = 2 if semconv.COST_ROLE in self._columns else 1
        sizes = (ends - begins).astype(np.uint64)
        return np.uint64(told << 56) | sums << np.uint64(24) | sizes & np.uint64(0xFFFFFF)

    def evidence(self) -> NDArray[np.uint64]:
        """What each adds to the rank of its trace: see `stage._evidence`."""
        return (self.versions >> np.uint64(40)) + np.uint64(1 << 24)

    def trace_ids(self) -> list[str]:
        """Of each, as hex."""
        text = self._traces.hex()
        return [text[at : at + 32] for at in range(0, len(text), 32)]

    def span_block(self) -> bytes:
        """A block of `spans`."""
        alike, size = self._alike, len(self)
        codes, names = encoded(alike, alike.names_at)
        parent = native.texts([""] * size)
        if alike.has_parent:
            parent = hexes(alike.packed.windows(alike.ids_at() + 28, 8).tobytes(), 8)
        columns = list(self._columns.values())
        typed = [name for name, each in self._columns.items() if not each.is_text]
        every = native.maps_alike(
            list(self._columns), size, row_by_row(columns) if columns else b""
        )
        found: list[Column] = [
            ("trace_id", "String", self._trace_column),
            ("span_id", "String", self._span_column),
            ("parent_id", "String", parent),
            ("name", LOW, native.low_coded(names.data, len(names.sizes), codes)),
            ("kind", LOW, self._same(KINDS[alike.kind])),
            ("status", LOW, self._same(STATUSES[0])),
            ("scope", LOW, self._of_sources(lambda source: source.scope)),
            ("scope_version", LOW, self._of_sources(lambda source: source.scope_version)),
            *self._resources(),
            ("time", TIME, alike.starts_ns.tobytes()),
            ("duration_ns", "Nullable(UInt64)", bytes(size) + self._lasted().tobytes()),
            ("version", "UInt64", self.versions.tobytes()),
            ("resource", MAP, self._resource_maps()),
            ("attributes", MAP, every),
            ("typed", LOWS, native.lows_alike(typed, size)),
        ]
        return native.block(found, size)

    # --- of all rows -----------------------------------------------------------------------------

    def _lasted(self) -> NDArray[np.int64]:
        return self._alike.ends_ns - self._alike.starts_ns

    def _same(self, value: str) -> bytes:
        return native.low([value] * len(self))

    def _of_sources(self, said: Callable[[Source], str]) -> bytes:
        values = dict.fromkeys(map(said, self._sources))
        places = {value: place for place, value in enumerate(values)}
        of = np.array([places[said(source)] for source in self._sources])
        return native.low_coded(native.texts(list(values)), len(values), of[self._of_source])

    def _resources(self) -> list[Column]:
        return [
            ("service", LOW, self._of_sources(lambda source: source.service)),
            ("environment", LOW, self._of_sources(lambda source: source.environment)),
        ]

    def _resource_maps(self) -> bytes:
        written = [mapped(source.resource)[0] for source in self._sources]
        if len(set(map(id, (source.resource for source in self._sources)))) == 1:
            one = written[0]
            values = native.texts(list(one.values())) * len(self)
            return native.maps_alike(list(one), len(self), values)
        keys = [tuple(each) for each in written]
        data = [native.texts(list(each.values())) for each in written]
        of = self._of_source.tolist()
        return native.maps([keys[at] for at in of], b"".join([data[at] for at in of]))


def hexes(data: bytes, size: int) -> bytes:
    """Ids of `size` bytes each as data of a String column of hex digits."""
    digits = np.frombuffer(data.hex().encode(), np.uint8).reshape(-1, 2 * size)
    found = np.empty((len(digits), 2 * size + 1), np.uint8)
    found[:, 0] = 2 * size
    found[:, 1:] = digits
    return found.tobytes()
