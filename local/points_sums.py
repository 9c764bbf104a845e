"""Token points of many calls: what each point counts in all, and how much of it differs, by model,
gateway or any other name of the usage API.

The kinds of witnesses are those of `points`; here the engine tells them apart, and only calls of which
both points are known go into a difference.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from .points import APPLICATIONS, NEAR_NS
from .queries import BadFilter
from .reconcile_ledger import Rows
from .usage_asked import RANGE, Asked, asked, dimension, number

__all__ = ["GATEWAY", "GROUPS", "OTHERS", "sums"]

OTHERS = ("by", "limit")
"""Members of the query that are no filters."""

GATEWAY = "gateway"
"""A name to group by that the usage API does not have: the outermost gateway on the way."""

DEFAULT_LAST = "7d"
GROUPS, MOST_GROUPS, MOST_BY = 50, 500, 4
PARTS = ("input", "output", "cache_read", "cache_write")

SCOPES = ", ".join(f"'{scope}'" for scope in APPLICATIONS)
WITNESSED = ", ".join(
    f"anyIf(w.{part}_tokens, kind = '{kind}') AS {kind}_{part}"
    for kind in ("direct", "gateway", "back")
    for part in PARTS
)
STATEMENT = f"""
WITH ways AS (
    SELECT call_id, argMin(if(gateway != '', gateway, name), hop_index) AS way
    FROM llm_hops FINAL
    WHERE owner != 'gone' AND role IN ('proxy', 'router')
      AND time >= fromUnixTimestamp64Nano({{begin:Int64}})
      AND time < fromUnixTimestamp64Nano({{end:Int64}})
    GROUP BY call_id
), owned AS (
    SELECT *, span_id AS owner_id, service AS owner_service, scope IN ({SCOPES}) AS is_app
    FROM tollspan_calls {{where}}
), restated AS (
    SELECT call_id, owner_span_id, service, scope, input_tokens, output_tokens, cache_read_tokens,
           cache_write_tokens, max_tokens, cost_usd, reported_usd, cost_grade_reason
    FROM llm_calls FINAL
    WHERE role = 'restated' AND time >= fromUnixTimestamp64Nano({{begin:Int64}})
      AND time < fromUnixTimestamp64Nano({{end:Int64}})
), witnesses AS (
    SELECT w.owner_span_id AS owner_id,
           multiIf(w.scope IN ({SCOPES}),
                   if(w.service = o.owner_service, 'inside', if(y.way = '', 'direct', 'back')),
                   y.way != '', if(w.cost_grade_reason = 'untrusted_usage', 'unsure', 'gateway'),
                   w.service = o.owner_service, 'inside', 'direct') AS kind,
           w.input_tokens AS input_tokens, w.output_tokens AS output_tokens,
           w.cache_read_tokens AS cache_read_tokens, w.cache_write_tokens AS cache_write_tokens,
           w.max_tokens AS max_tokens,
           coalesce(w.cost_usd, w.reported_usd) AS usd
    FROM restated AS w
    INNER JOIN (
        SELECT owner_id, owner_service FROM owned
        WHERE owner_id IN (SELECT owner_span_id FROM restated)
    ) AS o ON w.owner_span_id = o.owner_id
    LEFT JOIN ways AS y ON w.call_id = y.call_id
), told AS (
    SELECT w.owner_id AS owner_id, {WITNESSED},
           anyIf(w.usd, kind = 'direct') AS direct_usd, anyIf(w.usd, kind = 'gateway') AS gateway_usd,
           anyIf(w.usd, kind = 'back') AS heard_usd, anyIf(w.max_tokens, kind = 'back') AS heard_most
    FROM witnesses AS w GROUP BY owner_id
), calls AS (
    SELECT {{keys}}coalesce(o.max_tokens, t.heard_most) AS asked_most, o.estimated_input_tokens AS asked_input,
           if(o.is_app AND y.way != '', 'back', if(y.way != '', 'gateway', 'direct')) AS stands,
           if(stands = 'gateway', o.input_tokens, t.gateway_input) AS sent_input,
           {{sides}}
           multiIf(stands = 'back', o.cost_usd, stands = 'gateway', t.heard_usd, NULL) AS back_usd,
           multiIf(stands = 'direct', o.cost_usd, t.direct_usd IS NOT NULL, t.direct_usd,
                   stands = 'gateway', o.cost_usd, t.gateway_usd) AS provider_usd
    FROM owned AS o
    LEFT JOIN ways AS y ON o.call_id = y.call_id
    LEFT JOIN told AS t ON o.owner_id = t.owner_id
)
SELECT {{groups}}count() AS calls, countIf(stands != 'direct') AS through_gateway,
       countIf(asked_input IS NOT NULL OR asked_most IS NOT NULL) AS asked_calls,
       sum(asked_input) AS asked_in, sum(asked_most) AS asked_max,
       countIf(sent_input IS NOT NULL) AS sent_calls, sum(sent_input) AS sent_in,
       {{totals}}
       toString(sum(provider_usd)) AS usd_provider, toString(sum(back_usd)) AS usd_back,
       countIf(provider_usd IS NOT NULL AND back_usd IS NOT NULL AND provider_usd != back_usd) AS usd_differs,
       toString(sumIf(back_usd - provider_usd, provider_usd IS NOT NULL AND back_usd IS NOT NULL))
           AS usd_difference,
       countIf(provider_input IS NOT NULL AND back_input IS NOT NULL) AS compared,
       countIf((provider_input IS NOT NULL AND back_input IS NOT NULL AND provider_input != back_input)
               OR (provider_output IS NOT NULL AND back_output IS NOT NULL
                   AND provider_output != back_output)) AS altered
FROM calls {{grouped}}
ORDER BY altered DESC, calls DESC {{order}}
LIMIT {{limit:UInt32}}
"""
SIDES = " ".join(
    f"multiIf(stands = 'back', o.{part}_tokens, stands = 'gateway', t.back_{part}, NULL) "
    f"AS back_{part}, "
    f"multiIf(stands = 'direct', o.{part}_tokens, t.direct_input IS NOT NULL, t.direct_{part}, "
    f"stands = 'gateway', o.{part}_tokens, t.gateway_{part}) AS provider_{part},"
    for part in PARTS
)
TOTALS = " ".join(
    f"sum(provider_{part}) AS sum_provider_{part}, sum(back_{part}) AS sum_back_{part}, "
    f"sumIf(toInt64(back_{part}) - toInt64(provider_{part}), back_{part} IS NOT NULL "
    f"AND provider_{part} IS NOT NULL) AS difference_{part},"
    for part in PARTS
)


def sums(
    ledger: Rows, items: Iterable[tuple[str, str]], *, now: datetime | None = None
) -> dict[str, Any]:
    """Answer `items`, the members of a query string.

    Raises:
        BadFilter: the query cannot be understood; the message says which member.
    """
    wanted = list(items)
    if not any(name in RANGE for name, _ in wanted):
        wanted.append(("last", DEFAULT_LAST))
    found = asked(wanted, OTHERS, now=now)
    names = [name for name in found.others.get("by", "model,gateway").split(",") if name]
    if len(names) > MOST_BY or len(set(names)) < len(names):
        raise BadFilter(f"by names at most {MOST_BY} things, each once")
    limit = number(found.others, "limit", GROUPS, MOST_GROUPS)
    keys = [
        "y.way" if name == GATEWAY else dimension(found.filters, name, place)
        for place, name in enumerate(names)
    ]
    rows = ledger.query(_statement(found, keys), found.filters.bound | _range(found, limit))
    return found.range() | {
        "by": names,
        "groups": [_group(row, names) for row in rows],
    }


def _statement(found: Asked, keys: list[str]) -> str:
    named = [f"k{place}" for place in range(len(keys))]
    parts = {
        "keys": "".join(f"{key} AS k{place}, " for place, key in enumerate(keys)),
        "groups": "".join(f"{name}, " for name in named),
        "grouped": f"GROUP BY {', '.join(named)}" if named else "",
        "order": "".join(f", {name}" for name in named),
        "where": found.filters.where,
        "sides": SIDES,
        "totals": TOTALS,
    }
    statement = STATEMENT
    for name, text in parts.items():
        statement = statement.replace(f"{{{name}}}", text)
    return statement


def _range(found: Asked, limit: int) -> dict[str, Any]:
    begin, end = found.begin_ns or 0, found.end_ns or 7_258_118_400 * 10**9
    return {"begin": max(0, begin - NEAR_NS), "end": end + NEAR_NS, "limit": limit}


def _group(row: dict[str, Any], names: list[str]) -> dict[str, Any]:
    def side(of: str) -> dict[str, Any]:
        counted = {f"{part}_tokens": _count(row[f"sum_{of}_{part}"]) for part in PARTS}
        return counted | {"cost_usd": row[f"usd_{of}"]}

    made: dict[str, Any] = {name: row[f"k{place}"] or None for place, name in enumerate(names)}
    return made | {
        "calls": int(row["calls"]),
        "through_gateway": int(row["through_gateway"]),
        "points": {
            "asked": {
                "calls": int(row["asked_calls"]),
                "input_tokens": _count(row["asked_in"]),
                "max_tokens": _count(row["asked_max"]),
            },
            "sent_on": {
                "calls": int(row["sent_calls"]),
                "input_tokens": _count(row["sent_in"]),
            },
            "provider": side("provider"),
            "reported_back": side("back"),
        },
        "altered_by_gateway": {
            "compared_calls": int(row["compared"]),
            "altered_calls": int(row["altered"]),
            **{f"{part}_tokens": int(row[f"difference_{part}"] or 0) for part in PARTS},
            "cost_usd": row["usd_difference"] or "0",
        },
    }


def _count(value: Any) -> int | None:
    return None if value is None else int(value)
