"""Reading values out of SDK objects and JSON whose shape we do not control: total, typed, no guess."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from tollspan.remembered import Remembered

_HUGEST = 2**63 - 1
"""Largest integer that OTLP carries; beyond it a count is nonsense."""

_HUGEST_FLOAT = 2.0**63
"""Of a float: with a whole number it is compared in many steps."""

_LONGEST = 512
"""Longest string kept, in characters: names and ids are shorter, what is longer is hostile."""

_MOST = 128
"""Longest list kept; no provider allows more answers or stop sequences."""

Rule = tuple[str, str, Callable[[Any], Any]]
"""A key of the wire, the attribute it becomes, and the reader of its value."""

_NOTHING: Mapping[str, Any] = {}


def members(value: Any) -> Mapping[str, Any]:
    """What a JSON object holds, be it a dict or the SDK's model of it; empty for anything else.

    A pydantic model keeps declared fields in `__dict__` and unknown ones beside it; asking it for
    an unknown one by attribute costs a microsecond, so both are read as the dicts that they are.
    """
    if type(value) is dict or isinstance(value, dict):
        return value
    own = getattr(value, "__dict__", None)
    if type(own) is dict or isinstance(own, dict):
        extra = getattr(value, "__pydantic_extra__", None)
        return {**own, **extra} if extra and isinstance(extra, dict) else own
    return value if isinstance(value, Mapping) else _NOTHING


def take(found: dict[str, Any], source: Mapping[str, Any], rules: Sequence[Rule]) -> None:
    """Read `source` by `rules` into `found`; of two rules for one attribute the later wins."""
    take_rows(found, rules, map(source.get, map(_key, rules)))


_key = itemgetter(0)


def take_rows(found: dict[str, Any], rules: Sequence[Rule], values: Iterable[Any]) -> None:
    """As `take`, of the values that a source has for each of the `rules`.

    What nearly every answer has, whole numbers and short strings, is read here as `count` and `text`
    would: calling them costs more than what they do.
    """
    for (_, name, read), value in zip(rules, values, strict=False):
        if value is None:
            continue
        if read is count:
            if type(value) is int and 0 <= value <= _HUGEST:
                found[name] = value
                continue
        elif read is text and type(value) is str and value.isascii() and 0 < len(value) <= _LONGEST:
            found[name] = value
            continue
        if (known := read(value)) is not None:
            found[name] = known


def by_keys(rules: Sequence[Rule]) -> Callable[[tuple[Any, ...]], Sequence[Rule]]:
    """A look-up from the keys of a body to those of `rules` that may find something in it: of many
    parameters a request has few, and mostly the same as the one before."""

    def applying(keys: tuple[Any, ...]) -> Sequence[Rule]:
        return tuple(rule for rule in rules if rule[0] in keys)

    return Remembered(applying, 256).__getitem__


def values_of(keys: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """What gives the values of `keys` in a source that has them all."""
    if len(keys) > 1:
        return itemgetter(*keys)
    return lambda source: tuple(source[key] for key in keys)


def get(value: Any, *path: str) -> Any:
    """Follow `path` through attributes and keys; `None` as soon as one is missing."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else getattr(value, name, None)
    return value


def text(value: Any, *path: str) -> str | None:
    """A string that says something; cut to 512 characters, with half characters replaced."""
    if not path and type(value) is str and value.isascii() and 0 < len(value) <= _LONGEST:
        return value
    found = get(value, *path) if path else value
    return _clean(found) if isinstance(found, str) and found else None


def _clean(found: str) -> str:
    # JSON can spell half a surrogate pair, and one such string would break a whole export.
    found = found[:_LONGEST]
    return found if found.isascii() else found.encode("utf-8", "replace").decode("utf-8")


def count(value: Any, *path: str) -> int | None:
    """A whole number from 0 to 2⁶³-1; a bool, a negative or a huge number is none."""
    if not path and type(value) is int:
        return value if 0 <= value <= _HUGEST else None
    found = get(value, *path) if path else value
    if isinstance(found, int) and not isinstance(found, bool) and 0 <= found <= _HUGEST:
        return int(found)
    return None


def some(value: Any) -> int | None:
    """A count above zero: for parts of a whole, which every answer lists and few have."""
    return count(value) or None


def whole(value: Any) -> int | None:
    """A whole number of 64 bits, negative ones included."""
    if isinstance(value, int) and not isinstance(value, bool) and -_HUGEST <= value <= _HUGEST:
        return int(value)
    return None


def number(value: Any, *path: str) -> float | None:
    """A finite number."""
    if not path and type(value) is float:
        return value if -_HUGEST_FLOAT <= value <= _HUGEST_FLOAT else None
    found = get(value, *path) if path else value
    if (
        isinstance(found, (int, float))
        and not isinstance(found, bool)
        and -_HUGEST <= found <= _HUGEST
    ):
        return float(found) if math.isfinite(found) else None
    return None


def flag(value: Any, *path: str) -> bool | None:
    found = get(value, *path) if path else value
    return found if isinstance(found, bool) else None


def true(value: Any) -> bool | None:
    """True, or nothing."""
    return True if value is True else None


def items(value: Any, *path: str) -> Sequence[Any]:
    found = get(value, *path) if path else value
    return found if isinstance(found, (list, tuple)) else ()


def texts(value: Any, *path: str) -> list[str] | None:
    """The strings of a list, or a single string as a list of one."""
    found = get(value, *path) if path else value
    if isinstance(found, str):
        return [_clean(found)] if found else None
    return [_clean(each) for each in items(found)[:_MOST] if isinstance(each, str)] or None
