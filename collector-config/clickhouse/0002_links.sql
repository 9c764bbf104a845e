-- Ids of requests (as gateways give them) and of answers, and the traces whose spans bear or have heard
-- them: a proxy that does not carry trace context onwards begins a trace of its own, which such an id
-- joins to the call's.

CREATE TABLE IF NOT EXISTS span_links
(
    key      String CODEC(ZSTD(1)),
    trace_id String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (key, trace_id)
SETTINGS index_granularity = 2048;

INSERT INTO tollspan_schema (version, name)
SELECT 2, '0002_links.sql' WHERE 2 NOT IN (SELECT version FROM tollspan_schema);
