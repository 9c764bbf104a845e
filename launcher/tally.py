"""`tollspan.tally`: what the calls of a block, or of a test, cost; needs no collector and no ledger.

with tollspan.tally() as tally:
    answer(question)
print(tally)                            # a line for each call, and the sum
tally.assert_at_most(cost_usd=0.01)     # in a test; pytest has the fixture `tally`
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any, Self

from tollspan.guard import quietly

from . import figures, tallying, watch_here
from .tallied import Sum, TalliedCall

__all__ = ["tally"]

_DROPPED_S = 2.0
"""How long is waited for the ends of streams that were dropped half-read."""

_WIDTH = 140


class tally:
    """Counts the calls that are made in a `with` block, wherever they end.

    They are those of the block's own context: tasks and `asyncio.to_thread` take it along, plain
    threads do not. Calls inside of another one (LiteLLM's around openai) are one. Blocks nest; a call
    counts in each. Where `tollspan.instrument()` has not run, SDKs are watched from here on, and
    nothing is sent.

    Args:
        everywhere: count the calls of all threads of this process.
    """

    def __init__(self, *, everywhere: bool = False) -> None:
        self._everywhere = everywhere
        self._count = tallying.Count()
        self.switched_on = False
        """SDKs were not watched before this block."""

    def __enter__(self) -> Self:
        with quietly:
            self.switched_on = watch_here() or self.switched_on
            tallying.watch()
        self._count.blocks += 1
        if self._everywhere:
            tallying.everywhere.append(self._count)
        else:
            tallying.here.set((*tallying.here.get(), self._count))
        return self

    def __exit__(self, *_: object) -> None:
        self._count.blocks -= 1
        if self._everywhere:
            tallying.everywhere.remove(self._count)
        else:
            open_here = list(tallying.here.get())
            if self._count in open_here:  # a generator may be closed in another context
                open_here.remove(self._count)
                tallying.here.set(tuple(open_here))
        with quietly:
            tallying.unwatch()

    # --- what was counted ----------------------------------------------------------------------------

    @property
    def calls(self) -> list[TalliedCall]:
        """Calls that have ended, in the order of their ends."""
        dropped = sys.modules.get("tollspan.instrumentation._dropped")
        if self._count.open and dropped is not None:
            with quietly:
                dropped.settled(_DROPPED_S)
        return list(self._count.ended)

    @property
    def open_calls(self) -> int:
        """Calls that have not ended: streams that nobody has read to the end or closed yet."""
        return len(self._count.open)

    @property
    def cost_usd(self) -> Decimal:
        """The sum of what is known, to the last digit; see `unpriced_calls`."""
        return Sum(self.calls).cost_usd

    @property
    def unpriced_calls(self) -> int:
        """Calls of which nobody knows what they cost; they are not in `cost_usd`."""
        return Sum(self.calls).unpriced

    @property
    def input_tokens(self) -> int:
        """The sum of what is known."""
        return sum(each.input_tokens or 0 for each in self.calls)

    @property
    def output_tokens(self) -> int:
        """The sum of what is known."""
        return sum(each.output_tokens or 0 for each in self.calls)

    @property
    def attempts(self) -> int:
        """HTTP requests of all of them, the SDKs' retries included."""
        return sum(each.app_attempts or 0 for each in self.calls)

    def assert_at_most(
        self,
        *,
        cost_usd: float | Decimal | str | None = None,
        calls: int | None = None,
        attempts: int | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
    ) -> None:
        """Fail where the calls came to more than that, or where nobody can tell.

        Raises:
            AssertionError: a limit is passed; or none would mean anything, because no call was seen,
                one has not ended, or what one cost or took is not known in full. The message lists
                the calls.
            ValueError: no limit is given, or one that is no number from 0 on.
        """
        __tracebackhide__ = True  # pytest shows the test's own line
        asked = {
            "cost_usd": cost_usd,
            "calls": calls,
            "attempts": attempts,
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
        }
        limits = {name: _limit(name, limit) for name, limit in asked.items() if limit is not None}
        if not limits:
            raise ValueError(f"assert_at_most() needs a limit: {'=…, '.join(asked)}=…")
        if wrong := self._unknown(limits) or self._beyond(limits):
            raise AssertionError(f"{wrong}\n{self}")

    def _unknown(self, limits: Mapping[str, Any]) -> str:
        """Why nobody can tell whether the calls keep to `limits`; empty where it can be told."""
        ended = self.calls
        if self._count.open:
            return f"{_calls(len(self._count.open))} not ended: read streams to their ends, or close them"
        if not ended:
            return "no call was seen: does the code under test ask an SDK that tollspan knows?"
        vague = [each for each in ended if each.cost_grade in ("unpriced", "lower_bound")]
        if "cost_usd" in limits and vague:
            return f"what {len(vague)} of {len(ended)} calls cost is not known in full"
        for name in limits:
            if name.endswith("_tokens") and any(
                each.cost_grade is not None and getattr(each, name) is None for each in ended
            ):
                return f"the {name} of a call are not known"
        return ""

    def _beyond(self, limits: Mapping[str, Any]) -> str:
        found = {name: getattr(self, name) for name in limits}
        if "calls" in found:
            found["calls"] = len(found["calls"])
        return "; ".join(
            f"{name} is {_plain(found[name])}, and was to be {_plain(limit)} at most"
            for name, limit in limits.items()
            if found[name] > limit
        )

    def __str__(self) -> str:
        from . import calls as shown  # what commands print
        from .screen import Paint, table

        rows = [shown.row(asdict(each)) for each in self.calls]
        lines = table(shown.COLUMNS, rows, _WIDTH, Paint(on=False)) if rows else []
        return "\n".join([*lines, self._sum()])

    def __repr__(self) -> str:
        return f"<tollspan.tally: {self._sum()}>"

    def _repr_html_(self) -> str:
        """The same for a notebook, where a tally is the last line of a cell."""
        from . import calls as shown
        from . import notebook

        rows = [shown.row(asdict(each)) for each in self.calls]
        return notebook.table(shown.COLUMNS, rows, self._sum())

    def _sum(self) -> str:
        return Sum(self.calls).text(len(self._count.open))


def _limit(name: str, value: float | Decimal | str) -> Decimal:
    __tracebackhide__ = True
    limit = figures.amount(value)
    if limit is None or limit < 0:
        raise ValueError(f"assert_at_most({name}={value!r}): write a number from 0 on")
    return limit


def _plain(value: int | Decimal) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)


def _calls(number: int) -> str:
    return "1 call has" if number == 1 else f"{number} calls have"
