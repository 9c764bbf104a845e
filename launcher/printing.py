"""`TOLLSPAN_PRINT`, `tollspan run --print`: a line on standard error for each call, and the sum at exit.

For the first minute, in which there is no collector and no page yet, and for scripts that need none.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict

from tollspan import calls, semconv
from tollspan.calls import OpenCall
from tollspan.guard import quietly

from .tallied import Sum, TalliedCall, read

__all__ = ["start", "stop"]

_SIGN = "tollspan  "
_WIDTH = 140
"""Cells of a line where standard error is no terminal."""


class _Printing:
    """What has been printed in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forget()
        self._undo: Callable[[], None] = calls.on_after(self._told)
        atexit.register(self._last)

    def _forget(self) -> None:
        self._sum = Sum()

    def after_fork(self) -> None:
        """What the parent's calls came to is the parent's to say."""
        self._lock = threading.Lock()
        self._forget()

    def stop(self) -> None:
        self._undo()
        atexit.unregister(self._last)

    def _told(self, call: OpenCall) -> None:
        """See `tollspan.calls.after`."""
        if call.outer is not None or call.attributes.get(semconv.COST_ROLE) != "owner":
            return
        told = read(call)
        with self._lock:
            self._sum.add(told)
            head = self._sum.number == 1
        if sys.stderr is not None:
            self._write(*_lines(told, head=head))

    def _last(self) -> None:
        with quietly:
            if self._sum.number and sys.stderr is not None:
                self._write(self._sum.text())

    def _write(self, *lines: str) -> None:
        # One write: lines of threads and of workers do not run into one another.
        with suppress(OSError, ValueError):  # nobody reads it any more, or it is closed
            sys.stderr.write("".join(f"{_SIGN}{line}\n" for line in lines))
            sys.stderr.flush()


def _lines(told: TalliedCall, *, head: bool) -> list[str]:
    from . import calls as shown  # what commands print
    from .screen import Paint, table

    cells = _WIDTH
    with suppress(OSError, ValueError):  # it has no terminal
        cells = os.get_terminal_size(sys.stderr.fileno()).columns - len(_SIGN)
    found = shown.row(asdict(told))
    return table(shown.COLUMNS, [found], cells, Paint(sys.stderr), head=head)


_printing: _Printing | None = None


def start() -> None:
    """Print every call that ends from now on; idempotent."""
    global _printing
    if _printing is None:
        _printing = _Printing()


def stop() -> None:
    """Print nothing any more."""
    global _printing
    if _printing is not None:
        _printing.stop()
        _printing = None


def _after_fork() -> None:
    if _printing is not None:
        _printing.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
