-- Made from ../refresh.sql by .ci/ledger_sql.py: change that file.

-- How the rollups are kept, on a server: each is refreshed as often as it says, and counts the buckets
-- again of which a call was told since a little before its last refresh. After the numbered files; the
-- embedded engine runs the same statements itself. In a cluster: on one server alone.

CREATE MATERIALIZED VIEW IF NOT EXISTS refresh_calls_by_minute REFRESH EVERY 1 MINUTE APPEND TO calls_by_minute AS
WITH
    -- Rows that a slow insert brought late carry an earlier time than the last refresh.
    (SELECT toDateTime(greatest(intDiv(max(gen), 1000), 300) - 300, 'UTC') FROM calls_by_minute) AS
    since,
    told AS (SELECT DISTINCT toStartOfMinute(time) AS bucket FROM llm_calls WHERE told_at >= since),
    counted AS (
        SELECT toStartOfMinute(time) AS bucket,
               environment AS c_environment, data_mode AS c_data_mode, endpoint AS c_endpoint,
               provider AS c_provider,
               coalesce(nullIf(served_model, ''), nullIf(response_model, ''), request_model) AS c_model,
               count() AS n_calls,
               countIf(cost_usd IS NOT NULL) AS n_priced_calls,
               countIf(cost_usd IS NULL AND cost_grade = 'unpriced') AS n_unpriced_calls,
               countIf(cost_grade = 'lower_bound') AS n_lower_bound_calls,
               countIf(status IN ('error', 'blocked')) AS n_failed_calls,
               countIf(cache_hit) AS n_cache_hits,
               sum(cost_usd) AS s_cost_usd,
               sum(reported_usd) AS s_reported_usd,
               sum(derived_usd) AS s_derived_usd,
               sum(avoided_usd) AS s_avoided_usd,
               sum(wasted_usd) AS s_wasted_usd,
               sum(cache_saved_usd) AS s_cache_saved_usd,
               sum(input_tokens) AS s_input_tokens,
               sum(output_tokens) AS s_output_tokens,
               sum(cache_read_tokens) AS s_cache_read_tokens,
               sum(cache_write_tokens) AS s_cache_write_tokens,
               sum(reasoning_tokens) AS s_reasoning_tokens,
               sum(app_attempts) AS s_app_attempts,
               sum(upstream_attempts) AS s_upstream_attempts,
               sum(duration_s) AS s_duration_s
        FROM tollspan_calls
        WHERE time >= (SELECT toDateTime64(min(bucket), 9, 'UTC') FROM told)
          AND time < (SELECT toDateTime64(max(bucket) + INTERVAL 1 MINUTE, 9, 'UTC') FROM told)
          AND toStartOfMinute(time) GLOBAL IN (SELECT bucket FROM told)
        GROUP BY ALL
        UNION ALL
        -- A bucket that lost its last call has a generation, too.
        SELECT bucket, '', '', '', '', '', 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL,
               NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
        FROM told
    )
SELECT bucket, c_environment AS environment, c_data_mode AS data_mode, c_endpoint AS endpoint,
       c_provider AS provider, c_model AS model,
       sum(n_calls) AS calls,
       sum(n_priced_calls) AS priced_calls,
       sum(n_unpriced_calls) AS unpriced_calls,
       sum(n_lower_bound_calls) AS lower_bound_calls,
       sum(n_failed_calls) AS failed_calls,
       sum(n_cache_hits) AS cache_hits,
       sum(s_cost_usd) AS cost_usd,
       sum(s_reported_usd) AS reported_usd,
       sum(s_derived_usd) AS derived_usd,
       sum(s_avoided_usd) AS avoided_usd,
       sum(s_wasted_usd) AS wasted_usd,
       sum(s_cache_saved_usd) AS cache_saved_usd,
       sum(s_input_tokens) AS input_tokens,
       sum(s_output_tokens) AS output_tokens,
       sum(s_cache_read_tokens) AS cache_read_tokens,
       sum(s_cache_write_tokens) AS cache_write_tokens,
       sum(s_reasoning_tokens) AS reasoning_tokens,
       sum(s_app_attempts) AS app_attempts,
       sum(s_upstream_attempts) AS upstream_attempts,
       sum(s_duration_s) AS duration_s,
       toUnixTimestamp64Milli(now64(3)) AS gen
FROM counted
GROUP BY ALL;

CREATE MATERIALIZED VIEW IF NOT EXISTS refresh_calls_by_hour REFRESH EVERY 1 MINUTE APPEND TO calls_by_hour AS
WITH
    -- Rows that a slow insert brought late carry an earlier time than the last refresh.
    (SELECT toDateTime(greatest(intDiv(max(gen), 1000), 300) - 300, 'UTC') FROM calls_by_hour) AS since,
    told AS (SELECT DISTINCT toStartOfHour(time) AS bucket FROM llm_calls WHERE told_at >= since),
    counted AS (
        SELECT toStartOfHour(time) AS bucket,
               environment AS c_environment, data_mode AS c_data_mode, endpoint AS c_endpoint,
               prompt AS c_prompt, prompt_version AS c_prompt_version,
               coalesce(nullIf(served_model, ''), nullIf(response_model, ''), request_model) AS c_model,
               count() AS n_calls,
               countIf(cost_usd IS NOT NULL) AS n_priced_calls,
               countIf(cost_usd IS NULL AND cost_grade = 'unpriced') AS n_unpriced_calls,
               countIf(cost_grade = 'lower_bound') AS n_lower_bound_calls,
               countIf(status IN ('error', 'blocked')) AS n_failed_calls,
               countIf(cache_hit) AS n_cache_hits,
               sum(cost_usd) AS s_cost_usd,
               sum(reported_usd) AS s_reported_usd,
               sum(derived_usd) AS s_derived_usd,
               sum(avoided_usd) AS s_avoided_usd,
               sum(wasted_usd) AS s_wasted_usd,
               sum(cache_saved_usd) AS s_cache_saved_usd,
               sum(input_tokens) AS s_input_tokens,
               sum(output_tokens) AS s_output_tokens,
               sum(cache_read_tokens) AS s_cache_read_tokens,
               sum(cache_write_tokens) AS s_cache_write_tokens,
               sum(reasoning_tokens) AS s_reasoning_tokens,
               sum(app_attempts) AS s_app_attempts,
               sum(upstream_attempts) AS s_upstream_attempts,
               sum(duration_s) AS s_duration_s
        FROM tollspan_calls
        WHERE time >= (SELECT toDateTime64(min(bucket), 9, 'UTC') FROM told)
          AND time < (SELECT toDateTime64(max(bucket) + INTERVAL 1 HOUR, 9, 'UTC') FROM told)
          AND toStartOfHour(time) GLOBAL IN (SELECT bucket FROM told)
        GROUP BY ALL
        UNION ALL
        -- A bucket that lost its last call has a generation, too.
        SELECT bucket, '', '', '', '', '', '', 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL,
               NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
        FROM told
    )
SELECT bucket, c_environment AS environment, c_data_mode AS data_mode, c_endpoint AS endpoint,
       c_prompt AS prompt, c_prompt_version AS prompt_version, c_model AS model,
       sum(n_calls) AS calls,
       sum(n_priced_calls) AS priced_calls,
       sum(n_unpriced_calls) AS unpriced_calls,
       sum(n_lower_bound_calls) AS lower_bound_calls,
       sum(n_failed_calls) AS failed_calls,
       sum(n_cache_hits) AS cache_hits,
       sum(s_cost_usd) AS cost_usd,
       sum(s_reported_usd) AS reported_usd,
       sum(s_derived_usd) AS derived_usd,
       sum(s_avoided_usd) AS avoided_usd,
       sum(s_wasted_usd) AS wasted_usd,
       sum(s_cache_saved_usd) AS cache_saved_usd,
       sum(s_input_tokens) AS input_tokens,
       sum(s_output_tokens) AS output_tokens,
       sum(s_cache_read_tokens) AS cache_read_tokens,
       sum(s_cache_write_tokens) AS cache_write_tokens,
       sum(s_reasoning_tokens) AS reasoning_tokens,
       sum(s_app_attempts) AS app_attempts,
       sum(s_upstream_attempts) AS upstream_attempts,
       sum(s_duration_s) AS duration_s,
       toUnixTimestamp64Milli(now64(3)) AS gen
FROM counted
GROUP BY ALL;

CREATE MATERIALIZED VIEW IF NOT EXISTS refresh_calls_by_tenant_hour REFRESH EVERY 1 MINUTE APPEND TO calls_by_tenant_hour AS
WITH
    -- Rows that a slow insert brought late carry an earlier time than the last refresh.
    (SELECT toDateTime(greatest(intDiv(max(gen), 1000), 300) - 300, 'UTC') FROM
    calls_by_tenant_hour) AS since,
    told AS (SELECT DISTINCT toStartOfHour(time) AS bucket FROM llm_calls WHERE told_at >= since),
    counted AS (
        SELECT toStartOfHour(time) AS bucket,
               environment AS c_environment, data_mode AS c_data_mode, tenant AS c_tenant,
               coalesce(nullIf(served_model, ''), nullIf(response_model, ''), request_model) AS c_model,
               count() AS n_calls,
               countIf(cost_usd IS NOT NULL) AS n_priced_calls,
               countIf(cost_usd IS NULL AND cost_grade = 'unpriced') AS n_unpriced_calls,
               countIf(cost_grade = 'lower_bound') AS n_lower_bound_calls,
               countIf(status IN ('error', 'blocked')) AS n_failed_calls,
               countIf(cache_hit) AS n_cache_hits,
               sum(cost_usd) AS s_cost_usd,
               sum(reported_usd) AS s_reported_usd,
               sum(derived_usd) AS s_derived_usd,
               sum(avoided_usd) AS s_avoided_usd,
               sum(wasted_usd) AS s_wasted_usd,
               sum(cache_saved_usd) AS s_cache_saved_usd,
               sum(input_tokens) AS s_input_tokens,
               sum(output_tokens) AS s_output_tokens,
               sum(cache_read_tokens) AS s_cache_read_tokens,
               sum(cache_write_tokens) AS s_cache_write_tokens,
               sum(reasoning_tokens) AS s_reasoning_tokens,
               sum(app_attempts) AS s_app_attempts,
               sum(upstream_attempts) AS s_upstream_attempts,
               sum(duration_s) AS s_duration_s
        FROM tollspan_calls
        WHERE time >= (SELECT toDateTime64(min(bucket), 9, 'UTC') FROM told)
          AND time < (SELECT toDateTime64(max(bucket) + INTERVAL 1 HOUR, 9, 'UTC') FROM told)
          AND toStartOfHour(time) GLOBAL IN (SELECT bucket FROM told)
        GROUP BY ALL
        UNION ALL
        -- A bucket that lost its last call has a generation, too.
        SELECT bucket, '', '', '', '', 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
               NULL, NULL, NULL, NULL, NULL, NULL, NULL
        FROM told
    )
SELECT bucket, c_environment AS environment, c_data_mode AS data_mode, c_tenant AS tenant, c_model
       AS model,
       sum(n_calls) AS calls,
       sum(n_priced_calls) AS priced_calls,
       sum(n_unpriced_calls) AS unpriced_calls,
       sum(n_lower_bound_calls) AS lower_bound_calls,
       sum(n_failed_calls) AS failed_calls,
       sum(n_cache_hits) AS cache_hits,
       sum(s_cost_usd) AS cost_usd,
       sum(s_reported_usd) AS reported_usd,
       sum(s_derived_usd) AS derived_usd,
       sum(s_avoided_usd) AS avoided_usd,
       sum(s_wasted_usd) AS wasted_usd,
       sum(s_cache_saved_usd) AS cache_saved_usd,
       sum(s_input_tokens) AS input_tokens,
       sum(s_output_tokens) AS output_tokens,
       sum(s_cache_read_tokens) AS cache_read_tokens,
       sum(s_cache_write_tokens) AS cache_write_tokens,
       sum(s_reasoning_tokens) AS reasoning_tokens,
       sum(s_app_attempts) AS app_attempts,
       sum(s_upstream_attempts) AS upstream_attempts,
       sum(s_duration_s) AS duration_s,
       toUnixTimestamp64Milli(now64(3)) AS gen
FROM counted
GROUP BY ALL;

CREATE MATERIALIZED VIEW IF NOT EXISTS refresh_calls_by_tenant_day REFRESH EVERY 10 MINUTE APPEND TO calls_by_tenant_day AS
WITH
    -- Rows that a slow insert brought late carry an earlier time than the last refresh.
    (SELECT toDateTime(greatest(intDiv(max(gen), 1000), 300) - 300, 'UTC') FROM calls_by_tenant_day)
    AS since,
    told AS (SELECT DISTINCT toStartOfDay(time) AS bucket FROM llm_calls WHERE told_at >= since),
    counted AS (
        SELECT toStartOfDay(time) AS bucket,
               environment AS c_environment, data_mode AS c_data_mode, tenant AS c_tenant, endpoint
               AS c_endpoint,
               coalesce(nullIf(served_model, ''), nullIf(response_model, ''), request_model) AS c_model,
               count() AS n_calls,
               countIf(cost_usd IS NOT NULL) AS n_priced_calls,
               countIf(cost_usd IS NULL AND cost_grade = 'unpriced') AS n_unpriced_calls,
               countIf(cost_grade = 'lower_bound') AS n_lower_bound_calls,
               countIf(status IN ('error', 'blocked')) AS n_failed_calls,
               countIf(cache_hit) AS n_cache_hits,
               sum(cost_usd) AS s_cost_usd,
               sum(reported_usd) AS s_reported_usd,
               sum(derived_usd) AS s_derived_usd,
               sum(avoided_usd) AS s_avoided_usd,
               sum(wasted_usd) AS s_wasted_usd,
               sum(cache_saved_usd) AS s_cache_saved_usd,
               sum(input_tokens) AS s_input_tokens,
               sum(output_tokens) AS s_output_tokens,
               sum(cache_read_tokens) AS s_cache_read_tokens,
               sum(cache_write_tokens) AS s_cache_write_tokens,
               sum(reasoning_tokens) AS s_reasoning_tokens,
               sum(app_attempts) AS s_app_attempts,
               sum(upstream_attempts) AS s_upstream_attempts,
               sum(duration_s) AS s_duration_s
        FROM tollspan_calls
        WHERE time >= (SELECT toDateTime64(min(bucket), 9, 'UTC') FROM told)
          AND time < (SELECT toDateTime64(max(bucket) + INTERVAL 1 DAY, 9, 'UTC') FROM told)
          AND toStartOfDay(time) GLOBAL IN (SELECT bucket FROM told)
        GROUP BY ALL
        UNION ALL
        -- A bucket that lost its last call has a generation, too.
        SELECT bucket, '', '', '', '', '', 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL,
               NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
        FROM told
    )
SELECT bucket, c_environment AS environment, c_data_mode AS data_mode, c_tenant AS tenant,
       c_endpoint AS endpoint, c_model AS model,
       sum(n_calls) AS calls,
       sum(n_priced_calls) AS priced_calls,
       sum(n_unpriced_calls) AS unpriced_calls,
       sum(n_lower_bound_calls) AS lower_bound_calls,
       sum(n_failed_calls) AS failed_calls,
       sum(n_cache_hits) AS cache_hits,
       sum(s_cost_usd) AS cost_usd,
       sum(s_reported_usd) AS reported_usd,
       sum(s_derived_usd) AS derived_usd,
       sum(s_avoided_usd) AS avoided_usd,
       sum(s_wasted_usd) AS wasted_usd,
       sum(s_cache_saved_usd) AS cache_saved_usd,
       sum(s_input_tokens) AS input_tokens,
       sum(s_output_tokens) AS output_tokens,
       sum(s_cache_read_tokens) AS cache_read_tokens,
       sum(s_cache_write_tokens) AS cache_write_tokens,
       sum(s_reasoning_tokens) AS reasoning_tokens,
       sum(s_app_attempts) AS app_attempts,
       sum(s_upstream_attempts) AS upstream_attempts,
       sum(s_duration_s) AS duration_s,
       toUnixTimestamp64Milli(now64(3)) AS gen
FROM counted
GROUP BY ALL;

CREATE MATERIALIZED VIEW IF NOT EXISTS refresh_budget_hours REFRESH EVERY 1 MINUTE APPEND TO budget_hours AS
WITH
    (SELECT toDateTime(greatest(intDiv(max(gen), 1000), 300) - 300, 'UTC') FROM budget_hours) AS since,
    now('UTC') AS moment,
    least(toDateTime(toStartOfMonth(moment), 'UTC'), toDateTime(toStartOfWeek(moment, 1), 'UTC')) AS begin,
    told AS (
        SELECT DISTINCT toStartOfHour(time) AS bucket FROM llm_calls WHERE told_at >= since
        UNION DISTINCT
        -- Hours of the periods that lie around now which were not counted for the budgets of today.
        SELECT toDateTime(arrayJoin(range(toUInt32(begin), toUInt32(moment), 3600)), 'UTC') AS bucket
        WHERE bucket NOT IN (SELECT bucket FROM tollspan_budget_hours WHERE budget = '')
    )
SELECT bucket, (SELECT budgets_hash FROM tollspan_budget_set) AS budgets_hash, budget,
       sum(s_usd) AS usd, sum(n_calls) AS calls, sum(n_unpriced) AS unpriced_calls,
       toUnixTimestamp64Milli(now64(3)) AS gen
FROM (
    SELECT bucket, budget, usd AS s_usd, calls AS n_calls, unpriced_calls AS n_unpriced
    FROM tollspan_budget_calls
    WHERE bucket >= (SELECT min(bucket) FROM told) AND bucket <= (SELECT max(bucket) FROM told)
      AND bucket GLOBAL IN (SELECT bucket FROM told)
    UNION ALL
    -- Hours in which no budget has a call were counted, too.
    SELECT bucket, '', NULL, 0, 0 FROM told
)
GROUP BY bucket, budget;
