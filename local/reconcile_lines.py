"""Lines of a provider's usage or cost export, in one form, and how their fields are read.

Every reader of a shape makes `Line`s. Tokens are counted as the ledger counts them: all input, of
which what a cache held is a part. Money is `Decimal` from the first digit on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

__all__ = ["DAY", "PACIFIC", "BadExport", "Line", "Place", "Read", "whole"]

DAY = timedelta(days=1)
PACIFIC = "America/Los_Angeles"
"""Where Google's billing days begin."""

USAGE, TAX, CREDIT, OTHER = "usage", "tax", "credit", "other"
TAXES = re.compile(r"\b(?:tax(?:es)?|vat|gst|hst|mwst)\b", re.IGNORECASE)
CREDITS = re.compile(
    r"\b(?:credits?|refund(?:s|ed)?|discounts?|promotion(?:al|s)?|rebates?|adjustments?)\b",
    re.IGNORECASE,
)
LONGEST_NUMBER = 64
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+")
BLANKS = dict.fromkeys(map(ord, " \u00a0\u2009\u202f'’_"))
CURRENCIES = re.compile(r"^(?:US\$|[$€£¥]|USD|EUR|GBP)|(?:[$€£¥]|USD|EUR|GBP)$")


class BadExport(ValueError):
    """An export that cannot be used; the message says where, what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: the name of the export, and a line and column or a path in JSON."""

    name: str
    at: str

    def below(self, part: str) -> Place:
        return Place(self.name, f"{self.at}{part}")

    def bad(self, what: str) -> BadExport:
        return BadExport(f"{self.name}, {self.at}: {what}" if self.at else f"{self.name}: {what}")


@dataclass(slots=True)
class Line:
    """One line. `start` and `end` are in UTC, the end is not a part of it.

    `tokens`: `input` (all of it), `output`, `cache_read`, `cache_write` to their counts; a part that
    the line does not state is absent. `amount` is in `currency`, None where the export has no money;
    `list_amount` what it would be without discounts.
    """

    start: datetime
    end: datetime
    model: str = ""
    tokens: dict[str, int] = field(default_factory=dict)
    requests: int | None = None
    amount: Decimal | None = None
    list_amount: Decimal | None = None
    currency: str = "USD"
    category: str = USAGE
    tier: str = ""
    """`standard`, `batch`, `priority`, `flex`, or '' where it is not stated."""
    key: str = ""
    project: str = ""
    what: str = ""
    """Of a line that is no usage of a model: what it is for."""
    provisional: bool = False
    """The provider says that it may still change."""


@dataclass(slots=True)
class Read:
    """What was read of one export."""

    name: str
    shape: str
    """`openai usage`, `anthropic cost`, `azure cost`, `aws cur`, `google billing`, `focus`, …"""
    provider: str
    """`openai`, `anthropic`, `azure`, `aws`, `google`, another's name; '' where it does not say."""
    lines: list[Line]
    zone: str = "UTC"
    """In which its days begin."""
    more: bool = False
    """It says that further pages follow."""
    skipped: int = 0
    """Lines of other services."""

    @property
    def step(self) -> Decimal:
        """The smallest difference that its amounts can show: a cent, where it writes no more digits."""
        exponents = [
            each.amount.as_tuple().exponent for each in self.lines if each.amount is not None
        ]
        return Decimal(1).scaleb(min((-2, *(each for each in exponents if isinstance(each, int)))))


def beside(what: str) -> str:
    """The category of a line that is for no model, by what it says it is for."""
    if TAXES.search(text := what.replace("_", " ")):
        return TAX
    return CREDIT if CREDITS.search(text) else OTHER


def whole(quantity: Decimal, place: Place) -> int:
    """A count; parts of a unit come from rounding, and are rounded.

    Raises:
        BadExport: it is less than nothing or more than anybody can have used.
    """
    if not 0 <= quantity < 10**18:
        raise place.bad(f"{quantity} is no count")
    return round(quantity)


def number(value: Any, place: Place, *, comma: bool = False) -> Decimal:
    """A number as exports write it: `1234.5`, `1,234.50`, `1.234,50`, `(0.12)`, `$3`, `1.2E-05`.

    `comma`: the file's decimal mark is a comma.

    Raises:
        BadExport: it is none.
    """
    if isinstance(value, bool):
        raise place.bad(f"{value!r} is not a number")
    if isinstance(value, int | Decimal):
        return _finite(Decimal(value), str(value), place)
    if not isinstance(value, str) or len(value) > LONGEST_NUMBER:
        raise place.bad(f"{str(value)[:LONGEST_NUMBER]!r} is not a number")
    text = value.strip().replace("\u2212", "-")
    negative = text.startswith("(") and text.endswith(")")
    text = text[1:-1].strip() if negative else text
    sign, text = ("-", text[1:]) if text[:1] == "-" else ("", text.removeprefix("+"))
    text = CURRENCIES.sub("", CURRENCIES.sub("", text.strip()).strip()).translate(BLANKS)
    if "," in text and "." in text:
        comma = text.rindex(",") > text.rindex(".")
    elif "," in text and not comma:
        comma = GROUPED.fullmatch(text) is None
    text = text.replace(".", "").replace(",", ".") if comma else text.replace(",", "")
    if not re.fullmatch(r"\d*\.?\d+(?:[eE][-+]?\d{1,3})?|\d+\.", text, re.ASCII):
        raise place.bad(f"{value!r} is not a number")
    return _finite(Decimal(sign + text) * (-1 if negative else 1), value, place)


def _finite(found: Decimal, written: str, place: Place) -> Decimal:
    try:
        if found.is_finite() and abs(found) < Decimal(10) ** 18:
            return found
    except InvalidOperation:
        pass
    raise place.bad(f"{written[:LONGEST_NUMBER]!r} is not a number that can be money or a count")


def moment(value: Any, place: Place) -> datetime:
    """A time of an export, in UTC: seconds since 1970, ISO 8601, `2026-01-31 12:00:00 UTC`, or
    `01/31/2026` as Azure writes days.

    Raises:
        BadExport: it is none.
    """
    found: datetime | None = None
    text = str(value).strip()
    try:
        if (
            isinstance(value, int)
            and not isinstance(value, bool)
            or re.fullmatch(r"\d{9,11}", text)
        ):
            found = datetime.fromtimestamp(int(text), UTC)
        elif american := re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})(?:[ T].*)?", text):
            month, day, year = map(int, american.groups())
            found = datetime(year, month, day, tzinfo=UTC)
        else:
            found = datetime.fromisoformat(text.removesuffix(" UTC").replace("/", "-"))
    except (ValueError, OverflowError, OSError):
        pass
    if found is not None:
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
        if EARLIEST <= found < LATEST:
            return found
    raise place.bad(f"{text[:LONGEST_NUMBER]!r} is not a time: write 2026-01-31T00:00:00Z")


def day_of(value: Any, place: Place) -> datetime:
    """The beginning of the day that a value names.

    Raises:
        BadExport: it names none.
    """
    found = moment(value, place)
    return datetime(found.year, found.month, found.day, tzinfo=UTC)


def span_of(start: datetime, end: datetime, place: Place) -> tuple[datetime, datetime]:
    """A period that is one.

    Raises:
        BadExport: it ends before it begins, or lasts for years.
    """
    if not timedelta(0) < end - start <= timedelta(days=400):
        raise place.bad("the period ends before it begins, or lasts longer than 400 days")
    return start, end


def days(start: datetime, end: datetime) -> Iterable[date]:
    """The days that a period touches."""
    day, last = start.date(), (end - timedelta(microseconds=1)).date()
    while day <= last:
        yield day
        day += DAY
