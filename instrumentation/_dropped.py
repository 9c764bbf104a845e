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
_listening = False
_end: Callable[[Any], None]


def ends(end: Callable[[Any], None]) -> None:
    """Say what ends a call."""
    global _end
    _end = end


def listen() -> None:
    """Start the thread, at the first answer that can be dropped; a fork needs another one."""
    global _listening
    if not _listening:
        _listening = True
        try:
            _thread.start_new_thread(_work, ())
        except RuntimeError:  # no more threads: such calls end when the process does
            _listening = False


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
    global _listening
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
        _listening = False


def _after_fork() -> None:
    global _listening, _queue
    _listening = False
    _queue = SimpleQueue()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
