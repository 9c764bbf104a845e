"""Where a month leads from what it cost so far: the pace of its last days, and how far off that may be.

The pace is what the last seven days cost a day: whole weeks, so that each weekday is in it once, and short,
so that a team that came or went is in it soon. What began later has less: then the time since its first
call counts, and one average pause between calls before it. Without the pause few calls are read as many,
since a time that is made to begin with a call has one more than any other time of that length. One day
counts at least, and of a single call nothing is known but that a week had one.

The range is the one that four of five such months end in, where the days to come are like those that have
been: Student's t over the spend of whole days before now, for the days that are left and for the pace
itself, which is known from few days. Before two whole days nobody can say one. `python -m bench.month`
lets months run that are known to their end, and prints how far off both are; what changes later is in no
range.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

__all__ = ["DAY_S", "MOST_DAYS", "WEEK_S", "off", "pace_s"]

DAY_S = 86_400
WEEK_S = 7 * DAY_S
MOST_DAYS = 28
"""Of which the range is made."""

T90 = (
    *(3.078, 1.886, 1.638, 1.533, 1.476, 1.440, 1.415, 1.397, 1.383),
    *(1.372, 1.363, 1.356, 1.350, 1.345, 1.341, 1.337, 1.333, 1.330),
    *(1.328, 1.325, 1.323, 1.321, 1.319, 1.318, 1.316, 1.315, 1.314),
)
"""Student's t that a tenth lies above, by degrees of freedom from 1 on.
https://www.itl.nist.gov/div898/handbook/eda/section3/eda3672.htm"""


def pace_s(since_s: int, calls: int) -> Decimal:
    """Seconds over which the spend of the last seven days was spent.

    Args:
        since_s: since the first call that is looked at.
        calls: of the last seven days.
    """
    if calls < 2 or since_s >= WEEK_S:
        return Decimal(WEEK_S)
    return min(Decimal(WEEK_S), max(Decimal(DAY_S), Decimal(since_s) * calls / (calls - 1)))


def off(days: Sequence[Decimal], left_s: int, over_s: Decimal) -> Decimal | None:
    """US dollars that the rest of a month may be more or less than the pace says; None where nobody knows.

    Args:
        days: what each of the last whole days cost, `MOST_DAYS` at most.
        left_s: seconds of the month to come.
        over_s: what `pace_s` says.
    """
    if left_s <= 0:
        return Decimal(0)
    if (number := len(days)) < 2:
        return None
    mean = sum(days, Decimal(0)) / number
    variance = sum(((each - mean) ** 2 for each in days), Decimal(0)) / (number - 1)
    left = Decimal(left_s) / DAY_S
    return Decimal(str(T90[number - 2])) * (variance * left * (1 + left * DAY_S / over_s)).sqrt()
