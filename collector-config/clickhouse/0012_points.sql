-- What the application asked for, beside what was used: how much of an answer it allowed, and how long
-- the prompt was by its length, where that is estimated. And the provider API keys, by their
-- fingerprints, with the first and the last call of each.

ALTER TABLE llm_calls
    ADD COLUMN IF NOT EXISTS max_tokens             Nullable(UInt64),
    ADD COLUMN IF NOT EXISTS estimated_input_tokens Nullable(UInt64);

CREATE OR REPLACE VIEW tollspan_calls AS
SELECT * EXCEPT (role, owner_span_id, version, repricings)
FROM llm_calls FINAL
WHERE role = 'owner'
SETTINGS do_not_merge_across_partitions_select_final = 1;

-- A key that nobody has seen before has a `first_seen` of late: the alert asks for that. A fingerprint
-- is a keyed hash; without TOLLSPAN_HASH_KEY there is none.
CREATE OR REPLACE VIEW tollspan_keys AS
SELECT api_key,
       min(time) AS first_seen,
       max(time) AS last_seen,
       argMin(call_id, time) AS first_call_id,
       argMin(provider, time) AS first_provider,
       argMin(service, time) AS first_service,
       argMin(environment, time) AS first_environment,
       groupUniqArray(16)(provider) AS providers,
       groupUniqArray(16)(service) AS services,
       count() AS calls,
       sum(cost_usd) AS cost_usd
FROM llm_calls FINAL
WHERE role = 'owner' AND api_key != ''
GROUP BY api_key
SETTINGS do_not_merge_across_partitions_select_final = 1;

INSERT INTO tollspan_schema (version, name)
SELECT 12, '0012_points.sql' WHERE 12 NOT IN (SELECT version FROM tollspan_schema);
