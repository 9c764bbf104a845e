"""Sums over calls, in SQL: which there are, and from what they are added up.

A *fact* is a row with the columns of `OF_A_CALL`: one call, or all calls of an hour with the same names as
`tollspan_usage_hours` and the like have them. Every sum is over whole numbers or decimals, and every quantile is exact,
so that the same calls give the same answer to the last digit, from whichever facts it is made.
"""

from __future__ import annotations

from collections.abc import Mapping

from .queries import UNPRICED

__all__ = [
    "AMOUNTS",
    "FACTS",
    "GRADES",
    "LEVELS",
    "LEVEL_SORTS",
    "MEASURES",
    "OF_A_CALL",
    "SORTS",
    "STATUSES",
    "TOKENS",
    "sorts",
    "sums",
]

GRADES = ("billed", "derived", "lower_bound", "estimated")
STATUSES = ("success", "error", "cancelled", "abandoned", "blocked")
TOKENS = ("input", "output", "cache_read", "cache_write", "reasoning")
AMOUNTS = ("reported_usd", "derived_usd", "avoided_usd", "wasted_usd", "cache_saved_usd")
FAILED = "status IN ('error', 'blocked')"
LONGEST_S = 9_000_000_000
"""Seconds; more than a span of the ledger can last, so that its nanoseconds stay a 64-bit number."""

MOST_USED = 1_000_000_000_000_000
"""Of a count without a column, likewise."""

SPEEDY = "status = 'success' AND duration_s > 0 AND output_tokens IS NOT NULL"
TOOK_NS = f"toInt128(toInt64(round(least(duration_s, {LONGEST_S}.0) * 1e9)))"
USED = f"toDecimal128(round(least(v, {MOST_USED}.0) * 1e6), 0)"
OF_A_CALL: Mapping[str, str] = {
    "calls": "toUInt64(1)",
    "priced_calls": "toUInt64(cost_usd IS NOT NULL)",
    "unpriced_calls": f"toUInt64{UNPRICED}",
    "cost": "cost_usd",
    **{each.removesuffix("_usd"): each for each in AMOUNTS},
    **{each: f"{each}_tokens" for each in TOKENS},
    "used": f"mapApply((k, v) -> (k, {USED}), usage)",
    "attempts": "app_attempts",
    "attempts_known": "toUInt64(app_attempts IS NOT NULL)",
    "retried": "toUInt64(ifNull(app_attempts > 1, 0))",
    "upstream": "upstream_attempts",
    "fallbacks": "toUInt64(ifNull(fallback, 0))",
    "swapped": "toUInt64(ifNull(model_swapped, 0))",
    "cache_hits": "toUInt64(ifNull(cache_hit, 0))",
    "tools": "tool_calls",
    "speed_tokens": f"if({SPEEDY}, output_tokens, NULL)",
    "speed_ns": f"if({SPEEDY}, {TOOK_NS}, NULL)",
    "last_ns": "toUnixTimestamp64Nano(time)",
}
"""Columns of a fact, and what they are of one call; of an hour they are the sums, and the latest `last_ns`."""

FACTS: Mapping[str, str] = {name: name for name in OF_A_CALL}
"""The same columns where rows are facts already."""

LEVELS = (
    "quantilesExactInclusive(0.5, 0.95, 0.99)(duration_s) AS m_duration, "
    "quantilesExactInclusive(0.5, 0.95, 0.99)(time_to_first_chunk_s) AS m_first"
)
"""Of calls alone: no sum says what they are."""


def sums(of: Mapping[str, str]) -> str:
    """All sums that an answer is made of, over rows that have the columns of a fact as `of` says."""
    return ", ".join(
        (
            f"sum({of['calls']}) AS m_calls",
            f"sum({of['cost']}) AS m_cost",
            f"sum({of['priced_calls']}) AS m_priced",
            f"sum({of['unpriced_calls']}) AS m_unpriced",
            *(f"sumIf({of['cost']}, cost_grade = '{each}') AS m_usd_{each}" for each in GRADES),
            *(
                f"sumIf({of['priced_calls']}, cost_grade = '{each}') AS m_n_{each}"
                for each in GRADES
            ),
            *(f"sum({of[each.removesuffix('_usd')]}) AS m_{each}" for each in AMOUNTS),
            *(f"sum({of[each]}) AS m_tokens_{each}" for each in TOKENS),
            f"sumMap({of['used']}) AS m_usage",
            *(f"sumIf({of['calls']}, status = '{each}') AS m_{each}" for each in STATUSES),
            f"sum({of['attempts']}) AS m_attempts",
            f"sum({of['attempts_known']}) AS m_attempts_known",
            f"sum({of['retried']}) AS m_retried",
            f"sum({of['upstream']}) AS m_upstream",
            f"sum({of['fallbacks']}) AS m_fallbacks",
            f"sum({of['swapped']}) AS m_swapped",
            f"sum({of['cache_hits']}) AS m_cache_hits",
            f"sum({of['tools']}) AS m_tool_calls",
            f"sum({of['speed_tokens']}) AS m_speed_tokens",
            f"sum({of['speed_ns']}) AS m_speed_ns",
            f"intDiv(max({of['last_ns']}), 1000000) AS m_last_ms",
        )
    )


def sorts(of: Mapping[str, str]) -> dict[str, str]:
    """What groups are ordered by, most or least first; by times that calls took see `LEVEL_SORTS`."""
    failures = f"sumIf({of['calls']}, {FAILED})"
    return {
        "cost": f"sum({of['cost']})",
        "calls": f"sum({of['calls']})",
        "each": f"sum({of['cost']}) / nullIf(sum({of['priced_calls']}), 0)",
        "tokens": f"coalesce(sum({of['input']}), 0) + coalesce(sum({of['output']}), 0)",
        "errors": failures,
        "error_rate": f"{failures} / sum({of['calls']})",
        "retries": f"sum({of['retried']})",
        "wasted": f"sum({of['wasted']})",
        "last": f"max({of['last_ns']})",
    }


LEVEL_SORTS = {
    "p50": "quantileExactInclusive(0.5)(duration_s)",
    "p95": "quantileExactInclusive(0.95)(duration_s)",
    "p99": "quantileExactInclusive(0.99)(duration_s)",
    "first_p95": "quantileExactInclusive(0.95)(time_to_first_chunk_s)",
}
SORTS = sorts(OF_A_CALL) | LEVEL_SORTS
"""Over calls."""

MEASURES = f"{sums(OF_A_CALL)}, {LEVELS}"
"""Everything, over calls."""
