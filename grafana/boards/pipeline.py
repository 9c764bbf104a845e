"""The way from applications to the ledger: is data missing, where does it stand, who sends it?

For whoever is called because numbers look wrong. What came in is read from the ledger; what stands or
falls on its way, from the metrics of collectors and stages. Sums of money are the ledger's alone:
counters forget at a restart, so that here they are a pace.
"""

from __future__ import annotations

from ..board import Board, Row, link
from ..panels import (
    ANY_IS_BAD,
    AXIS_COUNT,
    COUNT,
    ERRORS,
    EXACT_USD,
    SHARE,
    Column,
    bars,
    metric_lines,
    table,
)
from ..sql import calls
from .stages import READY, RUNBOOK, STAGES, TRACERS

__all__ = ["BOARD"]

VALUE = "${__value.raw:percentencode}"

ARRIVED = bars(
    "When did calls come in, from whom?",
    "Calls of each time bucket by the instrumentation that told of them: a gap is one that fell silent "
    f"or whose telemetry is lost. {RUNBOOK.format('No calls arrive')}",
    calls(
        """
, biggest AS (SELECT tracer FROM calls GROUP BY tracer ORDER BY count() DESC, tracer LIMIT 6)
SELECT $__timeInterval(at) AS time,
       if(tracer IN (SELECT tracer FROM biggest), tracer, '(all others)') AS series,
       count() AS calls
FROM calls GROUP BY time, series ORDER BY time, series
"""
    ),
    unit=AXIS_COUNT,
).sized(24, 8)
SENDERS = table(
    "Who sends calls, and who has fallen silent?",
    "Calls of the range by service and the instrumentation that told of them, what is missing from "
    "them, and the time between the newest and the end of the range.",
    calls(
        """
SELECT service, tracer, count() AS calls, countIf(failed) / calls AS failed_share,
       countIf(unpriced) AS no_price,
       countIf(status = 'success' AND input_tokens IS NULL AND output_tokens IS NULL) AS no_usage,
       sum(tokens) AS tokens_in_all, sum(cost_usd) AS spend,
       dateDiff('second', max(at), $__toTime) AS silent_for, argMax(trace_id, at) AS newest
FROM calls GROUP BY service, tracer ORDER BY calls DESC, service, tracer LIMIT 50
"""
    ),
    columns=[
        Column("calls", COUNT, width=90),
        Column("failed_share", SHARE, 1, width=110, steps=ERRORS),
        Column("no_price", COUNT, width=90, steps=ANY_IS_BAD),
        Column("no_usage", COUNT, width=90, steps=ANY_IS_BAD),
        Column("tokens_in_all", COUNT, width=120),
        Column("spend", EXACT_USD, width=110),
        Column("silent_for", "s", width=110),
        Column("newest", link=("Open trace", link("trace", trace_id=VALUE))),
    ],
)


def collector(name: str, by: str = "") -> str:
    """Rate of a counter of the collector's own, whose name ends in `_total` in newer versions."""
    grouped = f" by ({by})" if by else ""
    return f'sum{grouped} (rate({{__name__=~"otelcol_{name}(_total)?"}}[$__rate_interval]))'


NO_COLLECTOR = "no collector is scraped"
PER_CALL = "sum(rate(gen_ai_client_operation_duration_seconds_count[$__rate_interval]))"

LOST = [
    metric_lines(
        "Spans and records lost",
        "Spans, and records of calls, per second that a collector refused, dropped or failed to send. "
        + RUNBOOK.format("TollspanSpansLost, TollspanRecordsLost and TollspanCollectorRefuses"),
        [
            (collector("receiver_refused_spans"), "refused"),
            (collector("processor_dropped_spans"), "dropped"),
            (collector("exporter_send_failed_spans"), "failed to send"),
            (collector("exporter_enqueue_failed_spans"), "queue full"),
            (collector("receiver_refused_log_records"), "records refused"),
            (collector("exporter_send_failed_log_records"), "records failed to send"),
            (collector("exporter_enqueue_failed_log_records"), "records, queue full"),
        ],
        unit="cps",
        no_value=NO_COLLECTOR,
    ),
    metric_lines(
        "Queue",
        "Fill of the fullest sending queue of each exporter. "
        + RUNBOOK.format("TollspanQueueFilling"),
        [
            (
                "max by (exporter) (otelcol_exporter_queue_size / otelcol_exporter_queue_capacity)",
                "{{exporter}}",
            )
        ],
        unit=SHARE,
        no_value=NO_COLLECTOR,
    ),
    metric_lines(
        "What waits where?",
        "What stands in each sending queue of each collector, by signal: one that only grows is not "
        f"delivered. {RUNBOOK.format('TollspanNotDelivered')}",
        [
            (
                "sum by (instance, exporter, data_type) (otelcol_exporter_queue_size)",
                "{{instance}} {{exporter}} {{data_type}}",
            )
        ],
        unit=AXIS_COUNT,
        no_value=NO_COLLECTOR,
    ),
    metric_lines(
        "What does each collector take and give?",
        "Spans and records per second that each collector accepted, and that each of its exporters sent.",
        [
            (collector("receiver_accepted_spans", "instance"), "{{instance}} took spans"),
            (collector("exporter_sent_spans", "instance"), "{{instance}} gave spans"),
            (collector("receiver_accepted_log_records", "instance"), "{{instance}} took records"),
            (collector("exporter_sent_log_records", "instance"), "{{instance}} gave records"),
        ],
        unit="cps",
        no_value=NO_COLLECTOR,
    ),
    metric_lines(
        "Spans per call",
        "What observing costs: spans that the collector accepted for each LLM call.",
        [(f"{collector('receiver_accepted_spans')} / {PER_CALL}", "spans per call")],
        unit="none",
        no_value=NO_COLLECTOR,
    ),
]
BOARD = Board(
    "pipeline",
    "Pipeline",
    "Is data missing, where does it stand, who sends it?",
    [
        Row("Does the ledger get calls, and from whom?", [ARRIVED, SENDERS]),
        Row("Is everything up? (needs Prometheus)", READY),
        Row("Is telemetry lost on the way? (needs Prometheus)", LOST),
        Row("Do the stages keep up? (needs Prometheus)", STAGES),
        Row("Which tracer tells what, at what cost? (needs Prometheus)", TRACERS),
    ],
    metrics=True,
)
