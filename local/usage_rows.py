"""Rows of sums over the calls that are asked for: in total, by names, over time, and all of it at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .readable import Readable
from .usage_asked import Asked
from .usage_buckets import Buckets
from .usage_facts import Facts, facts
from .usage_sums import FACTS, LEVEL_SORTS, LEVELS, OF_A_CALL, SORTS, sorts, sums

__all__ = ["Asking", "Chosen", "Key", "Row", "Rows"]

Row = dict[str, Any]
Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chosen:
    """Some groups in their order, by a hash of each key; `count` is of all groups, None if not known."""

    keys: Mapping[Key, int]
    count: int | None


@dataclass(slots=True)
class Rows:
    """Each row has the sums and levels of `usage_sums`; rows of a time have its beginning `b`, too."""

    total: Row | None = None
    in_time: list[Row] = field(default_factory=list)
    groups: dict[Key, Row] = field(default_factory=dict)
    points: dict[Key, list[Row]] = field(default_factory=dict)


class Asking:
    """Asks for the calls of `found` by names, each with the expression that it is.

    `of_hours`: times are asked for that are made of whole hours alone.
    """

    def __init__(
        self,
        ledger: Readable,
        found: Asked,
        grouped: Mapping[str, str],
        *,
        of_hours: bool,
        now: datetime | None = None,
    ) -> None:
        self._ledger = ledger
        self._where, self._bound = found.filters.where, found.filters.bound
        self._in_total = facts(ledger, found, (), now=now) if of_hours else None
        self._by_names = facts(ledger, found, grouped, now=now) if of_hours and grouped else None
        self._columns = {f"g_{place}": each for place, each in enumerate(grouped.values())}
        self._hash = f"cityHash64({', '.join(grouped.values())})"

    def error_types(self, most: int) -> list[Row]:
        """The most frequent kinds of errors, each with its `kind` and its number `n`."""
        table, of = _source(self._in_total, {})
        where = f"{self._where} AND" if self._where and of is OF_A_CALL else "WHERE"
        return self._ledger.query(
            f"SELECT error_type AS kind, sum({of['calls']}) AS n FROM {table} {where} "
            f"error_type != '' GROUP BY kind ORDER BY n DESC, kind LIMIT {most}",
            self._bound,
        )

    def chosen(self, sort: str, direction: str, limit: int, offset: int) -> Chosen:
        """The groups of a page, ordered by one of `SORTS`."""
        source = None if sort in LEVEL_SORTS else self._by_names
        table, of = _source(source, self._columns)
        names = ", ".join(self._columns)
        columns = names if source else _named(self._columns)
        order = SORTS[sort] if source is None else sorts(FACTS)[sort]
        rows = self._ledger.query(
            f"SELECT {columns}, cityHash64({names}) AS h, count() OVER () AS n FROM {table} "
            f"{'' if source else self._where} GROUP BY {names} ORDER BY {order} {direction} "
            f"NULLS LAST, sum({of['calls']}) DESC, {names} LIMIT {limit} OFFSET {offset}",
            self._bound,
        )
        keys = {tuple(row[name] for name in self._columns): row["h"] for row in rows}
        return Chosen(keys, rows[0]["n"] if rows else 0 if not offset else None)

    def count(self) -> int:
        """How many groups there are."""
        table, _ = _source(self._by_names, self._columns)
        distinct = self._columns if self._by_names else self._columns.values()
        (row,) = self._ledger.query(
            f"SELECT uniqExact({', '.join(distinct)}) AS n FROM {table} "
            f"{'' if self._by_names else self._where}",
            self._bound,
        )
        return int(row["n"])

    def in_total(self, in_time: Buckets | None) -> Rows:
        """Rows of all calls, and of the calls of each bucket of time."""
        return self._read({}, in_time)

    def by_names(self, in_time: Buckets | None) -> Rows:
        """The same, and of every group; for few groups."""
        return self._read(self._columns, in_time)

    def of_groups(self, chosen: Chosen, in_time: Buckets | None) -> Rows:
        """Rows of these groups alone."""
        if not chosen.keys:
            return Rows()
        among = ", ".join(map(str, chosen.keys.values()))
        found = self._read(self._columns, in_time, f"{self._hash} IN ({among})")
        found.total, found.in_time = None, []
        return found

    def _read(self, columns: Mapping[str, str], in_time: Buckets | None, more: str = "") -> Rows:
        source = self._by_names if columns else self._in_total
        shape = _Shape(tuple(columns), in_time)
        where = self._where
        if more:
            where = f"{where} AND {more}" if where else f"WHERE {more}"
        of_calls = f"FROM (SELECT *{_behind(columns)} FROM tollspan_calls {where})"
        if source is None:
            measured = f"{sums(OF_A_CALL)}, {LEVELS}"
            return shape.rows(self._ledger.query(shape.asked(measured, of_calls), self._bound))
        summed = shape.asked(sums(FACTS), f"FROM {source.table(columns, more)}")
        levels = shape.asked(LEVELS, of_calls)
        return shape.rows(
            self._ledger.query(summed, self._bound), self._ledger.query(levels, self._bound)
        )


class _Shape:
    """Groups, times, groups over time and everything, of one statement: `WITH CUBE` adds up what is
    grouped by both already, and reads nothing again."""

    def __init__(self, names: Sequence[str], in_time: Buckets | None) -> None:
        self._names = names
        # One key, so that there are four sums and not a power of the names.
        self._key = (
            f"[{', '.join(f'toString({name})' for name in names)}]"
            if len(names) > 1
            else "".join(names)
        )
        self._begin = in_time.begin if in_time else ""

    def asked(self, measured: str, of: str) -> str:
        keys, columns = [], []
        for name, expression in (("k", self._key), ("b", self._begin)):
            if expression:
                keys.append(name)
                columns += [f"{expression} AS {name}", f"grouping({name}) AS all_{name}"]
        group = f" GROUP BY {', '.join(keys)} WITH CUBE" if keys else ""
        return f"SELECT {', '.join((*columns, measured))} {of}{group}"

    def rows(self, found: Sequence[Row], beside: Sequence[Row] = ()) -> Rows:
        """`beside`: more columns of the same rows."""
        made = Rows()
        more = {self._place(row): row for row in beside}
        for row in found:
            place = self._place(row)
            self._put(made, *place, {**more.get(place, _NOTHING if beside else {}), **row})
        made.in_time.sort(key=_begins)
        for rows in made.points.values():
            rows.sort(key=_begins)
        return made

    def _put(self, made: Rows, key: Key | None, begin: int | None, row: Row) -> None:
        if key is None and begin is None:
            made.total = row
        elif key is None:
            made.in_time.append(row)
        elif begin is None:
            made.groups[key] = row
        else:
            made.points.setdefault(key, []).append(row)

    def _place(self, row: Row) -> tuple[Key | None, int | None]:
        key = None
        if self._key and not row["all_k"]:
            key = tuple(row["k"]) if len(self._names) > 1 else (row["k"],)
        return key, row["b"] if self._begin and not row["all_b"] else None


_NOTHING: Row = {"m_duration": [None] * 3, "m_first": [None] * 3}


def _begins(row: Row) -> int:
    return int(row["b"])


def _source(source: Facts | None, columns: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    if source is None:
        return "tollspan_calls", OF_A_CALL
    return source.table(columns), FACTS


def _named(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{expression} AS {name}" for name, expression in columns.items())


def _behind(columns: Mapping[str, str]) -> str:
    return f", {_named(columns)}" if columns else ""
