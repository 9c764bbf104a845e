"""What senders wrote, as the columns of the ledger hold it.

Total: a value that does not fit is not known.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Any

__all__ = [
    "count",
    "flag",
    "mapped",
    "money",
    "number",
    "plain",
    "text",
    "texts",
    "timestamp",
]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MONEY_STEP = Decimal("0.000000000001")
MOST_MONEY = 1_000_000
"""US dollars of one call that a Decimal(18,12) holds."""


def mapped(attributes: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """Attributes as texts, and the names of those whose text is JSON."""
    found: dict[str, str] = {}
    typed: list[str] = []
    for name, value in attributes.items():
        if isinstance(value, str):
            found[name] = value
        else:
            found[name] = json.dumps(plain(value))
            typed.append(name)
    return found, typed


def plain(value: Any) -> Any:
    """`value` as JSON has it: there is no NaN and no infinity in JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    return value


def timestamp(time_ns: int) -> str:
    """Nanoseconds since the epoch as the engine reads a time."""
    seconds, rest_ns = divmod(time_ns, 10**9)
    return f"{_second(seconds)}.{rest_ns:09d}"


@lru_cache(
    maxsize=4096
)  # a call and each of its hops say the same, and most calls are of this hour
def _second(since_epoch: int) -> str:
    return f"{EPOCH + timedelta(seconds=since_epoch):%Y-%m-%d %H:%M:%S}"


def text(value: Any) -> str:
    """A text, or what can be written as one; empty where it is not known."""
    if isinstance(value, str):
        return value
    return "" if value is None or isinstance(value, list | dict) else str(value)


def texts(value: Any) -> list[str]:
    """A list of texts; one alone stands for itself."""
    if isinstance(value, str):
        return [value]
    return [text(each) for each in value] if isinstance(value, Sequence) else []


def count(value: Any, below: int) -> int | None:
    """A whole number from 0 on and below `below`."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < below else None


def number(value: Any) -> float | None:
    """A number from 0 on."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None


def money(value: Any) -> str | None:
    """US dollars as a decimal string; exact, because `repr` of a float gives its decimal back."""
    if isinstance(value, float):
        return _dollars(repr(value))
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return _in_steps(Decimal(value))


@lru_cache(maxsize=4096)  # what was billed and what was derived are the same, nearly always
def _dollars(amount: str) -> str | None:
    return _in_steps(Decimal(amount))


def _in_steps(amount: Decimal) -> str | None:
    if not amount.is_finite() or not 0 <= amount < MOST_MONEY:
        return None
    return format(amount.quantize(MONEY_STEP, ROUND_HALF_EVEN), "f")


def flag(value: Any) -> bool | None:
    """True, False, or None where it is neither."""
    return value if isinstance(value, bool) else None
