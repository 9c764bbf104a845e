"""`GET /v1/replacement/metrics`: the model that was asked for against the one that answered.

A call counts where both are known (`model_swapped` is); a dated name of the same model is no other
model. A model is *replaceable* if any call for it was answered by another one in the time asked for.
A caller opts out by tagging a call `replacement=off` (another tag: `opt_out=tag.<key>:<value>`):
nobody but the caller can know that it did. A turn is a call of the same session.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from .queries import MODEL, TAG, BadFilter
from .readable import Readable
from .usage_asked import Asked, asked, number
from .usage_measures import iso, money, ratio

__all__ = ["OTHERS", "replacement"]

OTHERS = ("opt_out", "limit")
OPT_OUT = "tag.replacement:off"
LINES, MOST_LINES = 50, 500
KNOWN = "model_swapped IS NOT NULL"
LEVELS = ("p50", "p95")
EFFECT = """
    count() AS n, sum(cost_usd) AS usd, count(cost_usd) AS priced,
    sumIf(coalesce(input_tokens, 0) + coalesce(output_tokens, 0), cost_usd IS NOT NULL) AS tokens,
    quantilesExactInclusive(0.5, 0.95)(duration_s) AS took,
    quantilesExactInclusive(0.5, 0.95)(time_to_first_chunk_s) AS first,
    countIf(status IN ('error', 'blocked')) AS errors
"""
"""What a replacement may change."""

Row = dict[str, Any]


def replacement(
    ledger: Readable, items: Iterable[tuple[str, str]], *, now: datetime | None = None
) -> dict[str, Any]:
    """Answer `items`, the members of a query string.

    Raises:
        BadFilter: the query cannot be understood; the message says which member.
    """
    found = asked(items, OTHERS, now=now)
    limit = number(found.others, "limit", LINES, MOST_LINES)
    opted_out = _opt_out(found)
    lacking = _count(ledger, found, "model_swapped IS NULL")
    found.filters.add(KNOWN)
    replaceable = (
        f"request_model IN (SELECT DISTINCT request_model FROM tollspan_calls {found.filters.where} "
        "AND model_swapped)"
    )
    row = ledger.query(
        f"SELECT count() AS n, countIf(model_swapped) AS swapped, countIf({replaceable}) AS able, "
        f"countIf({opted_out}) AS out, countIf({opted_out} AND model_swapped) AS ignored, "
        f"countIf(NOT model_swapped AND {replaceable} AND NOT {opted_out}) AS kept "
        f"FROM tollspan_calls {found.filters.where}",
        found.filters.bound,
    )[0]
    return found.range() | {
        "calls": row["n"],
        "calls_not_known": lacking,
        "replaced_calls": row["swapped"],
        "activation_rate": ratio(row["swapped"], row["n"]),
        "replaceable_calls": row["able"],
        "replaceable_activation_rate": ratio(row["swapped"], row["able"]),
        "kept_calls": row["kept"],
        "opt_out_calls": row["out"],
        "opt_out_ignored_calls": row["ignored"],
        "turns_before_replacement": _turns(ledger, found),
        "by_pair": _pairs(ledger, found, limit),
        "by_route": _routes(ledger, found, limit),
        "by_request_model": _requested(ledger, found, limit),
    }


def _opt_out(found: Asked) -> str:
    name, colon, value = found.others.get("opt_out", OPT_OUT).partition(":")
    if not (name.startswith(TAG) and name != TAG and colon and value):
        raise BadFilter("opt_out is no tag with a value: write tag.replacement:off")
    found.filters.bound |= {"out_tag": name.removeprefix(TAG), "out_value": value}
    return "tags[{out_tag:String}] = {out_value:String}"


def _count(ledger: Readable, found: Asked, condition: str) -> int:
    base = f"{found.filters.where} AND" if found.filters.where else "WHERE"
    row = ledger.query(
        f"SELECT count() AS n FROM tollspan_calls {base} {condition}", found.filters.bound
    )[0]
    return int(row["n"])


def _turns(ledger: Readable, found: Asked) -> Row:
    """Calls of a session before the first that was answered by another model, of those sessions."""
    row = ledger.query(
        "SELECT count() AS sessions, countIf(replaced) AS affected, "
        "quantilesExactInclusiveIf(0.5, 0.95)(before, replaced) AS levels, "
        "sumIf(before, replaced) AS turns, maxIf(before, replaced) AS most FROM ("
        "SELECT session, arraySort(groupArray((call_id, model_swapped = 1))) AS turn, "
        "arrayFirstIndex(each -> each.2, turn) AS at, at > 0 AS replaced, at - 1 AS before "
        f"FROM tollspan_calls {found.filters.where} AND session != '' GROUP BY session)",
        found.filters.bound,
    )[0]
    affected = row["affected"]
    return {
        "sessions": row["sessions"],
        "replaced_sessions": affected,
        "mean": ratio(row["turns"], affected),
        **dict(zip(LEVELS, row["levels"] if affected else (None, None), strict=True)),
        "max": row["most"] if affected else None,
    }


def _pairs(ledger: Readable, found: Asked, limit: int) -> list[Row]:
    """Pairs of models, each against calls for the same model that it answered itself."""
    rows = ledger.query(
        f"SELECT request_model AS asked, {MODEL} AS answered, {EFFECT}, "
        "toUnixTimestamp64Milli(max(time)) AS last_ms "
        f"FROM tollspan_calls {found.filters.where} AND model_swapped "
        "GROUP BY asked, answered ORDER BY n DESC, asked, answered LIMIT {lines:UInt32}",
        found.filters.bound | {"lines": limit},
    )
    kept = {
        row["asked"]: row
        for row in ledger.query(
            f"SELECT request_model AS asked, {EFFECT} FROM tollspan_calls {found.filters.where} "
            "AND NOT model_swapped AND request_model IN {models:Array(String)} GROUP BY asked",
            found.filters.bound | {"models": sorted({row["asked"] for row in rows})},
        )
    }
    made = []
    for row in rows:
        beside = kept.get(row["asked"])
        made.append(
            {
                "requested_model": row["asked"] or None,
                "served_model": row["answered"] or None,
                "last_time": iso(row["last_ms"]),
                "replaced": _effect(row),
                "kept": _effect(beside) if beside else None,
                "difference": _difference(row, beside) if beside else None,
            }
        )
    return made


def _effect(row: Row) -> Row:
    return {
        "calls": row["n"],
        "cost_usd": money(row["usd"]),
        "cost_per_call_usd": _each(row["usd"], row["priced"]),
        "cost_per_1k_tokens_usd": _each(row["usd"], row["tokens"], 1000),
        "duration_s": dict(zip(LEVELS, row["took"], strict=True)),
        "time_to_first_chunk_s": dict(zip(LEVELS, row["first"], strict=True)),
        "error_rate": ratio(row["errors"], row["n"]),
    }


def _difference(row: Row, beside: Row) -> Row:
    """Replaced less kept: below 0 is cheaper, or faster."""
    ours, theirs = _effect(row), _effect(beside)

    def less(name: str) -> str | None:
        here, there = ours[name], theirs[name]
        return None if here is None or there is None else money(Decimal(here) - Decimal(there))

    def faster(name: str) -> float | None:
        here, there = ours[name]["p50"], theirs[name]["p50"]
        return None if here is None or there is None else here - there

    return {
        "cost_per_call_usd": less("cost_per_call_usd"),
        "cost_per_1k_tokens_usd": less("cost_per_1k_tokens_usd"),
        "duration_p50_s": faster("duration_s"),
        "time_to_first_chunk_p50_s": faster("time_to_first_chunk_s"),
    }


def _routes(ledger: Readable, found: Asked, limit: int) -> list[Row]:
    rows = ledger.query(
        "SELECT route AS way, count() AS n, countIf(model_swapped) AS swapped "
        f"FROM tollspan_calls {found.filters.where} GROUP BY way "
        "ORDER BY swapped DESC, n DESC, way LIMIT {lines:UInt32}",
        found.filters.bound | {"lines": limit},
    )
    return [{"route": row["way"] or None, **_rate(row)} for row in rows]


def _requested(ledger: Readable, found: Asked, limit: int) -> list[Row]:
    rows = ledger.query(
        "SELECT request_model AS asked, count() AS n, countIf(model_swapped) AS swapped "
        f"FROM tollspan_calls {found.filters.where} GROUP BY asked "
        "ORDER BY swapped DESC, n DESC, asked LIMIT {lines:UInt32}",
        found.filters.bound | {"lines": limit},
    )
    return [{"requested_model": row["asked"] or None, **_rate(row)} for row in rows]


def _rate(row: Row) -> Row:
    swapped = row["swapped"]
    return {
        "calls": row["n"],
        "replaced_calls": swapped,
        "activation_rate": ratio(swapped, row["n"]),
    }


def _each(cost: Any, parts: Any, times: int = 1) -> str | None:
    if cost is None or not parts:
        return None
    return money((Decimal(cost) * times / int(parts)).quantize(Decimal("1e-12")))
