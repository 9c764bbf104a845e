"""Trace: what happened in one trace."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as builders

from ..board import Board, Row
from ..panels import COUNT, EXACT_USD, USD, Column, number, table, traces

ID = "decodeURLComponent(substring('${trace_id:queryparam}', 14))"
"""The trace that was chosen; all of a trace is shown, whatever the filters of other boards say."""
CHOSEN = "'${trace_id:queryparam}' != 'var-trace_id=' AND %s = " + ID
"""The condition that a column is it. Without a choice nothing is read: no index knows an empty id."""

SUMS = number(
    "This trace",
    "US dollars of the trace's priced calls, its calls, and the input and output tokens of them.",
    f"""
SELECT sum(c.cost_usd) AS cost, count() AS calls, sum(c.input_tokens) AS input_tokens,
       sum(c.output_tokens) AS output_tokens
FROM tollspan_calls AS c WHERE {CHOSEN % "c.trace_id"}
""",
    width=24,
    no_value="not known",
    columns=[
        Column("cost", USD),
        Column("calls", COUNT),
        Column("input_tokens", COUNT),
        Column("output_tokens", COUNT),
    ],
)
WATERFALL = traces(
    "Spans",
    "Every span of the trace; a hop's role and name stand before its name, the cost stands on the "
    "span that owns it.",
    f"""
SELECT s.trace_id AS traceID, s.span_id AS spanID, s.parent_id AS parentSpanID,
       s.name AS operationName, s.service AS serviceName, s.time AS startTime,
       coalesce(s.duration_ns, 0) / 1000000 AS duration,
       arrayMap(k -> map('key', k, 'value', s.attributes[k]), arraySort(mapKeys(s.attributes))) AS tags,
       arrayMap(k -> map('key', k, 'value', s.resource[k]), arraySort(mapKeys(s.resource)))
           AS serviceTags,
       if(s.status = 'error', 2, 0) AS statusCode
FROM spans AS s FINAL
WHERE {CHOSEN % "s.trace_id"}
ORDER BY startTime, spanID LIMIT 5000
""",
)
CALLS = table(
    "Calls of this trace",
    "Logical calls of the trace in the order of their starts.",
    f"""
SELECT c.time AS time, c.operation AS operation, c.endpoint AS endpoint,
       c.prompt_version AS prompt_version, c.tenant AS tenant, c.route AS route,
       c.request_model AS requested, c.served_model AS served, c.input_tokens AS input_tokens,
       c.output_tokens AS output_tokens, c.cost_usd AS cost, c.cost_grade AS grade,
       c.app_attempts AS attempts, c.duration_s AS duration, c.status AS status,
       c.error_type AS error, c.blame AS blame, c.told_by AS told_by
FROM tollspan_calls AS c WHERE {CHOSEN % "c.trace_id"} ORDER BY c.call_id LIMIT 1000
""",
    columns=[
        Column("input_tokens", COUNT, width=110),
        Column("output_tokens", COUNT, width=110),
        Column("cost", EXACT_USD, width=110),
        Column("duration", "s", width=90),
    ],
)
HOPS = table(
    "Hops of this trace",
    "Hops of the trace's calls from the application on; overhead is what a hop adds by itself.",
    f"""
SELECT h.time AS time, h.route AS route, h.hop_index AS place, h.role AS role, h.name AS name,
       h.provider AS provider, h.model AS model, h.evidence AS evidence,
       h.overhead_ms AS overhead, h.status AS status
FROM tollspan_hops AS h WHERE {CHOSEN % "h.trace_id"} ORDER BY h.call_id, h.hop_index LIMIT 1000
""",
    no_value="no hops known",
    columns=[Column("overhead", "ms", width=100)],
)

BOARD = Board(
    "trace",
    "Trace",
    "What happened in this one trace?",
    [
        Row("What did it cost?", [SUMS]),
        Row("What happened?", [WATERFALL]),
        Row("Which calls and hops?", [CALLS, HOPS]),
    ],
    variables=[builders.TextBoxVariable("trace_id").label("Trace").default_value("").build()],
)
