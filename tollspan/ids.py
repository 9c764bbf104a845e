"""Ids that we make ourselves: of traces, spans and requests.

They are drawn many at a time: nothing else in a call runs the code that draws one and writes it out, so
it would come from afar into the processor's cache each time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

__all__ = ["request_id", "span_id", "trace_id"]

_random = Random()
"""Our own. From the global one, a program that seeds it would give its calls the ids of the run before,
so that they count as the same calls; and with us it would draw other numbers than without."""

_MANY = 64
_waiting: list[list[Any]] = []
_Id = TypeVar("_Id")


def _many(draw: Callable[[], _Id]) -> Callable[[], _Id]:
    """Gives one at a time of what `draw` gives, drawn `_MANY` at a time."""
    drawn: list[_Id] = []
    _waiting.append(drawn)

    def one() -> _Id:
        try:
            return drawn.pop()  # atomic: no two threads get the same
        except IndexError:
            drawn.extend([draw() for _ in range(_MANY)])
            return draw()

    return one


span_id = _many(lambda: _random.getrandbits(64) or 1)
"""64 bits, never 0, which means none."""

trace_id = _many(lambda: _random.getrandbits(128) or 1)
"""128 bits, never 0."""

request_id = _many(lambda: _random.getrandbits(128).to_bytes(16, "big").hex())
"""32 hex digits: so in a third of what formatting takes."""


def _after_fork() -> None:
    """A child does not repeat its parent's ids."""
    for drawn in _waiting:
        drawn.clear()
    _random.seed()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
