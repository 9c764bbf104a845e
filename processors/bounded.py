"""A table by span id that forgets its oldest entries instead of growing without end."""

from __future__ import annotations

from itertools import islice
from typing import TypeVar

__all__ = ["Bounded"]

_V = TypeVar("_V")


class Bounded(dict[int, _V]):
    """A dict that keeps at most `most` entries; `put` drops the oldest, a sixty-fourth of them at once:
    the first entry of a dict is looked for past all that were dropped before it."""

    __slots__ = ("_most",)

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def put(self, key: int, value: _V) -> None:
        self[key] = value
        if len(self) > self._most:
            # Another thread may change the table between the two steps: then it drops some, too.
            try:
                oldest = [*islice(self, max(self._most // 64, 1))]
            except RuntimeError:
                return
            for each in oldest:
                self.pop(each, None)
