-- A month in which nothing came for a quarter of an hour is merged into one part: reading it with FINAL
-- costs no more than reading it without (half of what it costs in parts). A month that is written to is
-- left alone, so nothing is rewritten again and again.

ALTER TABLE llm_calls
    MODIFY SETTING min_age_to_force_merge_seconds = 900, min_age_to_force_merge_on_partition_only = 1;

ALTER TABLE llm_hops
    MODIFY SETTING min_age_to_force_merge_seconds = 900, min_age_to_force_merge_on_partition_only = 1;

ALTER TABLE spans
    MODIFY SETTING min_age_to_force_merge_seconds = 900, min_age_to_force_merge_on_partition_only = 1;

INSERT INTO tollspan_schema (version, name)
SELECT 7, '0007_merging.sql' WHERE 7 NOT IN (SELECT version FROM tollspan_schema);
