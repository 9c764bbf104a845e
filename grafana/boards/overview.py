"""Overview: what is spent, where it goes, what changed, where the month ends."""

from __future__ import annotations

from ..board import Board, Row, link
from ..panels import COUNT, ERRORS, EXACT_USD, SHARE, USD, Column, bars, change, number, table
from ..sql import START, calls
from . import trust
from .versions import DEPLOYS

CHANGE = "The change is against the equally long time before the range."

SPEND = number(
    "Spend",
    f"US dollars of all priced calls in the range. {CHANGE}",
    calls(
        """
SELECT sumIf(cost_usd, current) AS spend,
       toFloat64(sumIf(cost_usd, current))
           / nullIf(toFloat64(sumIf(cost_usd, NOT current)), 0) - 1 AS change
FROM calls
""",
        "both",
    ),
    no_value="none priced",
    columns=[
        Column("spend", USD, link=("Who spends", link("attribution"))),
        change("change", nothing="nothing before"),
    ],
)
PROJECTION = number(
    "Month end",
    "Spend since the first of the month (UTC) and where it ends at the pace of the last seven days, "
    "or of the time since the first call and one pause between calls if that is shorter, but of one "
    "day at least.",
    calls(
        f"""
, paid AS (
  SELECT sumIf(cost_usd, at >= {START}) AS month,
         toFloat64(sumIf(cost_usd, at >= toDateTime($__toTime, 'UTC') - 604800)) AS week,
         countIf(at >= toDateTime($__toTime, 'UTC') - 604800) AS n,
         dateDiff('second', min(at), $__toTime) / 86400 AS days
  FROM calls
)
SELECT month AS so_far,
       toFloat64(month) + week / if(n < 2, 7, least(7, greatest(1, days * n / (n - 1))))
           * dateDiff('second', toDateTime($__toTime, 'UTC'),
                      addMonths({START}, 1)) / 86400 AS projected
FROM paid
""",
        "month",
    ),
    no_value="none priced",
    columns=[Column("so_far", USD), Column("projected", USD)],
)
EACH = number(
    "Per call",
    f"Spend of the range over the number of its priced calls. {CHANGE}",
    calls(
        """
SELECT toFloat64(sumIf(cost_usd, current)) / nullIf(countIf(cost_usd IS NOT NULL AND current), 0)
           AS per_call,
       per_call / nullIf(toFloat64(sumIf(cost_usd, NOT current))
           / nullIf(countIf(cost_usd IS NOT NULL AND NOT current), 0), 0) - 1 AS change
FROM calls
""",
        "both",
    ),
    no_value="none priced",
    columns=[Column("per_call", USD), change("change", nothing="nothing before")],
)
CALLS = number(
    "Calls",
    f"Logical calls in the range; the retries of a call are part of it. {CHANGE}",
    calls(
        """
SELECT countIf(current) AS calls,
       countIf(current) / nullIf(countIf(NOT current), 0) - 1 AS change
FROM calls
""",
        "both",
    ),
    columns=[Column("calls", COUNT), change("change", nothing="nothing before")],
)
FAILED = number(
    "Failed",
    "Share of the calls in the range that ended with an error or were blocked.",
    calls("SELECT countIf(failed) / nullIf(count(), 0) AS share FROM calls"),
    steps=ERRORS,
    columns=[Column("share", SHARE, 1, link=("Why", link("reliability")))],
)
WASTED = number(
    "Wasted",
    "US dollars of the range that were paid for nothing: retries, errors, abandoned answers, "
    "duplicates; and their share of the spend.",
    calls(
        """
SELECT sum(wasted_usd) AS wasted,
       toFloat64(sum(wasted_usd)) / nullIf(toFloat64(sum(cost_usd)), 0) AS share
FROM calls
"""
    ),
    no_value="none known",
    columns=[
        Column("wasted", USD, link=("What for", link("reliability"))),
        Column("share", SHARE, 1, nothing="–"),
    ],
)


def spend_by(column: str, title: str) -> str:
    """Spend over time, the six biggest of `column` apart; the sum of all bars is the spend."""
    return calls(
        f"""
, biggest AS (
  SELECT {column} FROM calls GROUP BY {column}
  ORDER BY sum(cost_usd) DESC NULLS LAST, count() DESC, {column} LIMIT 6
)
SELECT $__timeInterval(at) AS time,
       if({column} IN (SELECT {column} FROM biggest), {column}, '(all others)') AS series,
       sum(cost_usd) AS {title}
FROM calls
WHERE cost_usd IS NOT NULL
GROUP BY time, series
ORDER BY time, series
"""
    )


MOVERS = table(
    "What changed since the time before?",
    "Change of the spend by endpoint and model against the equally long time before the range, in "
    "three parts that add up to it: more or fewer calls, longer or shorter ones, dearer or cheaper "
    "tokens.",
    calls(
        """
, sides AS (
  SELECT endpoint, model,
         toFloat64(sumIf(cost_usd, current)) AS usd,
         toFloat64(sumIf(cost_usd, NOT current)) AS usd_before,
         countIf(current) AS n, countIf(NOT current) AS n_before,
         sumIf(tokens, current) AS t, sumIf(tokens, NOT current) AS t_before
  FROM calls WHERE cost_usd IS NOT NULL
  GROUP BY endpoint, model
), parts AS (
  SELECT endpoint, model, coalesce(usd, 0) AS usd_now, coalesce(usd_before, 0) AS usd_then,
         if(n_before = 0, usd_now, n * usd_then / n_before) AS at_old_size,
         if(n_before = 0, usd_now, if(t_before = 0, at_old_size, t * usd_then / t_before))
             AS at_old_price
  FROM sides
)
SELECT endpoint, model, usd_now - usd_then AS change, usd_then AS before, usd_now AS now,
       at_old_size - usd_then AS more_calls, at_old_price - at_old_size AS longer_calls,
       usd_now - at_old_price AS dearer_tokens
FROM parts
ORDER BY abs(change) DESC, endpoint, model
LIMIT 20
""",
        "both",
    ),
    columns=[
        Column(
            "endpoint",
            link=("Versions", link("versions", endpoint="${__value.raw:percentencode}")),
        ),
        Column(
            "model", link=("This model", link("attribution", model="${__value.raw:percentencode}"))
        ),
        *[Column(name, EXACT_USD, width=120) for name in ["before", "now"]],
        # With a sign in front of the dollar.
        *[
            Column(name, USD, width=120)
            for name in ["change", "more_calls", "longer_calls", "dearer_tokens"]
        ],
    ],
)

BOARD = Board(
    "overview",
    "Overview",
    "What do our LLM calls cost, where does the money go, and what changed?",
    [
        Row("What do we spend?", [SPEND, PROJECTION, EACH, CALLS, FAILED, WASTED]),
        trust.ROW,
        Row(
            "Where does the money go?",
            [
                bars(
                    "Spend by endpoint",
                    "US dollars of each time bucket, the six dearest endpoints of the range apart.",
                    spend_by("endpoint", "usd"),
                    unit=USD,
                    no_value="none priced",
                ),
                bars(
                    "Spend by model",
                    "US dollars of each time bucket, the six dearest models of the range apart.",
                    spend_by("model", "usd"),
                    unit=USD,
                    no_value="none priced",
                ),
            ],
        ),
        Row("What changed?", [MOVERS]),
    ],
    annotations=[DEPLOYS],
)
