-- Made from ../landing.sql by .ci/ledger_sql.py: change that file.

-- Where a collector's clickhouse exporter writes, and the views that fill the ledger from it. For a
-- server, after the numbered files; the embedded engine is written to directly.
--
-- The tables keep nothing (engine Null). Their columns are those that the exporter inserts, from 0.149
-- to 0.161 alike: exporter settings `traces_table_name: otel_traces_in`, `logs_table_name:
-- otel_logs_in`, `create_schema: false`.
-- https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/exporter/clickhouseexporter
--
-- A view that cannot fill its table fails the exporter's insert, which is sent again: nothing is
-- acknowledged that does not stand in the ledger.

CREATE TABLE IF NOT EXISTS otel_traces_in ON CLUSTER '{cluster}'
(
    Timestamp          DateTime64(9),
    TraceId            String,
    SpanId             String,
    ParentSpanId       String,
    TraceState         String,
    SpanName           LowCardinality(String),
    SpanKind           LowCardinality(String),
    ServiceName        LowCardinality(String),
    ResourceAttributes Map(LowCardinality(String), String),
    ScopeName          String,
    ScopeVersion       String,
    SpanAttributes     Map(LowCardinality(String), String),
    Duration           UInt64,
    StatusCode         LowCardinality(String),
    StatusMessage      String,
    Events             Nested(
        Timestamp  DateTime64(9),
        Name       LowCardinality(String),
        Attributes Map(LowCardinality(String), String)
    ),
    Links              Nested(
        TraceId    String,
        SpanId     String,
        TraceState String,
        Attributes Map(LowCardinality(String), String)
    )
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS otel_logs_in ON CLUSTER '{cluster}'
(
    Timestamp          DateTime64(9),
    TraceId            String,
    SpanId             String,
    TraceFlags         UInt8,
    SeverityText       LowCardinality(String),
    SeverityNumber     UInt8,
    ServiceName        LowCardinality(String),
    Body               String,
    ResourceSchemaUrl  LowCardinality(String),
    ResourceAttributes Map(LowCardinality(String), String),
    ScopeSchemaUrl     LowCardinality(String),
    ScopeName          String,
    ScopeVersion       LowCardinality(String),
    ScopeAttributes    Map(LowCardinality(String), String),
    LogAttributes      Map(LowCardinality(String), String),
    EventName          String
)
ENGINE = Null;

-- Spans. The exporter writes every value as text, so which of them were numbers, booleans or lists is
-- seen by their form; names whose values are always text are left alone. An end before the start comes
-- as a number near 2^64: it is not known.
CREATE MATERIALIZED VIEW IF NOT EXISTS otel_to_spans ON CLUSTER '{cluster}' TO spans AS
SELECT TraceId AS trace_id,
       SpanId AS span_id,
       ParentSpanId AS parent_id,
       SpanName AS name,
       if(SpanKind IN ('Server', 'Client', 'Producer', 'Consumer', 'Internal'), lower(SpanKind),
          'unspecified') AS kind,
       ScopeName AS scope,
       ScopeVersion AS scope_version,
       ResourceAttributes['service.name'] AS service,
       if(ResourceAttributes['deployment.environment.name'] != '',
          ResourceAttributes['deployment.environment.name'],
          ResourceAttributes['deployment.environment']) AS environment,
       toTimeZone(Timestamp, 'UTC') AS time,
       if(Duration < 9223372036854775808, Duration, NULL) AS duration_ns,
       multiIf(StatusCode = 'Error', 'error', StatusCode = 'Ok', 'ok', 'unset') AS status,
       substringUTF8(StatusMessage, 1, 1024) AS status_message,
       ResourceAttributes AS resource,
       SpanAttributes AS attributes,
       arrayFilter(
           (key, value) -> (value IN ('true', 'false')
                   OR match(value, '^(-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][-+]?[0-9]+)?|\\[.*\\])$'))
               AND isValidJSON(value)
               AND NOT startsWith(key, 'tollspan.tag.')
               AND key NOT IN (
                   'gen_ai.conversation.id', 'gen_ai.prompt.name', 'gen_ai.prompt.version',
                   'gen_ai.request.model', 'gen_ai.response.id', 'gen_ai.response.model',
                   'error.type', 'session.id', 'user.id', 'tollspan.endpoint_tag', 'tollspan.tenant',
                   'tollspan.owner_span_id', 'tollspan.price.version', 'tollspan.request_id',
                   'gen_ai.gateway.request.id', 'gen_ai.gateway.version'
               ),
           mapKeys(SpanAttributes)::Array(LowCardinality(String)), mapValues(SpanAttributes)) AS typed,
       if(empty(Events.Name), '', toJSONString(arrayMap(
           (name, at, said) -> (name, (toUnixTimestamp64Nano(at) - toUnixTimestamp64Nano(Timestamp)) / 1e9,
                                said)
               ::Tuple(name String, offset_s Float64, attributes Map(String, String)),
           arraySlice(Events.Name, 1, 128), arraySlice(Events.Timestamp, 1, 128),
           arraySlice(Events.Attributes, 1, 128)))) AS events,
       -- More evidence first, then content: whichever copy comes first, the same one stays. Calls that
       -- were told as records say themselves which that is.
       if(mapContains(SpanAttributes, 'tollspan.told_from')
              AND match(SpanAttributes['tollspan.told_version'], '^[0-9]{1,17}$'),
          bitOr(bitShiftLeft(toUInt64(1), 56),
                bitAnd(toUInt64OrZero(SpanAttributes['tollspan.told_version']),
                       72057594037927935)),
       bitOr(bitShiftLeft(toUInt64(if(mapContains(SpanAttributes, 'tollspan.cost.role'), 2, 1)), 56),
             bitShiftRight(sipHash64(ParentSpanId, SpanName, SpanKind, Timestamp, Duration, StatusCode,
                                     StatusMessage, arraySort(SpanAttributes::Array(Tuple(String, String)))),
                           8))) AS version
FROM otel_traces_in
WHERE length(TraceId) = 32 AND length(SpanId) = 16
  AND Timestamp >= toDateTime64('2000-01-01 00:00:00', 9, 'UTC')
  AND Timestamp < toDateTime64('2200-01-01 00:00:00', 9, 'UTC');

-- Ids that join a gateway's own trace to a call's, as the stage sees them: what a span bears, and what
-- the answer to it brought. A call of ours, and a record of one, has the id that the application gave it.
CREATE MATERIALIZED VIEW IF NOT EXISTS otel_to_links ON CLUSTER '{cluster}' TO span_links AS
SELECT DISTINCT arrayJoin(arrayConcat(
           arrayMap(id -> 'request ' || id, arrayFilter(
               id -> length(id) BETWEEN 8 AND 128,
               arrayMap(
                   value -> if(startsWith(value, '['), JSONExtractString(value, 1), value),
                   mapValues(mapFilter(
                       (name, value) -> name IN ('gen_ai.gateway.request.id', 'litellm.call_id')
                           OR match(lower(replaceAll(name, '_', '-')),
                                    '^http\\.response\\.header\\.(llm-provider-)*x-litellm-call-id$'),
                       SpanAttributes))))),
           if(StatusCode != 'Error' AND NOT mapContains(SpanAttributes, 'error.type')
                  AND SpanAttributes['tollspan.cache_hit'] != 'true'
                  AND length(SpanAttributes['gen_ai.response.id']) BETWEEN 8 AND 128,
              ['answer ' || SpanAttributes['gen_ai.response.id']], []),
           if((SpanAttributes['tollspan.cost.role'] IN ('owner', 'restated')
                   OR mapContains(SpanAttributes, 'tollspan.told_from'))
                  AND NOT mapContains(SpanAttributes, 'tollspan.hop.role')
                  AND lengthUTF8(SpanAttributes['tollspan.request_id']) BETWEEN 1 AND 128,
              ['external ' || SpanAttributes['tollspan.request_id']], []),
           arrayMap(id -> 'session ' || id, arrayFilter(
               id -> length(id) BETWEEN 8 AND 128,
               arrayConcat(
                   if(SpanAttributes['tollspan.told_from'] = 'llm-interactive-proxy',
                      [SpanAttributes['gen_ai.conversation.id']], []),
                   arrayMap(
                       value -> if(startsWith(value, '['), JSONExtractString(value, 1), value),
                       mapValues(mapFilter(
                           (name, value) -> lower(replaceAll(name, '_', '-'))
                               = 'http.response.header.x-b2bua-session-id',
                           SpanAttributes)))))))) AS key,
       TraceId AS trace_id
FROM otel_traces_in
WHERE length(TraceId) = 32 AND length(SpanId) = 16;

-- Calls: a record has the row as the stage made it, without what is not known. An exporter that started
-- while ClickHouse was away has not seen the column EventName and leaves it empty until it starts again.
CREATE MATERIALIZED VIEW IF NOT EXISTS otel_to_calls ON CLUSTER '{cluster}' TO llm_calls AS
WITH JSONExtract(Body, 'call', 'Tuple(
    call_id String, trace_id String, span_id String, time String, role String, owner_span_id String,
    service String, environment String, data_mode String, scope String, operation String,
    streaming Nullable(Bool), endpoint String, prompt String, prompt_version String, tenant String,
    user String, session String, tags Map(String, String), provider String, server_address String,
    request_model String, response_model String, served_model String, route String,
    hop_count Nullable(UInt16), input_tokens Nullable(UInt64), output_tokens Nullable(UInt64),
    cache_read_tokens Nullable(UInt64), cache_write_tokens Nullable(UInt64),
    reasoning_tokens Nullable(UInt64), usage Map(String, Float64),
    cost_usd Nullable(Decimal(18, 12)), cost_grade String, cost_grade_reason String,
    cost_source String, reported_usd Nullable(Decimal(18, 12)), derived_usd Nullable(Decimal(18, 12)),
    avoided_usd Nullable(Decimal(18, 12)), wasted_usd Nullable(Decimal(18, 12)), waste_reason String,
    unpriced_reason String, service_tier String, price_version String,
    time_to_first_chunk_s Nullable(Float64), duration_s Nullable(Float64), status String,
    error_type String, app_attempts Nullable(UInt32), upstream_attempts Nullable(UInt32),
    upstream_confidence String, model_swapped Nullable(Bool), fallback Nullable(Bool),
    cache_hit Nullable(Bool), blocked_by String, blame String, finish_reasons Array(String),
    response_id String, request_id String, version UInt64, limit_requests Nullable(UInt64),
    remaining_requests Nullable(UInt64), limit_tokens Nullable(UInt64),
    remaining_tokens Nullable(UInt64), cache_saved_usd Nullable(Decimal(18, 12)), api_key String,
    tool_calls Nullable(UInt32), speed String, inference_geo String, max_tokens Nullable(UInt64),
    estimated_input_tokens Nullable(UInt64), server_port Nullable(UInt16))') AS told
SELECT parseDateTime64BestEffort(told.time, 9, 'UTC') AS time,
       told.call_id AS call_id, told.trace_id AS trace_id, told.span_id AS span_id, told.role AS role, told.owner_span_id AS owner_span_id, told.service AS service, told.environment AS environment, told.data_mode AS data_mode, told.scope AS scope, told.operation AS operation,
       told.streaming AS streaming, told.endpoint AS endpoint, told.prompt AS prompt,
       told.prompt_version AS prompt_version, told.tenant AS tenant, told.user AS user, told.session
       AS session, told.tags AS tags, told.provider AS provider, told.server_address AS server_address, told.request_model AS request_model, told.response_model AS response_model,
       told.served_model AS served_model, told.route AS route, told.hop_count AS hop_count,
       told.input_tokens AS input_tokens, told.output_tokens AS output_tokens,
       told.cache_read_tokens AS cache_read_tokens, told.cache_write_tokens AS cache_write_tokens,
       told.reasoning_tokens AS reasoning_tokens, told.usage AS usage, told.cost_usd AS cost_usd,
       told.cost_grade AS cost_grade, told.cost_grade_reason AS cost_grade_reason, told.cost_source
       AS cost_source, told.reported_usd AS reported_usd, told.derived_usd AS derived_usd,
       told.avoided_usd AS avoided_usd, told.wasted_usd AS wasted_usd, told.waste_reason AS waste_reason, told.unpriced_reason AS unpriced_reason, told.service_tier AS service_tier,
       told.price_version AS price_version, told.time_to_first_chunk_s AS time_to_first_chunk_s,
       told.duration_s AS duration_s, told.status AS status, told.error_type AS error_type,
       told.app_attempts AS app_attempts, told.upstream_attempts AS upstream_attempts,
       told.upstream_confidence AS upstream_confidence, told.model_swapped AS model_swapped,
       told.fallback AS fallback, told.cache_hit AS cache_hit, told.blocked_by AS blocked_by,
       told.blame AS blame, told.finish_reasons AS finish_reasons, told.response_id AS response_id,
       told.request_id AS request_id, told.version AS version, told.limit_requests AS limit_requests, told.remaining_requests AS remaining_requests, told.limit_tokens AS limit_tokens, told.remaining_tokens AS remaining_tokens, told.cache_saved_usd AS cache_saved_usd, told.api_key AS api_key, told.tool_calls AS tool_calls, told.speed AS speed,
       told.inference_geo AS inference_geo, told.max_tokens AS max_tokens,
       told.estimated_input_tokens AS estimated_input_tokens, told.server_port AS server_port,
       JSONExtractString(Body, 'told_by') AS told_by
FROM otel_logs_in
WHERE ScopeName = 'tollspan.ledger' AND EventName IN ('tollspan.call', '')
  AND match(told.call_id, '^[0-9a-f]{32}$');

-- Hops of such calls.
CREATE MATERIALIZED VIEW IF NOT EXISTS otel_to_hops ON CLUSTER '{cluster}' TO llm_hops AS
WITH arrayJoin(JSONExtract(Body, 'hops', 'Array(Tuple(
    call_id String, hop_index UInt16, trace_id String, span_id String, time String, owner String,
    role String, name String, provider String, model String, evidence String, gateway String,
    gateway_version String, overhead_ms Nullable(Float64), redaction String, status String,
    service String, environment String, data_mode String, endpoint String, tenant String,
    route String, version UInt64))')) AS told
SELECT parseDateTime64BestEffort(told.time, 9, 'UTC') AS time,
       told.call_id AS call_id, told.hop_index AS hop_index, told.trace_id AS trace_id,
       told.span_id AS span_id, told.owner AS owner, told.role AS role, told.name AS name,
       told.provider AS provider, told.model AS model, told.evidence AS evidence,
       told.gateway AS gateway, told.gateway_version AS gateway_version,
       told.overhead_ms AS overhead_ms, told.redaction AS redaction, told.status AS status,
       told.service AS service,
       told.environment AS environment, told.data_mode AS data_mode, told.endpoint AS endpoint,
       told.tenant AS tenant, told.route AS route, told.version AS version
FROM otel_logs_in
WHERE ScopeName = 'tollspan.ledger' AND EventName IN ('tollspan.call', '')
  AND match(told.call_id, '^[0-9a-f]{32}$');
