"""What holds the calls of this process to its budgets: before each leaves, and when it has ended.

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
from tollspan.calls import OpenCall
from tollspan.config import state_home
from tollspan.guard import quietly

from . import budgets_ledger, budgets_pass
from .budgets_book import Book, Hold
from .budgets_count import Standing
from .budgets_estimate import most_usd
from .budgets_file import Budget
from .budgets_lock import Lock
from .budgets_match import REAL

__all__ = ["Keeper", "blocks", "keepers"]

_logger = logging.getLogger("tollspan")
_TICK_S = 1.0
_LONGEST_S = 900.0
"""A call that has not ended by then holds nothing back any more."""
_JUMP_S = 120.0
"""How far the clock may run from the time that passes before periods are in doubt."""

# On the way of a call there is no time to look a name up in another module.
_DATA_MODE, _COST_ROLE = semconv.DATA_MODE, semconv.COST_ROLE
_COST_AMOUNT = semconv.COST_AMOUNT

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
        self._has_late = False
        """There is, or was, one of those."""
        self._shared: Lock | None = None
        """Of the counts' folder, as soon as there is a count."""
        self._set(self._book(each) for each in budgets if each.enabled)
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
        within = blocks.get()
        books = list(within)
        of_mode = self.books if known.get(_DATA_MODE, "") in REAL else self._of_any_mode
        for book in of_mode:
            if (only := book.matcher.only) is not None:
                if known.get(only[0], "") != only[1]:
                    continue
            elif not book.matcher.before(known, span):
                continue
            if not within or book not in within:
                books.append(book)
        if not books:
            return None
        most = most_usd(call, calls.price)
        held, others = budgets_pass.reserve(books, within, most)
        if others:
            pause_s = self._attend(call, others, held, within, most)
            if pause_s is not None:
                return pause_s
        self._holds[id(call)] = call.start_ns, held
        return None

    def _attend(
        self,
        call: OpenCall,
        others: Iterable[budgets_pass.Other],
        held: list[Hold],
        within: tuple[Book, ...],
        most: float | None,
    ) -> float | None:
        """Do what budgets ask for that are near their limits, or beyond; `held` is what `call` holds
        already, and grows."""
        is_admitted = False
        try:
            for book, spent in others:
                if spent is not None:
                    book.near(call, spent)
                    continue
                got = book.admit(call, most, self._is_sure)
                if isinstance(got, float):
                    return got
                kept_in, amount = got[1:3] if got is not None else (book.count, 0)
                held.append((book, kept_in, amount, book in within))
            is_admitted = True
        finally:
            if not is_admitted:
                _give_back(held)
        return None

    def after(self, call: OpenCall) -> None:
        """See `tollspan.calls.after`."""
        known = call.attributes
        _, held = self._holds.pop(id(call), _NEVER_ASKED)
        if call.outer is not None or known.get(_COST_ROLE) != "owner":
            _give_back(held or ())
            return
        cost = known.get(_COST_AMOUNT)
        if cost is None:
            if known.get(semconv.BLOCKED_BY) == "app":  # it never left
                _give_back(held or ())
                return
            if known.get(semconv.COST_GRADE) != "unpriced":
                cost = 0.0
        if held is None or self._has_late:
            held = self._meant(call, held)
        if held:
            budgets_pass.settle(held, cost)

    def _meant(self, call: OpenCall, held: list[Hold] | None) -> list[Hold]:
        """What an ended call counts for, now that its answer is known. `held` None: it was never asked
        about, somebody told of it."""
        known, span = call.attributes, call.span
        found: list[Hold] = []
        for hold in held or ():
            book, kept_in, amount, certain = hold
            if certain or not book.matcher.late or book.matcher.after(known, span):
                found.append(hold)
            else:
                kept_in.release(amount)
        is_real = known.get(_DATA_MODE, "") in REAL
        asked = {id(hold[0]) for hold in held or ()}
        for book in self.books if held is None else self._late:
            if id(book) in asked or not (is_real or book.matcher.any_mode):
                continue
            if book.matcher.after(known, span):
                found.append((book, book.count, 0, False))
        return found

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
            else self._book(each)
            for each in budgets
        )

    def _book(self, budget: Budget) -> Book:
        made = Book(budget, self._folder, self._shared)
        self._shared = made.lock
        return made

    def _set(self, books: Iterable[Book]) -> None:
        self.books = tuple(books)
        self._late = tuple(book for book in self.books if book.matcher.late)
        """Only the answer says which calls these count."""
        self._has_late = self._has_late or bool(self._late)
        self._of_any_mode = tuple(book for book in self.books if book.matcher.any_mode)

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
        if self._shared is not None:
            self._shared.close()
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
        if self._shared is not None:
            self._shared.after_fork()
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
