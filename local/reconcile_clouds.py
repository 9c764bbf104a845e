"""The cost exports of Azure, AWS and Google, as tables and as JSON.

Azure: https://learn.microsoft.com/azure/cost-management-billing/automate/understand-usage-details-fields
AWS: https://docs.aws.amazon.com/cur/latest/userguide/data-dictionary.html (both versions of the Cost
and Usage Report). Google: https://docs.cloud.google.com/billing/docs/how-to/export-data-bigquery-tables
and the cost table of its console, whose days begin in California. Lines of other services are left
out, and counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from .reconcile_files import Row
from .reconcile_lines import (
    CREDIT,
    DAY,
    OTHER,
    PACIFIC,
    TAX,
    Line,
    Read,
    day_of,
    moment,
    number,
    span_of,
    whole,
)
from .reconcile_meters import CACHE_READ, CACHE_WRITE, INPUT, Meter, media, meter

__all__ = ["CLOUDS", "TABLES", "counted", "read_rows", "spread"]

AZURE = frozenset({"metername", "quantity"})
AWS = frozenset({"lineitemusagetype", "lineitemunblendedcost"})
GOOGLE = frozenset({"skudescription", "cost"})
TABLES = (AZURE, AWS, GOOGLE)

MILLION, THOUSAND = Decimal(10**6), Decimal(1000)
UNIT = re.compile(r"(?:^|\b)(1[km]|million|thousand)(?:\b|$)", re.IGNORECASE)
AZURE_RESOURCES = ("microsoft.cognitiveservices", "microsoft.machinelearningservices")
GOOGLE_SERVICES = re.compile(r"vertex ai|gemini|generative language|agent platform", re.IGNORECASE)
GOOGLE_MODELS = re.compile(r"gemini|gemma|imagen|veo|claude|llama|mistral|embedding", re.IGNORECASE)


def read_rows(name: str, shape: str, rows: Iterator[Row], preface: Mapping[str, str]) -> Read:
    """What the rows of an export of `shape` say.

    Raises:
        BadExport: a field of one is not what it should be.
    """
    made = Read(name, f"{shape} cost", shape, [])
    for row in rows:
        before = len(made.lines)
        made.lines += CLOUDS[shape](row, preface)
        made.skipped += len(made.lines) == before
        if shape == "google" and "usagestarttime" not in row:
            made.zone = PACIFIC
    return made


def counted(found: Meter, quantity: Decimal | None, row: Row) -> dict[str, int]:
    """Tokens of a meter that counts one part of a model's use."""
    if quantity is None or not found.part or quantity <= 0:
        return {}
    count = whole(quantity, row.place("quantity"))
    tokens = {found.part: count}
    if found.part in (CACHE_READ, CACHE_WRITE):
        tokens[INPUT] = count
    return tokens


def _size(unit: str, usual: Decimal = Decimal(1)) -> Decimal:
    """How many tokens a unit is: `1K`, `1M tokens`, `Million Input Tokens`."""
    found = UNIT.search(unit)
    if found is None:
        return usual
    return THOUSAND if found[1].lower() in ("1k", "thousand") else MILLION


AZURE_CATEGORIES = {"tax": TAX, "refund": CREDIT, "credit": CREDIT, "adjustment": CREDIT}


def _azure(row: Row, preface: Mapping[str, str]) -> Iterator[Line]:
    name = row.text("metername")
    product = row.text("metersubcategory", "productname", "product")
    resource = row.text("resourceid", "instanceid", "instancename")
    service = f"{row.text('consumedservice')} {resource}".lower()
    charge = row.text("chargetype").lower()
    is_model = name.lower().endswith("tokens") or any(each in service for each in AZURE_RESOURCES)
    if not is_model and charge != "tax":
        return
    place = row.place("date")
    start = day_of(row.text("date", "usagedatetime", "usagedate", "usagestart"), place)
    usd = row.number("costinusd", "costusd")
    amount = usd if usd is not None else _azure_amount(row)
    made = Line(start, start + DAY, amount=amount, project=resource.rpartition("/")[2])
    if usd is None:
        stated = row.text("billingcurrencycode", "billingcurrency", "currency", "currencycode")
        made.currency = stated.upper() or "USD"
    made.list_amount = row.number(
        "paygcostinusd" if usd is not None else "paygcostinbillingcurrency"
    )
    found = meter(name, product)
    if charge in AZURE_CATEGORIES:
        made.category, made.what = AZURE_CATEGORIES[charge], name or charge
        made.model = found.model if found.part else ""
    elif charge in ("", "usage") and (model := media(found)):
        made.model, made.tier = model, found.tier
    elif charge not in ("", "usage") or not found.part:
        made.category, made.what = OTHER, name or charge
    else:
        quantity = row.number("quantity", "usagequantity")
        unit = row.text("unitofmeasure", "unit")
        made.model, made.tier = found.model, found.tier
        made.tokens = counted(found, quantity and quantity * _size(unit or name), row)
    yield made


def _azure_amount(row: Row) -> Decimal:
    columns = ("costinbillingcurrency", "pretaxcost", "cost", "extendedcost")
    amount = row.number(*columns)
    if amount is None:
        raise row.place("CostInBillingCurrency").bad("is empty or missing")
    return amount


AWS_CATEGORIES = {"Tax": TAX, "Credit": CREDIT, "Refund": CREDIT, "Fee": OTHER, "RIFee": OTHER}
AWS_USAGE = ("", "Usage", "DiscountedUsage", "SavingsPlanCoveredUsage")


def _aws(row: Row, preface: Mapping[str, str]) -> Iterator[Line]:
    usage = row.text("lineitemusagetype")
    product = row.text("productproductname", "productservicename", "productname", "productmodel")
    said = row.text("lineitemlineitemdescription")
    if not is_bedrock(usage, row.text("lineitemproductcode"), product, said):
        return
    start = moment(row.text("lineitemusagestartdate"), row.place("lineItem/UsageStartDate"))
    stated = row.text("lineitemusageenddate")
    end = moment(stated, row.place("lineItem/UsageEndDate")) if stated else start + DAY
    start, end = span_of(start, max(end, start + timedelta(seconds=1)), row.place())
    amount = row.number("lineitemunblendedcost")
    kind = row.text("lineitemlineitemtype")
    made = Line(
        start,
        end,
        amount=Decimal(0) if amount is None else amount,
        currency=row.text("lineitemcurrencycode").upper() or "USD",
        list_amount=row.number("pricingpublicondemandcost") or None,
        project=row.text("lineitemusageaccountid"),
    )
    unit = row.text("pricingunit") or (said if UNIT.search(said) else "")
    aws_usage(made, usage, product, unit, row.number("lineitemusageamount"), row)
    if kind not in AWS_USAGE:
        made.category = AWS_CATEGORIES.get(kind, CREDIT if "discount" in kind.lower() else OTHER)
        made.what, made.tokens = kind, {}
    yield made


def is_bedrock(*said: str) -> bool:
    """Whether a line of AWS is about models, by what its fields say."""
    text = " ".join(said).lower()
    return "bedrock" in text or "tokencount" in text


def aws_usage(
    made: Line, usage: str, product: str, unit: str, quantity: Decimal | None, row: Row
) -> None:
    """What a usage type of Bedrock's says. Its own meters count thousands of tokens, those of the
    marketplace millions, unless the line says otherwise."""
    found = meter(
        usage, product if is_bedrock(product) and "edition" in product.lower() else "", aws=True
    )
    if model := media(found):
        made.model, made.tier = model, found.tier
        return
    if not found.part:
        made.category, made.what = OTHER, usage
        return
    made.model, made.tier = found.model, found.tier
    usual = MILLION if usage.endswith("-Units") else THOUSAND
    made.tokens = counted(found, quantity and quantity * _size(unit, usual), row)


GOOGLE_CATEGORIES = {
    "tax": TAX,
    "adjustment": CREDIT,
    "rounding_error": OTHER,
    "rounding error": OTHER,
}


def _google(row: Row, preface: Mapping[str, str]) -> Iterator[Line]:
    service, sku = row.text("servicedescription"), row.text("skudescription")
    kind = row.text("costtype").lower()
    if not (GOOGLE_SERVICES.search(service) or GOOGLE_MODELS.search(sku) or kind == "tax"):
        return
    start, end = _google_period(row)
    amount = row.number("unroundedcost", "cost")
    if amount is None:
        raise row.place("cost").bad("is empty")
    currency = (row.text("currency") or preface.get("currency", "")).upper() or "USD"
    made = Line(start, end, amount=amount, currency=currency, project=row.text("projectid"))
    made.list_amount = row.number("costatlist")
    found = meter(sku)
    credit = row.text("credittype", "creditname")
    if kind in GOOGLE_CATEGORIES or credit:
        made.category = CREDIT if credit else GOOGLE_CATEGORIES[kind]
        made.what, made.model = credit or kind, found.model if found.part else ""
    elif model := media(found):
        made.model, made.tier = model, found.tier
    elif not found.part:
        made.category, made.what = OTHER, sku
    else:
        unit = row.text("usageunit").lower()
        in_tokens = not any(word in unit for word in ("second", "byte", "char", "hour", "month"))
        made.model, made.tier = found.model, found.tier
        quantity = row.number("usageamount") if in_tokens else None
        made.tokens = counted(found, quantity, row)
    yield made
    for credited in _credits(row):
        yield Line(
            start,
            end,
            made.model,
            amount=credited,
            currency=currency,
            category=CREDIT,
            what="credit",
        )


def _google_period(row: Row) -> tuple[datetime, datetime]:
    if "usagestarttime" in row:
        start = moment(row.text("usagestarttime"), row.place("usage_start_time"))
        stated = row.text("usageendtime")
        end = moment(stated, row.place("usage_end_time")) if stated else start + timedelta(hours=1)
    else:
        start = day_of(row.text("usagestartdate", "date", "day"), row.place("usage start date"))
        stated = row.text("usageenddate")
        end = (day_of(stated, row.place("usage end date")) if stated else start) + DAY
    return span_of(start, end, row.place())


def _credits(row: Row) -> Iterator[Decimal]:
    """Amounts of the credits that stand inside a line of BigQuery's."""
    written = row.text("credits")
    if not written.startswith("["):
        return
    try:
        found = json.loads(written)
    except ValueError as error:
        raise row.place("credits").bad("is no JSON") from error
    for each in found:
        amount = each.get("amount") if isinstance(each, Mapping) else None
        if amount is not None:
            yield number(str(amount), row.place("credits.amount"))


CLOUDS: Mapping[str, Callable[[Row, Mapping[str, str]], Iterator[Line]]] = {
    "azure": _azure,
    "aws": _aws,
    "google": _google,
}


def spread(found: Any) -> list[Any]:
    """Rows of a document of JSON: `{"value": [{"properties": {…}}]}` as Azure's REST API answers."""
    if isinstance(found, Mapping) and isinstance(found.get("value"), list):
        return [
            each["properties"] if isinstance(each, Mapping) and "properties" in each else each
            for each in found["value"]
        ]
    return [found]
