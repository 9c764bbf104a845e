"""Alert rules over the ledger, as Grafana's provisioning file.

Grafana evaluates a rule without a browser: no variables, no `$__conditionalAll`. A rule's statement
answers with exactly one number and else texts; each row is an alert of its own, its texts are the
labels. Rules count real calls alone, as the boards do.
https://grafana.com/docs/grafana/latest/alerting/fundamentals/alert-rules/queries-conditions/
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from . import boards
from .boards.budgets import BURN
from .budget_sql import MOMENT
from .sql import MODEL, REQUESTS, known

__all__ = ["RULES", "Rule", "anchor", "text"]

DATASOURCE = "tollspan-clickhouse"
HOUR_S, DAY_S = 3600, 86_400
RUNBOOKS = "docs/alerts.md"

SOURCE = (
    "FROM tollspan_calls AS c\n"
    "WHERE $__timeFilter(c.time) AND if(c.data_mode = '', 'real', c.data_mode) = 'real'"
)
SEEN = (
    "SELECT {what} FROM tollspan_calls AS b\n"
    "    WHERE b.api_key != '' AND b.time < $__fromTime AND b.time >= $__fromTime - 2592000"
)
"""Of calls with a key, in the month before the window."""
ENDPOINT, TENANT = known("c.endpoint"), known("c.tenant")


@dataclass(frozen=True)
class Rule:
    """One rule: it fires for each row whose number is beyond `limit`."""

    uid: str
    title: str
    sql: str
    window_s: int
    above: float
    summary: str
    panel: tuple[str, str]
    """Board and title of the panel that shows it."""
    wait: str = "5m"
    severity: str = "warning"
    team: str = "platform"
    no_data: str = "OK"
    on_error: str = "Error"
    carried: Sequence[str] = ()
    """Labels that are variables of the boards, for the link in the message."""


RULES = (
    *(
        Rule(
            f"budget_{state}",
            title,
            f"""
SELECT b.name AS budget, b.owner AS owner, b.contact AS contact, b.action AS action,
       if(b.state = '{state}', b.ratio, 0) AS used
FROM tollspan_budgets AS b
""",
            HOUR_S,
            0,
            "{{ $labels.budget }} has used {{ humanizePercentage $values.A.Value }} of its budget; "
            "owner {{ $labels.owner }}, contact {{ $labels.contact }}{{ with $labels.action }}: {{ . }}"
            "{{ end }}",
            ("budgets", "How much of each budget is used?"),
            wait=wait,
            severity=severity,
            team="finops",
        )
        for state, title, wait, severity in (
            ("soft", "Budget: soft limit", "2m", "warning"),
            ("hard", "Budget: hard limit", "0s", "critical"),
        )
    ),
    Rule(
        "budget_burn",
        "Budget: used up within a day",
        f"""{BURN}
SELECT name AS budget, owner, contact,
       if(unspent > 0 AND pace > 0, pace * least(24, dateDiff('second', {MOMENT}, end) / 3600) / toFloat64(unspent),
          0) AS parts
FROM paces
""",
        31 * DAY_S,
        1,
        "at its pace of the last hour and of the last six, {{ $labels.budget }} uses up "
        '{{ printf "%.1f" $values.A.Value }} times what is left of its budget within a day, or until '
        "its period ends; owner {{ $labels.owner }}, contact {{ $labels.contact }}",
        ("budgets", "When does it run out?"),
        wait="10m",
        team="finops",
    ),
    Rule(
        "spend_burn",
        "Spend runs away",
        f"""
SELECT {ENDPOINT} AS endpoint,
       least(toFloat64(sumIf(c.cost_usd, c.time > $__toTime - {HOUR_S})),
             toFloat64(sumIf(c.cost_usd, c.time > $__toTime - {6 * HOUR_S})) / 6)
           / greatest(toFloat64(sumIf(c.cost_usd, c.time <= $__toTime - {6 * HOUR_S}))
               / greatest(1, dateDiff('second', min(c.time), $__toTime) / {HOUR_S} - 6), 0.05) AS pace
{SOURCE}
GROUP BY endpoint
HAVING sumIf(c.cost_usd, c.time > $__toTime - {HOUR_S}) >= 1
""",
        7 * DAY_S,
        3,
        '{{ $labels.endpoint }} spends {{ printf "%.1f" $values.A.Value }} times its pace of the week, '
        "in the last hour as in the last six",
        ("overview", "Spend by endpoint"),
        wait="10m",
        team="finops",
        carried=("endpoint",),
    ),
    Rule(
        "spend_anomaly",
        "Unusual spend for this hour",
        f"""
WITH hours AS (
  SELECT {ENDPOINT} AS endpoint, intDiv(dateDiff('second', c.time, $__toTime), {HOUR_S}) AS ago,
         toFloat64(sum(c.cost_usd)) AS usd
  {SOURCE.replace(chr(10), " ")}
  GROUP BY endpoint, ago
)
SELECT endpoint,
       sumIf(usd, ago = 0) / greatest(quantileIf(0.5)(usd, ago > 0 AND ago % 24 = 0), 0.5) AS ratio
FROM hours GROUP BY endpoint
HAVING sumIf(usd, ago = 0) >= 1 AND countIf(ago > 0 AND ago % 24 = 0 AND usd IS NOT NULL) >= 5
""",
        15 * DAY_S,
        3,
        '{{ $labels.endpoint }} spends {{ printf "%.1f" $values.A.Value }} times what it usually does in '
        "this hour of the day",
        ("overview", "Spend by endpoint"),
        team="finops",
        carried=("endpoint",),
    ),
    Rule(
        "unpriced_model",
        "Calls without a price",
        f"""
SELECT {known("c.provider")} AS provider, {known(MODEL)} AS model,
       {known("c.unpriced_reason")} AS why, toFloat64(count()) AS calls
{SOURCE} AND c.cost_usd IS NULL AND c.cost_grade = 'unpriced'
  AND NOT (c.unpriced_reason = 'no_usage' AND c.status IN ('error', 'blocked'))
GROUP BY provider, model, why
""",
        1800,
        0,
        '{{ printf "%.0f" $values.A.Value }} calls of {{ $labels.provider }}/{{ $labels.model }} have no amount '
        "({{ $labels.why }}): spend is under-counted",
        ("quality", "Which models have no price?"),
        wait="0s",
        carried=("provider", "model"),
    ),
    Rule(
        "retry_storm",
        "Retry storm",
        f"""
SELECT {known("c.route")} AS route, sum({REQUESTS}) / count() AS attempts
{SOURCE}
GROUP BY route HAVING count() >= 20
""",
        600,
        1.5,
        '{{ printf "%.2f" $values.A.Value }} requests per call by way of {{ $labels.route }}',
        ("hops", "Attempts per call by route"),
    ),
    *(
        Rule(
            f"{what}_regression",
            f"{title} after a new prompt version",
            f"""
WITH versions AS (
  SELECT {ENDPOINT} AS endpoint, c.prompt_version AS version, min(c.time) AS first_call,
         countIf({measured} IS NOT NULL) AS n, {measure} AS one
  {SOURCE.replace(chr(10), " ")} AND c.prompt_version != ''
  GROUP BY endpoint, version
), beside AS (
  SELECT endpoint, version, n, one, lagInFrame(one) OVER w AS last, lagInFrame(n) OVER w AS n_last,
         row_number() OVER (PARTITION BY endpoint ORDER BY first_call DESC, version DESC) AS age
  FROM versions
  WINDOW w AS (PARTITION BY endpoint ORDER BY first_call, version
               ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
)
SELECT endpoint, version AS prompt_version, one / last AS ratio
FROM beside WHERE age = 1 AND n >= 50 AND n_last >= 50 AND last > 0
""",
            DAY_S,
            limit,
            f"{summary} of {{{{ $labels.endpoint }}}} is "
            '{{ printf "%.2f" $values.A.Value }} times what it was, since {{ $labels.prompt_version }}',
            ("versions", panel),
            team=team,
            carried=("endpoint",),
        )
        for what, title, measured, measure, limit, summary, panel, team in (
            (
                "first_chunk",
                "Slower first chunk",
                "c.time_to_first_chunk_s",
                "quantile(0.95)(c.time_to_first_chunk_s)",
                1.3,
                "The 95th percentile of the time to first chunk",
                "Time to first chunk",
                "platform",
            ),
            (
                "cost",
                "Dearer calls",
                "c.cost_usd",
                "toFloat64(sum(c.cost_usd)) / nullIf(countIf(c.cost_usd IS NOT NULL), 0)",
                1.2,
                "The cost per call",
                "Cost per call",
                "finops",
            ),
        )
    ),
    Rule(
        "missing_attribution",
        "Calls without endpoint or tenant",
        f"""
SELECT {known("c.service")} AS service,
       countIf(c.endpoint = '' OR c.tenant = '') / count() AS untagged
{SOURCE}
GROUP BY service HAVING count() >= 20
""",
        HOUR_S,
        0.05,
        "{{ humanizePercentage $values.A.Value }} of the calls of {{ $labels.service }} state no "
        "endpoint or no tenant",
        ("quality", "Who states no attribution?"),
        wait="15m",
    ),
    Rule(
        "new_key",
        "A provider key never seen before",
        f"""
SELECT c.api_key AS api_key, any({known("c.provider")}) AS provider,
       any({known("c.service")}) AS service, toFloat64(count()) AS calls
{SOURCE} AND c.api_key != '' AND c.api_key NOT IN ({SEEN.format(what="b.api_key")})
GROUP BY api_key HAVING ({SEEN.format(what="count()")}) > 0
""",
        DAY_S,
        0,
        "{{ $labels.service }} calls {{ $labels.provider }} with the key {{ $labels.api_key }}, "
        "which no call of the month before had",
        ("reliability", "How near are the rate limits?"),
        wait="0s",
    ),
    Rule(
        "ingest_stalled",
        "No calls arrive",
        """
SELECT toFloat64(dateDiff('second', max(c.time), $__toTime)) AS seconds
FROM tollspan_calls AS c WHERE $__timeFilter(c.time) HAVING count() > 0
""",
        DAY_S,
        600,
        "the ledger has received no call for {{ humanizeDuration $values.A.Value }}",
        ("pipeline", "Who sends calls, and who has fallen silent?"),
        severity="critical",
        no_data="Alerting",
        on_error="Alerting",
    ),
)


def text() -> str:
    """The provisioning file."""
    groups = {
        "apiVersion": 1,
        "groups": [
            {
                "orgId": 1,
                "name": "tollspan-ledger",
                "folder": "Tollspan",
                "interval": "1m",
                "rules": [_written(rule) for rule in RULES],
            }
        ],
    }
    head = "# Written by `python -m grafana` from grafana/alerts.py: change that.\n"
    return head + yaml.dump(groups, Dumper=_Blocks, sort_keys=False, allow_unicode=True, width=100)


def _written(rule: Rule) -> dict[str, Any]:
    board, title = rule.panel
    values = "".join(f"&var-{each}={{{{ $labels.{each} | urlquery }}}}" for each in rule.carried)
    return {
        "uid": f"tollspan_{rule.uid}",
        "title": rule.title,
        "condition": "C",
        "data": [
            {
                "refId": "A",
                "relativeTimeRange": {"from": rule.window_s, "to": 0},
                "datasourceUid": DATASOURCE,
                "model": {
                    "refId": "A",
                    "editorType": "sql",
                    "queryType": "table",
                    "format": 1,
                    "rawSql": rule.sql.strip() + "\n",
                },
            },
            {
                "refId": "C",
                "datasourceUid": "__expr__",
                "model": {
                    "refId": "C",
                    "type": "threshold",
                    "expression": "A",
                    "datasource": {"type": "__expr__", "uid": "__expr__"},
                    "conditions": [{"evaluator": {"type": "gt", "params": [rule.above]}}],
                },
            },
        ],
        "noDataState": rule.no_data,
        "execErrState": rule.on_error,
        "for": rule.wait,
        "dashboardUid": f"tollspan-{board}",
        "panelId": boards.number_of(board, title),
        "annotations": {
            "summary": rule.summary,
            "board": f"/d/tollspan-{board}?viewPanel={boards.number_of(board, title)}{values}",
            "runbook": f"{RUNBOOKS}#{anchor(rule.title)}",
        },
        "labels": {"severity": rule.severity, "team": rule.team},
    }


def anchor(heading: str) -> str:
    """What GitHub calls the place of `heading` in a document."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


class _Blocks(yaml.SafeDumper):
    """Statements as blocks of lines."""


def _string(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Blocks.add_representer(str, _string)
