"""What is imported beside the application, not in its way: the price book, the exporter.

Importing these takes a few hundred milliseconds, which neither the start of the application nor its
first call should pay. They are imported in a thread of their own, once an LLM SDK is imported.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress

from tollspan.guard import quietly

__all__ = [
    "before_threads_end",
    "finish",
    "importing",
    "in_background",
    "load_for_calls",
    "others_run",
    "start",
]

_FORK_WAIT_S = 3.0
_TURN_S = 1.0

importing = threading.RLock()
"""Held while a thread of ours imports. A fork waits for it: a module whose import is under way in
another thread at a fork stays locked for ever in the child."""

_loading = threading.Lock()

_jobs: list[Callable[[], None]] = []


def in_background(job: Callable[[], None]) -> None:
    """Run `job` in a thread of its own after the next `start()`."""
    _jobs.append(job)


def start() -> None:
    """Start what waits, if anything does. To be called last: the thread competes for the CPU with
    whoever called."""
    if _jobs:
        with quietly:
            _import_whole()
        threading.Thread(target=_work, name="tollspan-warm", daemon=True).start()


def before_threads_end(job: Callable[[], object]) -> None:
    """Do `job` when the main thread has ended, before thread pools refuse work (they do from then on,
    ahead of everything that `atexit` runs)."""
    import concurrent.futures.thread  # noqa: F401  (its own hook comes first, so that it runs last)

    register = getattr(threading, "_register_atexit", None)
    if register is not None:
        with suppress(RuntimeError):  # it has ended
            register(job)


def others_run() -> bool:
    """Whether threads are left for which the interpreter waits at its end."""
    me = threading.current_thread()
    return any(not each.daemon and each is not me for each in threading.enumerate())


def finish() -> None:
    """Wait until all that was to run in the background has run; what has not begun runs here."""
    with importing:
        _run_all()


def _import_whole() -> None:
    """Import here what others look up in `sys.modules`, where a half-imported module would do harm.

    genai-prices imports httpx2, and openai 2 asks that module for its `Client` if it is there:
    https://github.com/openai/openai-python/blob/main/src/openai/_httpx2.py
    """
    import httpx2  # noqa: F401


def load_for_calls() -> None:
    """Import what has to be there before the first call opens: the OpenTelemetry SDK, and what stands
    around it. No lock may be held for which a thread waits that is importing one of these.

    Who comes while another thread does it waits, for a second at most: that is quicker than to import
    in turns with it.
    """
    held = _loading.acquire(timeout=_TURN_S)
    try:
        from tollspan.processors import spans  # noqa: F401

        from . import deliveries, metrics, own_provider  # noqa: F401
    finally:
        if held:
            _loading.release()


def _work() -> None:
    with importing:
        _run_all()


def _run_all() -> None:
    while _jobs:
        job = _jobs.pop(0)
        with quietly:
            job()


_held = False


def _before_fork() -> None:
    global _held
    _held = importing.acquire(timeout=_FORK_WAIT_S)


def _after_in_parent() -> None:
    if _held:
        importing.release()


def _after_in_child() -> None:
    global importing, _loading
    importing = threading.RLock()
    _loading = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_in_parent,
        after_in_child=_after_in_child,
    )
