"""Workers of a `multiprocessing.Pool`: they tell of a task's calls before they hand its result over.

`with Pool() as pool:` ends by terminating its workers: a signal behind which nothing of theirs runs,
no finalizer and no `atexit`. It comes as soon as the parent has its results, so a worker whose task
made calls has to tell of them first. Whoever calls `pool.terminate()` with tasks under way loses what
these have not finished, and nothing can be done about that.
https://github.com/python/cpython/blob/main/Lib/multiprocessing/pool.py (`worker`, `Pool.__exit__`)
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from tollspan import ended
from tollspan.guard import quietly

from . import arrivals, installation

__all__ = ["HELD_S", "watch_spawned", "watch_this"]

Flush = Callable[[float], bool]

HELD_S = 2.0
"""How long a result is held at most, in seconds."""

TRIES = 3
"""Results in a row of which a worker is held for nothing: a collector that is not there, or that does
not answer, is then not waited for again."""


def watch_this(flush: Flush) -> None:
    """Have this process, a child that was forked, `flush` before each result of a task that made
    calls, if it is a pool's worker."""
    pool: Any = sys.modules.get("multiprocessing.pool")
    process: Any = _current_process()
    if pool is not None and getattr(process, "_target", None) is pool.worker:
        _tell_first(process._args[1], flush)


def watch_spawned(pool: ModuleType, flush: Flush) -> None:
    """The same for one that was spawned: it runs the application's module first, and is told what to
    do afterwards, by name."""
    if not getattr(_current_process(), "_inheriting", False):
        return
    worker: Callable[..., None] = pool.worker

    @functools.wraps(worker)
    def telling(inqueue: Any, outqueue: Any, *args: Any, **kwargs: Any) -> None:
        with quietly:
            _tell_first(outqueue, flush)
        worker(inqueue, outqueue, *args, **kwargs)

    vars(pool)["worker"] = telling


def _current_process() -> object:
    found: object = sys.modules["multiprocessing.process"].current_process()
    return found


def _tell_first(results: Any, flush: Flush) -> None:
    """`results` is this process's own end of the queue that its parent reads."""
    if "put" in vars(results):
        return
    arrivals.be_brief()
    put = results.put
    held = _Held(flush)

    def told_first(result: object) -> None:
        with quietly:
            held.tell()
        put(result)

    results.put = told_first


class _Held:
    """What a worker has told of so far."""

    __slots__ = ("_flush", "_told", "_tries")

    def __init__(self, flush: Flush) -> None:
        self._flush = flush
        self._told = self._settled()
        self._tries = TRIES

    def tell(self) -> None:
        if not self._tries:
            return
        ended.settle_all()
        now = self._settled()
        if now != self._told:
            self._told = now
            is_told = self._flush(HELD_S) and arrivals.arrive()
            self._tries = TRIES if is_told else self._tries - 1

    @staticmethod
    def _settled() -> int:
        """How many calls of this process have been."""
        stands = installation.current
        return 0 if stands is None or stands.counting is None else stands.counting.released
