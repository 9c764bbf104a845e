"""Prompt versions: did the new one cost more, take longer, fail more?"""

from __future__ import annotations

from ..board import Board, Row, link
from ..panels import (
    AXIS_COUNT,
    COUNT,
    ERRORS,
    EXACT_USD,
    SHARE,
    USD,
    Column,
    bars,
    change,
    lines,
    number,
    table,
)
from ..sql import calls
from . import trust

__all__ = ["BOARD", "DEPLOYS", "steps", "switches"]


WATCHED = 20
"""Endpoints, the most called ones, whose changes are marked: more marks than that hide the chart."""


def steps(column: str, least: int) -> str:
    """Table expressions up to `steps`: the usual value of `column` at an endpoint, bucket by bucket.

    Usual is what two thirds of the calls of a time bucket had, in two buckets side by side or in the
    last one, so that a canary is no change; a bucket is a 48th of the range, and says nothing with
    fewer than `least` calls. A row of `steps` has `now` and the `last` usual value before it.
    """
    return f"""
, (SELECT greatest(30, intDiv(dateDiff('second', $__fromTime, $__toTime), 48))) AS width
, watched AS (
  SELECT endpoint FROM calls WHERE endpoint != '-' GROUP BY endpoint
  ORDER BY count() DESC, endpoint LIMIT {WATCHED}
), counted AS (
  SELECT toDateTime(intDiv(toUnixTimestamp(at), width) * width, 'UTC') AS bucket,
         endpoint, {column} AS one, count() AS n
  FROM calls WHERE {column} != '-' AND endpoint IN (SELECT endpoint FROM watched)
  GROUP BY bucket, endpoint, one
), usual AS (
  SELECT bucket, endpoint, argMax(one, n) AS now
  FROM counted GROUP BY bucket, endpoint HAVING sum(n) >= {least} AND max(n) * 3 >= sum(n) * 2
), beside AS (
  SELECT bucket, endpoint, now, lagInFrame(now) OVER w AS previous, leadInFrame(now) OVER w AS next
  FROM usual
  WINDOW w AS (PARTITION BY endpoint ORDER BY bucket
               ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
), steps AS (
  SELECT bucket, endpoint, now,
         lagInFrame(now) OVER (PARTITION BY endpoint ORDER BY bucket
                               ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS last
  FROM beside WHERE now = previous OR now = next OR next = ''
)"""


def switches(column: str, least: int) -> str:
    """When the usual value of `column` changed at an endpoint, back as well as forth: see `steps`."""
    return calls(
        f"""{steps(column, least)}
SELECT bucket AS time, concat(endpoint, ': ', last, ' → ', now) AS text, endpoint AS tags
FROM steps WHERE last != '' AND last != now ORDER BY bucket, endpoint LIMIT 100
"""
    )


DEPLOYS = ("Prompt versions", "purple", switches("prompt_version", 3))

COMPARED = table(
    "Each version against the one before",
    "Versions of each endpoint in the order of their first calls in the range, measured per call; "
    "changes against the version before it; slowest 5 % from 20 calls on.",
    calls(
        """
, each AS (
  SELECT endpoint, prompt_version, min(at) AS first_call, count() AS n,
         sum(cost_usd) AS usd, toFloat64(usd) / nullIf(countIf(cost_usd IS NOT NULL), 0) AS usd_each,
         avg(input_tokens) AS t_in, avg(output_tokens) AS t_out,
         if(count() < 20, NULL, quantile(0.95)(duration_s)) AS slow,
         if(countIf(time_to_first_chunk_s IS NOT NULL) < 20, NULL,
            quantile(0.95)(time_to_first_chunk_s)) AS first_chunk,
         countIf(failed) / count() AS failures
  FROM calls WHERE prompt_version != '-' GROUP BY endpoint, prompt_version
), beside AS (
  SELECT *, lagInFrame(toNullable(usd_each)) OVER w AS usd_last,
         lagInFrame(toNullable(t_in + t_out)) OVER w AS t_last,
         lagInFrame(toNullable(first_chunk)) OVER w AS first_chunk_last
  FROM each
  WINDOW w AS (PARTITION BY endpoint ORDER BY first_call, prompt_version
               ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
)
SELECT endpoint, prompt_version, n AS calls, usd AS spend, usd_each AS per_call,
       usd_each / nullIf(usd_last, 0) - 1 AS per_call_change,
       t_in AS input_tokens, t_out AS output_tokens,
       (t_in + t_out) / nullIf(t_last, 0) - 1 AS tokens_change,
       first_chunk AS first_chunk_p95, first_chunk / nullIf(first_chunk_last, 0) - 1
           AS first_chunk_change,
       slow AS p95, failures AS failed, first_call
FROM beside ORDER BY endpoint, first_call DESC, prompt_version DESC LIMIT 200
"""
    ),
    height=12,
    no_value="no prompt version stated in range",
    columns=[
        Column(
            "endpoint",
            link=("Only this one", link("versions", endpoint="${__value.raw:percentencode}")),
        ),
        Column(
            "prompt_version",
            link=(
                "Its calls",
                link(
                    "attribution",
                    endpoint="${__data.fields.endpoint:percentencode}",
                    prompt_version="${__value.raw:percentencode}",
                ),
            ),
        ),
        Column("calls", COUNT, width=80),
        Column("spend", EXACT_USD, width=100),
        Column("per_call", EXACT_USD, width=100),
        change("per_call_change", width=120, steps=(("text", None), ("red", 0.2))),
        Column("input_tokens", COUNT, 0, width=110),
        Column("output_tokens", COUNT, 0, width=110),
        change("tokens_change", width=120),
        Column("first_chunk_p95", "s", width=120),
        change("first_chunk_change", width=140, steps=(("text", None), ("red", 0.3))),
        Column("p95", "s", width=80),
        Column("failed", SHARE, 1, width=80, steps=ERRORS),
    ],
)


def by_version(measure: str, condition: str = "1") -> str:
    return calls(
        f"""
, biggest AS (
  SELECT endpoint, prompt_version FROM calls WHERE prompt_version != '-'
  GROUP BY endpoint, prompt_version ORDER BY count() DESC, endpoint, prompt_version LIMIT 8
)
SELECT $__timeInterval(at) AS time, concat(endpoint, ' ', prompt_version) AS series, {measure}
FROM calls
WHERE (endpoint, prompt_version) IN (SELECT endpoint, prompt_version FROM biggest) AND {condition}
GROUP BY time, series ORDER BY time, series
"""
    )


NAMED = "${__field.labels.series}"
BIGGEST = "the eight most called versions of the range"

BOARD = Board(
    "versions",
    "Prompt versions",
    "Did the new prompt version cost more, take longer or fail more than the one before?",
    [
        Row(
            "Is a version stated?",
            [
                number(
                    "Calls with a version",
                    "Share of the calls in the range that state their prompt version.",
                    calls(
                        "SELECT countIf(prompt_version != '-') / nullIf(count(), 0) AS share FROM calls"
                    ),
                    width=6,
                    height=4,
                    columns=[Column("share", SHARE, 1)],
                ),
                number(
                    "Versions",
                    "Different prompt versions in the range, each endpoint's counted apart.",
                    calls(
                        "SELECT uniqExactIf((endpoint, prompt_version), prompt_version != '-') "
                        "AS versions FROM calls"
                    ),
                    width=6,
                    height=4,
                    columns=[Column("versions", COUNT)],
                ),
                number(
                    "Spend with a version",
                    "US dollars of the calls in the range that state their prompt version, and of the "
                    "others.",
                    calls(
                        """
SELECT sumIf(cost_usd, prompt_version != '-') AS stated,
       sumIf(cost_usd, prompt_version = '-') AS not_stated
FROM calls
"""
                    ),
                    width=12,
                    height=4,
                    no_value="none priced",
                    columns=[Column("stated", USD), Column("not_stated", USD, nothing="nothing")],
                ),
            ],
        ),
        Row("Did the new version cost more?", [COMPARED]),
        Row(
            "When did it change?",
            [
                lines(
                    "Cost per call",
                    f"US dollars per priced call of each time bucket, {BIGGEST}.",
                    by_version("toFloat64(sum(cost_usd)) / count() AS usd", "cost_usd IS NOT NULL"),
                    unit=USD,
                    display_name=NAMED,
                    no_value="none priced",
                ),
                bars(
                    "Calls",
                    f"Calls of each time bucket, {BIGGEST}.",
                    by_version("count() AS calls"),
                    unit=AXIS_COUNT,
                ),
                lines(
                    "Time to first chunk",
                    f"Slowest 5 % of the streamed calls of each time bucket, {BIGGEST}.",
                    by_version(
                        "quantile(0.95)(time_to_first_chunk_s) AS p95",
                        "time_to_first_chunk_s IS NOT NULL",
                    ),
                    unit="s",
                    display_name=NAMED,
                    no_value="no streamed calls in range",
                ),
                lines(
                    "Tokens per call",
                    f"Mean of input and output tokens per call of each time bucket, {BIGGEST}.",
                    by_version("avg(tokens) AS mean", "tokens > 0"),
                    unit=AXIS_COUNT,
                    display_name=NAMED,
                ),
            ],
        ),
        trust.ROW,
    ],
    annotations=[DEPLOYS],
)
