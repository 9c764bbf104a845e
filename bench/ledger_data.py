"""Synthetic calls, made by the engine itself: each a function of its number alone, so that what comes a
second time is the same, and the true sums are known beside the tables.

Of `calls` calls, 3 % more rows come again as they were, and 2 % with another amount and a higher version.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

__all__ = [
    "BESIDE_RAW",
    "BUDGETS",
    "ON_RAW",
    "ON_ROLLUPS",
    "RAW_TABLE",
    "TABLES",
    "VALUES",
    "cores",
    "count",
    "portions",
    "settled",
    "sizes",
    "truth",
]

DAYS_S = 7 * 86_400
BEGIN_S = int(time.time()) // 3600 * 3600 - DAYS_S
"""The calls lie in the seven days up to now, in which budgets look for them."""

BUDGETS = [
    {"name": "everything", "limit_usd": "1000"},
    {"name": "one tenant", "filters": {"tenant": "tenant-1"}, "limit_usd": "50", "period": "day"},
    {"name": "one team", "filters": {"tag.team": "growth"}, "limit_usd": "300", "period": "week"},
    {
        "name": "a feature of it",
        "filters": {"tag.team": "core", "endpoint": "feature_1"},
        "limit_usd": "90",
    },
]
MODELS = (
    *("gpt-4o-mini", "gpt-4o", "claude-sonnet-4-5", "gemini-2.5-pro", "o3", "mistral-large"),
    *("llama-4", "command-a", "grok-4", "deepseek-v3", "qwen-3", "gpt-5"),
)
PROVIDERS = (
    *("openai", "openai", "anthropic", "gcp.gemini", "openai", "mistral_ai"),
    *("groq", "cohere", "x_ai", "deepseek", "together_ai", "azure.ai.openai"),
)


def portions(calls: int, block: int) -> Iterator[tuple[int, int]]:
    """First place and number of rows of each insert."""
    total = calls + calls * 3 // 100 + calls * 2 // 100
    for first in range(0, total, block):
        yield first, min(block, total - first)


def _drawn(calls: int, places: str) -> str:
    """Rows of `places` (a table expression with the column `number`): what each call is drawn as."""
    return f"""
SELECT if(number < {calls}, number, cityHash64(number) % {calls}) AS n,
       number >= {calls + calls * 3 // 100} AS fix,
       cityHash64(n, 1) AS h, cityHash64(n, 2) AS g, cityHash64(n, 3) % 100 AS luck,
       {BEGIN_S} * 1000000000 + toInt64(n) * {DAYS_S * 10**9 // calls} AS start_ns,
       -- Zipf's law: the k-th tenant has a share like 1 / k.
       toUInt32(exp(log(2000) * ((g % 1000003) / 1000003))) AS tenant_at,
       toUInt32(40 * pow((h % 9973) / 9973, 2)) AS feature_at,
       toUInt32(12 * pow((g % 9967) / 9967, 2)) + 1 AS model_at,
       toUInt64(50 + pow(2, (h % 1301) / 100)) AS written,
       toUInt64(10 + pow(2, (g % 1001) / 100)) AS answered,
       (written + answered * 4) * model_at * 150000 + if(fix, 1, 0) AS steps,
       toUInt64(if(fix, 2, 1)) * 1099511627776 AS version,
       {list(MODELS)}[model_at] AS model, {list(PROVIDERS)}[model_at] AS maker
FROM {places}
"""


def _rows(calls: int, first: int, size: int) -> str:
    return _drawn(calls, f"numbers({first}, {size})")


IDS = """
lower(concat(leftPad(hex(toUInt64(start_ns)), 16, '0'), leftPad(hex(cityHash64(n, 4)), 16, '0'))) AS call_id,
lower(concat(leftPad(hex(cityHash64(intDiv(n, 3), 5)), 16, '0'),
             leftPad(hex(cityHash64(intDiv(n, 3), 6)), 16, '0'))) AS trace_id
"""
WHO = """
'shop-api' AS service, 'production' AS environment, if(luck = 7, 'test', 'real') AS data_mode,
concat('feature_', toString(feature_at)) AS endpoint, concat('tenant-', toString(tenant_at)) AS tenant,
concat(if(luck < 19, 'litellm > ', ''), maker, '/', model) AS route
"""


def _calls(calls: int, first: int, size: int) -> str:
    """Rows of `llm_calls`."""
    return f"""
SELECT {IDS}, lower(leftPad(hex(cityHash64(n, 7)), 16, '0')) AS span_id, span_id AS owner_span_id,
       fromUnixTimestamp64Nano(start_ns, 'UTC') AS time, 'owner' AS role, {WHO},
       'tollspan' AS scope, 'chat' AS operation, if(luck % 2 = 0, true, NULL) AS streaming,
       'summary' AS prompt, concat('v', toString(feature_at % 7)) AS prompt_version,
       concat('u_', toString(h % 50000)) AS user, concat('s_', toString(g % 400000)) AS session,
       map('team', ['growth', 'core', 'search'][h % 3 + 1]) AS tags,
       maker AS provider, 'api.example.com' AS server_address, model AS request_model,
       model AS response_model, model AS served_model, if(luck < 19, 2, 1)::UInt16 AS hop_count,
       written AS input_tokens, answered AS output_tokens,
       if(luck > 60, intDiv(written, 2), NULL) AS cache_read_tokens,
       if(luck = 31, NULL, CAST(toDecimal128(steps, 12) / 1000000000000 AS Decimal(18, 12))) AS cost_usd,
       if(luck = 31, 'unpriced', 'derived') AS cost_grade, if(luck = 31, '', 'local') AS cost_source,
       cost_usd AS derived_usd, if(luck = 5, cost_usd, NULL) AS wasted_usd,
       if(luck = 5, 'retry', '') AS waste_reason,
       if(luck = 31, 'unknown_model', '') AS unpriced_reason, 'genai-prices 0.2.3' AS price_version,
       if(luck % 2 = 0, 0.2 + (h % 1000) / 1000, NULL) AS time_to_first_chunk_s,
       exp((g % 5000) / 2500) AS duration_s,
       multiIf(luck = 40, 'error', luck = 41, 'blocked', 'success') AS status,
       multiIf(luck != 40, '', h % 2 = 0, '429', 'ReadTimeout') AS error_type,
       if(luck = 5, 2, 1)::UInt32 AS app_attempts, if(luck = 5, 2, 1)::UInt32 AS upstream_attempts,
       'exact' AS upstream_confidence, if(luck = 9, true, false) AS model_swapped,
       if(luck = 9, true, NULL) AS fallback, if(luck < 19, luck = 3, NULL)::Nullable(Bool) AS cache_hit,
       multiIf(luck = 40, 'provider', luck = 41, 'proxy', '') AS blame,
       if(luck = 11, ['length'], ['stop']) AS finish_reasons,
       concat('chatcmpl-', lower(hex(cityHash64(n, 8)))) AS response_id,
       lower(hex(MD5(toString(n)))) AS request_id, version
FROM ({_rows(calls, first, size)})
"""


def _hops(calls: int, first: int, size: int) -> str:
    """Rows of `llm_hops`: the model of each call, and a proxy before some."""
    return f"""
SELECT {IDS}, arrayJoin(if(luck < 19, [0, 1], [0]))::UInt16 AS hop_index,
       luck < 19 AND hop_index = 0 AS is_proxy,
       fromUnixTimestamp64Nano(start_ns, 'UTC') AS time, 'owner' AS owner,
       if(is_proxy, 'proxy', 'model') AS role, if(is_proxy, 'litellm', maker) AS name,
       if(is_proxy, '', maker) AS provider, if(is_proxy, '', model) AS model,
       if(is_proxy, 'reported', 'observed') AS evidence, if(is_proxy, 'litellm', '') AS gateway,
       if(is_proxy, 5 + (h % 4000) / 100, NULL) AS overhead_ms,
       if(luck = 40, 'error', 'ok') AS status, {WHO}, version
FROM ({_rows(calls, first, size)})
"""


RAW_TABLE = """
CREATE TABLE IF NOT EXISTS raw
(
    Timestamp      DateTime64(9) CODEC(Delta, ZSTD(1)),
    TraceId        String CODEC(ZSTD(1)),
    SpanId         String CODEC(ZSTD(1)),
    SpanName       LowCardinality(String) CODEC(ZSTD(1)),
    ServiceName    LowCardinality(String) CODEC(ZSTD(1)),
    SpanAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    Duration       UInt64 CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(Timestamp)
ORDER BY (ServiceName, SpanName, toDateTime(Timestamp))
"""
"""Of the clickhouse exporter's own table: the columns that matter, keys, codecs."""


def _raw(calls: int, first: int, size: int) -> str:
    """Rows of `raw`: spans with the attributes that such calls have."""
    return f"""
SELECT fromUnixTimestamp64Nano(start_ns, 'UTC') AS Timestamp, trace_id AS TraceId,
       lower(leftPad(hex(cityHash64(n, 7)), 16, '0')) AS SpanId, 'chat' AS SpanName,
       service AS ServiceName, toUInt64(exp((g % 5000) / 2500) * 1000000000) AS Duration,
       map('gen_ai.operation.name', 'chat', 'gen_ai.provider.name', maker,
           'gen_ai.request.model', model, 'gen_ai.response.model', model,
           'gen_ai.response.id', concat('chatcmpl-', lower(hex(cityHash64(n, 8)))),
           'gen_ai.usage.input_tokens', toString(written),
           'gen_ai.usage.output_tokens', toString(answered),
           'gen_ai.usage.cache_read.input_tokens', toString(intDiv(written, 2)),
           'gen_ai.usage.cost.amount', toString(steps / 1000000000000),
           'gen_ai.usage.cost.currency', 'USD', 'gen_ai.usage.cost.source', 'local',
           'tollspan.cost.role', 'owner', 'tollspan.cost.grade', 'derived',
           'tollspan.cost.derived_usd', toString(steps / 1000000000000),
           'tollspan.price.version', 'genai-prices 0.2.3', 'tollspan.status', 'success',
           'tollspan.endpoint_tag', endpoint, 'tollspan.tenant', tenant,
           'tollspan.data_mode', data_mode, 'gen_ai.prompt.name', 'summary',
           'gen_ai.prompt.version', concat('v', toString(feature_at % 7)),
           'user.id', concat('u_', toString(h % 50000)),
           'session.id', concat('s_', toString(g % 400000)), 'tollspan.route', route,
           'tollspan.request_id', lower(hex(MD5(toString(n)))), 'tollspan.hop_count', '1',
           'server.address', 'api.example.com', 'tollspan.tag.team', 'growth')
           ::Map(LowCardinality(String), String) AS SpanAttributes
FROM (SELECT *, {IDS}, {WHO} FROM ({_rows(calls, first, size)}))
"""


TABLES: dict[str, Callable[[int, int, int], str]] = {
    "llm_calls": _calls,
    "llm_hops": _hops,
    "raw": _raw,
}
"""Table to its statement, for so many calls, from a place on, so many places."""


def truth(calls: int) -> str:
    """A statement for the sum of the calls' newest amounts, without any table."""
    total = calls + calls * 3 // 100 + calls * 2 // 100
    return f"""
SELECT sum(CAST(toDecimal128(steps, 12) / 1000000000000 AS Decimal(38, 12))) AS usd
FROM (
    SELECT n, max(steps) AS steps FROM ({_drawn(calls, f"numbers({total})")})
    WHERE luck != 31 GROUP BY n
)
"""


VALUES: dict[str, Any] = {
    name: ["$__all"]
    for name in ("environment", "tenant", "team", "endpoint", "provider", "model", "prompt_version")
} | {"data_mode": ["real"], "user": "", "budget": ["$__all"]}
"""What the boards' variables are when they are opened."""

IN_RANGE = "bucket >= $__fromTime AND bucket <= $__toTime AND data_mode IN ('real', '')"
ON_ROLLUPS = {
    "spend by endpoint over time": f"""
        SELECT toStartOfInterval(bucket, INTERVAL greatest(3600, $__interval_s) second) AS t, endpoint,
               sum(cost_usd) AS usd
        FROM tollspan_hours WHERE {IN_RANGE} GROUP BY t, endpoint ORDER BY t""",
    "spend by model over time": f"""
        SELECT toStartOfInterval(bucket, INTERVAL greatest(3600, $__interval_s) second) AS t, model,
               sum(cost_usd) AS usd
        FROM tollspan_hours WHERE {IN_RANGE} GROUP BY t, model ORDER BY t""",
    "spend, calls, failed": f"""
        SELECT sum(cost_usd) AS usd, sum(calls) AS n, sum(failed_calls) / n AS failed,
               sum(wasted_usd) AS wasted
        FROM tollspan_hours WHERE {IN_RANGE}""",
    "prompt versions": f"""
        SELECT endpoint, prompt_version, sum(cost_usd) AS usd, sum(calls) AS n,
               sum(output_tokens) / n AS tokens
        FROM tollspan_hours WHERE {IN_RANGE}
        GROUP BY endpoint, prompt_version ORDER BY usd DESC NULLS LAST LIMIT 50""",
    "top tenants by hour": f"""
        SELECT tenant, sum(cost_usd) AS usd, sum(calls) AS n FROM tollspan_tenant_hours
        WHERE {IN_RANGE} GROUP BY tenant ORDER BY usd DESC NULLS LAST LIMIT 20""",
    "top tenants by day": f"""
        SELECT tenant, sum(cost_usd) AS usd, sum(calls) AS n FROM tollspan_tenant_days
        WHERE {IN_RANGE} GROUP BY tenant ORDER BY usd DESC NULLS LAST LIMIT 20""",
    "last hour by minute": """
        SELECT bucket AS t, endpoint, sum(cost_usd) AS usd, sum(calls) AS n FROM tollspan_minutes
        WHERE bucket >= $__toTime - 3600 AND bucket <= $__toTime AND data_mode IN ('real', '')
        GROUP BY t, endpoint ORDER BY t""",
}
RAW_WHERE = "$__timeFilter(Timestamp) AND SpanAttributes['tollspan.cost.role'] = 'owner'"
ON_RAW = {
    "cost by endpoint and hour": f"""
        SELECT toStartOfHour(Timestamp) AS t, SpanAttributes['tollspan.endpoint_tag'] AS endpoint,
               sum(toFloat64OrZero(SpanAttributes['gen_ai.usage.cost.amount'])) AS usd
        FROM raw WHERE {RAW_WHERE} GROUP BY t, endpoint ORDER BY t""",
    "top tenants": f"""
        SELECT SpanAttributes['tollspan.tenant'] AS tenant,
               sum(toFloat64OrZero(SpanAttributes['gen_ai.usage.cost.amount'])) AS usd
        FROM raw WHERE {RAW_WHERE} GROUP BY tenant ORDER BY usd DESC LIMIT 20""",
    "slowest 5 % by model": f"""
        SELECT SpanAttributes['gen_ai.request.model'] AS model, quantile(0.95)(Duration / 1e9) AS p95
        FROM raw WHERE {RAW_WHERE} GROUP BY model""",
}
BESIDE_RAW = {
    "cost by endpoint and hour": """
        SELECT toStartOfHour(time) AS t, endpoint, sum(cost_usd) AS usd
        FROM tollspan_calls WHERE $__timeFilter(time) GROUP BY t, endpoint ORDER BY t""",
    "top tenants": """
        SELECT tenant, sum(cost_usd) AS usd FROM tollspan_calls
        WHERE $__timeFilter(time) GROUP BY tenant ORDER BY usd DESC LIMIT 20""",
    "slowest 5 % by model": """
        SELECT served_model, quantile(0.95)(duration_s) AS p95 FROM tollspan_calls
        WHERE $__timeFilter(time) GROUP BY served_model""",
}


def cores() -> int:
    return os.cpu_count() or 1


def count(connection: Any, table: str) -> int:
    """Rows as they lie there, those that are replaced too."""
    there = _number(connection, f"EXISTS TABLE {table}")
    return _number(connection, f"SELECT count() FROM {table}") if there else 0


def settled(connection: Any, seconds: float = 600.0) -> None:
    """Make it a ledger that grew as its calls were made: each was told when it was made, and the engine
    has merged what it merges after a quiet quarter of an hour."""
    told_at = "ALTER TABLE llm_calls MODIFY COLUMN told_at DateTime('UTC') MATERIALIZED"
    connection.query(f"{told_at} toDateTime(time)")
    connection.query("ALTER TABLE llm_calls MATERIALIZE COLUMN told_at SETTINGS mutations_sync = 2")
    connection.query(f"{told_at} now('UTC')")
    for table in ("llm_calls", "llm_hops"):
        setting = f"ALTER TABLE {table} MODIFY SETTING min_age_to_force_merge_seconds ="
        connection.query(f"{setting} 1")
        parts = (
            "SELECT max(n) FROM (SELECT count() AS n FROM system.parts WHERE active "
            f"AND database = currentDatabase() AND table = '{table}' GROUP BY partition)"
        )
        until = time.monotonic() + seconds
        while time.monotonic() < until and _number(connection, parts) > 1:
            time.sleep(0.5)
        connection.query(f"{setting} 900")


def _number(connection: Any, sql: str) -> int:
    return int(str(connection.query(sql, "TSV").data()).strip())


def sizes(connection: Any) -> dict[str, float]:
    """Bytes on disk per row of each table."""
    found = str(
        connection.query(
            "SELECT table, round(sum(bytes_on_disk) / sum(rows), 1) FROM system.parts "
            "WHERE active AND database = currentDatabase() AND rows > 0 GROUP BY table ORDER BY table",
            "TSV",
        ).data()
    )
    return {name: float(size) for name, size in (line.split("\t") for line in found.splitlines())}
