"""The tables that the consoles of OpenAI and Anthropic export: one row a day, model, key and kind.

OpenAI's dashboard: usage, and cost with `amount_value` and `line_item`, the fields of its API.
Anthropic's console: usage with `usage_date_utc` and `usage_input_tokens_no_cache`, cost with
`token_type` and `cost_usd`, in dollars. Both begin days in UTC.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from .reconcile_buckets import all_input, item, parts, tier_of
from .reconcile_files import Row, Table
from .reconcile_lines import DAY, Line, Read, beside, day_of, moment, span_of, whole

__all__ = ["TABLES", "read_table"]

OPENAI_USAGE = frozenset({"starttime", "inputtokens", "outputtokens", "nummodelrequests"})
OPENAI_COST = frozenset({"starttime", "amountvalue", "amountcurrency"})
ANTHROPIC_USAGE = frozenset({"usagedateutc", "modelversion", "usageoutputtokens"})
ANTHROPIC_COST = frozenset({"usagedateutc", "tokentype", "costusd"})
TABLES = (OPENAI_USAGE, OPENAI_COST, ANTHROPIC_USAGE, ANTHROPIC_COST)


def read_table(found: Table) -> Read:
    """A table of one of the consoles.

    Raises:
        BadExport: a field of it is not what it should be.
    """
    columns = set(found.columns)
    shape, read = next((name, how) for need, name, how in _ROWS if need <= columns)
    lines = [line for row in found for line in read(row)]
    return Read(found.name, shape, shape.partition(" ")[0], lines)


def _counted(row: Row, column: str) -> int | None:
    stated = row.number(column)
    return None if stated is None else whole(stated, row.place(column))


def _period(row: Row) -> tuple[datetime, datetime]:
    start = moment(row.text("starttime", "starttimeiso"), row.place("start_time"))
    stated = row.text("endtime", "endtimeiso")
    end = moment(stated, row.place("end_time")) if stated else start + DAY
    return span_of(start, end, row.place())


def _openai_usage_rows(row: Row) -> Iterator[Line]:
    start, end = _period(row)
    tokens = parts(
        input=_counted(row, "inputtokens"),
        output=_counted(row, "outputtokens"),
        cache_read=_counted(row, "inputcachedtokens"),
    )
    if tokens:  # a day without any is an empty row
        yield Line(
            start,
            end,
            model=row.text("model"),
            tokens=tokens,
            requests=_counted(row, "nummodelrequests"),
            tier=tier_of(row.text("servicetier"), row.text("batch").lower() == "true"),
            key=row.text("apikeyid"),
            project=row.text("projectid"),
        )


def _openai_cost_rows(row: Row) -> Iterator[Line]:
    start, end = _period(row)
    amount = row.number("amountvalue")
    if amount is not None:
        made = Line(
            start,
            end,
            amount=amount,
            currency=row.text("amountcurrency").upper() or "USD",
            key=row.text("apikeyid"),
            project=row.text("projectid"),
        )
        in_tokens = row.text("quantityunit").lower() in ("", "token", "tokens")
        item(made, row.text("lineitem"), _counted(row, "quantity") if in_tokens else None)
        yield made


def _anthropic_usage_rows(row: Row) -> Iterator[Line]:
    start = day_of(row.text("usagedateutc"), row.place("usage_date_utc"))
    writes = [
        each
        for column in ("usageinputtokenscachewrite5m", "usageinputtokenscachewrite1h")
        if (each := _counted(row, column)) is not None
    ]
    yield Line(
        start,
        start + DAY,
        model=row.text("modelversion"),
        tokens=all_input(
            _counted(row, "usageinputtokensnocache"),
            _counted(row, "usageinputtokenscacheread"),
            sum(writes) if writes else None,
            _counted(row, "usageoutputtokens"),
        ),
        tier=tier_of(row.text("usagetype")),
        key=row.text("apikey"),
        project=row.text("workspace"),
    )


def _anthropic_cost_rows(row: Row) -> Iterator[Line]:
    start = day_of(row.text("usagedateutc"), row.place("usage_date_utc"))
    made = Line(
        start,
        start + DAY,
        model=row.text("model", "modelversion"),
        amount=row.number("costusd"),
        tier=tier_of(row.text("usagetype")),
        key=row.text("apikey"),
        project=row.text("workspace"),
    )
    if (kind := row.text("costtype").lower().replace(" ", "_")) not in ("", "token", "tokens"):
        made.category, made.what = beside(kind), kind
    if made.amount is None:
        raise row.place("cost_usd").bad("is empty")
    yield made


_ROWS = (
    (OPENAI_COST, "openai cost", _openai_cost_rows),
    (OPENAI_USAGE, "openai usage", _openai_usage_rows),
    (ANTHROPIC_COST, "anthropic cost", _anthropic_cost_rows),
    (ANTHROPIC_USAGE, "anthropic usage", _anthropic_usage_rows),
)
