"""How numbers read in a terminal: as on the page, units always said, unknown as a dash."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

__all__ = [
    "UNKNOWN",
    "amount",
    "count",
    "duration",
    "exact",
    "per_call",
    "percent",
    "spent",
    "summed",
    "tokens",
]

UNKNOWN = "–"
CENT, MILLI, MICRO = Decimal("0.01"), Decimal("0.001"), Decimal("0.000001")
SMALL = Decimal("0.000000995")
"""Below it, an amount reads in millionths of a dollar."""
MILLION = 1_000_000
PLACES = 7
"""Of a cell's amount at most: more make a column of zeros in which nobody sees how many there are."""


def amount(text: Any) -> Decimal | None:
    """US dollars of a decimal string; None where it is none."""
    try:
        found = Decimal(str(text)) if text is not None else None
    except InvalidOperation:
        return None
    return found if found is not None and found.is_finite() else None


def _significant(value: Decimal, digits: int, most_places: int = PLACES) -> str:
    """At least cents, at most so many significant digits, no zeros behind the cents."""
    places = min(most_places, max(2, digits - 1 - value.adjusted()))
    written = f"{value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN):,f}"
    while written[-1] == "0" and written[-3] != ".":
        written = written[:-1]
    return written


def per_call(value: Decimal | None, places: int = PLACES) -> str:
    """`$0.003812`, `$1.235`, `$0.0000526`, `$0.0000053`, `0.12 µ$`: never more than ten letters below
    $100,000, so that no column cuts one off and it reads as another. `places` is for wider ones."""
    if value is None:
        return UNKNOWN
    if not value:
        return "$0"
    size = abs(value)
    if size < SMALL:
        return f"{_micro(value / MICRO)} µ$"
    return f"${_significant(value, 4 if size >= MILLI else 3, places)}"


def _micro(value: Decimal) -> str:
    """Below 1, with two significant digits: `0.12`, `0.0031`."""
    places = min(4, 1 - value.adjusted())
    written = f"{value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN):f}"
    return written if Decimal(written) else "<0.0001"


def spent(value: Decimal | None) -> str:
    """`$182.40`, `$0.0421`, `$123,457`, `$1.2M`: a total, in cents from a dollar up."""
    if value is None:
        return UNKNOWN
    if abs(value) >= MILLION:
        return f"${count(float(value))}"
    if abs(value) >= 100_000:
        return f"${value:,.0f}"
    if abs(value) >= 1:
        return f"${value.quantize(CENT, ROUND_HALF_EVEN):,f}"
    return per_call(value) if abs(value) < MILLI else f"${_significant(value, 3)}"


def exact(value: Decimal | None) -> str:
    """Every digit, cents at least: `$0.00000585`."""
    return UNKNOWN if value is None else f"${_significant(value, 28, 18)}"


def summed(value: Decimal) -> str:
    """A total in a sentence, where there is room: `$0.00000585`, which `spent` would round."""
    small = value and abs(value) < MILLI
    return f"${_significant(value, 3, 18)}" if small else spent(value)


def count(value: Any) -> str:
    """`940`, `16K`, `1.8M`"""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return UNKNOWN
    for unit, size in (("T", 10**12), ("G", 10**9), ("M", 10**6), ("K", 10**3)):
        if value >= size:
            part = value / size
            return f"{part:.1f}{unit}" if part < 9.95 else f"{part:.0f}{unit}"
    return f"{value:.0f}"


def tokens(written: Any, answered: Any) -> str:
    """`2.1K>655`"""
    if written is None and answered is None:
        return UNKNOWN
    return f"{count(written)}>{count(answered)}"


def percent(part: Any, whole: Any) -> str:
    """`3.2%`"""
    if not part:
        return "0%"
    share = 100 * part / whole
    return f"{share:.1f}%" if share < 9.95 else f"{share:.0f}%"


def duration(seconds: Any) -> str:
    """`12ms`, `1.84s`, `2m05s`, `3h12m`"""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return UNKNOWN
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 59.95:
        return f"{seconds:.2f}s" if seconds < 9.995 else f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
