-- Sums of calls by time, each table for one kind of question. Sums that were added to as rows come in
-- would count redelivered and corrected calls twice, so a bucket is counted again as a whole whenever a
-- call of its is told (see refresh.sql), and stands under a new generation: a call that moves to another
-- tenant leaves no trace in its old one. The views show the newest generation of each bucket. What is
-- known of no call of a group is NULL there, too.

-- By endpoints and models, for the last hours.
CREATE TABLE IF NOT EXISTS calls_by_minute
(
    bucket            DateTime('UTC') CODEC(Delta, ZSTD(1)),
    environment       LowCardinality(String),
    data_mode         LowCardinality(String),
    endpoint          LowCardinality(String),
    provider          LowCardinality(String),
    model             LowCardinality(String),
    calls             UInt64 CODEC(T64, ZSTD(1)),
    priced_calls      UInt64 CODEC(T64, ZSTD(1)),
    unpriced_calls    UInt64 CODEC(T64, ZSTD(1)),
    lower_bound_calls UInt64 CODEC(T64, ZSTD(1)),
    failed_calls      UInt64 CODEC(T64, ZSTD(1)),
    cache_hits        UInt64 CODEC(T64, ZSTD(1)),
    cost_usd          Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    reported_usd      Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    derived_usd       Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    avoided_usd       Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    wasted_usd        Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    cache_saved_usd   Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    input_tokens      Nullable(UInt64) CODEC(ZSTD(1)),
    output_tokens     Nullable(UInt64) CODEC(ZSTD(1)),
    cache_read_tokens Nullable(UInt64) CODEC(ZSTD(1)),
    cache_write_tokens Nullable(UInt64) CODEC(ZSTD(1)),
    reasoning_tokens  Nullable(UInt64) CODEC(ZSTD(1)),
    app_attempts      Nullable(UInt64) CODEC(ZSTD(1)),
    upstream_attempts Nullable(UInt64) CODEC(ZSTD(1)),
    -- Seconds that all of them took.
    duration_s        Nullable(Float64) CODEC(ZSTD(1)),
    gen               UInt64 CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(gen)
PARTITION BY toYYYYMM(bucket)
ORDER BY (bucket, environment, data_mode, endpoint, provider, model);

CREATE OR REPLACE VIEW tollspan_minutes AS
SELECT * EXCEPT (gen)
FROM calls_by_minute
WHERE (bucket, gen) GLOBAL IN (SELECT bucket, max(gen) FROM calls_by_minute GROUP BY bucket) AND calls > 0;

-- By endpoints, prompt versions and models, for days and weeks.
CREATE TABLE IF NOT EXISTS calls_by_hour
(
    bucket            DateTime('UTC') CODEC(Delta, ZSTD(1)),
    environment       LowCardinality(String),
    data_mode         LowCardinality(String),
    endpoint          LowCardinality(String),
    prompt            LowCardinality(String),
    prompt_version    LowCardinality(String),
    model             LowCardinality(String),
    calls             UInt64 CODEC(T64, ZSTD(1)),
    priced_calls      UInt64 CODEC(T64, ZSTD(1)),
    unpriced_calls    UInt64 CODEC(T64, ZSTD(1)),
    lower_bound_calls UInt64 CODEC(T64, ZSTD(1)),
    failed_calls      UInt64 CODEC(T64, ZSTD(1)),
    cache_hits        UInt64 CODEC(T64, ZSTD(1)),
    cost_usd          Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    reported_usd      Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    derived_usd       Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    avoided_usd       Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    wasted_usd        Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    cache_saved_usd   Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    input_tokens      Nullable(UInt64) CODEC(ZSTD(1)),
    output_tokens     Nullable(UInt64) CODEC(ZSTD(1)),
    cache_read_tokens Nullable(UInt64) CODEC(ZSTD(1)),
    cache_write_tokens Nullable(UInt64) CODEC(ZSTD(1)),
    reasoning_tokens  Nullable(UInt64) CODEC(ZSTD(1)),
    app_attempts      Nullable(UInt64) CODEC(ZSTD(1)),
    upstream_attempts Nullable(UInt64) CODEC(ZSTD(1)),
    -- Seconds that all of them took.
    duration_s        Nullable(Float64) CODEC(ZSTD(1)),
    gen               UInt64 CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(gen)
PARTITION BY toYYYYMM(bucket)
ORDER BY (bucket, environment, data_mode, endpoint, prompt, prompt_version, model);

CREATE OR REPLACE VIEW tollspan_hours AS
SELECT * EXCEPT (gen)
FROM calls_by_hour
WHERE (bucket, gen) GLOBAL IN (SELECT bucket, max(gen) FROM calls_by_hour GROUP BY bucket) AND calls > 0;

-- By tenants and models, for days and weeks.
CREATE TABLE IF NOT EXISTS calls_by_tenant_hour
(
    bucket            DateTime('UTC') CODEC(Delta, ZSTD(1)),
    environment       LowCardinality(String),
    data_mode         LowCardinality(String),
    tenant            LowCardinality(String),
    model             LowCardinality(String),
    calls             UInt64 CODEC(T64, ZSTD(1)),
    priced_calls      UInt64 CODEC(T64, ZSTD(1)),
    unpriced_calls    UInt64 CODEC(T64, ZSTD(1)),
    lower_bound_calls UInt64 CODEC(T64, ZSTD(1)),
    failed_calls      UInt64 CODEC(T64, ZSTD(1)),
    cache_hits        UInt64 CODEC(T64, ZSTD(1)),
    cost_usd          Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    reported_usd      Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    derived_usd       Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    avoided_usd       Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    wasted_usd        Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    cache_saved_usd   Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    input_tokens      Nullable(UInt64) CODEC(ZSTD(1)),
    output_tokens     Nullable(UInt64) CODEC(ZSTD(1)),
    cache_read_tokens Nullable(UInt64) CODEC(ZSTD(1)),
    cache_write_tokens Nullable(UInt64) CODEC(ZSTD(1)),
    reasoning_tokens  Nullable(UInt64) CODEC(ZSTD(1)),
    app_attempts      Nullable(UInt64) CODEC(ZSTD(1)),
    upstream_attempts Nullable(UInt64) CODEC(ZSTD(1)),
    -- Seconds that all of them took.
    duration_s        Nullable(Float64) CODEC(ZSTD(1)),
    gen               UInt64 CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(gen)
PARTITION BY toYYYYMM(bucket)
ORDER BY (bucket, environment, data_mode, tenant, model);

CREATE OR REPLACE VIEW tollspan_tenant_hours AS
SELECT * EXCEPT (gen)
FROM calls_by_tenant_hour
WHERE (bucket, gen) GLOBAL IN (SELECT bucket, max(gen) FROM calls_by_tenant_hour GROUP BY bucket) AND calls > 0;

-- By tenants with their endpoints, for months.
CREATE TABLE IF NOT EXISTS calls_by_tenant_day
(
    bucket            DateTime('UTC') CODEC(Delta, ZSTD(1)),
    environment       LowCardinality(String),
    data_mode         LowCardinality(String),
    tenant            LowCardinality(String),
    endpoint          LowCardinality(String),
    model             LowCardinality(String),
    calls             UInt64 CODEC(T64, ZSTD(1)),
    priced_calls      UInt64 CODEC(T64, ZSTD(1)),
    unpriced_calls    UInt64 CODEC(T64, ZSTD(1)),
    lower_bound_calls UInt64 CODEC(T64, ZSTD(1)),
    failed_calls      UInt64 CODEC(T64, ZSTD(1)),
    cache_hits        UInt64 CODEC(T64, ZSTD(1)),
    cost_usd          Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    reported_usd      Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    derived_usd       Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    avoided_usd       Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    wasted_usd        Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    cache_saved_usd   Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    input_tokens      Nullable(UInt64) CODEC(ZSTD(1)),
    output_tokens     Nullable(UInt64) CODEC(ZSTD(1)),
    cache_read_tokens Nullable(UInt64) CODEC(ZSTD(1)),
    cache_write_tokens Nullable(UInt64) CODEC(ZSTD(1)),
    reasoning_tokens  Nullable(UInt64) CODEC(ZSTD(1)),
    app_attempts      Nullable(UInt64) CODEC(ZSTD(1)),
    upstream_attempts Nullable(UInt64) CODEC(ZSTD(1)),
    -- Seconds that all of them took.
    duration_s        Nullable(Float64) CODEC(ZSTD(1)),
    gen               UInt64 CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(gen)
PARTITION BY toYYYYMM(bucket)
ORDER BY (bucket, environment, data_mode, tenant, endpoint, model);

CREATE OR REPLACE VIEW tollspan_tenant_days AS
SELECT * EXCEPT (gen)
FROM calls_by_tenant_day
WHERE (bucket, gen) GLOBAL IN (SELECT bucket, max(gen) FROM calls_by_tenant_day GROUP BY bucket) AND calls > 0;

INSERT INTO tollspan_schema (version, name)
SELECT 5, '0005_rollups.sql' WHERE 5 NOT IN (SELECT version FROM tollspan_schema);
