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

CREATE MATERIALIZED VIEW IF NOT EXISTS refresh_usage_by_hour REFRESH EVERY 1 MINUTE APPEND TO usage_by_hour AS
WITH
    -- Rows that a slow insert brought late carry an earlier time than the last refresh.
    (SELECT toDateTime(greatest(intDiv(max(gen), 1000), 300) - 300, 'UTC') FROM usage_by_hour) AS
    since,
    told AS (SELECT DISTINCT toStartOfHour(time) AS bucket FROM llm_calls WHERE told_at >= since),
    counted AS (
        SELECT toStartOfHour(time) AS bucket,
               environment AS c_environment, data_mode AS c_data_mode, service AS c_service,
               operation AS c_operation, endpoint AS c_endpoint, prompt AS c_prompt, prompt_version
               AS c_prompt_version, provider AS c_provider, server_address AS c_server_address,
               request_model AS c_request_model, response_model AS c_response_model, served_model AS
               c_served_model, route AS c_route, service_tier AS c_service_tier, status AS c_status,
               error_type AS c_error_type, cost_grade AS c_cost_grade, blame AS c_blame, blocked_by
               AS c_blocked_by, waste_reason AS c_waste_reason, unpriced_reason AS c_unpriced_reason,
               sum(toUInt64(1)) AS n_calls,
               sum(toUInt64(cost_usd IS NOT NULL)) AS n_priced_calls,
               sum(toUInt64(cost_usd IS NULL AND cost_grade = 'unpriced')) AS n_unpriced_calls,
               sum(cost_usd) AS n_cost,
               sum(reported_usd) AS n_reported,
               sum(derived_usd) AS n_derived,
               sum(avoided_usd) AS n_avoided,
               sum(wasted_usd) AS n_wasted,
               sum(cache_saved_usd) AS n_cache_saved,
               sum(input_tokens) AS n_input,
               sum(output_tokens) AS n_output,
               sum(cache_read_tokens) AS n_cache_read,
               sum(cache_write_tokens) AS n_cache_write,
               sum(reasoning_tokens) AS n_reasoning,
               sumMap(mapApply((k, v) -> (k, toDecimal128(round(least(v, 1000000000000000.0) * 1e6), 0)),
                               usage)) AS n_used,
               sum(app_attempts) AS n_attempts,
               sum(toUInt64(app_attempts IS NOT NULL)) AS n_attempts_known,
               sum(toUInt64(ifNull(app_attempts > 1, 0))) AS n_retried,
               sum(upstream_attempts) AS n_upstream,
               sum(toUInt64(ifNull(fallback, 0))) AS n_fallbacks,
               sum(toUInt64(ifNull(model_swapped, 0))) AS n_swapped,
               sum(toUInt64(ifNull(cache_hit, 0))) AS n_cache_hits,
               sum(tool_calls) AS n_tools,
               sum(if(status = 'success' AND duration_s > 0
                      AND output_tokens IS NOT NULL, output_tokens, NULL)) AS n_speed_tokens,
               sum(if(status = 'success' AND duration_s > 0
                      AND output_tokens IS NOT NULL, toInt128(toInt64(round(least(duration_s, 9000000000.0) * 1e9))), NULL)) AS n_speed_ns,
               max(toUnixTimestamp64Nano(time)) AS n_last_ns
        FROM tollspan_calls
        WHERE time >= (SELECT toDateTime64(min(bucket), 9, 'UTC') FROM told)
          AND time < (SELECT toDateTime64(max(bucket) + INTERVAL 1 HOUR, 9, 'UTC') FROM told)
          AND toStartOfHour(time) GLOBAL IN (SELECT bucket FROM told)
        GROUP BY ALL
        UNION ALL
        -- A bucket that lost its last call has a generation, too.
        SELECT bucket, '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', '',
               '', '', 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
               CAST(map(), 'Map(LowCardinality(String), Decimal(38, 0))'), NULL, 0, 0, NULL, 0, 0,
               0, NULL, NULL, NULL, 0
        FROM told
    )
SELECT bucket, c_environment AS environment, c_data_mode AS data_mode, c_service AS service,
       c_operation AS operation, c_endpoint AS endpoint, c_prompt AS prompt, c_prompt_version AS
       prompt_version, c_provider AS provider, c_server_address AS server_address, c_request_model
       AS request_model, c_response_model AS response_model, c_served_model AS served_model, c_route
       AS route, c_service_tier AS service_tier, c_status AS status, c_error_type AS error_type,
       c_cost_grade AS cost_grade, c_blame AS blame, c_blocked_by AS blocked_by, c_waste_reason AS
       waste_reason, c_unpriced_reason AS unpriced_reason,
       sum(n_calls) AS calls,
       sum(n_priced_calls) AS priced_calls,
       sum(n_unpriced_calls) AS unpriced_calls,
       sum(n_cost) AS cost,
       sum(n_reported) AS reported,
       sum(n_derived) AS derived,
       sum(n_avoided) AS avoided,
       sum(n_wasted) AS wasted,
       sum(n_cache_saved) AS cache_saved,
       sum(n_input) AS input,
       sum(n_output) AS output,
       sum(n_cache_read) AS cache_read,
       sum(n_cache_write) AS cache_write,
       sum(n_reasoning) AS reasoning,
       sumMap(n_used) AS used,
       sum(n_attempts) AS attempts,
       sum(n_attempts_known) AS attempts_known,
       sum(n_retried) AS retried,
       sum(n_upstream) AS upstream,
       sum(n_fallbacks) AS fallbacks,
       sum(n_swapped) AS swapped,
       sum(n_cache_hits) AS cache_hits,
       sum(n_tools) AS tools,
       sum(n_speed_tokens) AS speed_tokens,
       sum(n_speed_ns) AS speed_ns,
       max(n_last_ns) AS last_ns,
       toUnixTimestamp64Milli(now64(3)) AS gen
FROM counted
GROUP BY ALL
-- The first count is of the whole ledger.
SETTINGS max_bytes_before_external_group_by = 1000000000;

CREATE MATERIALIZED VIEW IF NOT EXISTS refresh_usage_by_tenant_hour REFRESH EVERY 1 MINUTE APPEND TO usage_by_tenant_hour AS
WITH
    -- Rows that a slow insert brought late carry an earlier time than the last refresh.
    (SELECT toDateTime(greatest(intDiv(max(gen), 1000), 300) - 300, 'UTC') FROM usage_by_tenant_hour) AS
    since,
    told AS (SELECT DISTINCT toStartOfHour(time) AS bucket FROM llm_calls WHERE told_at >= since),
    counted AS (
        SELECT toStartOfHour(time) AS bucket,
               environment AS c_environment, data_mode AS c_data_mode, tenant AS c_tenant, api_key
               AS c_api_key, status AS c_status, error_type AS c_error_type, cost_grade AS
               c_cost_grade,
               sum(toUInt64(1)) AS n_calls,
               sum(toUInt64(cost_usd IS NOT NULL)) AS n_priced_calls,
               sum(toUInt64(cost_usd IS NULL AND cost_grade = 'unpriced')) AS n_unpriced_calls,
               sum(cost_usd) AS n_cost,
               sum(reported_usd) AS n_reported,
               sum(derived_usd) AS n_derived,
               sum(avoided_usd) AS n_avoided,
               sum(wasted_usd) AS n_wasted,
               sum(cache_saved_usd) AS n_cache_saved,
               sum(input_tokens) AS n_input,
               sum(output_tokens) AS n_output,
               sum(cache_read_tokens) AS n_cache_read,
               sum(cache_write_tokens) AS n_cache_write,
               sum(reasoning_tokens) AS n_reasoning,
               sumMap(mapApply((k, v) -> (k, toDecimal128(round(least(v, 1000000000000000.0) * 1e6), 0)),
                               usage)) AS n_used,
               sum(app_attempts) AS n_attempts,
               sum(toUInt64(app_attempts IS NOT NULL)) AS n_attempts_known,
               sum(toUInt64(ifNull(app_attempts > 1, 0))) AS n_retried,
               sum(upstream_attempts) AS n_upstream,
               sum(toUInt64(ifNull(fallback, 0))) AS n_fallbacks,
               sum(toUInt64(ifNull(model_swapped, 0))) AS n_swapped,
               sum(toUInt64(ifNull(cache_hit, 0))) AS n_cache_hits,
               sum(tool_calls) AS n_tools,
               sum(if(status = 'success' AND duration_s > 0
                      AND output_tokens IS NOT NULL, output_tokens, NULL)) AS n_speed_tokens,
               sum(if(status = 'success' AND duration_s > 0
                      AND output_tokens IS NOT NULL, toInt128(toInt64(round(least(duration_s, 9000000000.0) * 1e9))), NULL)) AS n_speed_ns,
               max(toUnixTimestamp64Nano(time)) AS n_last_ns
        FROM tollspan_calls
        WHERE time >= (SELECT toDateTime64(min(bucket), 9, 'UTC') FROM told)
          AND time < (SELECT toDateTime64(max(bucket) + INTERVAL 1 HOUR, 9, 'UTC') FROM told)
          AND toStartOfHour(time) GLOBAL IN (SELECT bucket FROM told)
        GROUP BY ALL
        UNION ALL
        -- A bucket that lost its last call has a generation, too.
        SELECT bucket, '', '', '', '', '', '', '', 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL,
               NULL, NULL, NULL, NULL, NULL, CAST(map(), 'Map(LowCardinality(String), Decimal(38,
               0))'), NULL, 0, 0, NULL, 0, 0, 0, NULL, NULL, NULL, 0
        FROM told
    )
SELECT bucket, c_environment AS environment, c_data_mode AS data_mode, c_tenant AS tenant, c_api_key
       AS api_key, c_status AS status, c_error_type AS error_type, c_cost_grade AS cost_grade,
       sum(n_calls) AS calls,
       sum(n_priced_calls) AS priced_calls,
       sum(n_unpriced_calls) AS unpriced_calls,
       sum(n_cost) AS cost,
       sum(n_reported) AS reported,
       sum(n_derived) AS derived,
       sum(n_avoided) AS avoided,
       sum(n_wasted) AS wasted,
       sum(n_cache_saved) AS cache_saved,
       sum(n_input) AS input,
       sum(n_output) AS output,
       sum(n_cache_read) AS cache_read,
       sum(n_cache_write) AS cache_write,
       sum(n_reasoning) AS reasoning,
       sumMap(n_used) AS used,
       sum(n_attempts) AS attempts,
       sum(n_attempts_known) AS attempts_known,
       sum(n_retried) AS retried,
       sum(n_upstream) AS upstream,
       sum(n_fallbacks) AS fallbacks,
       sum(n_swapped) AS swapped,
       sum(n_cache_hits) AS cache_hits,
       sum(n_tools) AS tools,
       sum(n_speed_tokens) AS speed_tokens,
       sum(n_speed_ns) AS speed_ns,
       max(n_last_ns) AS last_ns,
       toUnixTimestamp64Milli(now64(3)) AS gen
FROM counted
GROUP BY ALL
-- The first count is of the whole ledger.
SETTINGS max_bytes_before_external_group_by = 1000000000;

CREATE MATERIALIZED VIEW IF NOT EXISTS refresh_usage_by_tags_hour REFRESH EVERY 1 MINUTE APPEND TO usage_by_tags_hour AS
WITH
    -- Rows that a slow insert brought late carry an earlier time than the last refresh.
    (SELECT toDateTime(greatest(intDiv(max(gen), 1000), 300) - 300, 'UTC') FROM usage_by_tags_hour) AS
    since,
    told AS (SELECT DISTINCT toStartOfHour(time) AS bucket FROM llm_calls WHERE told_at >= since),
    counted AS (
        SELECT toStartOfHour(time) AS bucket,
               environment AS c_environment, data_mode AS c_data_mode, mapKeys(mapSort(tags)) AS
               c_tag_keys, mapValues(mapSort(tags)) AS c_tag_values, status AS c_status, error_type
               AS c_error_type, cost_grade AS c_cost_grade,
               sum(toUInt64(1)) AS n_calls,
               sum(toUInt64(cost_usd IS NOT NULL)) AS n_priced_calls,
               sum(toUInt64(cost_usd IS NULL AND cost_grade = 'unpriced')) AS n_unpriced_calls,
               sum(cost_usd) AS n_cost,
               sum(reported_usd) AS n_reported,
               sum(derived_usd) AS n_derived,
               sum(avoided_usd) AS n_avoided,
               sum(wasted_usd) AS n_wasted,
               sum(cache_saved_usd) AS n_cache_saved,
               sum(input_tokens) AS n_input,
               sum(output_tokens) AS n_output,
               sum(cache_read_tokens) AS n_cache_read,
               sum(cache_write_tokens) AS n_cache_write,
               sum(reasoning_tokens) AS n_reasoning,
               sumMap(mapApply((k, v) -> (k, toDecimal128(round(least(v, 1000000000000000.0) * 1e6), 0)),
                               usage)) AS n_used,
               sum(app_attempts) AS n_attempts,
               sum(toUInt64(app_attempts IS NOT NULL)) AS n_attempts_known,
               sum(toUInt64(ifNull(app_attempts > 1, 0))) AS n_retried,
               sum(upstream_attempts) AS n_upstream,
               sum(toUInt64(ifNull(fallback, 0))) AS n_fallbacks,
               sum(toUInt64(ifNull(model_swapped, 0))) AS n_swapped,
               sum(toUInt64(ifNull(cache_hit, 0))) AS n_cache_hits,
               sum(tool_calls) AS n_tools,
               sum(if(status = 'success' AND duration_s > 0
                      AND output_tokens IS NOT NULL, output_tokens, NULL)) AS n_speed_tokens,
               sum(if(status = 'success' AND duration_s > 0
                      AND output_tokens IS NOT NULL, toInt128(toInt64(round(least(duration_s, 9000000000.0) * 1e9))), NULL)) AS n_speed_ns,
               max(toUnixTimestamp64Nano(time)) AS n_last_ns
        FROM tollspan_calls
        WHERE time >= (SELECT toDateTime64(min(bucket), 9, 'UTC') FROM told)
          AND time < (SELECT toDateTime64(max(bucket) + INTERVAL 1 HOUR, 9, 'UTC') FROM told)
          AND toStartOfHour(time) GLOBAL IN (SELECT bucket FROM told)
        GROUP BY ALL
        UNION ALL
        -- A bucket that lost its last call has a generation, too.
        SELECT bucket, '', '', [], [], '', '', '', 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL,
               NULL, NULL, NULL, NULL, NULL, CAST(map(), 'Map(LowCardinality(String), Decimal(38,
               0))'), NULL, 0, 0, NULL, 0, 0, 0, NULL, NULL, NULL, 0
        FROM told
    )
SELECT bucket, c_environment AS environment, c_data_mode AS data_mode, c_tag_keys AS tag_keys,
       c_tag_values AS tag_values, c_status AS status, c_error_type AS error_type, c_cost_grade AS
       cost_grade,
       sum(n_calls) AS calls,
       sum(n_priced_calls) AS priced_calls,
       sum(n_unpriced_calls) AS unpriced_calls,
       sum(n_cost) AS cost,
       sum(n_reported) AS reported,
       sum(n_derived) AS derived,
       sum(n_avoided) AS avoided,
       sum(n_wasted) AS wasted,
       sum(n_cache_saved) AS cache_saved,
       sum(n_input) AS input,
       sum(n_output) AS output,
       sum(n_cache_read) AS cache_read,
       sum(n_cache_write) AS cache_write,
       sum(n_reasoning) AS reasoning,
       sumMap(n_used) AS used,
       sum(n_attempts) AS attempts,
       sum(n_attempts_known) AS attempts_known,
       sum(n_retried) AS retried,
       sum(n_upstream) AS upstream,
       sum(n_fallbacks) AS fallbacks,
       sum(n_swapped) AS swapped,
       sum(n_cache_hits) AS cache_hits,
       sum(n_tools) AS tools,
       sum(n_speed_tokens) AS speed_tokens,
       sum(n_speed_ns) AS speed_ns,
       max(n_last_ns) AS last_ns,
       toUnixTimestamp64Milli(now64(3)) AS gen
FROM counted
GROUP BY ALL
-- The first count is of the whole ledger.
SETTINGS max_bytes_before_external_group_by = 1000000000;

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
