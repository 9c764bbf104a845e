"""A month beside the one before it, by team: what `tollspan usage month --by tag.team` prints.

Two months of calls are too many to read whenever somebody looks, so hours are read as
`usage_by_tags_hour` has counted them, as the usage API does (local/usage_facts.py). The calls
themselves are read where that would not be exact: in hours that a boundary of the statement cuts, of
which a call was told since they were counted, or of whose calls some may be forgotten already; and
everywhere where a variable is chosen that this table does not have.
"""

from __future__ import annotations

from ..board import link
from ..panels import COUNT, EXACT_USD, USD, Column, table
from ..sql import LAST, START, VARIABLES, calls, chosen

__all__ = ["MONTHS"]

NOW = "toDateTime($__toTime, 'UTC')"
WEEK = f"({NOW} - 604800)"
SAME = f"least({LAST} + dateDiff('second', {START}, {NOW}), {START})"
"""As far in the month before as the end of the range is in its own."""
BEGUN = f"least({START}, {NOW} - 1209600)"
"""Whose first call the pace is of."""

COUNTED = ("environment", "data_mode", "team")
"""Variables that the table of hours can be filtered by."""
WHOLE = " AND ".join(
    f"$__conditionalAll(0, ${name})" for name in (*VARIABLES, "user") if name not in COUNTED
)
"""Whether no other variable is chosen."""

CONDITIONS = "\n    AND ".join(chosen(name, VARIABLES[name]) for name in COUNTED)
HOURS = f"""
, apart AS (
  SELECT toStartOfHour(c.time) AS hour FROM llm_calls AS c
  WHERE c.told_at >= (
    SELECT toDateTime(greatest(intDiv(max(gen), 1000), 300) - 300, 'UTC') FROM usage_by_tags_hour
  )
  UNION DISTINCT SELECT toStartOfHour(min(time)) AS hour FROM llm_calls
  UNION DISTINCT
  SELECT arrayJoin([toStartOfHour({SAME}), toStartOfHour({BEGUN}), toStartOfHour({WEEK}),
                    toStartOfHour({NOW})]) AS hour
), hours AS (
  SELECT c.bucket AS hour, {VARIABLES["team"]} AS team, c.calls AS n, c.priced_calls AS priced,
         c.cost AS usd
  FROM tollspan_usage_tags_hours AS c
  WHERE {WHOLE} AND c.bucket >= {LAST} AND c.bucket <= {NOW}
    AND c.bucket > (SELECT min(time) FROM llm_calls)
    AND c.bucket GLOBAL NOT IN (SELECT hour FROM apart)
    AND {CONDITIONS}
), first AS (SELECT min(hour) AS begun FROM hours WHERE hour >= {BEGUN})
"""
"""`apart` are read from the calls: rows that come late are told as in refresh.sql. `hours` are read as
they were counted, but for the `first` of the pace, in which the first call is to be found."""

SPENDS = f"""
, spends AS (
  SELECT at, team, toUInt64(1) AS n, toUInt64(cost_usd IS NOT NULL) AS priced, cost_usd AS usd
  FROM calls
  WHERE NOT ({WHOLE}) OR toStartOfHour(at) GLOBAL IN (SELECT hour FROM apart)
     OR toStartOfHour(at) = (SELECT begun FROM first)
  UNION ALL
  SELECT toDateTime64(hour, 9, 'UTC') AS at, team, n, priced, usd
  FROM hours WHERE hour != (SELECT begun FROM first)
)
"""
"""Calls, and sums of hours that stand at their beginning: no boundary lies within one."""

FIRST = f"min(minOrNullIf(at, at >= {BEGUN})) OVER ()"
SINCE = f"dateDiff('second', ifNull({FIRST}, toDateTime64(0, 9, 'UTC')), $__toTime) / 86400"
MET = f"sum(sumIf(n, at >= {WEEK})) OVER ()"
DAYS = f"if({MET} < 2, 7, least(7, greatest(1, {SINCE} * {MET} / ({MET} - 1))))"
"""As `pace_s` of local/usage_pace.py."""


def spent(when: str) -> str:
    """0 of no calls, where others of the team have a price; nothing where some have none."""
    none = f"sumIf(n, {when}) = 0 AND sum(priced) > 0"
    return f"if({none}, toDecimal128(0, 12), sumIf(usd, {when}))"


MONTHS = table(
    "Where does each team's month end?",
    "Spend of the month (UTC) in which the range ends, of the month before, and of that to the same "
    "moment (then). It ends at the pace of the last seven days, or of the time since the first call and "
    "one pause between calls if that is shorter, but of one day at least; teams go by the pace of the "
    "same time and add up.",
    calls(
        f"""{HOURS.rstrip()}{SPENDS}
SELECT team,
       {spent(f"at >= {LAST} AND at < {START}")} AS last_month,
       {spent(f"at >= {LAST} AND at < {SAME}")} AS then,
       {spent(f"at >= {START}")} AS so_far,
       so_far - then AS change,
       sumIf(usd, at >= {WEEK}) AS week,
       if(so_far IS NULL AND week IS NULL, NULL,
          coalesce(toFloat64(so_far), 0) + coalesce(toFloat64(week), 0) / {DAYS}
              * dateDiff('second', {NOW}, addMonths({START}, 1)) / 86400) AS month_end,
       sumIf(n, at >= {START}) AS calls
FROM spends GROUP BY team
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
