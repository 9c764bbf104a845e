"""Calls that have ended and wait to be settled, many at a time.

Where a call ends, the code that settles it has left the processor's cache, and comes back in the place
of the application's: there it costs several times what it costs beside others of its kind. So where
nobody can see the difference, ended calls wait here, in order, until there are `MANY` of them, and take
each step together: all of the code is more than the cache for instructions holds, one step's is less.
Those that come too slowly are settled by a thread of ours after `LONGEST_S` at the latest. Whoever looks at
what ended calls leave behind asks for `settle_all` first: a flush, a shutdown, a collection of metrics,
a fork, the end of the process, the spans of other tracers.

A call's own end, its answer and its attempts have been noted by then; only conclusions wait.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import product

from .calls import OpenCall
from .guard import quietly

__all__ = ["LAST_S", "LONGEST_S", "MANY", "close", "finish", "put", "settle_all"]

MANY = 32
"""Calls that are settled together, by the thread in which the last of them ended."""

MOST = 2048
"""Calls that may wait while another thread settles."""

LONGEST_S = 0.5
"""Longest that a call waits, but for what keeps a thread from its turn."""

_PATIENCE_S = 3.0
"""How long anybody waits for another thread that settles."""

LAST_S = 10.0
"""How long the end of the process waits for it, which loses what is not settled then: on a busy machine
the first call of all, whose prices are still being read, takes seconds."""

_waiting: deque[OpenCall] = deque()
_turn = threading.RLock()
"""Held while calls are settled, so that their order is that of their ends. Reentrant: an exporter's
log handler may make calls itself."""
_turns = 0
_is_awake = False
"""The thread looks again by itself; else it sleeps until it is woken."""
_wakes = threading.Lock()
_work_is_there: threading.Event | None = None
"""Made with its thread, as whatever has taken the place of threads until then (gevent) would."""
_closed = False


def put(call: OpenCall) -> bool:
    """Have `call` finished soon. False where that is for the caller to do, now."""
    if _closed:
        return False
    _waiting.append(call)
    many = len(_waiting)
    # Where another thread settles, an application's does not wait for it, unless it falls behind.
    if many >= MANY and settle_all(0 if many < MOST else _PATIENCE_S):
        return True
    if not _is_awake:
        _wake()
    return True


def settle_all(patience_s: float = _PATIENCE_S) -> bool:
    """Settle every call that waits, those that another thread has begun with included.

    False where another thread was still at it after `patience_s`: it will have done it a little later.
    """
    global _turns
    if not _turn.acquire(timeout=patience_s):
        return False
    _turns += 1
    try:
        left = len(_waiting)
        while left > 0:
            batch = _taken(min(left, MANY))
            left = left - len(batch) if batch else 0  # 0: calls of the exporter's own came between
            finish(batch)
    finally:
        _turn.release()
    return True


def _taken(most: int) -> list[OpenCall]:
    batch: list[OpenCall] = []
    with suppress(IndexError):
        while len(batch) < most:
            batch.append(_waiting.popleft())
    return batch


def finish(batch: Sequence[OpenCall]) -> None:
    """Finish all of `batch`, calls of one kind: each step with every one of them, then the next step."""
    if batch:
        _go(product(batch[0].steps, batch))


def _go(left: Iterator[tuple[Callable[[OpenCall], None], OpenCall]]) -> None:
    """Do all that is `left`, and what a fault or an interrupt left of it."""
    done = False
    try:
        while not done:
            with quietly:
                for step, call in left:
                    step(call)
                done = True
    finally:
        if not done:
            _go(left)


def close() -> None:
    """The process ends: settle what waits, and let nothing wait any more."""
    global _closed
    _closed = True
    settle_all(LAST_S)


def _wake() -> None:
    """Start or wake the thread; where there can be none, settle here."""
    global _is_awake, _work_is_there
    with _wakes:
        if _is_awake:
            return
        _is_awake = True
        if _work_is_there is not None:
            _work_is_there.set()
            return
        signal = _work_is_there = threading.Event()
        try:
            threading.Thread(
                target=_work, args=(signal,), name="tollspan-settle", daemon=True
            ).start()
            return
        except RuntimeError:  # no more threads, or the interpreter goes
            _is_awake, _work_is_there = False, None
    settle_all()


def _work(signal: threading.Event) -> None:
    global _is_awake, _work_is_there
    try:
        while True:
            before = _turns
            time.sleep(LONGEST_S / 2)
            if _waiting:
                if _turns == before:
                    settle_all()
                continue
            signal.clear()
            _is_awake = False
            if _waiting:  # one came in between, and may have seen us awake
                _is_awake = True
                continue
            signal.wait()
    finally:  # a fault that tests want to see: the next call starts another thread
        _is_awake, _work_is_there = False, None


_held = False


def _before_fork() -> None:
    """The calls of the parent are the parent's to tell, and no other thread settles meanwhile."""
    global _held
    settle_all()
    _held = _turn.acquire(timeout=_PATIENCE_S)


def _after_in_parent() -> None:
    if _held:
        _turn.release()


def _after_in_child() -> None:
    global _is_awake, _turn, _wakes, _work_is_there
    _waiting.clear()
    _turn, _wakes = threading.RLock(), threading.Lock()
    _is_awake, _work_is_there = False, None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )
