"""Which tallies a call counts in: those that are open where and when it is made.

Calls are watched only while there is a tally, or a call of one has not ended: each is then settled at
its end rather than in company, so that the sum is there when the block is left.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextvars import ContextVar

from tollspan import calls, semconv
from tollspan.calls import OpenCall

from .tallied import TalliedCall, read

__all__ = ["Count", "everywhere", "here", "unwatch", "watch"]


class Count:
    """What one tally has seen."""

    __slots__ = ("blocks", "ended", "open")

    def __init__(self) -> None:
        self.blocks = 0
        """Blocks of it that are open: a task may outlive the one that it was started in."""
        self.ended: list[TalliedCall] = []
        self.open: set[int] = set()
        """Calls that have not ended, by `id`."""


Counts = tuple[Count, ...]

here: ContextVar[Counts] = ContextVar("tollspan_tallies", default=())
"""Those of the blocks that are open in this context."""

everywhere: list[Count] = []
"""Those that count the calls of every thread."""

_lock = threading.RLock()
_blocks = 0
_made: dict[int, Counts] = {}
"""Open calls by `id`, with what each counts in."""
_older: set[int] = set()
"""`id`s of calls that were open already when the first tally was."""
_undo: list[Callable[[], None]] = []


def watch() -> None:
    """A tally is open from now on."""
    global _blocks
    with _lock:
        _blocks += 1
        if _undo:
            return
        _undo[:] = calls.on_before(_begins), calls.on_after(_ends)
        from tollspan.instrumentation._open_calls import live  # loads the engine

        # Both: what has ended and waits to be settled stands in the second alone.
        _older.update(map(id, (*live, *calls.open_calls.values())))


def unwatch() -> None:
    """A tally is open no longer."""
    global _blocks
    with _lock:
        _blocks -= 1
    _rest()


def _rest() -> None:
    """Watch nothing where nothing is counted any more."""
    with _lock:
        if _blocks > 0 or any(list(_made.values())):
            return
        while _undo:
            _undo.pop()()
        _made.clear()
        _older.clear()


def _begins(call: OpenCall) -> None:
    """See `tollspan.calls.before`."""
    if call.outer is None and id(call) not in _made:
        counting = _made[id(call)] = _counting()
        for each in counting:
            each.open.add(id(call))


def _ends(call: OpenCall) -> None:
    """See `tollspan.calls.after`."""
    counting = _made.pop(id(call), None)
    is_older = id(call) in _older
    _older.discard(id(call))  # another call may have this id later
    if counting is None:
        if is_older:
            return
        # Nobody was asked before: `tollspan.record`, or an answer that was fetched later.
        counting = _counting() if call.outer is None else ()
    if counting:
        # Where it is somebody else's, that one tells of its money.
        is_own = call.attributes.get(semconv.COST_ROLE) == "owner"
        told = [read(call)] if is_own else []
        for each in counting:
            each.ended += told
            each.open.discard(id(call))
        _rest()


def _counting() -> Counts:
    return tuple(each for each in (*here.get(), *everywhere) if each.blocks > 0)


def _after_fork() -> None:
    """The parent's open calls are the parent's."""
    global _lock
    _lock = threading.RLock()
    _made.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
