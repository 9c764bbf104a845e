"""One budget in this process: whose calls it counts, in which period, and what is done about it."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from tollspan import semconv
from tollspan.calls import OpenCall

from . import budgets_layout as layout
from .budgets_actions import Action, ActionError
from .budgets_count import Count, Standing, UnreadableCount
from .budgets_degrade import degrade
from .budgets_exceeded import BudgetExceeded, dollars
from .budgets_file import Budget
from .budgets_lock import Lock
from .budgets_match import Matcher
from .budgets_periods import Period, period_at

__all__ = ["Book", "Hold"]

_logger = logging.getLogger("tollspan")
_FINE, _COARSE = 10**12, 10**9
"""Units in a US dollar: the ledger's own digits, and fewer where the limit is some millions."""
_POLL_S = 0.05
_LAG_S = 15.0
"""What was settled here so long ago stands in the ledger by now."""
_HISTORY = 64


Hold = tuple["Book", Count, int, bool]
"""What is held back for one call: the budget, the count of which period, how much of it, and whether
the call counts whatever its answer says, because it was made in the budget's own block."""


class Book:
    """A budget, and the count of the period that now lies in.

    `folder`: where counts are shared with the other processes of this machine; None for the budget
    of a block, which has no period and no others. `lock`: the folder's.
    """

    def __init__(self, budget: Budget, folder: Path | None, lock: Lock | None = None) -> None:
        self.budget = budget
        try:
            self.action = budget.act()
        except ActionError:  # of a ledger that was written to by somebody else
            self.action = Action()
        self.matcher = Matcher(budget.filters)
        self.unit = _COARSE if budget.limit_usd >= 10**6 else _FINE
        self.limit = int(budget.limit_usd * self.unit)
        self.soft = int(self.limit * Decimal(str(budget.soft_ratio)))
        self.stops_at = self.limit if self.action.stops else layout.MOST
        self.period: Period | None = None
        self._folder = folder
        self.lock = lock
        """Of the folder, where it could be had."""
        self._turning = threading.Lock()
        self._past: list[tuple[float, Count]] = []
        self._history: deque[tuple[float, int]] = deque(maxlen=_HISTORY)
        self._told: tuple[Count | None, int] = None, 0
        self.count = Count() if folder is None else self._opened(time.time())

    # --- its count ---------------------------------------------------------------------------------

    def _opened(self, moment_s: float) -> Count:
        self.period = period_at(self.budget.period, moment_s)
        assert self._folder is not None
        path = self._folder / f"{self._key()}-{self.period.ends:%Y-%m-%d}.count"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.lock is None:
                self.lock = Lock(self._folder / "lock")
            return Count(path, self.lock)
        except UnreadableCount as error:
            _logger.warning("%s; the budget %r is counted anew", error, self.budget.name)
            path.unlink(missing_ok=True)
            return Count(path, self.lock)
        except OSError as error:
            _logger.warning(
                "The budget %r is counted in this process alone: %s", self.budget.name, error
            )
            return Count()

    def _key(self) -> str:
        """Budgets of one name and other filters count other calls."""
        told: list[object] = [self.budget.name, dict(sorted(self.budget.filters.items()))]
        told += [self.budget.period, self.unit]
        return hashlib.sha256(json.dumps(told).encode("utf-8", "replace")).hexdigest()[:16]

    def turn(self, moment_s: float) -> None:
        """Count in the period that `moment_s` lies in, if that is another one now."""
        with self._turning:
            if self.period is None or self.period.begin <= moment_s < self.period.end:
                return
            past, self.count = self.count, self._opened(moment_s)
            self._past.append((time.monotonic(), past))
            self._history.clear()

    def tend(self, longest_s: float) -> None:
        """Say that this process is alive, and look back no further than its longest call."""
        self.count.sweep()
        now_s = time.monotonic()
        standing = self.count.standing()
        if standing is not None:
            self._history.append((now_s, standing.settled))
        for since_s, count in list(self._past):
            count.sweep()
            if now_s - since_s > longest_s:
                self._past.remove((since_s, count))
                count.close()

    def after_fork(self) -> None:
        """See `Count.after_fork`."""
        self._turning = threading.Lock()
        for count in self._counts():
            count.after_fork()

    def close(self) -> None:
        for count in self._counts():
            count.close()

    def _counts(self) -> list[Count]:
        return [self.count, *(count for _, count in self._past)]

    def reconcile(self, spent_usd: Decimal) -> None:
        """The ledger says so now. What was settled here just before has yet to come to it."""
        before_s = time.monotonic() - _LAG_S
        known = self._history[0][1] if self._history else 0
        for moment_s, settled in self._history:
            if moment_s <= before_s:
                known = settled
        self.count.reconcile(int(spent_usd * self.unit), known)

    # --- a call ------------------------------------------------------------------------------------

    def admit(
        self, call: OpenCall, most_usd: float | None, is_sure: Callable[[], bool]
    ) -> Hold | float | None:
        """Hold back what `call` may cost: what is held, None where nobody can tell, or after how
        many seconds to ask again.

        `is_sure` False: something makes the count doubtful, and nothing is refused.

        Raises:
            BudgetExceeded: there is no room.
        """
        amount = None if most_usd is None else int(most_usd * self.unit)
        count = self.count
        found = count.reserve(amount, self.stops_at)
        if found is None:
            return None
        held, spent = found
        if held is None:
            if not is_sure():
                return None
            if self.period is not None and time.time() >= self.period.end:
                self.turn(time.time())
                return self.admit(call, most_usd, is_sure)
            return self._full(call, count.standing() or Standing(settled=spent))
        if spent >= self.soft:
            self.near(call, spent)
        return self, count, held, False

    def _full(self, call: OpenCall, standing: Standing) -> float:
        waited_s = (time.time_ns() - call.start_ns) / 1e9
        left_s = self.action.queue_s - waited_s
        if left_s > 0 and call.may_wait:
            self._note(call, standing.spent, "queued")
            if standing.spent < self.limit:
                return min(_POLL_S, left_s)  # calls in flight may give back some
            if self.period is not None and self.period.end - time.time() < left_s:
                return min(max(self.period.end - time.time(), _POLL_S), left_s)
            # Only a higher limit or a ledger that knows better can make room now.
            return min(1.0, left_s)
        self.tell(standing.spent)
        budget = self.budget
        raise BudgetExceeded(
            budget.name,
            limit_usd=budget.limit_usd,
            spent_usd=self.usd(standing.spent),
            reserved_usd=self.usd(standing.reserved),
            resets_at=self.period.ends if self.period is not None else None,
            owner=budget.owner,
            contact=budget.contact,
            was_to_wait=left_s > 0,
        )

    def near(self, call: OpenCall, spent: int) -> None:
        """`call` is admitted beyond the soft limit: degrade it, or tell."""
        done = "warned"
        if self.action.degrade is not None and degrade(call, self.action.degrade):
            done = "degraded"
        self._note(call, spent, done)
        self.tell(spent)

    def _note(self, call: OpenCall, spent: int, done: str) -> None:
        """On the call's span, of several budgets the one that is nearest to its end."""
        known = call.attributes
        ratio = spent / self.limit
        if known.get(semconv.BUDGET_ACTION) == "queued" and done == "warned":
            done = "queued"
        if ratio >= known.get(semconv.BUDGET_RATIO, 0.0):
            known[semconv.BUDGET_NAME] = self.budget.name
            known[semconv.BUDGET_STATE] = "hard" if spent >= self.limit else "soft"
            known[semconv.BUDGET_RATIO] = ratio
            known[semconv.BUDGET_ACTION] = done

    # --- what it tells -----------------------------------------------------------------------------

    def tell(self, spent: int) -> None:
        """One line in the log for each of the two limits, from one process of this machine."""
        bit = layout.HARD if spent >= self.limit else layout.SOFT if spent >= self.soft else 0
        if not bit or self._told[1] & bit and self._told[0] is self.count:
            return
        told = self._told[1] if self._told[0] is self.count else 0
        self._told = self.count, told | bit
        if not self.count.tell(bit):
            return
        budget = self.budget
        _logger.warning(
            "The budget %r has reached its %s limit: %s of %s are spent%s%s",
            budget.name,
            "hard" if bit == layout.HARD else "soft",
            dollars(self.usd(spent)),
            dollars(budget.limit_usd),
            f"; it begins anew at {self.period.ends:%Y-%m-%d %H:%M} UTC" if self.period else "",
            "".join(
                f"; {name}: {value}"
                for name, value in (
                    ("owner", budget.owner),
                    ("contact", budget.contact),
                    ("action", budget.action),
                )
                if value
            ),
        )

    def usd(self, amount: int) -> Decimal:
        return Decimal(amount) / self.unit
