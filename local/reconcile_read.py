"""Which export it is, by what stands in it, and what it says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from . import reconcile_buckets as buckets
from . import reconcile_clouds as clouds
from .reconcile_consoles import TABLES as CONSOLES
from .reconcile_consoles import read_table
from .reconcile_files import Row, Table, documents, flat, table, text_of, unpacked
from .reconcile_lines import BadExport, Place, Read
from .reconcile_others import FOCUS, cost_explorer, focus, is_cost_explorer

__all__ = ["read"]

KNOWN = (*CONSOLES, FOCUS, *clouds.TABLES)


def read(exports: Sequence[tuple[str, bytes]]) -> list[Read]:
    """What exports, each with its name, say.

    Raises:
        BadExport: one of them is none, is there twice, or lacks its further pages.
    """
    made: list[Read] = []
    seen: dict[bytes, str] = {}
    for name, data in exports:
        body = unpacked(data, name)
        digest = sha256(body).digest()
        if digest in seen:
            raise BadExport(f"{name} is the same as {seen[digest]}: it would count twice")
        seen[digest] = name
        made += _read(name, text_of(body, name))
    for shape in {each.shape for each in made if each.more}:
        if all(each.more for each in made if each.shape == shape):
            name = next(each.name for each in made if each.shape == shape)
            raise BadExport(f"{name} says that more pages follow: fetch them all, and give each")
    return made


def _read(name: str, text: str) -> Iterator[Read]:
    if text.lstrip()[:1] in ("{", "["):
        yield from _json(name, documents(text, name))
        return
    found = table(text, name, KNOWN)
    columns = frozenset(found.columns)
    if any(each <= columns for each in CONSOLES):
        yield read_table(found)
    else:
        yield _rows(name, columns, iter(found), found)


def _json(name: str, found: list[Any]) -> Iterator[Read]:
    rows: list[Any] = []
    for at, each in enumerate(found):
        place = Place(name, f"[{at}]." if len(found) > 1 else "")
        if buckets.is_page(each):
            yield buckets.page(each, place)
        elif is_cost_explorer(each):
            yield cost_explorer(each, place)
        else:
            rows += clouds.spread(each)
    if rows:
        yield _objects(name, rows)


def _objects(name: str, found: list[Any]) -> Read:
    rows: list[Row] = []
    for at, each in enumerate(found):
        place = Place(name, f"[{at}]")
        if not isinstance(each, Mapping):
            raise place.bad("is no object")
        rows.append(flat(each, place))
    return _rows(name, frozenset(rows[0].columns), iter(rows), None)


def _rows(name: str, columns: frozenset[str], rows: Iterator[Row], found: Table | None) -> Read:
    if columns >= FOCUS:
        return focus(name, rows)
    for need, shape in zip(clouds.TABLES, clouds.CLOUDS, strict=True):
        if columns >= need:
            return clouds.read_rows(name, shape, rows, found.preface if found else {})
    shown = ", ".join(sorted(columns)[:8])[:200]
    raise BadExport(f"{name}: these fields are of no export that is known: {shown!r}")
