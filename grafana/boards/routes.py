"""What a change of route did: before and after it at the same endpoint. Rows of the board of hops."""

from __future__ import annotations

from ..board import link
from ..panels import AXIS_COUNT, COUNT, EXACT_USD, USD, Column, bars, change, lines, table
from ..sql import calls
from .versions import steps, switches

__all__ = ["BEFORE_AFTER", "CHANGES", "SWITCHES"]

VALUE = "${__value.raw:percentencode}"
NAMED = "${__field.labels.series}"
LEAST = 5
"""Calls of a time bucket that tell the usual route: one endpoint may well use several models."""
SWITCHES = ("Routes", "blue", switches("route", LEAST))


def by_route(measure: str, condition: str = "1") -> str:
    return calls(
        f"""
, biggest AS (SELECT route FROM calls GROUP BY route ORDER BY count() DESC, route LIMIT 6)
SELECT $__timeInterval(at) AS time,
       if(route IN (SELECT route FROM biggest), route, '(all others)') AS series, {measure}
FROM calls WHERE {condition} GROUP BY time, series ORDER BY time, series
"""
    )


CHANGES = [
    bars(
        "Calls by route",
        "Calls of each time bucket, the six most used routes of the range apart.",
        by_route("count() AS calls"),
        unit=AXIS_COUNT,
    ),
    lines(
        "Cost per call by route",
        "US dollars per priced call of each time bucket, the six most used routes of the range.",
        by_route("toFloat64(sum(cost_usd)) / count() AS usd", "cost_usd IS NOT NULL"),
        unit=USD,
        display_name=NAMED,
        no_value="none priced",
    ),
    lines(
        "Attempts per call by route",
        "Requests of the SDK, or those that reached a model where they were more, per call of each time "
        "bucket, the six most used routes.",
        by_route("avg(requests) AS attempts"),
        unit="none",
        display_name=NAMED,
    ),
    lines(
        "Duration by route",
        "Middle of the calls of each time bucket, the six most used routes of the range.",
        by_route("quantile(0.5)(duration_s) AS p50", "duration_s IS NOT NULL"),
        unit="s",
        display_name=NAMED,
    ),
]
BEFORE_AFTER = table(
    "Before and after a change of route",
    "Each endpoint whose usual route changed in the range, at its last change, which is marked on the "
    "charts: cost per priced call, requests that reached a model per call, middle duration, and the "
    "models that answered most, before it (then) and from it on (since).",
    calls(
        f"""{steps("route", LEAST)}
, changes AS (
  SELECT endpoint, argMax(last, bucket) AS was, argMax(now, bucket) AS became,
         max(bucket) AS since
  FROM steps WHERE last != '' AND last != now GROUP BY endpoint
), sides AS (
  SELECT endpoint, was, became, since, at >= since AS later, cost_usd, upstream_attempts,
         duration_s, model
  FROM calls INNER JOIN changes USING (endpoint)
)
SELECT endpoint, any(was) AS before, any(became) AS after, any(since) AS changed,
       countIf(NOT later) AS calls_then, countIf(later) AS calls_since,
       toFloat64(sumIf(cost_usd, NOT later)) / nullIf(countIf(cost_usd IS NOT NULL AND NOT later), 0)
           AS cost_then,
       toFloat64(sumIf(cost_usd, later)) / nullIf(countIf(cost_usd IS NOT NULL AND later), 0)
           AS cost_since,
       cost_since / nullIf(cost_then, 0) - 1 AS cost_change,
       avgIf(upstream_attempts, NOT later) AS tries_then,
       avgIf(upstream_attempts, later) AS tries_since,
       quantileIf(0.5)(duration_s, NOT later) AS p50_then,
       quantileIf(0.5)(duration_s, later) AS p50_since,
       arrayStringConcat(topKIf(3)(model, NOT later), ', ') AS models_then,
       arrayStringConcat(topKIf(3)(model, later), ', ') AS models_since
FROM sides GROUP BY endpoint ORDER BY changed DESC, endpoint LIMIT 50
"""
    ),
    no_value="no usual route changed in range",
    columns=[
        Column("endpoint", link=("Only this one", link("hops", endpoint=VALUE))),
        *[Column(name, COUNT, width=90) for name in ("calls_then", "calls_since")],
        *[Column(name, EXACT_USD, width=100) for name in ("cost_then", "cost_since")],
        change("cost_change", width=120, steps=(("text", None), ("red", 0.2))),
        *[Column(name, COUNT, 2, width=90) for name in ("tries_then", "tries_since")],
        *[Column(name, "s", width=90) for name in ("p50_then", "p50_since")],
    ],
)
