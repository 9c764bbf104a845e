"""Attribution: which endpoints, tenants, users, teams and models, and which single calls."""

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
    Panel,
    bars,
    change,
    number,
    table,
)
from ..sql import calls
from . import trust
from .months import MONTHS
from .overview import spend_by

__all__ = ["BOARD", "DEAREST"]

VALUE = "${__value.raw:percentencode}"
RAW = "${__data.fields.%s:percentencode}"

MEASURES = [
    Column("spend", EXACT_USD, width=110),
    Column("share", SHARE, 1, width=140, bar=True),
    Column("calls", COUNT, width=90),
    Column("per_call", EXACT_USD, width=110),
    change("per_call_change", width=130),
    Column("tokens_per_call", COUNT, 0, width=130),
    Column("failed", SHARE, 1, width=90, steps=ERRORS),
    Column("p95", "s", width=90),
]


def top(what: str, kind: str, target: str, width: int = 24) -> Panel:
    """The twenty dearest values of a column and one row for all others: it adds up to the spend.

    Args:
        what: the column of `calls`.
        kind: what one is called in the title, in the plural.
        target: uid of the board on which one value opens.
    """
    statement = f"""
, each AS (
  SELECT {what} AS one, sumIf(cost_usd, current) AS usd, sumIf(cost_usd, NOT current) AS usd_before,
         countIf(current) AS n, countIf(cost_usd IS NOT NULL AND current) AS priced,
         countIf(cost_usd IS NOT NULL AND NOT current) AS priced_before,
         sumIf(tokens, current) AS t, countIf(failed AND current) AS failing,
         groupArraySampleIf(8192, 1)(toFloat32(duration_s), current) AS slow
  FROM calls GROUP BY one
), placed AS (
  SELECT *, row_number() OVER (ORDER BY n = 0, usd DESC NULLS LAST, n DESC, one) <= 20 AND n > 0 AS big
  FROM each
), named AS (
  SELECT if(big, one, '(all others)') AS name, sum(usd) AS spend, sum(usd_before) AS spend_before,
         sum(n) AS calls, sum(priced) AS n_priced, sum(priced_before) AS n_priced_before,
         sum(t) AS tokens_of, sum(failing) AS failures,
         arrayReduce('quantile(0.95)', groupArraySampleArray(8192, 1)(slow)) AS slowest
  FROM placed GROUP BY name
)
SELECT name AS {what}, spend,
       toFloat64(spend) / nullIf(sum(toFloat64(spend)) OVER (), 0) AS share, calls,
       toFloat64(spend) / nullIf(n_priced, 0) AS per_call,
       per_call / nullIf(toFloat64(spend_before) / nullIf(n_priced_before, 0), 0) - 1
           AS per_call_change,
       tokens_of / calls AS tokens_per_call, failures / calls AS failed,
       if(calls < 20, NULL, slowest) AS p95
FROM named WHERE calls > 0
ORDER BY name = '(all others)', spend DESC NULLS LAST, calls DESC, name
"""
    return table(
        f"Top {kind}",
        f"The dearest {kind} of the range; change of the cost per priced call against the equally "
        "long time before; slowest 5 % of the calls from 20 calls on.",
        calls(statement, "both"),
        width=width,
        columns=[Column(what, link=("Only this one", link(target, **{what: VALUE}))), *MEASURES],
    )


CONCENTRATION = number(
    "Is it one account?",
    "Share of the spend in the range of the dearest tenant and of the ten dearest tenants.",
    calls(
        """
, tenants AS (
  SELECT tenant, toFloat64(sum(cost_usd)) AS usd,
         row_number() OVER (ORDER BY usd DESC NULLS LAST, tenant) AS place
  FROM calls GROUP BY tenant
)
SELECT sumIf(usd, place = 1) / nullIf(sum(usd), 0) AS first,
       sumIf(usd, place <= 10) / nullIf(sum(usd), 0) AS first_ten
FROM tenants
"""
    ),
    width=6,
    no_value="none priced",
    columns=[Column("first", SHARE, 1), Column("first_ten", SHARE, 1)],
)
WHO = number(
    "Who calls?",
    "Different tenants, users and endpoints of the range; those that nobody stated are not counted.",
    calls(
        """
SELECT uniqExactIf(tenant, tenant != '-') AS tenants, uniqExactIf(user, user != '-') AS users,
       uniqExactIf(endpoint, endpoint != '-') AS endpoints
FROM calls
"""
    ),
    width=6,
    columns=[Column(name, COUNT) for name in ("tenants", "users", "endpoints")],
)
ACTION = table(
    "What does one user action cost?",
    "Cost of whole traces by the endpoint of their first call: the middle one, the dearest 5 % from "
    "20 traces on, the dearest; only calls that the filters leave.",
    calls(
        """
, actions AS (
  SELECT trace_id, argMin(endpoint, at) AS endpoint_of, sum(cost_usd) AS usd, count() AS n
  FROM calls WHERE cost_usd IS NOT NULL GROUP BY trace_id
)
SELECT endpoint_of AS endpoint, count() AS traces, sum(n) / count() AS calls_per_trace,
       quantile(0.5)(toFloat64(usd)) AS p50,
       if(count() < 20, NULL, quantile(0.95)(toFloat64(usd))) AS p95, max(usd) AS most,
       argMax(trace_id, usd) AS dearest
FROM actions GROUP BY endpoint_of ORDER BY sum(usd) DESC, endpoint_of LIMIT 20
"""
    ),
    no_value="none priced",
    columns=[
        Column("endpoint", link=("Versions", link("versions", endpoint=VALUE))),
        Column("traces", COUNT, width=90),
        Column("calls_per_trace", COUNT, 1, width=130),
        *[Column(name, EXACT_USD, width=110) for name in ("p50", "p95", "most")],
        Column("dearest", link=("Open trace", link("trace", trace_id=VALUE))),
    ],
)
DEAREST = table(
    "Most expensive calls",
    "The fifty dearest calls of the range, each with its trace.",
    calls(
        """
SELECT at AS time, cost_usd AS cost, endpoint, prompt_version, tenant, user, model, route,
       input_tokens, output_tokens, duration_s AS duration, status, grade, trace_id
FROM calls WHERE cost_usd > 0 ORDER BY cost_usd DESC, call_id LIMIT 50
"""
    ),
    height=12,
    sort="cost",
    no_value="none priced",
    columns=[
        Column(
            "cost",
            EXACT_USD,
            width=110,
            link=("Open trace", link("trace", trace_id=RAW % "trace_id")),
        ),
        Column("endpoint", link=("Only this one", link("attribution", endpoint=VALUE))),
        Column("tenant", link=("Only this one", link("attribution", tenant=VALUE))),
        Column("input_tokens", COUNT, width=110),
        Column("output_tokens", COUNT, width=110),
        Column("duration", "s", width=90),
        Column("trace_id", width=130, link=("Open trace", link("trace", trace_id=VALUE))),
    ],
)
TOKENS = bars(
    "Tokens by kind",
    "Tokens of each time bucket in parts that do not overlap: input read from a cache, written to "
    "one, or neither; output spent on reasoning or not.",
    calls(
        """
SELECT $__timeInterval(at) AS time,
       sum(greatest(toInt64(coalesce(input_tokens, 0)) - toInt64(coalesce(cache_read_tokens, 0))
           - toInt64(coalesce(cache_write_tokens, 0)), 0)) AS "fresh input",
       sum(coalesce(cache_read_tokens, 0)) AS "cached input",
       sum(coalesce(cache_write_tokens, 0)) AS "written to cache",
       sum(greatest(toInt64(coalesce(output_tokens, 0)) - toInt64(coalesce(reasoning_tokens, 0)), 0))
           AS "output",
       sum(coalesce(reasoning_tokens, 0)) AS "reasoning"
FROM calls GROUP BY time ORDER BY time
"""
    ),
    unit=AXIS_COUNT,
    display_name="${__field.name}",
)
CACHING = number(
    "Does caching help?",
    "Share of the input tokens of the range that the provider read from its cache, and what that saved "
    "against the price of uncached input, writing to the cache counted; share of the calls that a "
    "gateway's cache answered, and what those would have cost.",
    calls(
        """
SELECT sum(cache_read_tokens) / nullIf(sum(input_tokens), 0) AS tokens_cached,
       sum(cache_saved_usd) AS saved,
       countIf(cache_hit) / nullIf(count(), 0) AS calls_cached, sum(avoided_usd) AS avoided
FROM calls
"""
    ),
    width=12,
    no_value="none known",
    columns=[
        Column("tokens_cached", SHARE, 1),
        Column("saved", USD),
        Column("calls_cached", SHARE, 1),
        Column("avoided", USD),
    ],
)
SAVED = table(
    "What does prompt caching save?",
    "By endpoint and model: share of the input tokens of the range that were read from the provider's "
    "cache, and US dollars saved against the price of uncached input; below zero where writing to the "
    "cache cost more than reading from it saved.",
    calls(
        """
SELECT endpoint, model, countIf(cache_read_tokens > 0 OR cache_write_tokens > 0) AS calls,
       sum(cache_read_tokens) / nullIf(sum(input_tokens), 0) AS tokens_cached,
       sum(cache_saved_usd) AS saved,
       toFloat64(saved) / nullIf(toFloat64(sum(cost_usd)) + toFloat64(saved), 0) AS of_full_price
FROM calls WHERE cache_read_tokens > 0 OR cache_write_tokens > 0
GROUP BY endpoint, model ORDER BY saved DESC NULLS LAST, endpoint, model LIMIT 20
"""
    ),
    no_value="no prompt caching in range",
    columns=[
        Column("endpoint", link=("Versions", link("versions", endpoint=VALUE))),
        Column("calls", COUNT, width=90),
        Column("tokens_cached", SHARE, 1, width=140, bar=True),
        Column("saved", USD, width=120),
        Column("of_full_price", SHARE, 1, width=120),
    ],
)

BOARD = Board(
    "attribution",
    "Attribution",
    "Which endpoints, tenants, users, teams and models spend the money?",
    [
        Row("Who spends?", [top("endpoint", "endpoints", "versions"), CONCENTRATION, WHO, CACHING]),
        Row(
            "Which tenants, users and teams?",
            [
                top("tenant", "tenants", "attribution"),
                top("user", "users", "attribution", 24),
                top("team", "teams", "attribution", 24),
                MONTHS,
            ],
        ),
        Row(
            "Which models?",
            [
                bars(
                    "Spend by provider",
                    "US dollars of each time bucket, the six dearest providers of the range apart.",
                    spend_by("provider", "usd"),
                    unit=USD,
                    no_value="none priced",
                ),
                TOKENS,
                top("model", "models", "attribution"),
                SAVED,
            ],
        ),
        Row("Which calls?", [ACTION, DEAREST]),
        trust.ROW,
    ],
)
