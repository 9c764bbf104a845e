"""FOCUS tables, and what AWS's Cost Explorer answers.

FOCUS: https://focus.finops.org/focus-specification/ (1.0 to 1.4). Cost Explorer:
https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_GetCostAndUsage.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from tollspan.processors.models import provider_name

from .reconcile_clouds import AWS_CATEGORIES, aws_usage, counted, is_bedrock
from .reconcile_files import Row
from .reconcile_lines import (
    CREDIT,
    OTHER,
    TAX,
    USAGE,
    Line,
    Place,
    Read,
    day_of,
    moment,
    number,
    span_of,
    whole,
)
from .reconcile_meters import media, meter

__all__ = ["FOCUS", "cost_explorer", "focus", "is_cost_explorer"]

FOCUS = frozenset({"billedcost", "chargeperiodstart", "chargeperiodend"})
PROVIDERS = {
    "microsoft": "azure",
    "azure": "azure",
    "aws": "aws",
    "amazon web services": "aws",
    "google": "google",
    "google cloud": "google",
    "openai": "openai",
    "anthropic": "anthropic",
}
OURS = {
    "input": "xinputtokens",
    "output": "xoutputtokens",
    "cache_read": "xcachereadtokens",
    "cache_write": "xcachewritetokens",
}
"""Columns of the FOCUS export of `tollspan usage export`."""

CHARGES = {"usage": USAGE, "tax": TAX, "credit": CREDIT, "adjustment": CREDIT, "purchase": OTHER}
SERVICES = ("openai", "foundry", "cognitive", "bedrock", "vertex", "gemini", "anthropic", "claude")
AI = "ai and machine learning"
METERS = ("skumeter", "xskumetername", "xskumeter", "xusagetype", "xskudescription")
SIZES = {
    "thousand": Decimal(1000),
    "1k": Decimal(1000),
    "million": Decimal(10**6),
    "1m": Decimal(10**6),
}


def focus(name: str, rows: Iterator[Row]) -> Read:
    """What the rows of a FOCUS table say. Its amounts are those billed; its list prices those of
    `ListCost`.

    Raises:
        BadExport: a field of one is not what it should be.
    """
    made = Read(name, "focus", "", [])
    for row in rows:
        stated = row.text(
            "serviceprovidername", "providername", "publishername", "invoiceissuername"
        )
        provider = _provider(stated)
        if not _is_ai(row, provider):
            made.skipped += 1
            continue
        if made.provider not in ("", provider):
            raise row.place("ProviderName").bad(
                f"is {provider}, and what stands before it {made.provider}: give one provider's lines"
            )
        made.provider = provider
        made.lines.append(_focus(row, provider))
    return made


def _provider(stated: str) -> str:
    """Whose bill it is, in letters that a provider's name can have."""
    plain = re.sub(r"[^a-z0-9.]+", "_", stated.lower())[:64].strip("_.")
    return PROVIDERS.get(stated.lower(), provider_name(plain))


def _is_ai(row: Row, provider: str) -> bool:
    service = f"{row.text('servicename')} {row.text('chargedescription')}".lower()
    return (
        provider in ("openai", "anthropic")
        or row.text("chargecategory").lower() == "tax"
        or row.text("servicecategory").lower() == AI
        or any(each in service for each in SERVICES)
    )


def _focus(row: Row, provider: str) -> Line:
    start, end = span_of(
        moment(row.text("chargeperiodstart"), row.place("ChargePeriodStart")),
        moment(row.text("chargeperiodend"), row.place("ChargePeriodEnd")),
        row.place(),
    )
    amount = row.number("billedcost")
    if amount is None:
        raise row.place("BilledCost").bad("is empty")
    charge = row.text("chargecategory").lower()
    made = Line(
        start,
        end,
        amount=amount,
        list_amount=row.number("listcost"),
        currency=row.text("billingcurrency").upper() or "USD",
        category=CHARGES.get(charge, USAGE),
        project=row.text("subaccountid", "resourceid"),
    )
    if model := row.text("xmodel"):  # tollspan's own
        made.model, made.requests = model, _count(row, "xcalls")
        made.tier = row.text("xservicetier").lower() or "standard"
        counts = {part: _count(row, column) for part, column in OURS.items()}
        made.tokens = {part: count for part, count in counts.items() if count is not None}
        return made
    said = row.text("chargedescription")
    named = row.text(*METERS) or said
    found = meter(named, row.text("servicename", "skuid"), aws=provider == "aws")
    if not found.part and said != named:
        found = meter(said)
    if made.category == USAGE and (model := media(meter(named))):
        made.model, made.tier = model, found.tier
        return made
    if not found.part or made.category != USAGE:
        made.category = OTHER if made.category == USAGE else made.category
        made.what = said or named or charge
        made.model = found.model if found.part else ""
        return made
    made.model = found.model
    made.tier = found.tier
    made.tokens = counted(found, _quantity(row), row)
    return made


def _count(row: Row, column: str) -> int | None:
    stated = row.number(column)
    return None if stated is None else whole(stated, row.place(column))


def _quantity(row: Row) -> Decimal | None:
    """Tokens that were used; where the unit is none of tokens, nothing is known of them."""
    for quantity, unit in (
        ("consumedquantity", "consumedunit"),
        ("pricingquantity", "pricingunit"),
    ):
        stated = row.number(quantity)
        words = row.text(unit).lower().split()
        if stated is None or not any("token" in word or word in SIZES for word in words):
            continue
        return stated * next((SIZES[word] for word in words if word in SIZES), Decimal(1))
    return None


def is_cost_explorer(found: Any) -> bool:
    return isinstance(found, Mapping) and isinstance(found.get("ResultsByTime"), list)


def cost_explorer(found: Mapping[str, Any], place: Place) -> Read:
    """What Cost Explorer answers, grouped by usage type, by service or both, or not at all.

    Raises:
        BadExport: it is something else.
    """
    made = Read(place.name, "aws cost explorer", "aws", [], more=bool(found.get("NextPageToken")))
    keys = [
        str(each.get("Key")) if isinstance(each, Mapping) else ""
        for each in found.get("GroupDefinitions") or []
    ]
    for at, result in enumerate(found["ResultsByTime"]):
        here = place.below(f"ResultsByTime[{at}]")
        period = result.get("TimePeriod") if isinstance(result, Mapping) else None
        if not isinstance(period, Mapping):
            raise here.bad("has no TimePeriod")
        start = moment(period.get("Start"), here.below(".TimePeriod.Start"))
        end = moment(period.get("End"), here.below(".TimePeriod.End"))
        start, end = span_of(day_of(start.isoformat(), here), end, here)
        groups = result.get("Groups") or []
        if not groups and result.get("Total"):
            groups = [{"Keys": [], "Metrics": result["Total"]}]
        for n, group in enumerate(groups):
            below = here.below(f".Groups[{n}]")
            if not isinstance(group, Mapping) or not isinstance(group.get("Metrics"), Mapping):
                raise below.bad("has no Metrics")
            line = _group(Line(start, end), group, keys, below)
            if line is None:
                made.skipped += 1
                continue
            line.provisional = result.get("Estimated") is True
            made.lines.append(line)
    return made


METRICS = ("UnblendedCost", "NetUnblendedCost", "AmortizedCost", "NetAmortizedCost", "BlendedCost")


def _group(made: Line, group: Mapping[str, Any], keys: list[str], place: Place) -> Line | None:
    said = dict(zip(keys, map(str, group.get("Keys") or []), strict=False))
    metrics = group["Metrics"]
    name = next((each for each in METRICS if each in metrics), "")
    cost = metrics.get(name)
    if not isinstance(cost, Mapping):
        raise place.below(".Metrics").bad("has no cost")
    made.amount = number(cost.get("Amount"), place.below(f".Metrics.{name}.Amount"))
    made.currency = str(cost.get("Unit") or "USD").upper()
    made.project = said.get("LINKED_ACCOUNT", "")
    record = said.get("RECORD_TYPE", "Usage")
    usage, service = said.get("USAGE_TYPE", ""), said.get("SERVICE", "")
    if said and not is_bedrock(usage, service) and record != "Tax" and "-tokens" not in usage:
        return None
    if record != "Usage":
        made.category = AWS_CATEGORIES.get(record, CREDIT if "iscount" in record else OTHER)
        made.what = record
    elif usage:
        quantity = metrics.get("UsageQuantity")
        below = place.below(".Metrics.UsageQuantity.Amount")
        counted_ = number(quantity.get("Amount"), below) if isinstance(quantity, Mapping) else None
        aws_usage(made, usage, service, "", counted_, Row((), {}, place, False))
    return made
