-- Made from ../0016_usage_hours.sql by .ci/ledger_sql.py: change that file.

-- What the usage API adds up, by hour: whoever asks for a week does not read a week of calls again.
--
-- Each table is for names of one kind: those that repeat from call to call; tenants with their keys; tags.
-- What is new with nearly every call (users, sessions) is counted nowhere and read from the calls. As in
-- 0005_rollups.sql an hour is counted again as a whole whenever a call of its is told, and stands under a
-- new generation (see refresh.sql). The API reads the calls themselves where an hour was told of since it
-- was counted: an answer is exact at any moment, whether or not anybody counts.

-- By everything that repeats.
CREATE TABLE IF NOT EXISTS usage_by_hour_local ON CLUSTER '{cluster}'
(
    bucket          DateTime('UTC') CODEC(Delta, ZSTD(1)),
    environment     LowCardinality(String),
    data_mode       LowCardinality(String),
    service         LowCardinality(String),
    operation       LowCardinality(String),
    endpoint        LowCardinality(String),
    prompt          LowCardinality(String),
    prompt_version  LowCardinality(String),
    provider        LowCardinality(String),
    server_address  LowCardinality(String),
    request_model   LowCardinality(String),
    response_model  LowCardinality(String),
    served_model    LowCardinality(String),
    route           LowCardinality(String),
    service_tier    LowCardinality(String),
    status          LowCardinality(String),
    error_type      LowCardinality(String),
    cost_grade      LowCardinality(String),
    blame           LowCardinality(String),
    blocked_by      LowCardinality(String),
    waste_reason    LowCardinality(String),
    unpriced_reason LowCardinality(String),
    calls           UInt64 CODEC(T64, ZSTD(1)),
    priced_calls    UInt64 CODEC(T64, ZSTD(1)),
    unpriced_calls  UInt64 CODEC(T64, ZSTD(1)),
    cost            Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    reported        Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    derived         Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    avoided         Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    wasted          Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    cache_saved     Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    input           Nullable(UInt64) CODEC(ZSTD(1)),
    output          Nullable(UInt64) CODEC(ZSTD(1)),
    cache_read      Nullable(UInt64) CODEC(ZSTD(1)),
    cache_write     Nullable(UInt64) CODEC(ZSTD(1)),
    reasoning       Nullable(UInt64) CODEC(ZSTD(1)),
    -- Counts without a column, in millionths.
    used            Map(LowCardinality(String), Decimal(38, 0)) CODEC(ZSTD(1)),
    attempts        Nullable(UInt64) CODEC(ZSTD(1)),
    attempts_known  UInt64 CODEC(T64, ZSTD(1)),
    retried         UInt64 CODEC(T64, ZSTD(1)),
    upstream        Nullable(UInt64) CODEC(ZSTD(1)),
    fallbacks       UInt64 CODEC(T64, ZSTD(1)),
    swapped         UInt64 CODEC(T64, ZSTD(1)),
    cache_hits      UInt64 CODEC(T64, ZSTD(1)),
    tools           Nullable(UInt64) CODEC(ZSTD(1)),
    -- Of calls that succeeded, whose time and tokens are known.
    speed_tokens    Nullable(UInt64) CODEC(ZSTD(1)),
    speed_ns        Nullable(Int128) CODEC(ZSTD(1)),
    -- When the last of them began.
    last_ns         Int64 CODEC(ZSTD(1)),
    gen             UInt64 CODEC(ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/usage_by_hour', '{replica}', gen)
PARTITION BY toYYYYMM(bucket)
ORDER BY (bucket, environment, data_mode, service, operation, endpoint, prompt, prompt_version,
          provider, server_address, request_model, response_model, served_model, route,
          service_tier, status, error_type, cost_grade, blame, blocked_by, waste_reason,
          unpriced_reason);

CREATE TABLE IF NOT EXISTS usage_by_hour ON CLUSTER '{cluster}'
AS usage_by_hour_local
ENGINE = Distributed('{cluster}', currentDatabase(), usage_by_hour_local, toUInt32(bucket));

CREATE OR REPLACE VIEW tollspan_usage_hours ON CLUSTER '{cluster}' AS
SELECT * EXCEPT (gen)
FROM usage_by_hour
WHERE (bucket, gen) GLOBAL IN (SELECT bucket, max(gen) FROM usage_by_hour GROUP BY bucket)
  AND calls > 0;

-- By tenants and their provider keys.
CREATE TABLE IF NOT EXISTS usage_by_tenant_hour_local ON CLUSTER '{cluster}'
(
    bucket          DateTime('UTC') CODEC(Delta, ZSTD(1)),
    environment     LowCardinality(String),
    data_mode       LowCardinality(String),
    tenant          LowCardinality(String),
    api_key         String CODEC(ZSTD(1)),
    status          LowCardinality(String),
    error_type      LowCardinality(String),
    cost_grade      LowCardinality(String),
    calls           UInt64 CODEC(T64, ZSTD(1)),
    priced_calls    UInt64 CODEC(T64, ZSTD(1)),
    unpriced_calls  UInt64 CODEC(T64, ZSTD(1)),
    cost            Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    reported        Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    derived         Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    avoided         Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    wasted          Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    cache_saved     Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    input           Nullable(UInt64) CODEC(ZSTD(1)),
    output          Nullable(UInt64) CODEC(ZSTD(1)),
    cache_read      Nullable(UInt64) CODEC(ZSTD(1)),
    cache_write     Nullable(UInt64) CODEC(ZSTD(1)),
    reasoning       Nullable(UInt64) CODEC(ZSTD(1)),
    used            Map(LowCardinality(String), Decimal(38, 0)) CODEC(ZSTD(1)),
    attempts        Nullable(UInt64) CODEC(ZSTD(1)),
    attempts_known  UInt64 CODEC(T64, ZSTD(1)),
    retried         UInt64 CODEC(T64, ZSTD(1)),
    upstream        Nullable(UInt64) CODEC(ZSTD(1)),
    fallbacks       UInt64 CODEC(T64, ZSTD(1)),
    swapped         UInt64 CODEC(T64, ZSTD(1)),
    cache_hits      UInt64 CODEC(T64, ZSTD(1)),
    tools           Nullable(UInt64) CODEC(ZSTD(1)),
    speed_tokens    Nullable(UInt64) CODEC(ZSTD(1)),
    speed_ns        Nullable(Int128) CODEC(ZSTD(1)),
    last_ns         Int64 CODEC(ZSTD(1)),
    gen             UInt64 CODEC(ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/usage_by_tenant_hour', '{replica}', gen)
PARTITION BY toYYYYMM(bucket)
ORDER BY (bucket, environment, data_mode, tenant, api_key, status, error_type, cost_grade);

CREATE TABLE IF NOT EXISTS usage_by_tenant_hour ON CLUSTER '{cluster}'
AS usage_by_tenant_hour_local
ENGINE = Distributed('{cluster}', currentDatabase(), usage_by_tenant_hour_local, toUInt32(bucket));

CREATE OR REPLACE VIEW tollspan_usage_tenant_hours ON CLUSTER '{cluster}' AS
SELECT * EXCEPT (gen)
FROM usage_by_tenant_hour
WHERE (bucket, gen) GLOBAL IN (SELECT bucket, max(gen) FROM usage_by_tenant_hour GROUP BY bucket)
  AND calls > 0;

-- By all tags of a call together: who lacks one is a group of it, too.
CREATE TABLE IF NOT EXISTS usage_by_tags_hour_local ON CLUSTER '{cluster}'
(
    bucket          DateTime('UTC') CODEC(Delta, ZSTD(1)),
    environment     LowCardinality(String),
    data_mode       LowCardinality(String),
    tag_keys        Array(LowCardinality(String)),
    tag_values      Array(String),
    status          LowCardinality(String),
    error_type      LowCardinality(String),
    cost_grade      LowCardinality(String),
    calls           UInt64 CODEC(T64, ZSTD(1)),
    priced_calls    UInt64 CODEC(T64, ZSTD(1)),
    unpriced_calls  UInt64 CODEC(T64, ZSTD(1)),
    cost            Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    reported        Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    derived         Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    avoided         Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    wasted          Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    cache_saved     Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    input           Nullable(UInt64) CODEC(ZSTD(1)),
    output          Nullable(UInt64) CODEC(ZSTD(1)),
    cache_read      Nullable(UInt64) CODEC(ZSTD(1)),
    cache_write     Nullable(UInt64) CODEC(ZSTD(1)),
    reasoning       Nullable(UInt64) CODEC(ZSTD(1)),
    used            Map(LowCardinality(String), Decimal(38, 0)) CODEC(ZSTD(1)),
    attempts        Nullable(UInt64) CODEC(ZSTD(1)),
    attempts_known  UInt64 CODEC(T64, ZSTD(1)),
    retried         UInt64 CODEC(T64, ZSTD(1)),
    upstream        Nullable(UInt64) CODEC(ZSTD(1)),
    fallbacks       UInt64 CODEC(T64, ZSTD(1)),
    swapped         UInt64 CODEC(T64, ZSTD(1)),
    cache_hits      UInt64 CODEC(T64, ZSTD(1)),
    tools           Nullable(UInt64) CODEC(ZSTD(1)),
    speed_tokens    Nullable(UInt64) CODEC(ZSTD(1)),
    speed_ns        Nullable(Int128) CODEC(ZSTD(1)),
    last_ns         Int64 CODEC(ZSTD(1)),
    gen             UInt64 CODEC(ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/usage_by_tags_hour', '{replica}', gen)
PARTITION BY toYYYYMM(bucket)
ORDER BY (bucket, environment, data_mode, tag_keys, tag_values, status, error_type, cost_grade);

CREATE TABLE IF NOT EXISTS usage_by_tags_hour ON CLUSTER '{cluster}'
AS usage_by_tags_hour_local
ENGINE = Distributed('{cluster}', currentDatabase(), usage_by_tags_hour_local, toUInt32(bucket));

CREATE OR REPLACE VIEW tollspan_usage_tags_hours ON CLUSTER '{cluster}' AS
SELECT * EXCEPT (gen, tag_keys, tag_values), mapFromArrays(tag_keys, tag_values) AS tags
FROM usage_by_tags_hour
WHERE (bucket, gen) GLOBAL IN (SELECT bucket, max(gen) FROM usage_by_tags_hour GROUP BY bucket)
  AND calls > 0;

INSERT INTO tollspan_schema (version, name)
SELECT 16, '0016_usage_hours.sql' WHERE 16 NOT IN (SELECT version FROM tollspan_schema);
