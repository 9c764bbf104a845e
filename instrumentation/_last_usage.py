"""Streams of events of which one, the last that states usage, is the whole answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ._read import members
from ._spec import Attributes

__all__ = ["last_usage"]


class _Fold:
    __slots__ = ("_last", "_response")

    def __init__(self, response: Callable[[Any], Attributes]) -> None:
        self._response = response
        self._last: Any = None

    def add(self, event: Any, /) -> None:
        if members(event).get("usage") is not None:
            self._last = event

    def attributes(self) -> Attributes:
        return self._response(self._last)


def last_usage(response: Callable[[Any], Attributes]) -> Callable[[], _Fold]:
    """Makes folds whose last event with usage is read by `response`."""
    return partial(_Fold, response)
