"""`tollspan.budget`: what the calls of a block, or of a function, may cost together.

with tollspan.budget(limit_usd=0.50) as run:
    agent()
print(run.spent_usd, run.calls)

@tollspan.budget(limit_usd=0.50)      # each time that the function runs, of whatever kind it is
def agent(): ...

with tollspan.budget("growth"):       # counts for the budget of that name, whatever its filters
    ...
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from decimal import Decimal
from typing import Any, TypeVar, cast

from tollspan.around import Again, around
from tollspan.guard import quietly

from . import budgets
from .budgets_actions import ActionError
from .budgets_actions import read as read_action
from .budgets_book import Book
from .budgets_count import Standing
from .budgets_file import MOST_USD, STEP_USD, Budget

__all__ = ["Spending", "budget"]

_logger = logging.getLogger("tollspan")
_F = TypeVar("_F", bound=Callable[..., Any])
_unknown: set[str] = set()


class Spending:
    """What the calls of one block have cost so far; amounts in US dollars."""

    __slots__ = ("_book",)

    def __init__(self, book: Book | None) -> None:
        self._book = book

    def _standing(self) -> Standing:
        found = self._book.count.standing() if self._book is not None else None
        return found or Standing()

    @property
    def limit_usd(self) -> Decimal | None:
        """None where the name is no budget's, and nothing is counted."""
        return self._book.budget.limit_usd if self._book is not None else None

    @property
    def spent_usd(self) -> Decimal:
        return self._book.usd(self._standing().spent) if self._book is not None else Decimal(0)

    @property
    def reserved_usd(self) -> Decimal:
        """Held back for calls that have left and not ended."""
        return self._book.usd(self._standing().reserved) if self._book is not None else Decimal(0)

    @property
    def remaining_usd(self) -> Decimal | None:
        limit = self.limit_usd
        return None if limit is None else max(limit - self.spent_usd, Decimal(0))

    @property
    def calls(self) -> int:
        """Calls that have ended."""
        return self._standing().calls

    @property
    def unpriced_calls(self) -> int:
        """Those of them of which nobody knows what they cost; they are not in `spent_usd`."""
        return self._standing().unpriced

    def __repr__(self) -> str:
        limit = f" of ${self.limit_usd.normalize():f}" if self.limit_usd is not None else ""
        calls = f"{self.calls} call{'' if self.calls == 1 else 's'}"
        return f"<tollspan.budget: ${self.spent_usd.normalize():f}{limit}, {calls}>"


class budget:
    """A budget for the calls inside: a `with` block, or a decorator of any kind of function.

    With a limit it is a new budget each time that the block is entered, or the function called. With
    a name it is the one that is called so in `TOLLSPAN_BUDGETS` or in the ledger. Blocks nest: a
    call needs room in all of them.

    Args:
        name: of a known budget; beside a limit, what the new one is called.
        limit_usd: what the calls may cost together.
        soft_ratio: from this part of it on, calls are told of or degraded.
        action: what is done, in the words of a budget file: `refuse`, `queue 5s`, `warn`,
            `degrade model=… max_tokens=… tools=no`, or several with commas between.
        owner, contact: whom `BudgetExceeded` names.

    Raises:
        ValueError: an argument makes no sense.
    """

    __slots__ = ("_budget", "_entered", "_name")

    def __init__(
        self,
        name: str = "",
        *,
        limit_usd: float | Decimal | str | None = None,
        soft_ratio: float = 0.8,
        action: str = "refuse",
        owner: str = "",
        contact: str = "",
    ) -> None:
        if not isinstance(name, str):
            said = f"budget({name!r}): write budget(limit_usd={name!r})"
            raise ValueError(said)  # noqa: TRY004 - as for every other argument
        if limit_usd is None and not name:
            raise ValueError("budget() needs limit_usd=… in US dollars, or the name of a budget")
        try:
            read_action(action)
        except ActionError as error:
            raise ValueError(f"action={action!r}: write {error}") from None
        if not 0 < soft_ratio <= 1:
            raise ValueError(f"soft_ratio={soft_ratio!r}: write a number above 0 and not above 1")
        self._name = name
        self._budget = None
        if limit_usd is not None:
            self._budget = Budget(
                name or "block",
                _limit(limit_usd),
                soft_ratio=soft_ratio,
                owner=owner,
                contact=contact,
                action=action,
            )
        self._entered: list[AbstractContextManager[Spending]] = []

    def __enter__(self) -> Spending:
        entered = self._again()()
        self._entered.append(entered)
        spending: Spending = entered.__enter__()
        return spending

    def __exit__(self, *why: object) -> None:
        self._entered.pop().__exit__(None, None, None)

    def __call__(self, function: _F) -> _F:
        return cast(_F, around(function, self._again))

    def _again(self) -> Again:
        book = None
        with quietly:
            book = self._book()

        @contextmanager
        def inside() -> Generator[Spending, None, None]:
            outer = budgets.blocks.get()
            within = (*outer, book) if book is not None and book not in outer else outer
            budgets.blocks.set(within)
            try:
                yield Spending(book)
            finally:
                # A generator may be closed in another context, where a token could not be used.
                if budgets.blocks.get() is within:
                    budgets.blocks.set(outer)

        return inside

    def _book(self) -> Book | None:
        keeper = budgets.keeper()
        if self._budget is not None:
            return Book(self._budget, None)
        for book in keeper.books:
            if book.budget.name == self._name:
                return book
        if self._name not in _unknown and len(_unknown) < 1000:
            _unknown.add(self._name)
            _logger.warning(
                "There is no budget %r: its calls are counted nowhere. Name one of those in "
                "TOLLSPAN_BUDGETS, or give limit_usd=…",
                self._name,
            )
        return None


def _limit(given: Any) -> Decimal:
    try:
        limit = Decimal(str(given)) if not isinstance(given, bool) else Decimal("NaN")
    except ArithmeticError:
        limit = Decimal("NaN")
    if not limit.is_finite() or not 0 < limit < MOST_USD or limit % STEP_USD:
        raise ValueError(
            f"limit_usd={given!r}: write US dollars above 0 and below a million millions, "
            "with six decimals at most"
        )
    return limit
