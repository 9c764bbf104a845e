"""Data quality: what is missing from the numbers? Where it is lost on its way: `pipeline`."""

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


BOARD = Board(
    "quality",
    "Data quality",
    "What is missing from the numbers?",
    [
        trust.ROW,
        Row(
            "How sure is the money?",
            [GRADES, UNPRICED, RECONCILED, BOOKS, SPLIT, UNKNOWN, MODES.sized(12, 8)],
        ),
        Row("Is it attributed?", [UNTAGGED]),
        Row("Does it arrive?", [ARRIVING.sized(24, 8)]),
    ],
)
