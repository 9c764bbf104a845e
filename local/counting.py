"""Counts the ledger's sums again while the local stack runs, as a server's refreshable views do."""

from __future__ import annotations

from threading import Event, Thread

from tollspan.guard import quietly

from .ledger import Ledger

__all__ = ["Counting"]

EVERY_S = 60.0


class Counting:
    """A thread that has the sums counted again every `every_s` seconds in which calls were told.

    Nobody waits for it: what was told since is read from the calls, where a number must be exact.
    """

    def __init__(self, ledger: Ledger, every_s: float = EVERY_S) -> None:
        self._ledger = ledger
        self._every_s = every_s
        self._ended = Event()
        self._thread = Thread(target=self._run, name="tollspan-counting", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(self._every_s):
            with quietly:
                self._ledger.count_again()

    def stop(self) -> None:
        """Count no more; returns when it does not."""
        self._ended.set()
        self._thread.join()
