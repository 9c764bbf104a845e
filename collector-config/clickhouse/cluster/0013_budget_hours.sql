-- Made from ../0013_budget_hours.sql by .ci/ledger_sql.py: change that file.

-- What each budget has spent, by hour, so that a month of calls is not read whenever somebody looks.
--
-- An hour is counted again as a whole when a call of its is told or the budgets change (see refresh.sql).
-- Where it has not been counted since, `tollspan_budgets` reads the calls themselves: it is exact at any
-- moment, whether or not anybody counts.

-- Sums of an hour stand under the set of budgets that they were counted for. Each hour that was counted
-- has a row without a name, too.
CREATE TABLE IF NOT EXISTS budget_hours_local ON CLUSTER '{cluster}'
(
    bucket         DateTime('UTC') CODEC(Delta, ZSTD(1)),
    budgets_hash   UInt64 CODEC(ZSTD(1)),
    budget         String,
    usd            Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    calls          UInt64 CODEC(T64, ZSTD(1)),
    unpriced_calls UInt64 CODEC(T64, ZSTD(1)),
    gen            UInt64 CODEC(ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/budget_hours', '{replica}', gen)
PARTITION BY toYYYYMM(bucket)
ORDER BY (bucket, budgets_hash, budget);

CREATE TABLE IF NOT EXISTS budget_hours ON CLUSTER '{cluster}'
AS budget_hours_local
ENGINE = Distributed('{cluster}', currentDatabase(), budget_hours_local, toUInt32(bucket));

-- The set of budgets that there is now.
CREATE OR REPLACE VIEW tollspan_budget_set ON CLUSTER '{cluster}' AS
SELECT cityHash64(arraySort(groupArray((name, arraySort(mapKeys(filters)),
                                        arrayMap(key -> filters[key], arraySort(mapKeys(filters)))))))
           AS budgets_hash
FROM budgets FINAL
WHERE enabled;

-- Sums that were counted for the budgets that there are now.
CREATE OR REPLACE VIEW tollspan_budget_hours ON CLUSTER '{cluster}' AS
SELECT bucket, budget, usd, calls, unpriced_calls
FROM budget_hours
WHERE (bucket, gen) GLOBAL IN (SELECT bucket, max(gen) FROM budget_hours GROUP BY bucket)
  AND budgets_hash = (SELECT budgets_hash FROM tollspan_budget_set);

-- Sums of calls that were told since anybody counted stand in doubt from this hour on; of no call, the
-- hour to come.
CREATE OR REPLACE VIEW tollspan_budget_doubt ON CLUSTER '{cluster}' AS
SELECT toStartOfHour(least(now('UTC') + INTERVAL 1 HOUR, coalesce(toDateTime(minOrNull(time)), now('UTC') + INTERVAL 1 HOUR)))
           AS doubt_from
FROM llm_calls
WHERE told_at >= (SELECT toDateTime(greatest(intDiv(max(gen), 1000), 300) - 300, 'UTC') FROM budget_hours);

-- What each budget's calls cost, and where each budget stands: see 0018_budget_modes.sql.

INSERT INTO tollspan_schema (version, name)
SELECT 13, '0013_budget_hours.sql' WHERE 13 NOT IN (SELECT version FROM tollspan_schema);
