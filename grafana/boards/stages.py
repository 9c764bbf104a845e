"""What stages say of themselves: are they ready, do they keep up, who sends them what?

Read from `/metrics` of `tollspan stage` (collector/counters.py, collector/senders.py). Names of services and
tracers are data of others: they stand in legends alone.
"""

from __future__ import annotations

from ..panels import AXIS_COUNT, USD, metric_lines

__all__ = ["READY", "RUNBOOK", "STAGES", "TRACERS"]

RUNBOOK = "What to do: docs/alerts.md, {}."
NO_STAGE = "no stage is scraped"
NOTHING_COUNTED = "no stage has counted calls"


def stage(name: str, by: str = "") -> str:
    """Rate of a counter of `tollspan stage`, all stages together."""
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (rate(tollspan_stage_{name}_total[$__rate_interval]))"


READY = [
    metric_lines(
        "Who is up?",
        "1 for each collector and stage that Prometheus can scrape, 0 for one that it cannot. "
        + RUNBOOK.format("TollspanCollectorDown and TollspanStageDown"),
        [('min by (job, instance) (up{job=~"tollspan-collector|tollspan-stage"})', "{{instance}}")],
        unit="none",
        no_value="nothing is scraped",
    ),
    metric_lines(
        "Which stage is ready?",
        "1 for a stage that reaches the collector behind it and is not stopping; else its /readyz says "
        f"why in a sentence. {RUNBOOK.format('TollspanStageDown')}",
        [("min by (instance) (tollspan_stage_up)", "{{instance}}")],
        unit="none",
        no_value=NO_STAGE,
    ),
    metric_lines(
        "Who does not take what stages send?",
        "Requests per second that the collector behind the stages did not take, by signal; they are "
        f"sent again. {RUNBOOK.format('TollspanNotDelivered')}",
        [(stage("downstream_failures", "signal"), "{{signal}}")],
        unit="cps",
        no_value=NO_STAGE,
    ),
]
STAGES = [
    metric_lines(
        "Spans through the stages",
        "Spans per second that came in, that the collectors behind acknowledged, and that cost was "
        f"added to. {RUNBOOK.format('TollspanNothingReceived')}",
        [
            (stage("received_spans"), "received"),
            (stage("forwarded_spans"), "acknowledged"),
            (stage("priced_spans"), "priced"),
        ],
        unit="cps",
        no_value=NO_STAGE,
    ),
    metric_lines(
        "Why are requests refused?",
        "Requests per second that stages refused, by why; only those that are malformed do not come "
        f"again. {RUNBOOK.format('TollspanStageSheds and TollspanSenderMalformed')}",
        [(stage("refused_requests", "reason"), "{{reason}}")],
        unit="cps",
        no_value=NO_STAGE,
    ),
    metric_lines(
        "Spans that stages did not take or not finish",
        "Spans per second that were refused, so that their senders come again; that were left out, as "
        "their senders were told; that no record can be made of; and that were told without the rest "
        f"of their trace, by why. {RUNBOOK.format('TollspanStageSheds, TollspanStageRejects and TollspanSpansUnusable')}",
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
        "Age of the oldest request that each stage has not answered. "
        + RUNBOOK.format("TollspanStageBehind"),
        [("max by (instance) (tollspan_stage_lag_seconds)", "{{instance}}")],
        unit="s",
        no_value=NO_STAGE,
    ),
    metric_lines(
        "Overload",
        "What each stage leaves out to keep up: 0 nothing, 1 paths, 2 costs as well, 3 requests are "
        f"refused. {RUNBOOK.format('TollspanStageSheds')}",
        [("max by (instance) (tollspan_stage_overload_level)", "{{instance}}")],
        unit="none",
        no_value=NO_STAGE,
    ),
    metric_lines(
        "Traces in hand",
        "Traces within their window in all stages, and those that two stages told of and that wait to "
        f"be folded again. {RUNBOOK.format('TollspanMendFails')}",
        [
            ("sum(tollspan_stage_traces_held)", "held"),
            ("sum(tollspan_stage_suspect_traces)", "to be mended"),
        ],
        unit=AXIS_COUNT,
        no_value=NO_STAGE,
    ),
    metric_lines(
        "Records of calls",
        "Calls per second that stages told for the first time, and that they corrected or mended when "
        "more of their trace came in; those rejected are lost. "
        + RUNBOOK.format("TollspanStageRejects"),
        [(stage("records", "kind"), "{{kind}}")],
        unit="cps",
        no_value=NO_STAGE,
    ),
    metric_lines(
        "What comes late, what is let go early?",
        "Spans per second that came after their trace's window; traces per second that were let go "
        "before it for want of memory, that were mended, and mends that failed. "
        + RUNBOOK.format("TollspanMendFails"),
        [
            (stage("late_spans"), "late spans"),
            (
                'sum(rate(tollspan_stage_released_traces_total{reason="memory"}[$__rate_interval]))',
                "let go early",
            ),
            (stage("mended_traces"), "mended"),
            (stage("mend_failures"), "mends that failed"),
        ],
        unit="cps",
        no_value=NO_STAGE,
    ),
    metric_lines(
        "What becomes of records from outside?",
        "Records and events per second that came to /v1/ingest, by what became of them. "
        + RUNBOOK.format("TollspanIngestRejects"),
        [(stage("told_records", "outcome"), "{{outcome}}")],
        unit="cps",
        no_value=NO_STAGE,
    ),
]
TRACERS = [
    metric_lines(
        "Calls by tracer",
        "Calls per second that own an answer, by the instrumentation that told of them, once the "
        "window of their trace has passed.",
        [(f"topk(10, {stage('calls', 'scope')})", "{{scope}}")],
        unit="cps",
        no_value=NOTHING_COUNTED,
    ),
    metric_lines(
        "Cost by tracer",
        "US dollars per hour at the pace of the moment, by instrumentation. Sums are the ledger's.",
        [(f"topk(10, {stage('cost_usd', 'scope')}) * 3600", "{{scope}}")],
        unit=USD,
        no_value=NOTHING_COUNTED,
    ),
    metric_lines(
        "Tokens by tracer",
        "Tokens per second that calls state, by instrumentation and kind.",
        [(f"topk(10, {stage('tokens', 'scope, kind')})", "{{scope}} {{kind}}")],
        unit="suffix:tok/s",
        no_value=NOTHING_COUNTED,
    ),
    metric_lines(
        "Calls by service",
        "Calls per second of the ten busiest services: one that ends is silent. "
        + RUNBOOK.format("TollspanSenderSilent"),
        [(f"topk(10, {stage('calls', 'service')})", "{{service}}")],
        unit="cps",
        no_value=NOTHING_COUNTED,
    ),
    metric_lines(
        "Why do calls have no price?",
        "Calls per second whose cost is not known, by instrumentation and why. "
        + RUNBOOK.format("Calls without a price"),
        [(f"topk(10, {stage('unpriced_calls', 'scope, reason')})", "{{scope}}: {{reason}}")],
        unit="cps",
        no_value="every call is priced",
    ),
    metric_lines(
        "Who tells what another tells?",
        "Calls per second that a second instrumentation or a proxy tells, too, and that are counted "
        "once: those of the other.",
        [(f"topk(10, {stage('restated_calls', 'scope')})", "{{scope}}")],
        unit="cps",
        no_value="every call is told once",
    ),
]
