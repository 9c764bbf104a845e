"""Calls that are alike, and their one hop, as blocks of the ledger's tables.

A call of ours that pays for itself: what its row says stands in its attributes (see `call.made`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tollspan import semconv
from tollspan.collector import rows
from tollspan.collector.known import OWNER
from tollspan.collector.span import STATUSES
from tollspan.collector.values import texts
from tollspan.columns import TEXTS

from . import compiled, native
from .blocks import COUNT_TYPES, EXACT_BELOW, LOW, MAP, PLAIN, STEPS, TIME, steps
from .judged import Group
from .native import Column, Data
from .ragged import lows_coded
from .savings import COUNTED, saved
from .spread import Places
from .straight_rows import LOWS, Part, Source, Straight, split

__all__ = ["StraightCalls", "of_calls"]

DECIDE = frozenset(
    {
        semconv.PROVIDER,
        semconv.ROUTE,
        semconv.MODEL_SERVED,
        semconv.RESPONSE_MODEL,
        semconv.REQUEST_MODEL,
        semconv.SERVICE_TIER,
        semconv.SPEED,
        semconv.CACHE_CREATION_TOKENS,
        *rows.OTHER_USAGE,
    }
)
"""What prices depend on, beside `COUNTED`."""

_TOO_MANY = 2**62
"""Combinations of values to be told apart by one number."""

DTYPES = {"B": np.uint8, "H": np.uint16, "I": np.uint32, "Q": np.uint64, "q": np.int64, "d": float}


class StraightCalls(Straight):
    """Calls of some groups in the order of their ids, nearly: in that of their starts."""

    def call_blocks(self, ranks: NDArray[np.uint64]) -> tuple[list[Data], list[Data]]:
        """Blocks of `llm_calls` and of `llm_hops`, in pieces.

        Args:
            ranks: of the trace of each call, in their order in the groups.
        """
        versions = ranks[self._order] << np.uint64(18) | self.versions & np.uint64(0x3FFFF)
        shared = [
            ("call_id", "String", compiled.columns.hexed(self.ids, 16)),
            ("trace_id", "String", self._trace_column),
            ("time", TIME, self.starts_ns.tobytes()),
            ("version", "UInt64", versions.tobytes()),
            *self._resources(),
        ]
        calls = [*shared, *self._call_columns()]
        hops = [*shared, *self._hop_columns()]
        return native.pieces(calls, len(self)), native.pieces(hops, len(self))

    def link_block(self) -> list[Data]:
        """A block of `span_links`, in pieces; empty where no key joins any of them but those that stand in
        `llm_calls`."""
        keys, traces, size = [], [], 0
        for part in self._parts:
            found = [each.strings() for each in part.group.joining() if not each.stands]
            keys += found
            traces += [compiled.columns.hexed(part.traces(), 16)] * len(found)
            size += len(part) * len(found)
        if not size:
            return []
        columns = [("key", "String", b"".join(keys)), ("trace_id", "String", b"".join(traces))]
        return native.pieces(columns, size)

    def told(self) -> list[tuple[str, str]]:
        """Id and trace of each."""
        return list(zip(split(self.ids, 16), split(self.traces, 16), strict=True))

    @cached_property
    def ids(self) -> bytes:
        """See `call.call_id`; 16 bytes of each."""
        both = np.concatenate((self._ids[:, :16], self._ids[:, 18:]), axis=1)
        return compiled.columns.call_ids(both, self.starts_ns)

    def _call_columns(self) -> list[Column]:
        lasted = bytes(len(self)) + (self._lasted / 1e9).tobytes()
        found: list[Column] = [
            ("span_id", "String", self._span_column),
            ("owner_span_id", "String", self._span_column),
            ("duration_s", "Nullable(Float64)", lasted),
            ("scope", LOW, self._of_sources(lambda source: source.scope)),
            ("role", LOW, self._same(OWNER)),
        ]
        status = self._column(semconv.STATUS, nothing="success")
        found.append(("status", LOW, status.low() if status else self._same("success")))
        for name, key in TEXTS.items():
            if (told := self._column(key)) is not None:
                plain = name in PLAIN
                found.append(
                    (name, "String" if plain else LOW, told.strings() if plain else told.low())
                )
        for name, (key, below) in rows.COUNTS.items():
            code, type_ = COUNT_TYPES[below]
            self._add(found, name, key, code, type_, partial(_counts, below=below))
        for name, key in rows.MONEY.items():
            self._add(found, name, key, "q", "Decimal(18, 12)", _money)
        for name, key in rows.FLAGS.items():
            self._add(found, name, key, "B", "Bool", _flags)
        waited = semconv.TIME_TO_FIRST_CHUNK
        self._add(found, "time_to_first_chunk_s", waited, "d", "Float64", _numbers)
        self._add_saved(found)
        self._add_grouped(found)
        return found

    def _add(
        self,
        found: list[Column],
        name: str,
        key: str,
        code: str,
        type_: str,
        read: Callable[[Any], Known],
    ) -> None:
        """A Nullable column, unless nothing is known."""
        told = self._column(key)
        if told is not None:
            absent, values = read(told.values)
            if told.lacks:
                absent[-1] = True
            if not absent.all():
                data = np.where(absent, 0, values).astype(DTYPES[code])[told.codes].tobytes()
                found.append((name, f"Nullable({type_})", absent[told.codes].tobytes() + data))

    def _add_saved(self, found: list[Column]) -> None:
        """`cache_saved_usd`, of the calls that used a cache."""
        each = [savings_of(part.group) for part in self._parts]
        steps = np.concatenate([one for one, _ in each])[self._order]
        known = np.concatenate([one for _, one in each])[self._order]
        if known.any():
            data = (~known).tobytes() + np.where(known, steps, 0).tobytes()
            found.append(("cache_saved_usd", "Nullable(Decimal(18, 12))", data))

    def _add_grouped(self, found: list[Column]) -> None:
        """Tags, other usage, finish reasons: columns of more than one value."""
        names = [
            [name for name in group.columns if name.startswith(semconv.TAG_PREFIX)]
            for group in self._groups
        ]
        if any(names):
            keys = [tuple(name.removeprefix(semconv.TAG_PREFIX) for name in each) for each in names]
            found.append(("tags", MAP, self._maps(keys, self._cells(names).texts())))
        used = [
            tuple(name for name in rows.OTHER_USAGE if name in group.columns)
            for group in self._groups
        ]
        if any(used):
            data = self._maps(used, self._cells(used).numbers())
            found.append(("usage", "Map(LowCardinality(String), Float64)", data))
        reasons = self._column(semconv.FINISH_REASONS)
        if reasons is not None:
            said = [tuple(texts(value)) for value in reasons.known]
            found.append(("finish_reasons", LOWS, lows_coded(said, reasons.codes)))

    def _hop_columns(self) -> list[Column]:
        """Of the one hop of a direct call: see `call.made`."""
        found: list[Column] = [
            ("hop_index", "UInt16", bytes(2 * len(self))),
            ("owner", LOW, self._same(OWNER)),
            ("status", LOW, self._same(STATUSES[0])),
            ("role", LOW, self._same("model")),
            ("evidence", LOW, self._same("observed")),
        ]
        for name, key in rows.OF_CALL.items():
            if (told := self._column(key)) is not None:
                found.append((name, LOW, told.low()))
        if (maker := self._column(semconv.PROVIDER)) is not None:
            provider = maker.low()
            found += [("name", LOW, provider), ("provider", LOW, provider)]
        model = self._column(semconv.MODEL_SERVED, semconv.RESPONSE_MODEL, semconv.REQUEST_MODEL)
        if model is not None:
            found.append(("model", LOW, model.low()))
        return found


def of_calls(parts: Sequence[Part], sources: Sequence[Source]) -> StraightCalls:
    """All of them in the order of their starts."""
    starts = np.concatenate([part.group.starts_ns for part in parts])
    return StraightCalls(parts, sources, np.argsort(starts, kind="stable"))


def savings_of(group: Group) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """What prompt caching saved each call, in steps of a row's money, and of which that is known."""
    columns, count = group.columns, len(group)
    found, known, used = (np.zeros(count, kind) for kind in (np.int64, bool, bool))
    for name in (semconv.CACHE_READ_TOKENS, semconv.CACHE_WRITE_TOKENS):
        if name in columns:
            used |= (columns[name].values != 0)[columns[name].codes]
    places = np.flatnonzero(used)
    if not len(places) or semconv.COST_DERIVED not in columns:
        return found, known
    names = [name for name in columns if name in COUNTED]
    for said, at in _by_what_decides(group, places):
        stated = np.stack([columns[name].values[columns[name].codes[at]] for name in names], axis=1)
        derived = columns[semconv.COST_DERIVED].at(at)
        found[at], known[at] = saved(said, names, stated, derived, group.starts_ns[at].tolist())
    return found, known


def _by_what_decides(group: Group, places: Places) -> Iterator[tuple[Mapping[str, Any], Places]]:
    """Calls by what prices depend on, but for `COUNTED`."""
    columns = group.columns
    names = [name for name in columns if name in DECIDE]
    key, most = np.zeros(len(places), np.int64), 1
    for name in names:
        count = len(columns[name].texts)
        if most * count >= _TOO_MANY:
            known, key = np.unique(key, return_inverse=True)
            most = len(known)
        key = key * count + columns[name].codes[places]
        most *= count
    order = np.argsort(key, kind="stable")
    for some in np.split(order, np.flatnonzero(np.diff(key[order])) + 1):
        at = places[some]
        said = {name: columns[name].known[columns[name].codes[at[0]]] for name in names}
        yield said, at


Known = tuple[NDArray[np.bool_], NDArray[Any]]
"""Which values of an attribute do not fit their column, and all of them."""


def _counts(values: NDArray[np.int64], below: int) -> Known:
    return values >= below, values


def _money(usd: NDArray[np.float64]) -> Known:
    """See `blocks.steps`."""
    scaled = usd * STEPS
    nearest = np.rint(scaled)
    simple = (usd >= 0) & (usd < EXACT_BELOW) & (np.abs(scaled - nearest) < 1e-3)
    absent, found = ~simple, np.where(simple, nearest, 0).astype(np.int64)
    for at in np.flatnonzero(~simple).tolist():
        exact = steps(float(usd[at]))
        absent[at] = exact is None
        found[at] = exact or 0
    return absent, found


def _flags(values: Sequence[bool]) -> Known:
    return np.zeros(len(values), bool), np.array(values, bool)


def _numbers(values: NDArray[np.float64]) -> Known:
    return values < 0, values
