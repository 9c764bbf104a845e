-- Budgets may name a `data_mode`, and then count calls that are not real: tests, replays, shadows.

ALTER TABLE budgets
    DROP CONSTRAINT IF EXISTS known_filters;

ALTER TABLE budgets
    ADD CONSTRAINT IF NOT EXISTS known_filters CHECK arrayAll(
        key -> key IN (
            'service', 'environment', 'data_mode', 'operation', 'endpoint', 'prompt', 'prompt_version',
            'tenant', 'user', 'session', 'provider', 'server_address', 'request_model', 'response_model',
            'served_model', 'model', 'route', 'service_tier', 'api_key'
        ) OR (startsWith(key, 'tag.') AND key != 'tag.'),
        mapKeys(filters));

-- What each budget's calls cost, by hour, read from the calls. Only calls that are real, or of which
-- nobody says what they are, count, but for budgets that name a `data_mode`; a column that no budget filters
-- by is not read. Ask for some hours.
CREATE OR REPLACE VIEW tollspan_budget_calls AS
WITH
    limits AS (
        SELECT name,
               filters,
               arraySort(mapKeys(filters)) AS keys,
               arrayMap(key -> filters[key], keys) AS wanted
        FROM budgets FINAL
        WHERE enabled
    ),
    (SELECT arrayDistinct(arrayFlatten(groupArray(keys))) FROM limits) AS asked,
    (SELECT groupUniqArray(keys) FROM limits) AS shapes,
    (SELECT groupUniqArrayArray(arrayMap(key -> concat(key, char(0), filters[key]), keys)) FROM limits)
        AS pairs,
    arrayFilter(key -> startsWith(key, 'tag.'), asked) AS tagged,
    -- Calls are summed by the values that budgets name; every other value is char(0), so that there
    -- are few sums, however many tenants there are.
    spent AS (
        SELECT toStartOfHour(time) AS hour,
               data_mode IN ('real', '') AS is_real,
               if(has(asked, 'data_mode'), if(concat('data_mode', char(0), data_mode)
                  IN (SELECT arrayJoin(pairs)), data_mode, char(0)), '') AS c_data_mode,
               if(has(asked, 'service'), if(concat('service', char(0), service)
                  IN (SELECT arrayJoin(pairs)), service, char(0)), '') AS c_service,
               if(has(asked, 'environment'), if(concat('environment', char(0), environment)
                  IN (SELECT arrayJoin(pairs)), environment, char(0)), '') AS c_environment,
               if(has(asked, 'operation'), if(concat('operation', char(0), operation)
                  IN (SELECT arrayJoin(pairs)), operation, char(0)), '') AS c_operation,
               if(has(asked, 'endpoint'), if(concat('endpoint', char(0), endpoint)
                  IN (SELECT arrayJoin(pairs)), endpoint, char(0)), '') AS c_endpoint,
               if(has(asked, 'prompt'), if(concat('prompt', char(0), prompt)
                  IN (SELECT arrayJoin(pairs)), prompt, char(0)), '') AS c_prompt,
               if(has(asked, 'prompt_version'), if(concat('prompt_version', char(0), prompt_version)
                  IN (SELECT arrayJoin(pairs)), prompt_version, char(0)), '') AS c_prompt_version,
               if(has(asked, 'tenant'), if(concat('tenant', char(0), tenant)
                  IN (SELECT arrayJoin(pairs)), tenant, char(0)), '') AS c_tenant,
               if(has(asked, 'user'), if(concat('user', char(0), user)
                  IN (SELECT arrayJoin(pairs)), user, char(0)), '') AS c_user,
               if(has(asked, 'session'), if(concat('session', char(0), session)
                  IN (SELECT arrayJoin(pairs)), session, char(0)), '') AS c_session,
               if(has(asked, 'provider'), if(concat('provider', char(0), provider)
                  IN (SELECT arrayJoin(pairs)), provider, char(0)), '') AS c_provider,
               if(has(asked, 'server_address'), if(concat('server_address', char(0), server_address)
                  IN (SELECT arrayJoin(pairs)), server_address, char(0)), '') AS c_server_address,
               if(has(asked, 'request_model'), if(concat('request_model', char(0), request_model)
                  IN (SELECT arrayJoin(pairs)), request_model, char(0)), '') AS c_request_model,
               if(has(asked, 'response_model'), if(concat('response_model', char(0), response_model)
                  IN (SELECT arrayJoin(pairs)), response_model, char(0)), '') AS c_response_model,
               if(has(asked, 'served_model'), if(concat('served_model', char(0), served_model)
                  IN (SELECT arrayJoin(pairs)), served_model, char(0)), '') AS c_served_model,
               if(has(asked, 'model'), if(concat('model', char(0), coalesce(nullIf(served_model, ''), nullIf(response_model, ''), request_model))
                  IN (SELECT arrayJoin(pairs)), coalesce(nullIf(served_model, ''), nullIf(response_model, ''), request_model), char(0)), '') AS c_model,
               if(has(asked, 'route'), if(concat('route', char(0), route)
                  IN (SELECT arrayJoin(pairs)), route, char(0)), '') AS c_route,
               if(has(asked, 'service_tier'), if(concat('service_tier', char(0), service_tier)
                  IN (SELECT arrayJoin(pairs)), service_tier, char(0)), '') AS c_service_tier,
               if(has(asked, 'api_key'), if(concat('api_key', char(0), api_key)
                  IN (SELECT arrayJoin(pairs)), api_key, char(0)), '') AS c_api_key,
               arrayMap(key -> if(has(pairs, concat(key, char(0), tags[substring(key, 5)])),
                                  tags[substring(key, 5)], char(0)), tagged) AS c_tags,
               sum(cost_usd) AS usd,
               count() AS n,
               countIf(cost_usd IS NULL AND cost_grade = 'unpriced') AS unpriced
        FROM tollspan_calls
        WHERE is_real OR concat('data_mode', char(0), data_mode) IN (SELECT arrayJoin(pairs))
        GROUP BY ALL
    ),
    -- Each sum under the columns of every kind of budget, to be looked up by their values.
    shaped AS (
        SELECT s.hour AS hour, s.usd AS usd, s.n AS n, s.unpriced AS unpriced,
               arrayJoin(arrayFilter(keys -> s.is_real OR has(keys, 'data_mode'), shapes)) AS shape,
               arrayMap(key -> multiIf(
                   key = 'data_mode', s.c_data_mode,
                   key = 'service', s.c_service,
                   key = 'environment', s.c_environment,
                   key = 'operation', s.c_operation,
                   key = 'endpoint', s.c_endpoint,
                   key = 'prompt', s.c_prompt,
                   key = 'prompt_version', s.c_prompt_version,
                   key = 'tenant', s.c_tenant,
                   key = 'user', s.c_user,
                   key = 'session', s.c_session,
                   key = 'provider', s.c_provider,
                   key = 'server_address', s.c_server_address,
                   key = 'request_model', s.c_request_model,
                   key = 'response_model', s.c_response_model,
                   key = 'served_model', s.c_served_model,
                   key = 'model', s.c_model,
                   key = 'route', s.c_route,
                   key = 'service_tier', s.c_service_tier,
                   key = 'api_key', s.c_api_key,
                   s.c_tags[indexOf(tagged, key)]), shape) AS had
        FROM spent AS s
    )
SELECT toDateTime(s.hour, 'UTC') AS bucket,
       b.name AS budget,
       sum(s.usd) AS usd,
       sum(s.n) AS calls,
       sum(s.unpriced) AS unpriced_calls
FROM shaped AS s
INNER JOIN limits AS b ON s.shape = b.keys AND s.had = b.wanted
GROUP BY bucket, budget;

-- One row per enabled budget, of the period that now lies in.
CREATE OR REPLACE VIEW tollspan_budgets AS
WITH
    now('UTC') AS moment,
    limits AS (
        SELECT *,
               multiIf(period = 'day', toStartOfDay(moment),
                       period = 'week', toDateTime(toStartOfWeek(moment, 1), 'UTC'),
                       toDateTime(toStartOfMonth(moment), 'UTC')) AS start,
               multiIf(period = 'day', addDays(start, 1),
                       period = 'week', addWeeks(start, 1),
                       addMonths(start, 1)) AS end
        FROM budgets FINAL
        WHERE enabled
    ),
    (SELECT min(start) FROM limits) AS begin,
    -- Hours are known from the beginning on, up to the first that was not counted or is in doubt.
    (
        SELECT least(begin + 3600 * (arrayFirstIndex((hour, place) -> hour != begin + 3600 * (place - 1),
                                                     arrayPushBack(hours, toDateTime(0, 'UTC')),
                                                     arrayEnumerate(arrayPushBack(hours, begin))) - 1),
                     (SELECT doubt_from FROM tollspan_budget_doubt))
        FROM (SELECT arraySort(groupArray(bucket)) AS hours
              FROM tollspan_budget_hours WHERE budget = '' AND bucket >= begin)
    ) AS known_until,
    counted AS (
        SELECT b.name AS of_budget, sum(h.usd) AS usd, sum(h.calls) AS n, sum(h.unpriced_calls) AS unpriced
        FROM (
            SELECT bucket, budget, usd, calls, unpriced_calls
            FROM tollspan_budget_hours
            WHERE bucket >= begin AND bucket < known_until
            UNION ALL
            SELECT bucket, budget, usd, calls, unpriced_calls
            FROM tollspan_budget_calls
            WHERE bucket >= known_until
        ) AS h
        INNER JOIN limits AS b ON b.name = h.budget
        WHERE h.bucket >= b.start AND h.bucket < b.end
        GROUP BY of_budget
    )
SELECT limits.name AS name,
       limits.filters AS filters,
       limits.period AS period,
       limits.start AS period_start,
       limits.end AS period_end,
       limits.limit_usd AS limit_usd,
       toDecimal128(limits.limit_usd, 12) * toInt64(round(limits.soft_ratio * 1000000)) / 1000000
           AS soft_usd,
       -- Of the calls whose price is known; the others stand in unpriced_calls.
       coalesce(counted.usd, toDecimal128(0, 12)) AS spent_usd,
       counted.n AS calls,
       counted.unpriced AS unpriced_calls,
       toFloat64(spent_usd) / toFloat64(limit_usd) AS ratio,
       -- At the pace of the period so far, of an hour at least.
       toDecimal128(toFloat64(spent_usd)
           * greatest(1., dateDiff('second', limits.start, limits.end)
                          / greatest(3600, dateDiff('second', limits.start, moment))), 6)
           AS projected_usd,
       multiIf(spent_usd >= limit_usd, 'hard', spent_usd >= soft_usd, 'soft', 'ok') AS state,
       limits.owner AS owner,
       limits.contact AS contact,
       limits.action AS action
FROM limits
LEFT JOIN counted ON counted.of_budget = limits.name;

INSERT INTO tollspan_schema (version, name)
SELECT 18, '0018_budget_modes.sql' WHERE 18 NOT IN (SELECT version FROM tollspan_schema);
