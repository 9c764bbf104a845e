"""What calls cost each budget: the calls that its filters leave, in the period that the time range ends in.

`tollspan_budgets` says where every budget stands now. Time series and paces need the same sums by time
bucket, so they are made here from the same tables: the budgets, the calls that are real or of which nobody says
what they are, and the sums of their hours. Variables of the boards do not filter what a budget counts.
"""

from __future__ import annotations

__all__ = ["MOMENT", "spent"]

MOMENT = "toDateTime($__toTime, 'UTC')"
"""The end of the time range: which period is looked at."""

MODEL = "coalesce(nullIf(c.served_model, ''), nullIf(c.response_model, ''), c.request_model)"
COLUMNS = {
    name: f"c.{name}"
    for name in [
        *(
            "service",
            "environment",
            "data_mode",
            "operation",
            "endpoint",
            "prompt",
            "prompt_version",
        ),
        "tenant",
        *("user", "session", "provider", "server_address", "request_model", "response_model"),
        *("served_model", "route", "service_tier", "api_key"),
    ]
} | {"model": MODEL}
"""What a filter may name, beside `tag.<key>`, and where it stands."""


NOBODY = "char(0)"
"""Stands for every value that no budget names, so that calls fall into few groups."""


def spent(bucket: str, fine_from: str, before: str) -> str:
    """Table expressions up to `limits`, every enabled budget with `start` and `end` of its period, and
    `spent`, the `usd` of each budget's `name` by `bucket` and `day` (UTC), of a month at most.

    Hours before `fine_from` that the ledger has counted for these budgets come from its sums, everything
    else from the calls. A column that no budget filters by is not read. Calls are summed by what budgets
    name, then each sum is looked up by the columns and values of a budget's filters, so that thousands of
    budgets cost little more than one.

    Args:
        bucket: an expression of the call's `c.time`.
        fine_from: the moment before which every call has the same bucket.
        before: that bucket.
    """
    named = ",\n         ".join(
        f"if(has(asked, '{name}'), if(concat('{name}', {NOBODY}, {column}) IN (SELECT arrayJoin(pairs)), "
        f"{column}, {NOBODY}), '') AS c_{name}"
        for name, column in COLUMNS.items()
    )
    value = "".join(f"key = '{name}', s.c_{name}, " for name in COLUMNS)
    return f"""limits AS (
  SELECT name, filters, period, limit_usd, soft_ratio, owner, contact,
         arraySort(mapKeys(filters)) AS keys, arrayMap(key -> filters[key], keys) AS wanted,
         multiIf(period = 'day', toStartOfDay({MOMENT}),
                 period = 'week', toDateTime(toStartOfWeek({MOMENT}, 1), 'UTC'),
                 toDateTime(toStartOfMonth({MOMENT}), 'UTC')) AS start,
         multiIf(period = 'day', addDays(start, 1), period = 'week', addWeeks(start, 1),
                 addMonths(start, 1)) AS end
  FROM budgets AS b FINAL WHERE enabled
), (
  SELECT arrayDistinct(arrayFlatten(groupArray(keys))) FROM limits
) AS asked, (
  SELECT groupUniqArray(keys) FROM limits
) AS shapes, (
  SELECT groupUniqArrayArray(arrayMap(key -> concat(key, {NOBODY}, filters[key]), keys)) FROM limits
) AS pairs, arrayFilter(key -> startsWith(key, 'tag.'), asked) AS tagged,
toStartOfHour(toDateTime({fine_from}, 'UTC')) AS fine_from, (
  SELECT least(coalesce(minOrNull(start), fine_from), fine_from) FROM limits
) AS begin, (
  SELECT arrayPushBack(arraySort(groupArray(h.bucket)), toDateTime(0, 'UTC')) FROM tollspan_budget_hours AS h
  WHERE h.budget = '' AND h.bucket >= begin
) AS known, (
  SELECT least(begin + 3600 * (arrayFirstIndex((hour, place) -> hour != begin + 3600 * (place - 1),
                                               known, arrayEnumerate(known)) - 1),
               fine_from, doubt_from)
  FROM tollspan_budget_doubt
) AS known_until, paid AS (
  SELECT {bucket} AS bucket, toStartOfDay(c.time) AS day,
         {named},
         arrayMap(key -> if(has(pairs, concat(key, {NOBODY}, c.tags[substring(key, 5)])),
                            c.tags[substring(key, 5)], {NOBODY}), tagged) AS c_tags,
         c.data_mode IN ('real', '') AS is_real, sum(c.cost_usd) AS usd
  FROM tollspan_calls AS c
  WHERE c.time >= known_until AND c.time <= $__toTime AND c.cost_usd IS NOT NULL
    AND (c.data_mode IN ('real', '') OR concat('data_mode', {NOBODY}, c.data_mode) IN (SELECT arrayJoin(pairs)))
  GROUP BY ALL
), sums AS (
  SELECT s.bucket AS bucket, s.day AS day, s.usd AS usd,
         arrayJoin(arrayFilter(keys -> s.is_real OR has(keys, 'data_mode'), shapes)) AS shape,
         arrayMap(key -> multiIf({value}s.c_tags[indexOf(tagged, key)]), shape) AS had
  FROM paid AS s
), spent AS (
  SELECT b.name AS name, e.bucket AS bucket, e.day AS day, sum(e.usd) AS usd
  FROM sums AS e INNER JOIN limits AS b ON e.shape = b.keys AND e.had = b.wanted
  GROUP BY name, bucket, day
  UNION ALL
  SELECT h.budget AS name, {before} AS bucket, toStartOfDay(h.bucket) AS day, sum(h.usd) AS usd
  FROM tollspan_budget_hours AS h
  WHERE h.bucket >= begin AND h.bucket < known_until AND h.budget != '' AND h.usd IS NOT NULL
  GROUP BY name, bucket, day
)"""
