"""Budgets: how much of each is used, when does it run out, whom to tell?"""

from __future__ import annotations

from ..board import Board, Row, link
from ..budget_sql import MOMENT, spent
from ..panels import ANY_IS_BAD, COUNT, EXACT_USD, SHARE, USD, Column, lines, number, table
from . import trust

__all__ = ["BOARD", "BURN", "SOFT"]

SOFT = 0.8
"""From this part of a limit on a bar is orange; a budget's own soft ratio decides its state."""
SOON = (("text", None), ("red", 0.0), ("orange", 86_400.0))
USED = (("blue", None), ("orange", SOFT), ("red", 1.0))
UNFILTERED = "Whatever is chosen above: a budget counts what its own filters say."
NOTHING = "no budget is set: TOLLSPAN_BUDGETS names a file of them"

OF = {
    name: f"if(mapContains(b.filters, '{key}'), b.filters['{key}'], concat('$', '__all'))"
    for name, key in (
        ("tenant", "tenant"),
        ("endpoint", "endpoint"),
        ("team", "tag.team"),
        ("provider", "provider"),
        ("environment", "environment"),
    )
}
"""What the variables are when a budget is opened: what it filters by, or All."""

STANDS = number(
    "Where do the budgets stand?",
    "Budgets whose calls of the current period cost more than their hard limit, more than their soft "
    f"limit, and whose pace so far ends above the limit. {UNFILTERED}",
    """
SELECT countIf(b.state = 'hard') AS over, countIf(b.state = 'soft') AS near,
       countIf(b.state != 'hard' AND b.projected_usd >= b.limit_usd) AS on_the_way_over,
       count() AS budgets
FROM tollspan_budgets AS b
""",
    width=24,
    no_value=NOTHING,
    columns=[
        Column("over", COUNT, steps=(("text", None), ("red", 1))),
        Column("near", COUNT, steps=(("text", None), ("orange", 1))),
        Column("on_the_way_over", COUNT, steps=ANY_IS_BAD),
        Column("budgets", COUNT),
    ],
)
USAGE = table(
    "How much of each budget is used?",
    "Spend of the current period (UTC) against the limit, now, and where the period ends at the pace "
    "so far; calls without a price are not in it. "
    f"{UNFILTERED}",
    f"""
SELECT b.name AS budget, b.ratio AS used, b.spent_usd AS spent, b.limit_usd AS limit,
       b.projected_usd AS projected, b.state AS state, b.calls AS calls,
       b.unpriced_calls AS unpriced, b.period AS period, b.period_end AS ends,
       if(empty(b.filters), 'every call', arrayStringConcat(arrayMap(
           (key, value) -> concat(key, ' ', value), mapKeys(b.filters), mapValues(b.filters)), ', '))
           AS counts,
       b.owner AS owner, b.contact AS contact, b.action AS action,
       {", ".join(f"{what} AS of_{name}" for name, what in OF.items())}
FROM tollspan_budgets AS b
ORDER BY b.ratio DESC, b.name LIMIT 200
""",
    height=10,
    no_value=NOTHING,
    columns=[
        Column(
            "budget",
            link=(
                "Who spends it",
                link(
                    "attribution",
                    **{name: f"${{__data.fields.of_{name}:percentencode}}" for name in OF},
                ),
            ),
        ),
        Column("used", SHARE, 1, width=180, bar=True, steps=USED),
        *[Column(name, EXACT_USD, width=110) for name in ("spent", "limit", "projected")],
        Column("calls", COUNT, width=80),
        Column("unpriced", COUNT, width=90, steps=ANY_IS_BAD),
        *[Column(f"of_{name}", hidden=True) for name in OF],
    ],
)
WINDOWS = "if(c.time > $__toTime - 3600, 1, if(c.time > $__toTime - 21600, 6, 24))"
BURN = f"""
WITH {spent(WINDOWS, "$__toTime - 21600", "24")}, paces AS (
  SELECT b.name AS name, b.owner AS owner, b.contact AS contact,
         b.limit_usd AS limit, b.end AS end,
         toFloat64(sumIf(s.usd, s.bucket = 1)) AS last_hour,
         toFloat64(sumIf(s.usd, s.bucket <= 6)) / 6 AS hour_of_six,
         least(last_hour, hour_of_six) AS pace,
         b.limit_usd - coalesce(sumIf(s.usd, s.day >= b.start), 0) AS unspent
  FROM limits AS b LEFT JOIN spent AS s ON s.name = b.name
  GROUP BY b.name, b.owner, b.contact, b.limit_usd, b.start, b.end
)"""
"""Up to `paces`: what a budget's calls cost an hour, by the last hour and the last six, whichever is less."""

RUNS_OUT = table(
    "When does it run out?",
    "What each budget's calls cost an hour, by the last hour and by the last six before the end of the "
    "range, whichever is less; and when the rest of the budget is used up at that pace, if that is "
    f"before the period ends. {UNFILTERED}",
    f"""{BURN}
SELECT name AS budget, last_hour, hour_of_six, limit, unspent,
       dateDiff('second', {MOMENT}, end) AS period_ends_in,
       if(toFloat64(unspent) < pace / 3600 * period_ends_in,
          greatest(0, toFloat64(unspent)) / nullIf(pace, 0) * 3600, NULL) AS runs_out_in,
       owner, contact
FROM paces ORDER BY runs_out_in NULLS LAST, name LIMIT 200
""",
    height=8,
    no_value=NOTHING,
    columns=[
        *[Column(name, EXACT_USD, 2, width=120) for name in ("last_hour", "hour_of_six", "limit")],
        Column("unspent", USD, 2, width=120),
        Column("runs_out_in", "s", 1, width=130, steps=SOON),
        Column("period_ends_in", "s", 1, width=130),
    ],
)
FIRST = "toStartOfInterval($__fromTime, INTERVAL $__interval_s second)"
COURSE = lines(
    "How did it get there?",
    "Part of each limit that was used since the period began, at the end of each time bucket; the "
    f"eight fullest budgets. {UNFILTERED}",
    f"""
WITH {spent(f"greatest($__timeInterval(c.time), {FIRST})", "$__fromTime", FIRST)}
, moments AS (
  SELECT name, toDateTime(arrayJoin(range(
             toUInt32(toStartOfInterval(greatest(start, $__fromTime), INTERVAL $__interval_s second)),
             toUInt32($__toTime) + 1, toUInt32($__interval_s))), 'UTC') AS bucket
  FROM limits
), grown AS (
  SELECT l.name AS name, e.bucket AS bucket, any(toFloat64(l.limit_usd)) AS limit_usd,
         sum(toFloat64(e.usd)) AS usd
  FROM limits AS l INNER JOIN (
    SELECT s.name AS name, s.bucket AS bucket, s.day AS day, s.usd AS usd FROM spent AS s
    UNION ALL
    SELECT m.name, m.bucket, $__toTime, 0 FROM moments AS m
  ) AS e ON e.name = l.name
  WHERE e.day >= l.start
  GROUP BY name, bucket
), course AS (
  SELECT name, bucket, sum(usd) OVER (PARTITION BY name ORDER BY bucket) / limit_usd AS used,
         sum(usd) OVER (PARTITION BY name) / limit_usd AS most
  FROM grown
), ranked AS (SELECT *, dense_rank() OVER (ORDER BY most DESC, name) AS place FROM course)
SELECT bucket AS time, name AS series, used AS share
FROM ranked WHERE place <= 8 ORDER BY time, series
""",
    unit=SHARE,
    display_name="${__field.labels.series}",
    no_value=NOTHING,
    steps=(("text", None), ("orange", SOFT), ("red", 1.0)),
)

BOARD = Board(
    "budgets",
    "Budgets",
    "How much of each budget is used, when does it run out, and who is told?",
    [
        Row("Is a budget in trouble?", [STANDS, USAGE]),
        Row("Where is it going?", [COURSE.sized(24, 9), RUNS_OUT]),
        trust.ROW,
    ],
)
