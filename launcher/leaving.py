"""Ends of a process that `atexit` does not see, at which calls wait to be told.

A child that `multiprocessing` or Celery's `billiard` forked ends by `os._exit`, after their own
finalizers; uvicorn has a signal that ended it sent again when it has shut down, which kills.
Both are watched where the application imports them, and what waits is sent before the end. A worker
of a `multiprocessing.Pool` has no end that could be watched, see `pools`; a program whose end is
nobody's but its own (`os._exit`, a function that is frozen between two requests) calls `flush`.
https://github.com/python/cpython/blob/main/Lib/multiprocessing/process.py (`_bootstrap`)
https://github.com/encode/uvicorn/blob/master/uvicorn/server.py (`capture_signals`)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import wrapt

from tollspan import ended
from tollspan.guard import quietly

from . import arrivals, background, exporters, installation, pools

__all__ = ["flush", "tell", "watch"]

_LAST = -1000
"""Order of our finalizer among the child's: after those of pools and managers."""

_hooked = False


def watch() -> None:
    """Watch what is imported or will be. Idempotent, and for good: without calls it does nothing."""
    global _hooked
    if _hooked:
        return
    _hooked = True
    for name in ("multiprocessing.util", "billiard.util"):
        wrapt.register_post_import_hook(_forks, name)
    wrapt.register_post_import_hook(_pools, "multiprocessing.pool")
    wrapt.register_post_import_hook(_serves, "uvicorn.server")


def tell() -> None:
    """Settle and send what waits. Takes as long as at any end of a process, five seconds at most."""
    if installation.current is None:
        return
    arrivals.be_brief()
    with quietly:
        flush(exporters.EXIT_MS / 1000)


def flush(timeout_s: float = 5.0) -> bool:
    """Have every call that has ended so far settled and sent, for a process that may not come to do
    so: before `os._exit` or `os.exec…`, at the end of a request to a function that is frozen until
    the next one (AWS Lambda, Cloud Run, Azure Functions).

    Spans and metrics of the providers that tollspan works with are flushed, the application's own
    included. It never raises for what happens on the way.

    Args:
        timeout_s: how long to wait at most, in seconds; a collector that is not there is waited for.

    Returns:
        Whether all of it is done. False after `timeout_s`: it goes on in a thread of its own.

    Raises:
        ValueError: `timeout_s` is no number of seconds from 0 on.
    """
    global _telling
    is_number = isinstance(timeout_s, int | float) and not isinstance(timeout_s, bool)
    if not is_number or not 0 <= timeout_s <= threading.TIMEOUT_MAX:
        raise ValueError(f"timeout_s={timeout_s!r}: write a number of seconds, e.g. flush(2.0)")
    until = time.monotonic() + timeout_s
    with quietly:
        if _telling is not None:  # flushes that hang do not pile up
            _telling.join(max(0.0, until - time.monotonic()))
            if _telling.is_alive():
                return False
        # In a thread, as no flush of the SDK keeps to a time.
        _telling = threading.Thread(target=_tell, name="tollspan-tell", daemon=True)
        _telling.start()
        _telling.join(max(0.0, until - time.monotonic()))
        return not _telling.is_alive()
    return False


_telling: threading.Thread | None = None
"""What was flushed last, or still is."""


def _tell() -> None:
    with quietly:
        stands = installation.current
        if stands is None:
            return
        ended.settle_all(ended.LAST_S)
        if stands.counting is not None and stands.counting.released:
            background.finish()
        for each in (*stands.adopted, stands.meter_provider):
            flush: Callable[[], object] | None = getattr(each, "force_flush", None)
            if flush is not None:
                with quietly:
                    flush()


class _Child:
    """What `register_after_fork` refers to, weakly."""


_child = _Child()


def _forks(util: ModuleType) -> None:
    def in_child(_: _Child) -> None:
        with quietly:
            util.Finalize(None, tell, exitpriority=_LAST)
        with quietly:
            pools.watch_this(flush)

    with quietly:
        util.register_after_fork(_child, in_child)


def _pools(module: ModuleType) -> None:
    with quietly:
        pools.watch_spawned(module, flush)


def _serves(module: ModuleType) -> None:
    with quietly:
        wrapt.wrap_function_wrapper(module, "Server.shutdown", _shut_down)


async def _shut_down(wrapped: Callable[..., Any], _: Any, args: Any, kwargs: Any) -> Any:
    result = await wrapped(*args, **kwargs)
    with quietly:
        import asyncio  # takes long, and a server has it

        await asyncio.to_thread(tell)  # a server inside a larger program shares its loop
    return result
