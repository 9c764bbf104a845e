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

from collections.abc import Iterator, Mapping

from .queries import MODEL, UNPRICED, BadFilter
from .readable import Readable
from .usage_asked import Asked
from .usage_cells import LINES, csv_line, number_cell, text_cell

__all__ = ["FOCUS", "focus", "focus_parquet"]

DAY_NS = 86_400 * 10**9
OF_DAY = (
    "time >= fromUnixTimestamp64Nano({x_begin:Int64}) AND "
    "time < fromUnixTimestamp64Nano({x_end:Int64})"
)
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
    "tg": "mapSort(tags)",
    "gr": "cost_grade",
}
ORDER = "ORDER BY hour, " + ", ".join(
    "toJSONString(tg)" if name == "tg" else name for name in GROUPED
)
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
    "Tags": "toJSONString(tg)",
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

NUMBERS = {
    *("BilledCost", "ContractedCost", "EffectiveCost", "ListCost", "x_WastedCost", "x_Calls"),
    *("x_CacheReadTokens", "x_CacheWriteTokens", "x_InputTokens", "x_OutputTokens"),
    *("x_ReasoningTokens", "PricingQuantity"),
}


def _statement(found: Asked, more: str = "") -> str:
    """Rows of the dataset, all of them in the order that `ORDER` names."""
    period = found.others.get("charge_period", "day")
    if period not in PERIODS:
        raise BadFilter(f"charge_period is unknown: write one of {', '.join(PERIODS)}")
    beginning = f"toDateTime(toStartOfInterval(time, {PERIODS[period]}, 'UTC'), 'UTC')"
    keys = ", ".join(f"{expression} AS {name}" for name, expression in GROUPED.items())
    base = f"{found.filters.where} AND" if found.filters.where else "WHERE"
    return (
        f"SELECT {beginning} AS hour, {keys}, sum(cost_usd) AS usd, count() AS n, "
        "sum(input_tokens) AS written, sum(output_tokens) AS answered, "
        "sum(cache_read_tokens) AS cached, sum(cache_write_tokens) AS rewritten, "
        "sum(reasoning_tokens) AS reasoned, sum(wasted_usd) AS wasted "
        f"FROM tollspan_calls {base} cost_usd IS NOT NULL {more} "
        f"GROUP BY hour, {', '.join(GROUPED)}"
    )


def _columns(found: Asked) -> dict[str, str]:
    """The expression of each column, over rows of `_statement`."""
    period = PERIODS[found.others.get("charge_period", "day")]
    return {name: each.replace("{period}", period) for name, each in FOCUS.items()}


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
    rows = _statement(found)
    columns = ", ".join(f"{each} AS {name}" for name, each in _columns(found).items())
    sql = f"SELECT {columns} FROM ({rows}) {ORDER}"
    return ledger.file(sql, "Parquet", found.filters.bound), _headers(ledger, found)


def focus(ledger: Readable, found: Asked) -> tuple[Iterator[bytes], Mapping[str, str]]:
    """The dataset as CSV: null is an empty cell, text is in quotes where it has to be."""
    rows = _statement(found, f"AND {OF_DAY}")
    line = csv_line(_cell(name, each) for name, each in _columns(found).items())
    sql = f"SELECT {line} AS line FROM ({rows}) {ORDER}"
    return _days(ledger, found, sql), _headers(ledger, found)


def _cell(name: str, expression: str) -> str:
    if name in NUMBERS:
        return number_cell(expression)
    return text_cell(f"ifNull(toString({expression}), '')", repeated=False)


def _days(ledger: Readable, found: Asked, sql: str) -> Iterator[bytes]:
    """A day at a time: its calls are summed once, and its rows wait on the disk and not in memory."""
    yield f"{','.join(FOCUS)}\r\n".encode()
    base = f"{found.filters.where} AND" if found.filters.where else "WHERE"
    days = ledger.query(
        "SELECT toUnixTimestamp(toStartOfDay(time, 'UTC')) AS day "
        f"FROM tollspan_calls {base} cost_usd IS NOT NULL GROUP BY day ORDER BY day",
        found.filters.bound,
    )
    for each in days:
        begin_ns = each["day"] * 10**9
        day = {"x_begin": begin_ns, "x_end": begin_ns + DAY_NS}
        yield from ledger.file(sql, LINES, found.filters.bound | day)
