"""Writes recorded exchanges, in a thread of its own: masked, packed, and the oldest removed.

What waits is bounded; what does not fit is dropped and counted, and nobody waits for the disk.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING

from tollspan import wirefile
from tollspan.config import settings
from tollspan.guard import quietly
from tollspan.redaction import Redactor

if TYPE_CHECKING:
    from ._wire import Recording

__all__ = ["MOST_BYTES", "MOST_WAITING", "Writer"]

MOST_WAITING, MOST_BYTES = 512, 64 * 2**20
"""Exchanges and bytes that wait for the thread; more are dropped."""

LOOK_EVERY, LOOK_S = 64, 60.0
"""After so many files or seconds the folder is looked through for what is too old or too much."""

_AT_EXIT_S = 3.0


class Writer:
    """Writes to `place`; started with the first exchange, and again after a fork."""

    def __init__(self, place: Path, redactor: Redactor) -> None:
        self.place = place
        self.redactor = redactor
        self.open: dict[int, Recording] = {}
        """Exchanges under way. Taking one out of it is the right to end it."""
        self.written = self.dropped = self.failed = 0
        self.last_error = ""
        self._queue: SimpleQueue[Recording | Event] = SimpleQueue()
        self._lock = threading.Lock()
        self._bytes = 0
        self._running = False
        self._on_disk = 0
        self._since_look = LOOK_EVERY
        self._looked_s = 0.0
        _writers.add(self)

    def start(self) -> None:
        """Have the thread run; it ends with the process."""
        if not self._running:
            self._running = True
            try:
                threading.Thread(target=self._work, name="tollspan-wire", daemon=True).start()
            except RuntimeError:  # no more threads: what is captured waits, and is bounded
                self._running = False

    def put(self, recording: Recording) -> None:
        """Have `recording` written. Never waits; safe in finalisers, which may interrupt this very
        method: they find the lock taken and go past the count."""
        if not self._lock.acquire(blocking=False):
            recording.held = 0
            self._queue.put(recording)
            return
        try:
            if self._queue.qsize() >= MOST_WAITING or self._bytes + recording.held > MOST_BYTES:
                self.dropped += 1
                return
            self._bytes += recording.held
        finally:
            self._lock.release()
        self._queue.put(recording)

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until all that has ended so far stands in the folder."""
        self.start()
        done = Event()
        self._queue.put(done)
        return done.wait(timeout_s)

    def waiting(self) -> int:
        """Exchanges that are over and not written yet."""
        return self._queue.qsize()

    def end_all(self) -> None:
        """The process goes: what is under way is written as it is."""
        if self._running or self.open:
            for each in list(self.open.values()):
                each.finish("exit")
            self.flush(_AT_EXIT_S)

    def after_fork(self) -> None:
        """The parent's exchanges are the parent's to write."""
        self.open.clear()
        self._queue, self._lock = SimpleQueue(), threading.Lock()
        self._bytes = self.written = self.dropped = self.failed = 0
        self._running = False

    # --- the thread -------------------------------------------------------------------------------
    def _work(self) -> None:
        while True:
            recording = self._queue.get()
            if isinstance(recording, Event):
                recording.set()
                continue
            with quietly:
                self._write(recording)
            if recording.held:
                with self._lock:
                    self._bytes -= recording.held
            del recording

    def _write(self, recording: Recording) -> None:
        from ._wire_lines import lines

        try:
            size = wirefile.write(self.place, recording.id, lines(recording, self.redactor))
        except OSError as error:  # a full disk, a folder that went away
            self.failed += 1
            self._tell(f"{type(error).__name__}: {error.strerror}")
            return
        except BaseException:
            self.failed += 1
            raise
        self.written += 1
        self._on_disk += size
        self._keep_bounds()

    def _tell(self, error: str) -> None:
        """Say once what keeps exchanges from being written."""
        if error != self.last_error:
            self.last_error = error
            logging.getLogger("tollspan").warning(
                "an exchange could not be written to %s: %s. Others are tried and counted; calls go on",
                self.place,
                error,
            )

    def _keep_bounds(self) -> None:
        chosen = settings()
        most = chosen.wire_mb * 2**20
        self._since_look += 1
        late = monotonic() - self._looked_s > LOOK_S
        if self._since_look < LOOK_EVERY and not late and not 0 < most < self._on_disk:
            return
        days = chosen.wire_days
        oldest = datetime.now(UTC) - timedelta(days=days) if days else None
        self._on_disk = wirefile.remove_old(self.place, most_bytes=most, oldest=oldest)
        self._since_look, self._looked_s = 0, monotonic()


_writers: weakref.WeakSet[Writer] = weakref.WeakSet()


def _at_exit() -> None:
    for each in list(_writers):
        with quietly:
            each.end_all()


def _after_fork() -> None:
    for each in list(_writers):
        each.after_fork()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
