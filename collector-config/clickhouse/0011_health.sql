-- What probes of backends found: a row for each probe, for ninety days.

CREATE TABLE IF NOT EXISTS probes
(
    time             DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    -- As the file of backends calls it.
    backend          LowCardinality(String),
    provider         LowCardinality(String),
    server_address   LowCardinality(String),
    server_port      UInt16,
    -- http, tcp or ping; tcp as well where a ping was not permitted.
    kind             LowCardinality(String),
    -- Method and path of an HTTP probe.
    request          LowCardinality(String),
    -- Whether the backend is down where this check is; else it is only told.
    decides          Bool,
    ok               Bool,
    status           Nullable(UInt16),
    error            LowCardinality(String),
    duration_s       Float64,
    certificate_ends Nullable(DateTime('UTC')),
    -- Of the backend after this probe: up, down or unknown; whether that is new, and why.
    state            LowCardinality(String),
    changed          Bool,
    reason           String
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (backend, time, kind, request)
TTL toDateTime(time) + INTERVAL 90 DAY;

INSERT INTO tollspan_schema (version, name)
SELECT 11, '0011_health.sql' WHERE 11 NOT IN (SELECT version FROM tollspan_schema);
