"""One lock for all the counts of a folder: who has it changes several of them in one go.

Between processes it is the lock of a file, between threads of one process an ordinary one. Nobody waits
long for it: whoever cannot have it lets the call go.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from threading import get_ident

try:
    from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock

    LOCKS, _NOW = True, LOCK_EX | LOCK_NB
except ImportError:  # no such locks on this system: each process counts for itself
    LOCKS = False

__all__ = ["LOCKS", "WAIT_S", "Lock"]

WAIT_S = 0.25
"""A lock that is not free within this time is left alone: the call goes on, and for `_STUCK_S` nobody
here waits for it again. On a busy machine a process that has it may well have to wait for its turn."""
_STUCK_S = 1.0


class Lock:
    """The lock of the file at `path`; without one, of this process alone."""

    __slots__ = ("_file", "_holder", "_path", "_thread", "stuck_until_s")

    def __init__(self, path: Path | None = None) -> None:
        """
        Raises:
            OSError: the file cannot be made or opened.
        """
        self._thread = threading.Lock()
        self._holder = 0
        self._path = path if LOCKS else None
        self._file: int | None = None
        self.stuck_until_s = 0.0
        self._open()

    def _open(self) -> None:
        if self._path is not None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self, wait_s: float = WAIT_S) -> bool:
        """Whether the caller has it now. A thread that has it already does not get it again: a stream
        that is freed settles its call at any allocation, also of the thread that counts."""
        if not self._thread.acquire(False) and (
            self._holder == get_ident() or not self._thread.acquire(timeout=wait_s)
        ):
            return False
        self._holder = get_ident()
        if self._file is not None:
            try:
                flock(self._file, _NOW)
            except OSError:
                if not self._waited(wait_s):
                    self._holder = 0
                    self._thread.release()
                    return False
        return True

    def _waited(self, wait_s: float) -> bool:
        assert self._file is not None
        now_s = time.monotonic()
        until_s = now_s + wait_s if now_s >= self.stuck_until_s else now_s
        pause_s = 0.00002
        while time.monotonic() < until_s:
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.001)
            try:
                flock(self._file, _NOW)
            except OSError:
                continue
            return True
        self.stuck_until_s = max(self.stuck_until_s, now_s + _STUCK_S)
        return False

    def give(self) -> None:
        """Let it go."""
        if self._file is not None:
            flock(self._file, LOCK_UN)
        self._holder = 0
        self._thread.release()

    def after_fork(self) -> None:
        """Neither the parent's threads' lock nor the one of the file, which goes with what opened it,
        is a child's own."""
        self._thread = threading.Lock()
        self._holder = 0
        self.close()
        self._open()

    def close(self) -> None:
        """Idempotent; afterwards it is one of this process alone."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)
