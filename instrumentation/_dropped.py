"""Ends the calls whose answer nobody holds any more, away from the garbage collector.

A finaliser may run at any line of any thread, also while that thread holds a lock of a span
processor; ending a span there could wait for that lock for ever. So a finaliser only puts the call
in a queue whose `put` is made for that (`queue.SimpleQueue`), and a thread of ours ends it.
"""

from __future__ import annotations

import _thread
import os
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event
from typing import Any

from tollspan.guard import quietly

__all__ = ["drop", "ends", "listen", "settled"]

_queue: SimpleQueue[Any] = SimpleQueue()
_place = _thread.allocate_lock()
"""Taken by the one thread: calls end in the order in which they were dropped."""
_end: Callable[[Any], None]


def ends(end: Callable[[Any], None]) -> None:
    """Say what ends a call."""
    global _end
    _end = end


def listen() -> None:
    """Start the thread, at the first answer that can be dropped; a fork needs another one."""
    if _place.acquire(blocking=False):
        _start()


def _start() -> None:
    try:
        _thread.start_new_thread(_work, ())
    except RuntimeError:  # no more threads: such calls end when the process does
        _place.release()


def drop(call: Any) -> None:
    """Have `call` ended soon. Safe in finalisers."""
    _queue.put(call)


def settled(timeout_s: float = 10.0) -> bool:
    """Wait until all that was dropped so far has ended."""
    listen()
    done = Event()
    _queue.put(done)
    return done.wait(timeout_s)


def _work() -> None:
    try:
        while True:
            dropped = _queue.get()
            if isinstance(dropped, Event):
                dropped.set()
            else:
                with quietly:
                    _end(dropped)
            del dropped
    finally:
        # A fault is raised (`TOLLSPAN_RAISE=1`), or an exit: what is dropped from now on ends, too.
        _start()


def _after_fork() -> None:
    global _place, _queue
    _place = _thread.allocate_lock()
    _queue = SimpleQueue()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
