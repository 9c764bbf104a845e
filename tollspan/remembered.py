"""What was found out once, for whoever asks the same again at every call.

`functools.lru_cache` keeps its entries in order of their last use, which costs as much as the look-up
and touches the memory of other entries. Nobody needs the order here: shapes and names are few, and a
table that has grown too large, as hostile ones are, is forgotten as a whole. A key that is itself as
large as only hostile ones are is not kept: a body may have fifty thousand keys, and others each time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["LONGEST", "Remembered"]

LONGEST = 65_536
"""Characters of a key, or of the strings in it: far more than the names of all attributes that the SDK
keeps of a span."""

_K = TypeVar("_K")
_V = TypeVar("_V")


class Remembered(dict[_K, _V]):
    """`table[key]` is what `find(key)` gave the first time; at most `most` keys are kept, none of them
    longer than `LONGEST`."""

    __slots__ = ("_find", "_most")

    def __init__(self, find: Callable[[_K], _V], most: int) -> None:
        super().__init__()
        self._find = find
        self._most = most

    def __missing__(self, key: _K) -> _V:
        found = self._find(key)
        if _characters(key) > LONGEST:
            return found
        if len(self) >= self._most:
            self.clear()
        self[key] = found
        return found


def _characters(key: Any) -> int:
    if isinstance(key, tuple):
        return sum(map(_characters, key))
    return len(key) if isinstance(key, str) else 1
