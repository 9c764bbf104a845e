"""Who or what spends most: one line for each endpoint, tenant, model or route, for `tollspan top`."""

from __future__ import annotations

from typing import Any

from .ledger import Ledger
from .queries import MODEL, UNPRICED, BadFilter, Filters

__all__ = ["BY", "MOST_LINES", "SORTS", "ranking"]

BY = {
    "endpoint": "endpoint",
    "tenant": "tenant",
    "model": MODEL,
    "route": "route",
    "provider": "provider",
    "user": "user",
    "prompt_version": "prompt_version",
}
MOST_LINES = 500
MEASURES = f"""
    count() AS calls, sum(cost_usd) AS spent_usd,
    sum(cost_usd) / nullIf(countIf(cost_usd IS NOT NULL), 0) AS per_call_usd,
    sum(wasted_usd) AS lost_usd, countIf{UNPRICED} AS unpriced_calls,
    countIf(cost_grade = 'lower_bound') AS lower_bound_calls,
    countIf(status IN ('error', 'blocked')) AS errors,
    sum(input_tokens) AS tokens_in, sum(output_tokens) AS tokens_out,
    quantile(0.5)(duration_s) AS p50_s, quantile(0.95)(duration_s) AS p95_s,
    quantile(0.95)(time_to_first_chunk_s) AS first_chunk_p95_s,
    toUnixTimestamp64Milli(max(time)) AS last_ms
"""
SORTS = {
    "cost": "spent_usd",
    "calls": "calls",
    "each": "per_call_usd",
    "tokens": "coalesce(tokens_in, 0) + coalesce(tokens_out, 0)",
    "errors": "errors",
    "wasted": "lost_usd",
    "p95": "p95_s",
    "last": "last_ms",
}
"""What lines are ordered by, most first."""

NAMES = {"spent_usd": "cost_usd", "lost_usd": "wasted_usd", "tokens_in": "input_tokens"} | {
    "tokens_out": "output_tokens"
}


def ranking(ledger: Ledger, found: Filters, by: str, sort: str, limit: int) -> dict[str, Any]:
    """`{by, sort, total, lines}`; a line's `name` is None where it is not known.

    Raises:
        BadFilter: `by` or `sort` is none of `BY` or `SORTS`.
    """
    if by not in BY:
        raise BadFilter(f"by is unknown: write one of {', '.join(BY)}")
    if sort not in SORTS:
        raise BadFilter(f"sort is unknown: write one of {', '.join(SORTS)}")
    lines = ledger.query(
        f"SELECT {BY[by]} AS name, {MEASURES} FROM tollspan_calls {found.where} "
        f"GROUP BY name ORDER BY {SORTS[sort]} DESC NULLS LAST, calls DESC, name "
        "LIMIT {limit:UInt32}",
        found.bound | {"limit": limit},
    )
    total = ledger.query(
        f"SELECT uniqExact({BY[by]}) AS names, {MEASURES} FROM tollspan_calls {found.where}",
        found.bound,
    )[0]
    return {"by": by, "sort": sort, "total": _line(total), "lines": [_line(row) for row in lines]}


def _line(row: dict[str, Any]) -> dict[str, Any]:
    made = {NAMES.get(name, name): value for name, value in row.items()}
    if made.get("name") == "":
        made["name"] = None
    return made
