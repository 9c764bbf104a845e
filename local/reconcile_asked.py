"""What somebody wants reconciled, out of a query string or of a command's options."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from .reconcile import MOST_DAYS, Asked
from .reconcile_ledger import FAMILIES, ZONES
from .reconcile_lines import BadExport, Place, number
from .reconcile_sides import Matching

__all__ = ["NAMES", "asked", "day", "days_of", "zone_of"]

NAMES = ("provider", "from", "to", "tolerance", "rate", "same", "key")
"""Members of the query; `rate`, `same` and `key` may be there several times."""

PROVIDER = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
CURRENCY = re.compile(r"[A-Z]{3}")
LONGEST = 200


def asked(items: Iterable[tuple[str, str]]) -> Asked:
    """Raises:
    BadExport: a member is unknown or cannot be used; the message says which.
    """
    single: dict[str, str] = {}
    pairs: dict[str, dict[str, str]] = {"rate": {}, "same": {}, "key": {}}
    for name, value in items:
        if name not in NAMES:
            raise BadExport(f"{name[:LONGEST]} is unknown: known are {', '.join(NAMES)}")
        if name in pairs:
            left, equals, right = value[: 2 * LONGEST].partition("=")
            if not (left.strip() and equals and right.strip()):
                raise BadExport(f"{name} {value[:LONGEST]!r} is no pair: write {EXAMPLES[name]}")
            pairs[name][left.strip()] = right.strip()
        elif value:
            single[name] = value
    return Asked(
        provider=provider_of(single.get("provider", "")),
        first=day(single["from"], "from") if "from" in single else None,
        last=day(single["to"], "to") if "to" in single else None,
        tolerance=_tolerance(single.get("tolerance", "0.01")),
        matching=Matching(_rates(pairs["rate"]), pairs["same"], pairs["key"]),
    )


EXAMPLES = {
    "rate": "EUR=1.08, what one of it is in US dollars",
    "same": "'Name in the export=name in the ledger'",
    "key": "key_abc=h:1f2e…, the id in the export and the fingerprint in the ledger",
}


def provider_of(text: str) -> str:
    """Raises:
    BadExport: it cannot be a provider's name.
    """
    if text and PROVIDER.fullmatch(text) is None:
        raise BadExport(
            f"provider {text[:LONGEST]!r} is none: write one of {', '.join(FAMILIES)}, or a name as "
            "gen_ai.provider.name has it"
        )
    return text


def day(text: str, name: str) -> date:
    """Raises:
    BadExport: it is no day.
    """
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            found = date.fromisoformat(text)
            if 2000 <= found.year < 2200:
                return found
    except ValueError:
        pass
    raise BadExport(f"{name} {text[:LONGEST]!r} is no day: write 2026-01-31")


def _tolerance(text: str) -> Decimal:
    percent = text.endswith("%")
    found = number(text.removesuffix("%"), Place("tolerance", ""))
    found = found / 100 if percent else found
    if not 0 <= found <= 1:
        raise BadExport(f"tolerance {text!r} is not from 0 to 1: write 0.01 or 1%")
    return found


def _rates(pairs: Mapping[str, str]) -> dict[str, Decimal]:
    made: dict[str, Decimal] = {}
    for currency, text in pairs.items():
        rate = number(text, Place(f"rate {currency[:LONGEST]}", ""))
        if CURRENCY.fullmatch(currency) is None or rate <= 0:
            raise BadExport(f"rate {currency[:LONGEST]}={text} is none: write {EXAMPLES['rate']}")
        made[currency] = rate
    return made


def days_of(single: Mapping[str, Any]) -> tuple[date, date]:
    """First and last day, both stated.

    Raises:
        BadExport: one is missing or none, or they are too far apart.
    """
    for name in ("from", "to"):
        if not single.get(name):
            raise BadExport(f"{name} is missing: write {name}=2026-01-31")
    first, last = day(single["from"], "from"), day(single["to"], "to")
    if not 0 <= (last - first).days <= MOST_DAYS:
        raise BadExport(f"from {first} to {last} is no period, or more than {MOST_DAYS} days")
    return first, last


def zone_of(text: str) -> str:
    """Raises:
    BadExport: days of no known bill begin there.
    """
    if text and text not in ZONES:
        raise BadExport(f"zone {text[:LONGEST]!r} is unknown: write one of {', '.join(ZONES)}")
    return text or ZONES[0]
