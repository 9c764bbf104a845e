"""What a call does to all of its budgets at once, under one lock."""

from __future__ import annotations

from collections.abc import Sequence

from .budgets_book import Book, Hold

__all__ = ["Other", "reserve", "settle"]

Other = tuple[Book, int | None]
"""A budget that is near its limit, and what is spent of it; or None: it is to be asked by itself."""


def reserve(
    books: Sequence[Book], within: tuple[Book, ...], most_usd: float | None
) -> tuple[list[Hold], list[Other]]:
    """Hold back in each budget what a call may cost: what is held, and the budgets that ask for more.

    `within`: budgets of blocks that the call is made in.
    """
    held: list[Hold] = []
    others: list[Other] = []
    lock = books[0].count.lock
    if not lock.take():
        return held, [(book, None) for book in books]
    unit, amount = 0, None
    try:
        for book in books:
            count = book.count
            if count.lock is not lock:
                others.append((book, None))
                continue
            if book.unit != unit and most_usd is not None:
                unit = book.unit
                amount = int(most_usd * unit)
            got, spent = count.reserve_now(amount, book.stops_at)
            if got is None:
                others.append((book, None))
                continue
            held.append((book, count, got, book in within if within else False))
            if spent >= book.soft:
                others.append((book, spent))
    finally:
        lock.give()
    return held, others


def settle(held: Sequence[Hold], cost_usd: float | None) -> None:
    """A call has ended: give back what was held for it in each of its budgets, and count what it cost in
    US dollars, None where that is not known."""
    crossed: list[tuple[Book, int]] | None = None
    lock = held[0][1].lock
    is_taken = lock.take()
    unit, cost = 0, None
    try:
        for book, count, amount, _ in held:
            if book.unit != unit and cost_usd is not None:
                unit = book.unit
                cost = int(cost_usd * unit + 0.5)
            spent: int | None = None
            if count.lock is not lock:
                spent = count.settle(amount, cost)
            elif is_taken:
                spent = count.settle_now(amount, cost)
            else:
                count.settle_later(amount, cost)
            if spent is not None and spent >= book.soft and count is book.count:
                crossed = [*(crossed or ()), (book, spent)]
    finally:
        if is_taken:
            lock.give()
    if crossed is not None:
        for book, spent in crossed:
            book.tell(spent)
