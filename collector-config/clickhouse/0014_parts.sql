-- What an insert writes is one file up to this size, not one or two for each of seventy columns: a block of
-- 32,768 calls goes in for a third less. What merges make of it is larger, and has its columns apart.

ALTER TABLE spans MODIFY SETTING min_bytes_for_wide_part = 134217728;

ALTER TABLE llm_calls MODIFY SETTING min_bytes_for_wide_part = 134217728;

ALTER TABLE llm_hops MODIFY SETTING min_bytes_for_wide_part = 134217728;

INSERT INTO tollspan_schema (version, name)
SELECT 14, '0014_parts.sql' WHERE 14 NOT IN (SELECT version FROM tollspan_schema);
