"""Spend as FOCUS 1.4 has it: the Cost and Usage dataset, for FinOps tools.

https://focus.finops.org/focus-specification/. A row is the charges of one hour or day (UTC) with the
same provider, model, tier, tenant, key, endpoint, prompt version, environment, tags and grade. Every
mandatory column is there, of the conditional ones those that tollspan knows something of; what has no
FOCUS name follows under `x_`. tollspan knows what a call cost and not what a list says, so the four
cost columns are one number. A SKU's price is not known, so the quantities that belong to one are
null, as the specification wants; tokens stand in `x_` columns. A cost may not be null there: calls
without a price are in no row, and their number is told in the header `x-tollspan-unpriced-calls`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from .queries import MODEL, UNPRICED, BadFilter
from .readable import Readable
from .usage_asked import Asked
from .usage_cells import safe

__all__ = ["FOCUS", "focus", "focus_parquet"]

PAGE = 20_000
PERIODS = {"hour": "INTERVAL 1 HOUR", "day": "INTERVAL 1 DAY"}
GROUPED = {
    "p": "provider",
    "m": MODEL,
    "tier": "service_tier",
    "t": "tenant",
    "k": "api_key",
    "e": "endpoint",
    "pv": "prompt_version",
    "env": "environment",
    "svc": "service",
    "op": "operation",
    "tg": "toJSONString(mapSort(tags))",
    "gr": "cost_grade",
}
NAME = "if(p = '', 'unknown', p)"
TIME = "formatDateTime({}, '%Y-%m-%dT%H:%i:%SZ', 'UTC')"
MONTH = "toStartOfMonth(hour, 'UTC')"

FOCUS: Mapping[str, str] = {
    "BilledCost": "usd",
    "BillingAccountId": "if(k = '', 'unknown', k)",
    "BillingAccountName": "CAST(NULL AS Nullable(String))",
    "BillingCurrency": "'USD'",
    "BillingPeriodEnd": TIME.format(f"addMonths(toDateTime({MONTH}, 'UTC'), 1)"),
    "BillingPeriodStart": TIME.format(f"toDateTime({MONTH}, 'UTC')"),
    "ChargeCategory": "'Usage'",
    "ChargeClass": "CAST(NULL AS Nullable(String))",
    "ChargeDescription": "trim(concat(op, ' ', m, if(e = '', '', concat(' for ', e))))",
    "ChargeFrequency": "'Usage-Based'",
    "ChargePeriodEnd": TIME.format("hour + {period}"),
    "ChargePeriodStart": TIME.format("hour"),
    "ContractedCost": "usd",
    "EffectiveCost": "usd",
    "HostProviderName": NAME,
    "InvoiceIssuerName": NAME,
    "ListCost": "usd",
    "PricingQuantity": "CAST(NULL AS Nullable(Decimal(38, 12)))",
    "PricingUnit": "CAST(NULL AS Nullable(String))",
    "ServiceCategory": "'AI and Machine Learning'",
    "ServiceName": NAME,
    "ServiceProviderName": NAME,
    "ServiceSubcategory": "'Generative AI'",
    "SubAccountId": "nullIf(t, '')",
    "SubAccountName": "nullIf(t, '')",
    "Tags": "tg",
    "x_Calls": "n",
    "x_CacheReadTokens": "cached",
    "x_CacheWriteTokens": "rewritten",
    "x_CostGrade": "nullIf(gr, '')",
    "x_Endpoint": "nullIf(e, '')",
    "x_Environment": "nullIf(env, '')",
    "x_InputTokens": "written",
    "x_Model": "nullIf(m, '')",
    "x_Operation": "nullIf(op, '')",
    "x_OutputTokens": "answered",
    "x_PromptVersion": "nullIf(pv, '')",
    "x_ReasoningTokens": "reasoned",
    "x_Service": "nullIf(svc, '')",
    "x_ServiceTier": "nullIf(tier, '')",
    "x_WastedCost": "wasted",
}
"""Columns of version 1.4 and the expressions of their values, FOCUS' own first."""

MONEY = {"BilledCost", "ContractedCost", "EffectiveCost", "ListCost", "x_WastedCost"}


def _statement(found: Asked, more: str = "") -> str:
    period = found.others.get("charge_period", "day")
    if period not in PERIODS:
        raise BadFilter(f"charge_period is unknown: write one of {', '.join(PERIODS)}")
    beginning = f"toDateTime(toStartOfInterval(time, {PERIODS[period]}, 'UTC'), 'UTC')"
    keys = ", ".join(f"{expression} AS {name}" for name, expression in GROUPED.items())
    base = f"{found.filters.where} AND" if found.filters.where else "WHERE"
    inner = (
        f"SELECT {beginning} AS hour, {keys}, sum(cost_usd) AS usd, count() AS n, "
        "sum(input_tokens) AS written, sum(output_tokens) AS answered, "
        "sum(cache_read_tokens) AS cached, sum(cache_write_tokens) AS rewritten, "
        "sum(reasoning_tokens) AS reasoned, sum(wasted_usd) AS wasted "
        f"FROM tollspan_calls {base} cost_usd IS NOT NULL {more} "
        f"GROUP BY hour, {', '.join(GROUPED)}"
    )
    columns = ", ".join(
        f"{expression.replace('{period}', PERIODS[period])} AS {name}"
        for name, expression in FOCUS.items()
    )
    return f"SELECT {columns} FROM ({inner}) ORDER BY hour, {', '.join(GROUPED)}"


def _headers(ledger: Readable, found: Asked) -> dict[str, str]:
    row = ledger.query(
        f"SELECT countIf(cost_usd IS NULL) AS without, countIf{UNPRICED} AS unpriced "
        f"FROM tollspan_calls {found.filters.where}",
        found.filters.bound,
    )[0]
    return {
        "x-tollspan-unpriced-calls": str(row["unpriced"]),
        "x-tollspan-calls-without-cost": str(row["without"]),
    }


def focus_parquet(ledger: Readable, found: Asked) -> tuple[Iterator[bytes], Mapping[str, str]]:
    """The dataset as Parquet."""
    statement = _statement(found)
    return ledger.parquet(statement, found.filters.bound), _headers(ledger, found)


def focus(ledger: Readable, found: Asked) -> tuple[Iterator[bytes], Mapping[str, str]]:
    """The dataset as CSV: null is an empty cell, text is in quotes where it has to be."""
    _statement(found)
    return _rows(ledger, found), _headers(ledger, found)


def _rows(ledger: Readable, found: Asked) -> Iterator[bytes]:
    """A page at a time; one day of calls is summed again for each page that it has."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(FOCUS)
    yield buffer.getvalue().encode()
    _empty(buffer)
    for day in _days(ledger, found):
        statement = _statement(found, "AND toStartOfDay(time, 'UTC') = {x_day:DateTime('UTC')}")
        offset = 0
        while True:
            rows: list[dict[str, Any]] = ledger.query(
                f"{statement} LIMIT {PAGE} OFFSET {offset}", found.filters.bound | {"x_day": day}
            )
            for row in rows:
                writer.writerow([row[name] if name in MONEY else safe(row[name]) for name in FOCUS])
            yield buffer.getvalue().encode()
            _empty(buffer)
            offset += PAGE
            if len(rows) < PAGE:
                break


def _empty(buffer: io.StringIO) -> None:
    buffer.seek(0)
    buffer.truncate()


def _days(ledger: Readable, found: Asked) -> list[str]:
    base = f"{found.filters.where} AND" if found.filters.where else "WHERE"
    rows = ledger.query(
        "SELECT toString(toDateTime(toStartOfDay(time, 'UTC'), 'UTC')) AS day "
        f"FROM tollspan_calls {base} cost_usd IS NOT NULL GROUP BY day ORDER BY day",
        found.filters.bound,
    )
    return [row["day"] for row in rows]
