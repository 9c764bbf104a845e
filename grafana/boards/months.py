"""A month beside the one before it, by team: what `tollspan usage month --by tag.team` prints."""

from __future__ import annotations

from ..board import link
from ..panels import COUNT, EXACT_USD, USD, Column, table
from ..sql import LAST, START, calls

__all__ = ["MONTHS"]

NOW = "toDateTime($__toTime, 'UTC')"
SAME = f"least({LAST} + dateDiff('second', {START}, {NOW}), {START})"
"""As far in the month before as the end of the range is in its own."""


def spent(when: str) -> str:
    """0 of no calls, where others of the team have a price; nothing where some have none."""
    none = f"countIf({when}) = 0 AND countIf(cost_usd IS NOT NULL) > 0"
    return f"if({none}, toDecimal128(0, 12), sumIf(cost_usd, {when}))"


MONTHS = table(
    "Where does each team's month end?",
    "Spend of the month (UTC) in which the range ends, of the month before, and of that to the same "
    "moment (then). It ends at the pace of the last seven days, or of the time since the first call if "
    "that is shorter, but of one day at least; teams go by the pace of the same time and add up.",
    calls(
        f"""
, pace AS (
  SELECT least(7, greatest(1, dateDiff('second', min(at), $__toTime) / 86400)) AS days
  FROM calls WHERE at >= least({START}, {NOW} - 604800)
)
SELECT team,
       {spent(f"at >= {LAST} AND at < {START}")} AS last_month,
       {spent(f"at >= {LAST} AND at < {SAME}")} AS then,
       {spent(f"at >= {START}")} AS so_far,
       so_far - then AS change,
       sumIf(cost_usd, at >= {NOW} - 604800) AS week,
       if(so_far IS NULL AND week IS NULL, NULL,
          coalesce(toFloat64(so_far), 0) + coalesce(toFloat64(week), 0) / (SELECT days FROM pace)
              * dateDiff('second', {NOW}, addMonths({START}, 1)) / 86400) AS month_end,
       countIf(at >= {START}) AS calls
FROM calls GROUP BY team
ORDER BY so_far DESC NULLS LAST, last_month DESC NULLS LAST, team LIMIT 50
""",
        "months",
    ),
    no_value="no calls in both months",
    columns=[
        Column(
            "team", link=("Only this one", link("attribution", team="${__value.raw:percentencode}"))
        ),
        *[Column(name, EXACT_USD, width=120) for name in ("last_month", "then", "so_far")],
        Column("change", USD, width=120),
        Column("week", hidden=True),
        Column("month_end", EXACT_USD, width=120),
        Column("calls", COUNT, width=90),
    ],
)
