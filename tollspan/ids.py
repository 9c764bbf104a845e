"""Ids that we make ourselves: of traces, spans and requests.

They are drawn many at a time: the code that draws one and writes it out is in nobody else's way of a
call, and comes from afar into the processor's cache each time that it is needed.
"""

from __future__ import annotations

import os
from random import Random

__all__ = ["request_id", "span_id", "trace_id"]

_random = Random()
"""Our own. From the global one, a program that seeds it would give its calls the ids of the run before,
so that they count as the same calls; and with us it would draw other numbers than without."""

_MANY = 64
_spans: list[int] = []
_traces: list[int] = []
_requests: list[str] = []


def span_id() -> int:
    """64 bits, never 0, which means none."""
    try:
        return _spans.pop()  # atomic: no two threads get the same
    except IndexError:
        draw = _random.getrandbits
        _spans.extend([draw(64) or 1 for _ in range(_MANY)])
        return draw(64) or 1


def trace_id() -> int:
    """128 bits, never 0."""
    try:
        return _traces.pop()
    except IndexError:
        draw = _random.getrandbits
        _traces.extend([draw(128) or 1 for _ in range(_MANY)])
        return draw(128) or 1


def request_id() -> str:
    """32 hex digits."""
    try:
        return _requests.pop()
    except IndexError:
        draw = _random.getrandbits
        # A third of what formatting takes.
        _requests.extend([draw(128).to_bytes(16, "big").hex() for _ in range(_MANY)])
        return draw(128).to_bytes(16, "big").hex()


def _after_fork() -> None:
    """A child does not repeat its parent's ids."""
    for drawn in (_spans, _traces, _requests):
        drawn.clear()
    _random.seed()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
