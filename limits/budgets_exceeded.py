"""What the caller of a refused call gets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tollspan import semconv
from tollspan.calls import Refusal

__all__ = ["BudgetExceeded", "dollars"]


class BudgetExceeded(Refusal):
    """The call did not leave: its budget is spent, or calls in flight may spend the rest.

    Amounts are US dollars. `resets_at` is when the budget's next period begins, UTC; None for the
    budget of a block, which ends with the block.
    """

    def __init__(
        self,
        budget: str,
        *,
        limit_usd: Decimal,
        spent_usd: Decimal,
        reserved_usd: Decimal = Decimal(0),
        resets_at: datetime | None = None,
        owner: str = "",
        contact: str = "",
        was_to_wait: bool = False,
    ) -> None:
        super().__init__(budget)
        self.budget = budget
        self.limit_usd = limit_usd
        self.spent_usd = spent_usd
        self.reserved_usd = reserved_usd
        """Held back for calls that have left and not ended."""
        self.resets_at = resets_at
        self.owner = owner
        self.contact = contact
        self.was_to_wait = was_to_wait
        """`queue` said to wait, which a blocking call in the thread of an event loop cannot."""

    def __str__(self) -> str:
        spent, limit = dollars(self.spent_usd), dollars(self.limit_usd)
        of = f"{spent} of {limit}"
        if self.reserved_usd:
            held = dollars(self.reserved_usd)
            of = f"{spent} spent and {held} held for calls in flight, of {limit}"
        said = [f"The budget {self.budget!r} is used up: {of}. "]
        if self.resets_at is None:
            said.append("It ends with its block.")
        else:
            at = self.resets_at.astimezone(UTC)
            said.append(f"It begins anew at {at:%Y-%m-%d %H:%M} UTC.")
        if self.was_to_wait:
            said.append(
                " It was not queued: a blocking call in the thread of an event loop would hold up the "
                "loop. Use the async client, or a thread."
            )
        if self.contact or self.owner:
            said.append(f" Ask {self.contact or self.owner}.")
        return "".join(said)

    @property
    def attributes(self) -> Mapping[str, Any]:  # type: ignore[override]
        return {
            semconv.BUDGET_NAME: self.budget,
            semconv.BUDGET_STATE: "hard",
            semconv.BUDGET_RATIO: float(self.spent_usd / self.limit_usd),
            semconv.BUDGET_ACTION: "refused",
        }

    def __reduce__(self) -> Any:
        """It may have to travel to another process, as errors of pools do."""
        return _made, (self.budget, self.__dict__)


def _made(budget: str, known: dict[str, Any]) -> BudgetExceeded:
    made = BudgetExceeded(budget, limit_usd=Decimal(1), spent_usd=Decimal(0))
    made.__dict__.update(known)
    return made


def dollars(amount: Decimal) -> str:
    """Cents at least, and no more digits than there are."""
    text = format(amount.normalize(), "f")
    whole, _, digits = text.partition(".")
    return f"{whole}.{digits.ljust(2, '0')} USD"
