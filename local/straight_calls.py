"""Calls that are alike, and their one hop, as blocks of the ledger's tables.

A call of ours that pays for itself: what its row says stands in its attributes (see `call.made`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tollspan import semconv
from tollspan.collector import rows
from tollspan.collector.ownership import OWNER
from tollspan.collector.span import STATUSES
from tollspan.collector.values import texts
from tollspan.columns import TEXTS

from . import native
from .alike import Places
from .blocks import COUNT_TYPES, EXACT_BELOW, LOW, MAP, PLAIN, STEPS, TIME, steps
from .coded import Coded, row_by_row
from .native import Column
from .savings import COUNTED, saved
from .straight_rows import LOWS, Straight, hexes

__all__ = ["StraightCalls"]

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

DTYPES = {"B": np.uint8, "H": np.uint16, "I": np.uint32, "Q": np.uint64, "q": np.int64, "d": float}


class StraightCalls(Straight):
    """Calls that are alike."""

    def call_blocks(self, ranks: NDArray[np.uint64]) -> tuple[bytes, bytes, list[str]]:
        """Blocks of `llm_calls` and of `llm_hops`, and the ids of the calls.

        Args:
            ranks: of each call's trace.
        """
        versions = ranks << np.uint64(18) | self.versions & np.uint64(0x3FFFF)
        ids = self._call_ids()
        shared = [
            ("call_id", "String", hexes(ids, 16)),
            ("trace_id", "String", self._trace_column),
            ("time", TIME, self._alike.starts_ns.tobytes()),
            ("version", "UInt64", versions.tobytes()),
            *self._resources(),
        ]
        calls = [*shared, *self._call_columns()]
        hops = [*shared, *self._hop_columns()]
        text = ids.hex()
        told = [text[at : at + 32] for at in range(0, len(text), 32)]
        return native.block(calls, len(self)), native.block(hops, len(self)), told

    def link_block(self, prefix: str, of: Coded) -> bytes:
        """A block of `span_links`: `prefix` and a text of each call."""
        texts = of.texts.behind(prefix.encode())
        keys = Coded(of.codes, texts, (), is_text=True).strings()
        columns = [("key", "String", keys), ("trace_id", "String", self._trace_column)]
        return native.block(columns, len(self))

    def _call_ids(self) -> bytes:
        """See `call.call_id`; 16 bytes of each."""
        both = np.concatenate((self._ids[:, :16], self._ids[:, 18:]), axis=1)
        named = both.tobytes().hex().encode()
        digests = [
            blake2b(named[at : at + 48], digest_size=8).digest() for at in range(0, len(named), 48)
        ]
        starts = self._alike.starts_ns.astype(">u8").view(np.uint8).reshape(-1, 8)
        ends = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 8)
        return np.concatenate((starts, ends), axis=1).tobytes()

    def _call_columns(self) -> list[Column]:
        size, columns = len(self), self._columns
        found: list[Column] = [
            ("span_id", "String", self._span_column),
            ("owner_span_id", "String", self._span_column),
            ("duration_s", "Nullable(Float64)", bytes(size) + (self._lasted() / 1e9).tobytes()),
            ("scope", LOW, self._of_sources(lambda source: source.scope)),
            ("role", LOW, self._same(OWNER)),
        ]
        status = columns.get(semconv.STATUS)
        found.append(("status", LOW, status.low() if status else self._same("success")))
        for name, key in TEXTS.items():
            if (told := columns.get(key)) is not None:
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
        told = self._columns.get(key)
        if told is not None:
            absent, values = read(told.known)
            if not absent.all():
                data = (
                    absent[told.codes].tobytes() + values.astype(DTYPES[code])[told.codes].tobytes()
                )
                found.append((name, f"Nullable({type_})", data))

    def _add_saved(self, found: list[Column]) -> None:
        """`cache_saved_usd`, of the calls that used a cache."""
        columns = self._columns
        used = np.zeros(len(self), bool)
        for name in (semconv.CACHE_READ_TOKENS, semconv.CACHE_WRITE_TOKENS):
            if name in columns:
                used |= (np.array(columns[name].known) != 0)[columns[name].codes]
        places = np.flatnonzero(used)
        if not len(places) or semconv.COST_DERIVED not in columns:
            return
        names = [name for name in columns if name in COUNTED]
        steps, known = np.zeros(len(self), np.int64), np.zeros(len(self), bool)
        counted = [np.array(columns[name].known, np.int64) for name in names]
        for said, at in self._by_what_decides(places):
            each = zip(names, counted, strict=True)
            stated = np.stack([values[columns[name].codes[at]] for name, values in each], axis=1)
            derived = columns[semconv.COST_DERIVED].at(at)
            steps[at], known[at] = saved(said, names, stated, derived, self._starts(at))
        if known.any():
            data = (~known).tobytes() + np.where(known, steps, 0).tobytes()
            found.append(("cache_saved_usd", "Nullable(Decimal(18, 12))", data))

    def _by_what_decides(self, places: Places) -> Iterator[tuple[Mapping[str, Any], Places]]:
        """Calls by what prices depend on, but for `COUNTED`."""
        columns = self._columns
        names = [name for name in columns if name in DECIDE]
        codes = [columns[name].codes[places].tolist() for name in names]
        found: dict[tuple[int, ...], list[int]] = {}
        for row, key in zip(places.tolist(), zip(*codes, strict=True), strict=True):
            found.setdefault(key, []).append(row)
        for key, at in found.items():
            said = {name: columns[name].known[code] for name, code in zip(names, key, strict=True)}
            yield said, np.array(at)

    def _starts(self, at: Places) -> list[int]:
        found: list[int] = self._alike.starts_ns[at].tolist()
        return found

    def _add_grouped(self, found: list[Column]) -> None:
        """Tags, other usage, finish reasons: columns of more than one value."""
        size, columns = len(self), self._columns
        tags = [name for name in columns if name.startswith(semconv.TAG_PREFIX)]
        if tags:
            keys = [name.removeprefix(semconv.TAG_PREFIX) for name in tags]
            values = row_by_row([columns[name] for name in tags])
            found.append(("tags", MAP, native.maps_alike(keys, size, values)))
        used = [name for name in rows.OTHER_USAGE if name in columns]
        if used:
            told = [np.array(columns[name].known, float)[columns[name].codes] for name in used]
            data = native.maps_alike(used, size, np.stack(told, axis=1).tobytes())
            found.append(("usage", "Map(LowCardinality(String), Float64)", data))
        reasons = columns.get(semconv.FINISH_REASONS)
        if reasons is not None:
            each = [tuple(texts(value)) for value in reasons.known]
            found.append(
                ("finish_reasons", LOWS, native.lows([each[at] for at in reasons.codes.tolist()]))
            )

    def _hop_columns(self) -> list[Column]:
        """Of the one hop of a direct call: see `call.made`."""
        size, columns = len(self), self._columns
        found: list[Column] = [
            ("hop_index", "UInt16", bytes(2 * size)),
            ("owner", LOW, self._same(OWNER)),
            ("status", LOW, self._same(STATUSES[0])),
            ("role", LOW, self._same("model")),
            ("evidence", LOW, self._same("observed")),
        ]
        for name, key in rows.OF_CALL.items():
            if key in columns:
                found.append((name, LOW, columns[key].low()))
        if semconv.PROVIDER in columns:
            provider = columns[semconv.PROVIDER].low()
            found += [("name", LOW, provider), ("provider", LOW, provider)]
        models = (semconv.MODEL_SERVED, semconv.RESPONSE_MODEL, semconv.REQUEST_MODEL)
        model = next((columns[name] for name in models if name in columns), None)
        if model is not None:
            found.append(("model", LOW, model.low()))
        return found


Known = tuple[NDArray[np.bool_], NDArray[Any]]
"""Which values of an attribute do not fit their column, and all of them."""


def _counts(values: Sequence[int], below: int) -> Known:
    found = np.array(values, np.int64)
    return found >= below, found


def _money(values: Sequence[float]) -> Known:
    """See `blocks.steps`."""
    usd = np.array(values, float)
    scaled = usd * STEPS
    nearest = np.rint(scaled)
    simple = (usd >= 0) & (usd < EXACT_BELOW) & (np.abs(scaled - nearest) < 1e-3)
    absent, found = ~simple, np.where(simple, nearest, 0).astype(np.int64)
    for at in np.flatnonzero(~simple).tolist():
        exact = steps(values[at])
        absent[at] = exact is None
        found[at] = exact or 0
    return absent, found


def _flags(values: Sequence[bool]) -> Known:
    return np.zeros(len(values), bool), np.array(values, bool)


def _numbers(values: Sequence[float]) -> Known:
    found = np.array(values, float)
    return found < 0, found
