"""Pipeline and data quality: what is missing from the numbers, and is telemetry lost on the way?"""

from __future__ import annotations

from ..board import Board, Row, link
from ..panels import (
    ANY_IS_BAD,
    AXIS_COUNT,
    COUNT,
    EXACT_USD,
    SHARE,
    USD,
    Column,
    bars,
    metric_lines,
    number,
    table,
)
from ..sql import calls
from . import trust

VALUE = "${__value.raw:percentencode}"

GRADES = table(
    "Grades of cost",
    "Calls and spend of the range by grade and by who states the cost; '-' has no money at all, such "
    "as a call that failed.",
    calls(
        """
SELECT grade, grade_reason AS reason, source, count() AS calls,
       calls / (SELECT count() FROM calls) AS share, sum(cost_usd) AS spend
FROM calls GROUP BY grade, grade_reason, source ORDER BY calls DESC, grade, reason, source
"""
    ),
    width=12,
    columns=[
        Column("calls", COUNT, width=90),
        Column("share", SHARE, 1, width=140, bar=True),
        Column("spend", EXACT_USD, width=110),
    ],
)
UNPRICED = table(
    "Which models have no price?",
    "Calls of the range without an amount, by model and why: add the price to TOLLSPAN_PRICES.",
    calls(
        """
SELECT provider, model, unpriced_why AS why, count() AS calls, sum(tokens) AS tokens_in_all,
       max(at) AS last, argMax(trace_id, at) AS trace_id
FROM calls WHERE unpriced GROUP BY provider, model, unpriced_why
ORDER BY calls DESC, provider, model, why LIMIT 50
"""
    ),
    width=12,
    no_value="every call is priced",
    columns=[
        Column("calls", COUNT, width=90),
        Column("tokens_in_all", COUNT, width=120),
        Column("trace_id", link=("Open trace", link("trace", trace_id=VALUE))),
    ],
)
UNTAGGED = table(
    "Who states no attribution?",
    "Calls of the range by service and model host, and the share of them without each part.",
    calls(
        """
SELECT service, provider, count() AS calls, countIf(endpoint = '-') / calls AS no_endpoint,
       countIf(tenant = '-') / calls AS no_tenant, countIf(user = '-') / calls AS no_user,
       countIf(prompt_version = '-') / calls AS no_version,
       sumIf(cost_usd, endpoint = '-' OR tenant = '-') AS spend_untagged
FROM calls GROUP BY service, provider ORDER BY calls DESC, service, provider LIMIT 50
"""
    ),
    columns=[
        Column("calls", COUNT, width=90),
        *[
            Column(name, SHARE, 1, width=120)
            for name in ("no_endpoint", "no_tenant", "no_user", "no_version")
        ],
        Column("spend_untagged", EXACT_USD, width=130),
    ],
)
RECONCILED = table(
    "Reported against derived",
    "Where a gateway or provider states a cost and the price book gives one too: both sums over the "
    "same calls of the range, and how far they are apart.",
    calls(
        """
SELECT provider, model, count() AS calls, sum(reported_usd) AS reported, sum(derived_usd) AS derived,
       toFloat64(reported) / nullIf(toFloat64(derived), 0) - 1 AS difference
FROM calls WHERE reported_usd IS NOT NULL AND derived_usd IS NOT NULL
GROUP BY provider, model ORDER BY abs(coalesce(difference, 0)) DESC, provider, model LIMIT 50
"""
    ),
    width=12,
    no_value="nothing is stated twice in range",
    columns=[
        Column("calls", COUNT, width=90),
        Column("reported", EXACT_USD, width=110),
        Column("derived", EXACT_USD, width=110),
        Column("difference", SHARE, 2, width=110),
    ],
)
BOOKS = table(
    "Which price books?",
    "Priced calls of the range by the book and version that priced them, and when each was last used.",
    calls(
        """
SELECT book, count() AS calls, sum(cost_usd) AS spend, min(at) AS first, max(at) AS last
FROM calls WHERE cost_usd IS NOT NULL GROUP BY book ORDER BY last DESC, book LIMIT 20
"""
    ),
    width=12,
    no_value="none priced",
    columns=[Column("calls", COUNT, width=90), Column("spend", EXACT_USD, width=110)],
)
MODES = table(
    "What is not real?",
    "Calls and spend of the range by data mode, whatever mode is chosen above.",
    calls(
        """
SELECT data_mode, count() AS calls, sum(cost_usd) AS spend
FROM calls GROUP BY data_mode ORDER BY calls DESC, data_mode
""",
        without="data_mode",
    ),
    width=12,
    columns=[Column("calls", COUNT, width=90), Column("spend", EXACT_USD, width=110)],
)
ARRIVING = bars(
    "Calls in the ledger",
    "Calls of each time bucket by service: a gap is a service that is silent or telemetry that is "
    "lost.",
    calls(
        """
, biggest AS (SELECT service FROM calls GROUP BY service ORDER BY count() DESC, service LIMIT 6)
SELECT $__timeInterval(at) AS time,
       if(service IN (SELECT service FROM biggest), service, '(all others)') AS series,
       count() AS calls
FROM calls GROUP BY time, series ORDER BY time, series
"""
    ),
    unit=AXIS_COUNT,
)
UNKNOWN = number(
    "Without usage",
    "Calls of the range that ended well and whose tokens nobody stated.",
    calls(
        """
SELECT countIf(status = 'success' AND input_tokens IS NULL AND output_tokens IS NULL) AS calls
FROM calls
"""
    ),
    width=6,
    height=8,
    steps=ANY_IS_BAD,
    columns=[Column("calls", COUNT)],
)
SPLIT = number(
    "Who states the cost?",
    "US dollars of the range that a provider or gateway stated, and that were computed here.",
    calls(
        """
SELECT sumIf(cost_usd, source = 'provider') AS stated,
       sumIf(cost_usd, source != 'provider') AS computed
FROM calls
"""
    ),
    width=6,
    height=8,
    no_value="none",
    columns=[Column("stated", USD), Column("computed", USD)],
)


def collector(name: str) -> str:
    """Rate of a counter of the collector's own, whose name ends in `_total` in newer versions."""
    return f'sum(rate({{__name__=~"otelcol_{name}(_total)?"}}[$__rate_interval]))'


CALLS = "sum(rate(gen_ai_client_operation_duration_seconds_count[$__rate_interval]))"
PIPELINE = [
    metric_lines(
        "Spans and records lost",
        "Spans, and records of calls, per second that a collector refused, dropped or failed to send.",
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
    ),
    metric_lines(
        "Queue",
        "Fill of the fullest sending queue of each exporter.",
        [
            (
                "max by (exporter) (otelcol_exporter_queue_size / otelcol_exporter_queue_capacity)",
                "{{exporter}}",
            )
        ],
        unit=SHARE,
    ),
    metric_lines(
        "Spans per call",
        "What observing costs: spans that the collector accepted for each LLM call.",
        [(f"{collector('receiver_accepted_spans')} / {CALLS}", "spans per call")],
        unit="none",
    ),
]


def stage(name: str, by: str = "") -> str:
    """Rate of a counter of `tollspan stage` (collector/counters.py), all stages together."""
    return f"sum{f' by ({by})' if by else ''} (rate(tollspan_stage_{name}_total[$__rate_interval]))"


NO_STAGE = "no stage is scraped"
STAGES = [
    metric_lines(
        "Spans through the stages",
        "Spans per second that came in, that the collectors behind acknowledged, and that cost was "
        "added to.",
        [
            (stage("received_spans"), "received"),
            (stage("forwarded_spans"), "acknowledged"),
            (stage("priced_spans"), "priced"),
        ],
        unit="cps",
        no_value=NO_STAGE,
    ),
    metric_lines(
        "Spans that stages did not take or not finish",
        "Spans per second that were refused, so that their senders come again; that were left out, as "
        "their senders were told; that no record can be made of; and that were told without the rest "
        "of their trace, by why.",
        [
            (stage("refused_spans", "reason"), "refused: {{reason}}"),
            (stage("rejected_spans", "reason"), "left out: {{reason}}"),
            (stage("unusable_spans"), "unusable"),
            (stage("shed_spans", "reason"), "shed: {{reason}}"),
        ],
        unit="cps",
        no_value=NO_STAGE,
    ),
    metric_lines(
        "How far behind is a stage?",
        "Age of the oldest request that each stage has not answered.",
        [("max by (instance) (tollspan_stage_lag_seconds)", "{{instance}}")],
        unit="s",
        no_value=NO_STAGE,
    ),
    metric_lines(
        "Overload",
        "What each stage leaves out to keep up: 0 nothing, 1 paths, 2 costs as well, 3 requests are "
        "refused.",
        [("max by (instance) (tollspan_stage_overload_level)", "{{instance}}")],
        unit="none",
        no_value=NO_STAGE,
    ),
    metric_lines(
        "Records of calls",
        "Calls per second that stages told for the first time, and that they corrected when more of "
        "their trace came in.",
        [(stage("records", "kind"), "{{kind}}")],
        unit="cps",
        no_value=NO_STAGE,
    ),
    metric_lines(
        "Traces in hand",
        "Traces within their window in all stages, and those that two stages told of and that wait to "
        "be folded again.",
        [
            ("sum(tollspan_stage_traces_held)", "held"),
            ("sum(tollspan_stage_suspect_traces)", "to be mended"),
        ],
        unit=AXIS_COUNT,
        no_value=NO_STAGE,
    ),
]

BOARD = Board(
    "quality",
    "Pipeline and data quality",
    "What is missing from the numbers, and is telemetry lost on the way?",
    [
        trust.ROW,
        Row(
            "How sure is the money?",
            [GRADES, UNPRICED, RECONCILED, BOOKS, SPLIT, UNKNOWN, MODES.sized(12, 8)],
        ),
        Row("Is it attributed?", [UNTAGGED]),
        Row("Does it arrive?", [ARRIVING.sized(24, 8)]),
        Row("Is telemetry lost on the way? (needs Prometheus)", PIPELINE, collapsed=True),
        Row("Do the stages keep up? (needs Prometheus)", STAGES, collapsed=True),
    ],
    metrics=True,
)
