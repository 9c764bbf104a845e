"""What was found out once, for whoever asks the same again at every call.

`functools.lru_cache` keeps its entries in order of their last use, which costs as much as the look-up
and touches the memory of other entries. Nobody needs the order here: shapes and names are few, and a
table that has grown too large, as hostile ones are, is forgotten as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["Remembered"]

_K = TypeVar("_K")
_V = TypeVar("_V")


class Remembered(dict[_K, _V]):
    """`table[key]` is what `find(key)` gave the first time; at most `most` keys are kept."""

    __slots__ = ("_find", "_most")

    def __init__(self, find: Callable[[_K], _V], most: int) -> None:
        super().__init__()
        self._find = find
        self._most = most

    def __missing__(self, key: _K) -> _V:
        found = self._find(key)
        if len(self) >= self._most:
            self.clear()
        self[key] = found
        return found
