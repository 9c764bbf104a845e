"""What the API asks the ledger. Statements are constants; everything from outside is bound."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from .ledger import Ledger
from .readable import Readable

__all__ = [
    "BadFilter",
    "Filters",
    "call",
    "calls",
    "calls_of_trace",
    "filters",
    "iso",
    "menus",
    "nanoseconds",
    "summary",
]

MODEL = "coalesce(nullIf(served_model, ''), nullIf(response_model, ''), request_model)"
"""The model that a call is counted under: the best that is known of it."""

EQUALS = {
    "endpoint": "endpoint",
    "tenant": "tenant",
    "model": MODEL,
    "provider": "provider",
    "status": "status",
    "route": "route",
    "prompt": "prompt",
    "prompt_version": "prompt_version",
    "data_mode": "data_mode",
    "service": "service",
    "environment": "environment",
    "grade": "cost_grade",
    "session": "session",
    "user": "user",
    "trace_id": "trace_id",
    "request_id": "request_id",
}
MENUS = (
    "endpoint",
    "tenant",
    "model",
    "provider",
    "status",
    "route",
    "prompt_version",
    "data_mode",
    "service",
    "environment",
)
SEARCHED = (
    "endpoint, prompt, prompt_version, tenant, user, session, service, provider, request_model, "
    "response_model, served_model, route, status, error_type, request_id, response_id, trace_id"
)
UNPRICED = "(cost_usd IS NULL AND cost_grade = 'unpriced')"
TAG = "tag."
"""Before the key of a tag, as the name of a filter."""
UNKNOWN = "-"
"""A filter with this value asks for calls where it is not known."""

MOST_CALLS = 500
MENU_LENGTH = 200
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_US = 9_000_000_000_000_000
"""Microseconds; as nanoseconds still a signed 64-bit number."""
CALL_ID = re.compile(r"[0-9a-f]{32}")


class BadFilter(ValueError):
    """A filter that cannot be understood; the message is one sentence."""


@dataclass
class Filters:
    """A condition and what is bound in it."""

    conditions: list[str] = field(default_factory=list)
    bound: dict[str, Any] = field(default_factory=dict)

    @property
    def where(self) -> str:
        return "WHERE " + " AND ".join(self.conditions) if self.conditions else ""

    def add(self, condition: str, **bound: Any) -> None:
        self.conditions.append(condition)
        self.bound |= bound


def filters(asked: Iterable[tuple[str, str]]) -> Filters:
    """The filters of a query string; several values of one name mean any of them.

    Raises:
        BadFilter: a time, a cursor or a name that is none.
    """
    made = Filters()
    values: dict[str, list[str]] = {}
    for name, value in asked:
        if value:
            values.setdefault(name, []).append(value)
    for name, wanted in values.items():
        if name in EQUALS:
            made.add(
                f"{EQUALS[name]} IN {{{name}:Array(String)}}", **{name: _known_or_empty(wanted)}
            )
        elif name == "unpriced":
            made.add(UNPRICED if _yes(wanted[0]) else f"NOT {UNPRICED}")
        elif name == "untagged":
            made.add("endpoint = ''" if _yes(wanted[0]) else "endpoint != ''")
        elif name == "since":
            made.add(
                "time >= fromUnixTimestamp64Nano({since:Int64})",
                since=nanoseconds(wanted[0], "since"),
            )
        elif name == "until":
            made.add(
                "time < fromUnixTimestamp64Nano({until:Int64})",
                until=nanoseconds(wanted[0], "until"),
            )
        elif name == "q":
            searched = f"arrayStringConcat([{SEARCHED}], '\\n')"
            made.add(
                f"positionCaseInsensitiveUTF8({searched}, {{q:String}}) > 0", q=wanted[0][:200]
            )
        elif name == "before":
            if CALL_ID.fullmatch(wanted[0]) is None:
                raise BadFilter("before is not a cursor: use the value of next as it came")
            made.add("call_id < {before:String}", before=wanted[0])
        elif name.startswith(TAG):
            _add_tag(made, name.removeprefix(TAG)[:200], _known_or_empty(wanted))
        elif name not in ("limit",):
            raise BadFilter(f"there is no filter of that name; known are {', '.join(_names())}")
    return made


def _known_or_empty(wanted: list[str]) -> list[str]:
    """Values as the columns have them: what is not known is empty there."""
    return ["" if value == UNKNOWN else value for value in wanted[:50]]


def _add_tag(made: Filters, key: str, values: list[str]) -> None:
    at = len(made.conditions)
    bound = {f"tag_{at}": key, f"tagged_{at}": values}
    made.add(f"tags[{{tag_{at}:String}}] IN {{tagged_{at}:Array(String)}}", **bound)


def _names() -> list[str]:
    return [*EQUALS, "tag.<key>", "unpriced", "untagged", "since", "until", "q", "before", "limit"]


def _yes(value: str) -> bool:
    return value.lower() in ("1", "true", "yes", "on")


def nanoseconds(value: str, name: str = "a time", zone: tzinfo = UTC) -> int:
    """Nanoseconds since the epoch of an ISO-8601 time; without an offset it is one of `zone`.

    Raises:
        BadFilter: it is none; the sentence begins with `name`.
    """
    try:
        moment = datetime.fromisoformat(value.replace(" ", "+"))
        moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        return min(max(0, (moment - EPOCH) // timedelta(microseconds=1)), LATEST_US) * 1000
    except (ValueError, OverflowError) as error:
        raise BadFilter(
            f"{name} is not ISO-8601: write 2026-01-31, 2026-01-31T12:00:00Z or with an offset, "
            "2026-01-31T12:00:00+02:00"
        ) from error


COLUMNS = """
    call_id, trace_id, span_id, toUnixTimestamp64Milli(time) AS time_ms, service, environment,
    data_mode, operation, streaming, endpoint, prompt, prompt_version, tenant, user, session, tags,
    provider, server_address, request_model, response_model, served_model, route, hop_count,
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_usd,
    cost_grade, cost_grade_reason, cost_source, reported_usd, derived_usd, avoided_usd, wasted_usd, waste_reason,
    unpriced_reason, service_tier, price_version, time_to_first_chunk_s, duration_s, status,
    error_type, app_attempts, upstream_attempts, upstream_confidence, model_swapped, fallback,
    cache_hit, blocked_by, blame, finish_reasons, request_id
"""
HOPS = """
SELECT call_id, role, name, provider, model, evidence, overhead_ms, redaction, status
FROM tollspan_hops WHERE call_id IN {ids:Array(String)}
ORDER BY call_id, hop_index
"""


def calls(
    ledger: Readable, found: Filters, limit: int, columns: str = COLUMNS
) -> tuple[list[dict[str, Any]], str | None]:
    """Calls, newest first, and the cursor of the next page."""
    rows = ledger.query(
        f"SELECT {columns} FROM tollspan_calls {found.where} ORDER BY call_id DESC "
        "LIMIT {limit:UInt32}",
        found.bound | {"limit": limit + 1},
    )
    page = rows[:limit]
    return _shaped(ledger, page), page[-1]["call_id"] if len(rows) > limit else None


def call(ledger: Ledger, call_id: str) -> dict[str, Any] | None:
    """One call; None where there is none of that id."""
    rows = ledger.query(
        f"SELECT {COLUMNS} FROM tollspan_calls WHERE call_id = {{id:String}}", {"id": call_id}
    )
    return _shaped(ledger, rows)[0] if rows else None


def calls_of_trace(ledger: Ledger, trace_id: str) -> list[dict[str, Any]]:
    """The calls of a trace in the order of their starts."""
    rows = ledger.query(
        f"SELECT {COLUMNS} FROM tollspan_calls WHERE trace_id = {{id:String}} "
        "ORDER BY call_id LIMIT 5000",
        {"id": trace_id},
    )
    return _shaped(ledger, rows)


def _shaped(ledger: Readable, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    hops: dict[str, list[dict[str, Any]]] = {}
    if rows:
        for hop in ledger.query(HOPS, {"ids": [row["call_id"] for row in rows]}):
            hops.setdefault(hop.pop("call_id"), []).append(_known(hop))
    for row in rows:
        row["time"] = iso(row.pop("time_ms"))
        row["hops"] = hops.get(row["call_id"], [])
    return [_known(row) for row in rows]


def _known(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if value == "" else value for name, value in row.items()}


def iso(time_ms: int) -> str:
    """Milliseconds since the epoch as ISO-8601 in UTC."""
    moment = datetime.fromtimestamp(time_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"


TOTALS = f"""
SELECT count() AS calls,
       if(count() = 0, toDecimal128(0, 12), sum(cost_usd)) AS cost_usd,
       countIf{UNPRICED} AS unpriced_calls,
       countIf(cost_grade = 'lower_bound') AS lower_bound_calls,
       countIf(status IN ('error', 'blocked')) AS errors,
       countIf(endpoint = '') AS untagged_calls,
       sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
       sum(cache_read_tokens) AS cache_read_tokens,
       sum(avoided_usd) AS avoided_usd, sum(wasted_usd) AS wasted_usd,
       sum(app_attempts) AS app_attempts, sum(upstream_attempts) AS upstream_attempts,
       quantile(0.5)(duration_s) AS p50_s, quantile(0.95)(duration_s) AS p95_s
FROM tollspan_calls
"""
SPLITS = {"endpoint": "endpoint", "model": MODEL, "tenant": "tenant", "route": "route"}


def summary(ledger: Ledger, found: Filters) -> dict[str, Any]:
    """Totals, and the ten biggest by endpoint, model, tenant and route."""
    totals = ledger.query(f"{TOTALS} {found.where}", found.bound)[0]
    for name in ("input_tokens", "output_tokens", "cache_read_tokens", "app_attempts"):
        totals[name] = totals[name] or 0
    for name, column in SPLITS.items():
        rows = ledger.query(
            f"SELECT {column} AS name, count() AS calls, "
            "sum(cost_usd) AS spent_usd "
            f"FROM tollspan_calls {found.where} GROUP BY name "
            "ORDER BY spent_usd DESC NULLS LAST, calls DESC, name LIMIT 10",
            found.bound,
        )
        totals[f"by_{name}"] = [
            _known({"name": row["name"], "calls": row["calls"], "cost_usd": row["spent_usd"]})
            for row in rows
        ]
    return totals


def menus(ledger: Ledger) -> dict[str, list[str]]:
    """The values that each filter can take, most used first."""
    columns = ", ".join(f"topK({MENU_LENGTH})({EQUALS[name]}) AS menu_{name}" for name in MENUS)
    row = ledger.query(f"SELECT {columns} FROM tollspan_calls")[0]
    return {name: sorted(value for value in row[f"menu_{name}"] if value) for name in MENUS}
