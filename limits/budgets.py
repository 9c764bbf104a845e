"""Holds the calls of this process to budgets: before each leaves, and when it has ended.

Calls are counted where they are made, in one small file for all the processes of a machine; what
other machines spend comes from the ledger every few seconds, in the background. On a call's way
there is neither a request nor a wait for anybody. Whatever tollspan cannot tell lets the call go.

How far a budget can be overrun, and by what, says docs/operate/budgets.md.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Iterable
from contextvars import ContextVar
from pathlib import Path

from tollspan import calls, semconv
from tollspan.calls import OpenCall, Refusal
from tollspan.config import settings, state_home
from tollspan.guard import quietly

from . import budgets_ledger
from .budgets_book import Book, Hold
from .budgets_count import Standing
from .budgets_estimate import most_usd
from .budgets_file import Budget, read
from .budgets_match import REAL

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
_TICK_S = 1.0
_LONGEST_S = 900.0
"""A call that has not ended by then holds nothing back any more."""
_JUMP_S = 120.0
"""How far the clock may run from the time that passes before periods are in doubt."""

_NEVER_ASKED: tuple[int, list[Hold] | None] = (0, None)

blocks: ContextVar[tuple[Book, ...]] = ContextVar("tollspan_budget_blocks", default=())
"""Budgets of the blocks that are open here, the outermost first."""


class Keeper:
    """Every budget that this process holds its calls to.

    Args:
        folder: where counts are shared; None is in the state home.
        url: of the ledger's API; '' is none.
    """

    def __init__(
        self,
        budgets: Iterable[Budget] = (),
        *,
        folder: Path | None = None,
        url: str = "",
        every_s: float = 10.0,
    ) -> None:
        self._folder = folder or state_home() / "budgets"
        self._url = url
        self._every_s = every_s
        self._asked_s = float("-inf")
        self._from_ledger = not budgets
        self._set(Book(each, self._folder) for each in budgets if each.enabled)
        self._holds: dict[int, tuple[int, list[Hold]]] = {}
        self._offset_s = time.time() - time.monotonic()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._undo = [calls.on_before(self.before), calls.on_after(self.after)]
        keepers.add(self)
        atexit.register(self._last)

    # --- the hooks ---------------------------------------------------------------------------------

    def before(self, call: OpenCall) -> float | None:
        """See `tollspan.calls.before`.

        Raises:
            BudgetExceeded: a budget has no room for the call.
        """
        if call.outer is not None:
            return None  # the call around it is the one that is paid
        if self._thread is None:
            self._start()
        known, span = call.attributes, call.span
        books = within = blocks.get()
        if self.books and known.get(semconv.DATA_MODE, "") in REAL:
            for book in self.books:
                if book.matcher.before(known, span) and book not in within:
                    books = (*books, book)
        if not books:
            return None
        held: list[Hold] = []
        try:
            most = most_usd(call, calls.price)
            for book in books:
                got = book.admit(call, most, self._is_sure)
                if isinstance(got, tuple):
                    held.append((*got[:3], True) if within and book in within else got)
                elif got is not None:
                    _give_back(held)
                    return got
        except Refusal:
            _give_back(held)
            raise
        self._holds[id(call)] = call.start_ns, held
        return None

    def after(self, call: OpenCall) -> None:
        """See `tollspan.calls.after`."""
        known, span = call.attributes, call.span
        _, held = self._holds.pop(id(call), _NEVER_ASKED)
        if call.outer is not None or known.get(semconv.COST_ROLE) != "owner":
            _give_back(held or ())
            return
        cost = known.get(semconv.COST_AMOUNT)
        if cost is None:
            if known.get(semconv.BLOCKED_BY) == "app":
                return  # it never left
            if known.get(semconv.COST_GRADE) != "unpriced":
                cost = 0.0
        others = self.books  # it was never asked about: somebody told of it
        if held is not None:
            for book, kept_in, amount, certain in held:
                if certain or not book.matcher.late or book.matcher.after(known, span):
                    book.settle(kept_in, amount, cost)
                else:
                    kept_in.release(amount)
            others = self._late
        if others and known.get(semconv.DATA_MODE, "") in REAL:
            for book in others:
                if held and any(hold[0] is book for hold in held):
                    continue
                if book.matcher.after(known, span):
                    book.settle(book.count, 0, cost)

    def _is_sure(self) -> bool:
        """Whether the clock goes as time passes; a period is in doubt where it jumped."""
        return abs(time.time() - time.monotonic() - self._offset_s) < _JUMP_S

    # --- beside the calls ----------------------------------------------------------------------------

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(
                    target=self._keep, name="tollspan-budgets", daemon=True
                )
                self._thread.start()

    def _keep(self) -> None:
        while True:
            with quietly:
                self.tend()
            if self._stopped.wait(_TICK_S):
                return

    def tend(self) -> None:
        """What the thread does every second."""
        now_s = time.time()
        self._offset_s = now_s - time.monotonic()
        self._expire()
        for book in self.books:
            book.turn(now_s)
            book.tend(_LONGEST_S)
        if self._url and time.monotonic() - self._asked_s >= self._every_s:
            self._asked_s = time.monotonic()
            self.reconcile()

    def _expire(self) -> None:
        """Nobody told of the end of these: the call hangs, or its end was lost."""
        oldest_ns = time.time_ns() - int(_LONGEST_S * 1e9)
        for key, (since_ns, held) in list(self._holds.items()):
            if since_ns < oldest_ns and self._holds.pop(key, None) is not None:
                _give_back(held)

    def reconcile(self) -> None:
        """Ask the ledger what every machine spent, unless another process here just did."""
        if not self._from_ledger and not (self.books and self.books[0].count.asks(self._every_s)):
            return
        try:
            told = budgets_ledger.asked(self._url)
        except budgets_ledger.NoAnswer as error:
            _logger.debug("%s; counted here alone", error)
            return
        if self._from_ledger:
            self._take_over([each.budget for each in told])
        for book in self.books:
            for each in told:
                same = each.budget.name == book.budget.name and (
                    dict(each.budget.filters) == dict(book.budget.filters)
                )
                if same and book.period is not None and each.begin == book.period.begin:
                    book.reconcile(each.spent_usd)

    def _take_over(self, budgets: list[Budget]) -> None:
        there = {book.budget.name: book for book in self.books}
        self._set(
            old
            if (old := there.get(each.name)) is not None and old.budget == each
            else Book(each, self._folder)
            for each in budgets
        )

    def _set(self, books: Iterable[Book]) -> None:
        self.books = tuple(books)
        self._late = tuple(book for book in self.books if book.matcher.late)
        """Only the answer says which calls these count."""

    def standings(self) -> list[tuple[Book, Standing]]:
        """Every budget, and where it stands; those that nobody can tell of are left out."""
        found = ((book, book.count.standing()) for book in self.books)
        return [(book, standing) for book, standing in found if standing is not None]

    def stop(self) -> None:
        """Hold calls to nothing any more."""
        atexit.unregister(self._last)
        for undo in self._undo:
            undo()
        self._stopped.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5.0)
        for book in self.books:
            with quietly:
                book.close()
        keepers.discard(self)

    def _last(self) -> None:
        """What could not be counted for want of the lock is, at exit."""
        with quietly:
            for book in self.books:
                book.count.sweep()

    def after_fork(self) -> None:
        """The parent's calls are the parent's, and its thread is not here."""
        self._thread = None
        self._lock = threading.Lock()
        self._holds.clear()
        for book in (*self.books, *blocks.get()):
            book.after_fork()


def _give_back(held: Iterable[Hold]) -> None:
    for _, kept_in, amount, _ in held:
        kept_in.release(amount)


keepers: set[Keeper] = set()


def _after_fork() -> None:
    for each in list(keepers):
        with quietly:
            each.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

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
    found = []
    for budget in read(file):
        if budget.enabled:
            book = Book(budget, state_home() / "budgets")
            found.append((book, book.count.standing() or Standing()))
            book.close()
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
