"""Hostile shapes of a document: odd values in each of its places, and places missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["shapes"]

ODD: list[Any] = [None, "n/a", -1, 10**30, True, [], [None], {"a": {"b": None}}]


def shapes(document: Any, *, fewer: bool = False) -> list[tuple[str, Any]]:
    """Named variants of `document`, in which one place is odd or missing.

    Lists are tried at their first and last place. `fewer`: every fifth variant.
    """
    found = [("nothing", {}), ("null", None), ("a list", [])] if isinstance(document, dict) else []
    for path in _paths(document):
        place = ".".join(map(str, path))
        found.append((f"{place} missing", _at(document, path, ...)))
        for value in ODD:
            found.append((f"{place} {value!r:.20}", _at(document, path, value)))
    return found[::5] if fewer else found


def _paths(document: Any, depth: int = 7) -> Iterator[tuple[str | int, ...]]:
    if depth == 0:
        return
    if isinstance(document, dict):
        inner: Any = document.items()
    elif isinstance(document, list) and document:
        ends = dict.fromkeys((0, len(document) - 1))
        inner = [(at, document[at]) for at in ends]
    else:
        return
    for key, value in inner:
        yield (key,)
        for path in _paths(value, depth - 1):
            yield key, *path


def _at(document: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """A copy of `document` with `value` at `path`; `...` takes the place out."""
    head, rest = path[0], path[1:]
    copy: Any = list(document) if isinstance(document, list) else dict(document)
    if rest:
        copy[head] = _at(copy[head], rest, value)
    elif value is ...:
        del copy[head]
    else:
        copy[head] = value
    return copy
