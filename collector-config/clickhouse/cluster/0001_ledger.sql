-- Made from ../0001_ledger.sql by .ci/ledger_sql.py: change that file.

-- The ledger. One copy for a ClickHouse server (clickhouse-client --multiquery < this) and for the
-- embedded engine of `tollspan up`.
--
-- Whatever stands in a sorting or partition key is a function of the call's or the span's identity,
-- so that every later version of a row meets the earlier one in the same partition and replaces it.
-- `version` grows with the evidence, never with the clock: redelivery in any order leaves the same
-- rows. Money is Decimal; what is not known is NULL (numbers) or '' (strings), never 0.

CREATE TABLE IF NOT EXISTS tollspan_schema_local ON CLUSTER '{cluster}'
(
    version    UInt32,
    name       String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/tollspan_schema', '{replica}')
ORDER BY version;

CREATE TABLE IF NOT EXISTS tollspan_schema ON CLUSTER '{cluster}'
AS tollspan_schema_local
ENGINE = Distributed('{cluster}', currentDatabase(), tollspan_schema_local, version);

CREATE TABLE IF NOT EXISTS spans_local ON CLUSTER '{cluster}'
(
    trace_id       String CODEC(ZSTD(1)),
    span_id        String CODEC(ZSTD(1)),
    parent_id      String CODEC(ZSTD(1)),
    name           LowCardinality(String),
    kind           LowCardinality(String),
    scope          LowCardinality(String),
    scope_version  LowCardinality(String),
    service        LowCardinality(String),
    environment    LowCardinality(String),
    time           DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    duration_ns    Nullable(UInt64),
    status         LowCardinality(String),
    status_message String,
    resource       Map(LowCardinality(String), String),
    attributes     Map(LowCardinality(String), String),
    -- Names whose value above is JSON (a number, a boolean, a list); all others are plain strings.
    typed          Array(LowCardinality(String)),
    -- JSON: [{"name", "offset_s", "attributes"}]
    events         String CODEC(ZSTD(1)),
    version        UInt64,
    INDEX time_range time TYPE minmax GRANULARITY 1
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/spans', '{replica}', version)
PARTITION BY toYYYYMM(time)
ORDER BY (trace_id, span_id)
SETTINGS index_granularity = 2048;

CREATE TABLE IF NOT EXISTS spans ON CLUSTER '{cluster}'
AS spans_local
ENGINE = Distributed('{cluster}', currentDatabase(), spans_local, cityHash64(trace_id));

CREATE TABLE IF NOT EXISTS llm_calls_local ON CLUSTER '{cluster}'
(
    -- 16 hex of the start in ns, 16 hex of a hash of trace and span id: it sorts by time.
    call_id                String CODEC(ZSTD(1)),
    trace_id               String CODEC(ZSTD(1)),
    span_id                String CODEC(ZSTD(1)),
    time                   DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    -- owner: a row of tollspan_calls. restated: another span owns this answer's money. gone: a
    -- better copy of the span, with another start, has its own row.
    role                   LowCardinality(String),
    owner_span_id          String CODEC(ZSTD(1)),
    service                LowCardinality(String),
    environment            LowCardinality(String),
    data_mode              LowCardinality(String),
    scope                  LowCardinality(String),
    operation              LowCardinality(String),
    streaming              Nullable(Bool),
    endpoint               LowCardinality(String),
    prompt                 LowCardinality(String),
    prompt_version         LowCardinality(String),
    tenant                 LowCardinality(String),
    user                   String,
    session                String,
    tags                   Map(LowCardinality(String), String),
    provider               LowCardinality(String),
    server_address         LowCardinality(String),
    request_model          LowCardinality(String),
    response_model         LowCardinality(String),
    served_model           LowCardinality(String),
    route                  LowCardinality(String),
    hop_count              Nullable(UInt16),
    input_tokens           Nullable(UInt64),
    output_tokens          Nullable(UInt64),
    cache_read_tokens      Nullable(UInt64),
    cache_write_tokens     Nullable(UInt64),
    reasoning_tokens       Nullable(UInt64),
    -- Every other count that a price can depend on (audio, image, searches): history can be repriced.
    usage                  Map(LowCardinality(String), Float64),
    cost_usd               Nullable(Decimal(18, 12)),
    cost_grade             LowCardinality(String),
    cost_grade_reason      LowCardinality(String),
    cost_source            LowCardinality(String),
    reported_usd           Nullable(Decimal(18, 12)),
    derived_usd            Nullable(Decimal(18, 12)),
    avoided_usd            Nullable(Decimal(18, 12)),
    wasted_usd             Nullable(Decimal(18, 12)),
    waste_reason           LowCardinality(String),
    unpriced_reason        LowCardinality(String),
    service_tier           LowCardinality(String),
    price_version          LowCardinality(String),
    time_to_first_chunk_s  Nullable(Float64),
    duration_s             Nullable(Float64),
    status                 LowCardinality(String),
    error_type             LowCardinality(String),
    app_attempts           Nullable(UInt32),
    upstream_attempts      Nullable(UInt32),
    upstream_confidence    LowCardinality(String),
    model_swapped          Nullable(Bool),
    fallback               Nullable(Bool),
    cache_hit              Nullable(Bool),
    blocked_by             LowCardinality(String),
    blame                  LowCardinality(String),
    finish_reasons         Array(LowCardinality(String)),
    response_id            String,
    request_id             String,
    version                UInt64,
    INDEX time_range time TYPE minmax GRANULARITY 1,
    INDEX trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/llm_calls', '{replica}', version)
PARTITION BY toYYYYMM(time)
ORDER BY call_id
SETTINGS index_granularity = 2048;

CREATE TABLE IF NOT EXISTS llm_calls ON CLUSTER '{cluster}'
AS llm_calls_local
ENGINE = Distributed('{cluster}', currentDatabase(), llm_calls_local, cityHash64(trace_id));

CREATE TABLE IF NOT EXISTS llm_hops_local ON CLUSTER '{cluster}'
(
    call_id         String CODEC(ZSTD(1)),
    hop_index       UInt16,
    trace_id        String CODEC(ZSTD(1)),
    -- '' where no span stands for the hop: the model of a direct call.
    span_id         String CODEC(ZSTD(1)),
    -- Of the call, so that a hop lies in its call's partition.
    time            DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    -- As role in llm_calls; 'gone': a later version of the call has no hop at this place.
    owner           LowCardinality(String),
    role            LowCardinality(String),
    name            LowCardinality(String),
    provider        LowCardinality(String),
    model           LowCardinality(String),
    evidence        LowCardinality(String),
    gateway         LowCardinality(String),
    gateway_version LowCardinality(String),
    overhead_ms     Nullable(Float64),
    status          LowCardinality(String),
    service         LowCardinality(String),
    environment     LowCardinality(String),
    data_mode       LowCardinality(String),
    endpoint        LowCardinality(String),
    tenant          LowCardinality(String),
    route           LowCardinality(String),
    version         UInt64,
    INDEX time_range time TYPE minmax GRANULARITY 1,
    INDEX trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/llm_hops', '{replica}', version)
PARTITION BY toYYYYMM(time)
ORDER BY (call_id, hop_index)
SETTINGS index_granularity = 2048;

CREATE TABLE IF NOT EXISTS llm_hops ON CLUSTER '{cluster}'
AS llm_hops_local
ENGINE = Distributed('{cluster}', currentDatabase(), llm_hops_local, cityHash64(trace_id));

-- One row per logical call. Every board, the API and the command line read this.
CREATE OR REPLACE VIEW tollspan_calls ON CLUSTER '{cluster}' AS
SELECT * EXCEPT (role, owner_span_id, version)
FROM llm_calls FINAL
WHERE role = 'owner'
SETTINGS do_not_merge_across_partitions_select_final = 1;

-- One row per hop of a logical call, the model of a direct call included.
CREATE OR REPLACE VIEW tollspan_hops ON CLUSTER '{cluster}' AS
SELECT * EXCEPT (owner, version)
FROM llm_hops FINAL
WHERE owner = 'owner'
SETTINGS do_not_merge_across_partitions_select_final = 1;

INSERT INTO tollspan_schema (version, name)
SELECT 1, '0001_ledger.sql' WHERE 1 NOT IN (SELECT version FROM tollspan_schema);
