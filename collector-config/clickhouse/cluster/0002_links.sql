-- Made from ../0002_links.sql by .ci/ledger_sql.py: change that file.

-- Ids of requests (as gateways give them) and of answers, and the traces whose spans bear or have heard
-- them: a proxy that does not carry trace context onwards begins a trace of its own, which such an id
-- joins to the call's.

CREATE TABLE IF NOT EXISTS span_links_local ON CLUSTER '{cluster}'
(
    key      String CODEC(ZSTD(1)),
    trace_id String CODEC(ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/span_links', '{replica}')
ORDER BY (key, trace_id)
SETTINGS index_granularity = 2048;

CREATE TABLE IF NOT EXISTS span_links ON CLUSTER '{cluster}'
AS span_links_local
ENGINE = Distributed('{cluster}', currentDatabase(), span_links_local, cityHash64(key));

INSERT INTO tollspan_schema (version, name)
SELECT 2, '0002_links.sql' WHERE 2 NOT IN (SELECT version FROM tollspan_schema);
