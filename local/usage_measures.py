"""Measures of a set of calls: exact sums, what is known of it, and which part is not.

Every sum is over whole numbers or decimals, and every quantile is exact, so that the same calls give
the same answer to the last digit, wherever they lie and in whatever order they came.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from .queries import UNPRICED

__all__ = [
    "GRADES",
    "IN_TIME",
    "MEASURES",
    "SORTS",
    "STATUSES",
    "iso",
    "measures",
    "measures_in_time",
    "money",
    "ratio",
]

GRADES = ("billed", "derived", "lower_bound", "estimated")
STATUSES = ("success", "error", "cancelled", "abandoned", "blocked")
FAILED = "('error', 'blocked')"
TOKENS = ("input", "output", "cache_read", "cache_write", "reasoning")
AMOUNTS = ("reported_usd", "derived_usd", "avoided_usd", "wasted_usd", "cache_saved_usd")
LEVELS = ("p50", "p95", "p99")
STEP = Decimal("0.000000000001")
LONGEST_S = 10_000_000_000
"""Seconds; more than a span of the ledger can last, so that its sum stays a decimal."""

MOST_USED = 1_000_000_000_000_000
"""Of a count without a column, likewise."""

DURATIONS = (
    "quantilesExactInclusive(0.5, 0.95, 0.99)(duration_s) AS m_duration",
    "quantilesExactInclusive(0.5, 0.95, 0.99)(time_to_first_chunk_s) AS m_first",
)
SPEEDY = "status = 'success' AND duration_s > 0 AND output_tokens IS NOT NULL"
USED = f"toDecimal128(round(least(v, {MOST_USED}.0) * 1e6), 0)"
MEASURES = ", ".join(
    (
        "count() AS m_calls",
        "sum(cost_usd) AS m_cost",
        "count(cost_usd) AS m_priced",
        f"countIf{UNPRICED} AS m_unpriced",
        *(f"sumIf(cost_usd, cost_grade = '{each}') AS m_usd_{each}" for each in GRADES),
        *(f"countIf(cost_usd, cost_grade = '{each}') AS m_n_{each}" for each in GRADES),
        *(f"sum({each}) AS m_{each}" for each in AMOUNTS),
        *(f"sum({each}_tokens) AS m_tokens_{each}" for each in TOKENS),
        f"sumMap(mapApply((k, v) -> (k, {USED}), usage)) AS m_usage",
        *(f"countIf(status = '{each}') AS m_{each}" for each in STATUSES),
        "sum(app_attempts) AS m_attempts",
        "count(app_attempts) AS m_attempts_known",
        "countIf(app_attempts > 1) AS m_retried",
        "sum(upstream_attempts) AS m_upstream",
        "countIf(fallback) AS m_fallbacks",
        "countIf(model_swapped) AS m_swapped",
        "countIf(cache_hit) AS m_cache_hits",
        "sum(tool_calls) AS m_tool_calls",
        *DURATIONS,
        f"sumIf(output_tokens, {SPEEDY}) AS m_speed_tokens",
        f"sumIf(toDecimal128(round(least(duration_s, {LONGEST_S}.0) * 1e9), 0), {SPEEDY}) AS m_speed_ns",
        "toUnixTimestamp64Milli(max(time)) AS m_last_ms",
    )
)
IN_TIME = ", ".join(
    (
        "count() AS m_calls",
        "sum(cost_usd) AS m_cost",
        "count(cost_usd) AS m_priced",
        f"countIf{UNPRICED} AS m_unpriced",
        "sum(input_tokens) AS m_tokens_input",
        "sum(output_tokens) AS m_tokens_output",
        f"countIf(status IN {FAILED}) AS m_errors",
        *DURATIONS,
    )
)
"""Measures of a bucket of time."""

SORTS = {
    "cost": "sum(cost_usd)",
    "calls": "count()",
    "each": "sum(cost_usd) / nullIf(count(cost_usd), 0)",
    "tokens": "sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0))",
    "errors": f"countIf(status IN {FAILED})",
    "error_rate": f"countIf(status IN {FAILED}) / count()",
    "retries": "countIf(app_attempts > 1)",
    "wasted": "sum(wasted_usd)",
    "p50": "quantileExactInclusive(0.5)(duration_s)",
    "p95": "quantileExactInclusive(0.95)(duration_s)",
    "p99": "quantileExactInclusive(0.99)(duration_s)",
    "first_p95": "quantileExactInclusive(0.95)(time_to_first_chunk_s)",
    "last": "max(time)",
}
"""What groups are ordered by."""


def measures(row: Mapping[str, Any]) -> dict[str, Any]:
    """The measures of a row that has `MEASURES`."""
    calls, priced = row["m_calls"], row["m_priced"]
    errors = row["m_error"] + row["m_blocked"]
    statuses = {each: row[f"m_{each}"] for each in STATUSES}
    made: dict[str, Any] = {
        "calls": calls,
        "cost_usd": money(row["m_cost"]) if priced else (None if calls else "0"),
        "cost_per_call_usd": _each(row["m_cost"], priced),
        "priced_calls": priced,
        "unpriced_calls": row["m_unpriced"],
        "cost_by_grade": _grades(row),
    }
    made |= {each: money(row[f"m_{each}"]) for each in AMOUNTS}
    made |= {
        "tokens": {each: _whole(row[f"m_tokens_{each}"]) for each in TOKENS},
        "other_usage": {
            name: float(Decimal(row["m_usage"][name]) / 10**6) for name in sorted(row["m_usage"])
        },
        "statuses": statuses | {"other": calls - sum(statuses.values())},
        "errors": errors,
        "error_rate": ratio(errors, calls),
        "app_attempts": _whole(row["m_attempts"]),
        "upstream_attempts": _whole(row["m_upstream"]),
        "retried_calls": row["m_retried"],
        "retry_ratio": ratio(row["m_retried"], row["m_attempts_known"]),
        "fallbacks": row["m_fallbacks"],
        "swapped_calls": row["m_swapped"],
        "cache_hits": row["m_cache_hits"],
        "tool_calls": _whole(row["m_tool_calls"]),
        "duration_s": dict(zip(LEVELS, row["m_duration"], strict=True)),
        "time_to_first_chunk_s": dict(zip(LEVELS, row["m_first"], strict=True)),
        "output_tokens_per_s": ratio(
            row["m_speed_tokens"] and 10**9 * row["m_speed_tokens"], row["m_speed_ns"]
        ),
    }
    return made


def measures_in_time(row: Mapping[str, Any]) -> dict[str, Any]:
    """The measures of a row that has `IN_TIME`; its `b` is where the bucket begins, in ms."""
    return {
        "time": iso(row["b"]),
        "calls": row["m_calls"],
        "cost_usd": money(row["m_cost"]),
        "unpriced_calls": row["m_unpriced"],
        "tokens": {each: _whole(row[f"m_tokens_{each}"]) for each in ("input", "output")},
        "errors": row["m_errors"],
        "error_rate": ratio(row["m_errors"], row["m_calls"]),
        "duration_s": dict(zip(LEVELS, row["m_duration"], strict=True)),
        "time_to_first_chunk_s": dict(zip(LEVELS, row["m_first"], strict=True)),
    }


def _grades(row: Mapping[str, Any]) -> dict[str, Any]:
    """`{grade: {calls, usd}}` of the priced calls; `other` is a grade that has no name here."""
    found: dict[str, Any] = {
        each: {"calls": row[f"m_n_{each}"], "usd": money(row[f"m_usd_{each}"])}
        for each in GRADES
        if row[f"m_n_{each}"]
    }
    others = row["m_priced"] - sum(row[f"m_n_{each}"] for each in GRADES)
    if others:
        graded = sum((Decimal(row[f"m_usd_{each}"] or 0) for each in GRADES), Decimal(0))
        found["other"] = {"calls": others, "usd": money(Decimal(row["m_cost"]) - graded)}
    return found


def ratio(part: Any, whole: Any) -> float | None:
    """`part` of `whole`; None where there is nothing to divide by. Exact before it is rounded."""
    if part is None or not whole or not Decimal(whole):
        return None
    return float(Decimal(part) / Decimal(whole))


def _each(cost: Any, calls: int) -> str | None:
    if not calls or cost is None:
        return None
    return money((Decimal(cost) / calls).quantize(STEP, ROUND_HALF_EVEN))


def money(amount: Any) -> str | None:
    """A decimal string without zeros at its end."""
    if amount is None:
        return None
    written = format(Decimal(amount), "f")
    return written.rstrip("0").rstrip(".") if "." in written else written


def iso(time_ms: int) -> str:
    """Milliseconds since the epoch as ISO-8601 in UTC, in any year."""
    moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=time_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)
