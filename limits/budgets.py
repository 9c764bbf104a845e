"""The budgets of this process: those that the settings name, and those of blocks."""

from __future__ import annotations

import logging
import threading

from tollspan.config import settings, state_home

from .budgets_book import Book
from .budgets_count import Standing
from .budgets_file import Budget, read
from .budgets_keeper import Keeper, blocks, keepers
from .budgets_lock import Lock

__all__ = [
    "Keeper",
    "blocks",
    "counted_here",
    "current",
    "hold_to_settings",
    "keeper",
    "keepers",
    "let_go",
]

_logger = logging.getLogger("tollspan")

current: Keeper | None = None
_making = threading.Lock()


def hold_to_settings() -> None:
    """Hold calls to the budgets that the settings name, if they name any; idempotent.

    A budget file that cannot be used is one line in the log: an application never fails to start
    because of tollspan.
    """
    global current
    found = settings()
    if current is not None or not (found.budgets or found.budgets_url):
        return
    budgets: list[Budget] = []
    if found.budgets:
        try:
            budgets = read(found.budgets)
        except ValueError as error:
            _logger.warning("%s No call is held to it.", error)
            if not found.budgets_url:
                return
    with _making:
        if current is None:
            current = Keeper(budgets, url=found.budgets_url, every_s=found.budgets_every_s)


def counted_here(file: str) -> list[tuple[Book, Standing]]:
    """Where the budgets of `file` stand, as the processes of this machine have counted.

    Raises:
        BudgetFileError: the file cannot be used.
    """
    found: list[tuple[Book, Standing]] = []
    lock: Lock | None = None
    for budget in read(file):
        if budget.enabled:
            book = Book(budget, state_home() / "budgets", lock)
            lock = book.lock
            found.append((book, book.count.standing() or Standing()))
            book.close()
    if lock is not None:
        lock.close()
    return found


def keeper() -> Keeper:
    """The one of this process, made for the budget of a block where there is none yet."""
    global current
    with _making:
        if current is None:
            current = Keeper()
        return current


def let_go() -> None:
    """Hold calls to no budget any more."""
    global current
    was, current = current, None
    if was is not None:
        was.stop()
