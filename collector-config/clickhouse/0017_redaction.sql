-- What `tollspan wire prove` found about a hop: whether what is to be masked went further than the proxy
-- (proved, leaked or unknown; '' where nobody compared). And the port that was asked: several backends may
-- stand on one host.

ALTER TABLE llm_hops
    ADD COLUMN IF NOT EXISTS redaction LowCardinality(String);

ALTER TABLE llm_calls
    ADD COLUMN IF NOT EXISTS server_port Nullable(UInt16);

CREATE OR REPLACE VIEW tollspan_calls AS
SELECT * EXCEPT (role, owner_span_id, version, repricings)
FROM llm_calls FINAL
WHERE role = 'owner'
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW tollspan_hops AS
SELECT * EXCEPT (owner, version)
FROM llm_hops FINAL
WHERE owner = 'owner'
SETTINGS do_not_merge_across_partitions_select_final = 1;

INSERT INTO tollspan_schema (version, name)
SELECT 17, '0017_redaction.sql' WHERE 17 NOT IN (SELECT version FROM tollspan_schema);
