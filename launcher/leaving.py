"""Ends of a process that `atexit` does not see, at which calls wait to be told.

A child that `multiprocessing` or Celery's `billiard` forked ends by `os._exit`, after their own
finalizers; uvicorn has a signal that ended it sent again when it has shut down, which kills.
Both are watched where the application imports them, and what waits is sent before the end.
https://github.com/python/cpython/blob/main/Lib/multiprocessing/process.py (`_bootstrap`)
https://github.com/encode/uvicorn/blob/master/uvicorn/server.py (`capture_signals`)
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import wrapt

from tollspan import ended
from tollspan.guard import quietly

from . import background, exporters, first_use, installation

__all__ = ["tell", "watch"]

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
    wrapt.register_post_import_hook(_serves, "uvicorn.server")


def tell() -> None:
    """Settle and send what waits. Takes as long as at any end of a process, five seconds at most:
    in a thread of its own, as no flush of the SDK keeps to a time."""
    if installation.current is None:
        return
    first_use.be_brief()
    with quietly:
        telling = threading.Thread(target=_tell, name="tollspan-tell", daemon=True)
        telling.start()
        telling.join(exporters.EXIT_MS / 1000)


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
        util.register_after_fork(_child, in_child)


def _serves(module: ModuleType) -> None:
    with quietly:
        wrapt.wrap_function_wrapper(module, "Server.shutdown", _shut_down)


async def _shut_down(wrapped: Callable[..., Any], _: Any, args: Any, kwargs: Any) -> Any:
    result = await wrapped(*args, **kwargs)
    with quietly:
        import asyncio  # takes long, and a server has it

        await asyncio.to_thread(tell)  # a server inside a larger program shares its loop
    return result
