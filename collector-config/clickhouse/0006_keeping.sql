-- How long rows are kept is no part of these files: `tollspan up` sets it from TOLLSPAN_KEEP_SPANS_DAYS,
-- TOLLSPAN_KEEP_CALLS_DAYS and TOLLSPAN_KEEP_ROLLUPS_DAYS. On a server:
--
--   ALTER TABLE spans      MODIFY TTL toDateTime(time) + INTERVAL 30 DAY;
--   ALTER TABLE span_links MODIFY TTL told_at + INTERVAL 30 DAY;
--   ALTER TABLE llm_calls  MODIFY TTL toDateTime(time) + INTERVAL 400 DAY;
--   ALTER TABLE llm_hops   MODIFY TTL toDateTime(time) + INTERVAL 400 DAY;
--   ALTER TABLE calls_by_minute MODIFY TTL bucket + INTERVAL 30 DAY;   -- and the other rollups
--   ALTER TABLE spans      REMOVE TTL;                                 -- keeps them for good again
--
-- In a cluster the tables are `<name>_local`, each ALTER goes ON CLUSTER '{cluster}'.
--
-- A rollup may be kept longer than the calls: a bucket is counted again only when a call of its is told.
-- It must not be kept shorter than late calls may come, nor calls shorter than that: a call that is told
-- again after its bucket's other calls were forgotten would be counted alone.

ALTER TABLE span_links
    -- A link has no time of its own: when it was last told.
    ADD COLUMN IF NOT EXISTS told_at DateTime('UTC') MATERIALIZED now('UTC');

ALTER TABLE span_links MATERIALIZE COLUMN told_at SETTINGS mutations_sync = 2;

INSERT INTO tollspan_schema (version, name)
SELECT 6, '0006_keeping.sql' WHERE 6 NOT IN (SELECT version FROM tollspan_schema);
