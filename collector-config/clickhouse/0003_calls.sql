-- What a call says of limits, of caching, of its key and of who told it; what its price depends on
-- beside its counts; and when it was told, so that the rollups know which hours to count again.

ALTER TABLE llm_calls
    ADD COLUMN IF NOT EXISTS told_by            LowCardinality(String),
    ADD COLUMN IF NOT EXISTS limit_requests     Nullable(UInt64),
    ADD COLUMN IF NOT EXISTS remaining_requests Nullable(UInt64),
    ADD COLUMN IF NOT EXISTS limit_tokens       Nullable(UInt64),
    ADD COLUMN IF NOT EXISTS remaining_tokens   Nullable(UInt64),
    -- What prompt caching saved against the uncached input price. Less than 0 where writing to the
    -- cache cost more than reading from it saved.
    ADD COLUMN IF NOT EXISTS cache_saved_usd    Nullable(Decimal(18, 12)),
    ADD COLUMN IF NOT EXISTS api_key            String,
    ADD COLUMN IF NOT EXISTS tool_calls         Nullable(UInt32),
    ADD COLUMN IF NOT EXISTS speed              LowCardinality(String),
    ADD COLUMN IF NOT EXISTS inference_geo      LowCardinality(String),
    -- How often `tollspan reprice` has priced it anew.
    ADD COLUMN IF NOT EXISTS repricings         UInt16,
    -- By the clock of whoever keeps the ledger; no part of `SELECT *`, and never sent.
    ADD COLUMN IF NOT EXISTS told_at            DateTime('UTC') MATERIALIZED now('UTC'),
    ADD INDEX IF NOT EXISTS told told_at TYPE minmax GRANULARITY 4;

-- Rows that were there before: told now, once and for all.
ALTER TABLE llm_calls MATERIALIZE COLUMN told_at SETTINGS mutations_sync = 2;

CREATE OR REPLACE VIEW tollspan_calls AS
SELECT * EXCEPT (role, owner_span_id, version, repricings)
FROM llm_calls FINAL
WHERE role = 'owner'
SETTINGS do_not_merge_across_partitions_select_final = 1;

INSERT INTO tollspan_schema (version, name)
SELECT 3, '0003_calls.sql' WHERE 3 NOT IN (SELECT version FROM tollspan_schema);
