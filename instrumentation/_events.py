"""Streams of events, each of which carries as its `data` what is to be read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ._read import get
from ._spec import Attributes, Fold

__all__ = ["inside"]


class _Inside:
    __slots__ = ("_fold",)

    def __init__(self, fold: Callable[[], Fold]) -> None:
        self._fold = fold()

    def add(self, event: Any, /) -> None:
        data = get(event, "data")
        self._fold.add(event if data is None else data)

    def attributes(self) -> Attributes:
        return self._fold.attributes()


def inside(fold: Callable[[], Fold]) -> Callable[[], Fold]:
    """Makes folds like those that `fold` makes, which read what stands in the events."""
    return partial(_Inside, fold)
