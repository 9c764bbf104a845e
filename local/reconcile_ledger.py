"""The ledger's side of a reconciliation: what its calls say that a provider should have billed.

Summed by day, provider, model, tier, key and grade, one statement for each day, so that a month of
millions of calls needs no more memory than its busiest day. Answers that came from a gateway's cache
cost no provider anything and are left out, and so are replays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .queries import MODEL
from .reconcile_lines import DAY, PACIFIC, BadExport

__all__ = ["FAMILIES", "Rows", "Sum", "as_json", "from_json", "names_of", "sums"]

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "openai": ("openai",),
    "anthropic": ("anthropic",),
    "azure": ("azure.ai.openai", "azure.ai.inference"),
    "aws": ("aws.bedrock",),
    "google": ("gcp.gemini", "gcp.vertex_ai", "gcp.gen_ai"),
}
"""Who sends the bill, to the `gen_ai.provider.name`s of calls that it is for."""

ZONES = ("UTC", PACIFIC)
EDGE = timedelta(minutes=15)
"""How near to a day's end a call may be counted on the other side of it."""

UNSURE = ("attempt_lost", "partial_answer", "missing_usage")
"""Grade reasons of calls that cost more than their amount says."""

SUMS = f"""
WITH calls AS (
    SELECT call_id, time, duration_s, provider, {MODEL} AS model, service_tier, api_key, cost_grade,
           cost_grade_reason, cost_source, cost_usd, input_tokens, output_tokens, cache_read_tokens,
           cache_write_tokens, usage, status, blocked_by
    FROM tollspan_calls
    WHERE time >= fromUnixTimestamp64Nano({{since:Int64}})
      AND time < fromUnixTimestamp64Nano({{until:Int64}})
      AND data_mode != 'replay' AND NOT coalesce(cache_hit, false) AND blocked_by != 'app'
), makers AS (
    SELECT call_id, argMax(provider, hop_index) AS maker
    FROM tollspan_hops
    WHERE time >= fromUnixTimestamp64Nano({{since:Int64}})
      AND time < fromUnixTimestamp64Nano({{until:Int64}}) AND role = 'model' AND provider != ''
    GROUP BY call_id
)
SELECT if(maker = '', calls.provider, maker) AS provider_name, calls.model AS model_name,
       lower(service_tier) AS tier, api_key AS key, cost_grade AS grade, cost_source AS source,
       count() AS calls,
       countIf(input_tokens IS NULL AND output_tokens IS NULL AND cost_usd IS NULL) AS silent,
       countIf(cost_grade = 'lower_bound' AND cost_grade_reason IN {{unsure:Array(String)}}) AS unsure,
       sum(coalesce(input_tokens, 0)) AS input, sum(coalesce(output_tokens, 0)) AS output,
       sum(coalesce(cache_read_tokens, 0)) AS cache_read,
       sum(coalesce(cache_write_tokens, 0)) AS cache_write,
       sum(usage['tollspan.usage.web_searches']) AS searches,
       toString(sum(coalesce(cost_usd, toDecimal64(0, 12)))) AS usd,
       toString(sumIf(coalesce(cost_usd, toDecimal64(0, 12)),
                      time < fromUnixTimestamp64Nano({{early:Int64}}))) AS early_usd,
       toString(sumIf(coalesce(cost_usd, toDecimal64(0, 12)),
                      time + toIntervalMillisecond(toInt64(coalesce(duration_s, 0) * 1000))
                      >= fromUnixTimestamp64Nano({{late:Int64}}))) AS late_usd
FROM calls LEFT JOIN makers ON calls.call_id = makers.call_id
WHERE empty({{names:Array(String)}}) OR has({{names:Array(String)}}, provider_name)
GROUP BY provider_name, model_name, tier, key, grade, source
ORDER BY provider_name, model_name, tier, key, grade, source
LIMIT 20000
"""


class Rows(Protocol):
    """A ledger: rows of a statement with bound parameters."""

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]: ...


@dataclass(slots=True)
class Sum:
    """Calls of one day that have the first six in common. Tokens as the ledger counts them."""

    day: date
    provider: str
    model: str
    tier: str = ""
    key: str = ""
    """Fingerprint of the provider API key."""
    grade: str = ""
    source: str = ""
    calls: int = 0
    silent: int = 0
    """Calls that state neither tokens nor money."""
    unsure: int = 0
    """Calls that cost more than their amount says: something of them was lost."""
    tokens: dict[str, int] = field(default_factory=dict)
    searches: int = 0
    usd: Decimal = Decimal(0)
    early_usd: Decimal = Decimal(0)
    """Of calls that began within `EDGE` of the day's beginning."""
    late_usd: Decimal = Decimal(0)
    """Of calls that ended within `EDGE` of the day's end, or behind it."""


PARTS = ("input", "output", "cache_read", "cache_write")


def names_of(provider: str) -> tuple[str, ...]:
    """`gen_ai.provider.name`s of those whose bill is `provider`'s; any where it is ''."""
    return FAMILIES.get(provider, (provider,) if provider else ())


def sums(ledger: Rows, provider: str, first: date, last: date, zone: str = "UTC") -> Iterator[Sum]:
    """Sums of the days from `first` to `last`, both included, as they begin in `zone`."""
    day = first
    while day <= last:
        begin, end = midnight(day, zone), midnight(day + DAY, zone)
        found = ledger.query(
            SUMS,
            {
                "since": _ns(begin),
                "until": _ns(end),
                "early": _ns(begin + EDGE),
                "late": _ns(end - EDGE),
                "names": list(names_of(provider)),
                "unsure": list(UNSURE),
            },
        )
        for row in found:
            yield Sum(
                day=day,
                provider=row["provider_name"],
                model=row["model_name"],
                tier="" if row["tier"] in ("default", "auto") else row["tier"],
                key=row["key"],
                grade=row["grade"],
                source=row["source"],
                calls=int(row["calls"]),
                silent=int(row["silent"]),
                unsure=int(row["unsure"]),
                tokens={part: int(row[part]) for part in PARTS},
                searches=int(row["searches"]),
                usd=Decimal(row["usd"]),
                early_usd=Decimal(row["early_usd"]),
                late_usd=Decimal(row["late_usd"]),
            )
        day += DAY


def midnight(day: date, zone: str) -> datetime:
    """The beginning of `day` in `zone`.

    Raises:
        BadExport: this machine does not know the zone.
    """
    try:
        within = UTC if zone == "UTC" else ZoneInfo(zone)
    except ZoneInfoNotFoundError as error:
        raise BadExport(f"{zone} is unknown to this machine: install its tzdata") from error
    return datetime(day.year, day.month, day.day, tzinfo=within)


def _ns(at: datetime) -> int:
    return int(at.timestamp()) * 10**9


def as_json(found: Sum) -> dict[str, Any]:
    """A sum as the API writes it; amounts are decimal strings."""
    made = {each.name: getattr(found, each.name) for each in fields(found)}
    return made | {
        "day": found.day.isoformat(),
        **{name: format(made[name], "f") for name in ("usd", "early_usd", "late_usd")},
    }


def from_json(stated: Mapping[str, Any]) -> Sum:
    """What `as_json` wrote."""
    made = dict(stated)
    made["day"] = date.fromisoformat(made["day"])
    for name in ("usd", "early_usd", "late_usd"):
        made[name] = Decimal(made[name])
    return Sum(**made)
