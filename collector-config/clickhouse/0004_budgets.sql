-- Budgets: how much a part of the calls may cost in a day, week or month (UTC).
--
-- A budget is changed by inserting it again with a higher version, and ended with enabled = 0.
-- Its filters name columns of tollspan_calls, `model` or `tag.<key>`, each with the one value that
-- counts; none means every call.

CREATE TABLE IF NOT EXISTS budgets
(
    name       String,
    filters    Map(LowCardinality(String), String),
    period     LowCardinality(String) DEFAULT 'month',
    limit_usd  Decimal(18, 6),
    -- From this part of the limit on the state is `soft`.
    soft_ratio Float64 DEFAULT 0.8,
    owner      String,
    contact    String,
    -- What is done at the limit: `warn`, `degrade …`, `queue …`, `refuse`, or words for whoever is told.
    action     String,
    enabled    Bool DEFAULT true,
    version    UInt64 DEFAULT toUnixTimestamp64Milli(now64(3)),
    CONSTRAINT named CHECK name != '',
    CONSTRAINT known_period CHECK period IN ('day', 'week', 'month'),
    CONSTRAINT some_limit CHECK limit_usd > 0,
    CONSTRAINT some_ratio CHECK soft_ratio > 0 AND soft_ratio <= 1,
    CONSTRAINT known_filters CHECK arrayAll(
        key -> key IN (
            'service', 'environment', 'operation', 'endpoint', 'prompt', 'prompt_version', 'tenant',
            'user', 'session', 'provider', 'server_address', 'request_model', 'response_model',
            'served_model', 'model', 'route', 'service_tier', 'api_key'
        ) OR (startsWith(key, 'tag.') AND key != 'tag.'),
        mapKeys(filters))
)
ENGINE = ReplacingMergeTree(version)
ORDER BY name;

-- What each has spent: see 0013_budget_hours.sql.

INSERT INTO tollspan_schema (version, name)
SELECT 4, '0004_budgets.sql' WHERE 4 NOT IN (SELECT version FROM tollspan_schema);
