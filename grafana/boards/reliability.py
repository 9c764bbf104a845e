"""Reliability: what fails, what is slow, what is refused, and what money is lost by it."""

from __future__ import annotations

from ..board import Board, Row, link
from ..panels import (
    ANY_IS_BAD,
    AXIS_COUNT,
    COUNT,
    ERRORS,
    EXACT_USD,
    SHARE,
    USD,
    Column,
    bars,
    heatmap,
    lines,
    number,
    table,
)
from ..sql import calls
from . import trust
from .limits import HEADROOM, LEFT

VALUE = "${__value.raw:percentencode}"
NO_STREAM = "no streamed calls in range"

FAILED = number(
    "Failed",
    "Share of the calls in the range that ended with an error or were blocked, and their number.",
    calls(
        "SELECT countIf(failed) / nullIf(count(), 0) AS share, countIf(failed) AS calls FROM calls"
    ),
    steps=ERRORS,
    columns=[Column("share", SHARE, 1), Column("calls", COUNT, steps=(("text", None),))],
)
WASTED = number(
    "Wasted",
    "US dollars of the range that were paid for nothing, and their share of the spend.",
    calls(
        """
SELECT sum(wasted_usd) AS wasted,
       toFloat64(sum(wasted_usd)) / nullIf(toFloat64(sum(cost_usd)), 0) AS share
FROM calls
"""
    ),
    no_value="none known",
    columns=[Column("wasted", USD), Column("share", SHARE, 1, nothing="–")],
)
CUT_OFF = number(
    "Cut off",
    "Calls of the range whose answer ended at the limit of output tokens, and what they cost: paid, "
    "and perhaps of no use.",
    calls("SELECT countIf(cut_off) AS calls, sumIf(cost_usd, cut_off) AS cost FROM calls"),
    no_value="none priced",
    columns=[Column("calls", COUNT), Column("cost", USD, nothing="–")],
)
LIMITED = number(
    "Refused by rate limits",
    "Share of the calls in the range that ended with 429 or the provider's error of that meaning.",
    calls("SELECT countIf(limited) / nullIf(count(), 0) AS share FROM calls"),
    steps=ANY_IS_BAD,
    columns=[Column("share", SHARE, 1)],
)
SLOW = number(
    "Duration",
    "Middle and slowest 5 % of the calls in the range; the latter from 20 calls on.",
    calls(
        """
SELECT quantile(0.5)(duration_s) AS p50, if(count() < 20, NULL, quantile(0.95)(duration_s)) AS p95
FROM calls
"""
    ),
    columns=[Column("p50", "s"), Column("p95", "s", nothing="too few")],
)
FIRST_CHUNK = number(
    "First chunk",
    "Middle and slowest 5 % of the streamed calls in the range; the latter from 20 calls on.",
    calls(
        """
SELECT quantile(0.5)(time_to_first_chunk_s) AS p50,
       if(count() < 20, NULL, quantile(0.95)(time_to_first_chunk_s)) AS p95
FROM calls WHERE time_to_first_chunk_s IS NOT NULL
"""
    ),
    no_value=NO_STREAM,
    columns=[Column("p50", "s"), Column("p95", "s", nothing="too few")],
)
ERROR_CLASSES = bars(
    "Failed calls by class",
    "Calls of each time bucket that failed, the six most frequent classes of the range apart.",
    calls(
        """
, classes AS (SELECT at, if(error = '-', blocked_or, error) AS class FROM (
  SELECT at, error, if(status = 'blocked', concat('blocked by ', blocked), 'error') AS blocked_or
  FROM calls WHERE failed)
), biggest AS (SELECT class FROM classes GROUP BY class ORDER BY count() DESC, class LIMIT 6)
SELECT $__timeInterval(at) AS time,
       if(class IN (SELECT class FROM biggest), class, '(all others)') AS series,
       count() AS calls
FROM classes GROUP BY time, series ORDER BY time, series
"""
    ),
    unit=AXIS_COUNT,
    no_value="no failed calls in range",
)
FAILURES = table(
    "Why do they fail?",
    "Failed calls of the range by class, provider and model, who is to blame, and the last one.",
    calls(
        """
SELECT error, blamed AS blame, blocked AS blocked_by, provider, model, count() AS calls,
       sum(cost_usd) AS cost, max(at) AS last, argMax(trace_id, at) AS trace_id
FROM calls WHERE failed
GROUP BY error, blamed, blocked, provider, model
ORDER BY calls DESC, error, provider, model LIMIT 50
"""
    ),
    no_value="no failed calls in range",
    columns=[
        Column("provider", link=("Only this one", link("reliability", provider=VALUE))),
        Column("model", link=("Only this one", link("reliability", model=VALUE))),
        Column("calls", COUNT, width=90),
        Column("cost", EXACT_USD, width=110),
        Column("trace_id", link=("Open trace", link("trace", trace_id=VALUE))),
    ],
)
REFUSED = table(
    "Who was blocked?",
    "Calls of the range that a quota, a guardrail or the model itself blocked, by who blocked them.",
    calls(
        """
SELECT blocked AS blocked_by, tenant, endpoint, user, count() AS calls, max(at) AS last,
       argMax(trace_id, at) AS trace_id
FROM calls WHERE status = 'blocked' OR blocked != '-'
GROUP BY blocked, tenant, endpoint, user
ORDER BY calls DESC, tenant, endpoint, user LIMIT 50
"""
    ),
    width=12,
    no_value="nobody was blocked in range",
    columns=[
        Column("tenant", link=("Only this one", link("reliability", tenant=VALUE))),
        Column("calls", COUNT, width=90),
        Column("trace_id", link=("Open trace", link("trace", trace_id=VALUE))),
    ],
)
WASTE = bars(
    "Money for nothing",
    "US dollars of each time bucket that were paid for nothing, by why.",
    calls(
        """
SELECT $__timeInterval(at) AS time, waste AS series, sum(wasted_usd) AS usd
FROM calls WHERE wasted_usd IS NOT NULL GROUP BY time, series ORDER BY time, series
"""
    ),
    unit=USD,
    no_value="no waste known in range",
)
WASTERS = table(
    "Who wastes it?",
    "Wasted US dollars of the range by endpoint and why, with the dearest case.",
    calls(
        """
SELECT endpoint, waste AS why, sum(wasted_usd) AS wasted, count() AS calls,
       argMax(trace_id, wasted_usd) AS dearest
FROM calls WHERE wasted_usd IS NOT NULL
GROUP BY endpoint, waste ORDER BY wasted DESC, endpoint, why LIMIT 100
"""
    ),
    width=12,
    height=8,
    no_value="no waste known in range",
    columns=[
        Column("endpoint", link=("Versions", link("versions", endpoint=VALUE))),
        Column("wasted", EXACT_USD, width=110),
        Column("calls", COUNT, width=90),
        Column("dearest", link=("Open trace", link("trace", trace_id=VALUE))),
    ],
)


def quantiles(column: str) -> str:
    return calls(
        f"""
SELECT $__timeInterval(at) AS time, quantile(0.5)({column}) AS p50, quantile(0.95)({column}) AS p95,
       quantile(0.99)({column}) AS p99
FROM calls WHERE {column} IS NOT NULL GROUP BY time ORDER BY time
"""
    )


SPEED = lines(
    "Output tokens per second",
    "Middle of the streamed calls of each time bucket, by model: output tokens over the time from "
    "first chunk to end; the six most called models of the range.",
    calls(
        """
, streamed AS (
  SELECT at, model, output_tokens / (duration_s - time_to_first_chunk_s) AS pace
  FROM calls WHERE output_tokens > 1 AND duration_s > time_to_first_chunk_s
), biggest AS (SELECT model FROM streamed GROUP BY model ORDER BY count() DESC, model LIMIT 6)
SELECT $__timeInterval(at) AS time, model AS series, quantile(0.5)(pace) AS tokens
FROM streamed WHERE model IN (SELECT model FROM biggest)
GROUP BY time, series ORDER BY time, series
"""
    ),
    unit="suffix:tok/s",
    display_name="${__field.labels.series}",
    no_value=NO_STREAM,
)

BOARD = Board(
    "reliability",
    "Reliability",
    "What fails, what is slow, what is refused, and what money is lost by it?",
    [
        Row("Is it healthy?", [FAILED, WASTED, CUT_OFF, LIMITED, SLOW, FIRST_CHUNK]),
        Row(
            "Is it slow?",
            [
                lines(
                    "Duration over time",
                    "Middle, slowest 5 % and slowest 1 % of the calls of each time bucket.",
                    quantiles("duration_s"),
                    unit="s",
                ),
                lines(
                    "Time to first chunk",
                    "Middle, slowest 5 % and slowest 1 % of the streamed calls of each time bucket.",
                    quantiles("time_to_first_chunk_s"),
                    unit="s",
                    no_value=NO_STREAM,
                ),
                heatmap(
                    "Durations",
                    "Every call of the range, or ten thousand of them, counted by time and duration.",
                    calls(
                        """
, picked AS (
  SELECT at, duration_s FROM calls WHERE duration_s IS NOT NULL
  ORDER BY cityHash64(call_id) LIMIT 10000
)
SELECT at AS time, duration_s AS duration FROM picked ORDER BY time
"""
                    ),
                    unit="s",
                ),
                SPEED,
            ],
        ),
        Row("Does it fail, and why?", [ERROR_CLASSES, LEFT, HEADROOM, FAILURES]),
        Row("What is the money that bought nothing?", [WASTE, WASTERS]),
        Row("Who is kept out?", [REFUSED.sized(24, 8)]),
        trust.ROW,
    ],
)
