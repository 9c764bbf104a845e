"""Measures of a set of calls, made of a row of sums: what is known of it, and which part is not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from .usage_sums import AMOUNTS, GRADES, STATUSES, TOKENS

__all__ = ["iso", "measures", "measures_in_time", "money", "ratio"]

QUANTILES = ("p50", "p95", "p99")
STEP = Decimal("0.000000000001")


def measures(row: Mapping[str, Any]) -> dict[str, Any]:
    """The measures of a row that has `usage_sums.MEASURES`."""
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
        "duration_s": dict(zip(QUANTILES, row["m_duration"], strict=True)),
        "time_to_first_chunk_s": dict(zip(QUANTILES, row["m_first"], strict=True)),
        "output_tokens_per_s": ratio(
            row["m_speed_tokens"] and 10**9 * row["m_speed_tokens"], row["m_speed_ns"]
        ),
    }
    return made


def measures_in_time(row: Mapping[str, Any]) -> dict[str, Any]:
    """Of such a row the measures of a bucket of time; its `b` is where the bucket begins, in ms."""
    errors = row["m_error"] + row["m_blocked"]
    return {
        "time": iso(row["b"]),
        "calls": row["m_calls"],
        "cost_usd": money(row["m_cost"]),
        "unpriced_calls": row["m_unpriced"],
        "tokens": {each: _whole(row[f"m_tokens_{each}"]) for each in ("input", "output")},
        "errors": errors,
        "error_rate": ratio(errors, row["m_calls"]),
        "duration_s": dict(zip(QUANTILES, row["m_duration"], strict=True)),
        "time_to_first_chunk_s": dict(zip(QUANTILES, row["m_first"], strict=True)),
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
