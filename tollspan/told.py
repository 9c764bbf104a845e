"""What may be told of a finished call by whoever made it, and what a value has to be.

`tollspan.record`, the client and the ingest of records go by these rules; each has its own names for
the same fields, and a fault is told under the name that was used.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

__all__ = [
    "LONGEST_MS",
    "STATUSES",
    "WrongField",
    "amount",
    "count",
    "included",
    "milliseconds",
    "shown",
    "status",
    "word",
    "words",
]

STATUSES = ("success", "error", "cancelled", "abandoned", "blocked")
LONGEST_MS = 30 * 24 * 3600 * 1000
"""Thirty days: a longer call is a mix-up of units."""

_HUGEST = 2**63 - 1
_LONGEST_WORD = 512
_MOST_WORDS = 128
_SHOWN = 80


class WrongField(ValueError):
    """A value makes no sense: `field` is the name that it was given under."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


def shown(value: Any) -> str:
    """`value` in a sentence about it: short, whatever it is."""
    if isinstance(value, dict | list):
        return "{…}" if isinstance(value, dict) else "[…]"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def count(field: str, value: Any) -> int | None:
    """A number of tokens, attempts, …; None where it is not known.

    Raises:
        WrongField: it is no whole number from 0 on; so do the others below, each for its kind.
    """
    if value is None:
        return None
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole:
        raise WrongField(field, f"{field}={shown(value)} is not a whole number of tokens")
    if not 0 <= value <= _HUGEST:
        raise WrongField(field, f"{field} is no count: write 0 or more, or leave it out")
    return int(value)


def amount(field: str, value: Any) -> float | None:
    """A number from 0 on."""
    if value is None:
        return None
    numeric = isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
    if not numeric:
        raise WrongField(field, f"{field}={shown(value)} is not a number")
    nothing = isinstance(value, Decimal) and not value.is_finite()  # such a one cannot be compared
    if nothing or not 0 <= value <= _HUGEST:
        raise WrongField(field, f"{field} is no amount: write 0 or more, or leave it out")
    return float(value)


def milliseconds(field: str, value: Any) -> float | None:
    """A length of time of at most thirty days."""
    found = amount(field, value)
    if found is not None and found > LONGEST_MS:
        raise WrongField(
            field, f"{field}={shown(value)} is more than thirty days: it is in milliseconds"
        )
    return found


def word(field: str, value: Any, *, required: bool = False) -> str | None:
    """A name or an id: text that is not empty, cut to 512 characters."""
    if value is None and not required:
        return None
    if not isinstance(value, str) or not value.strip():
        raise WrongField(
            field, f"{field}={shown(value)} is not a name: write a string that is not empty"
        )
    return value.strip()[:_LONGEST_WORD].encode("utf-8", "replace").decode("utf-8")


def words(field: str, values: Any) -> list[str] | None:
    """A list of names, cut to 128 of them; None where it is empty."""
    if values is None:
        return None
    listed = isinstance(values, Sequence) and not isinstance(values, str)
    if not listed:
        raise WrongField(field, f"{field}={shown(values)} is not a list of strings")
    return [word(field, value, required=True) or "" for value in values[:_MOST_WORDS]] or None


def included(field: str, total: int | None, *parts: int | None) -> None:
    """See to it that a total is not less than its parts."""
    given = sum(part for part in parts if part is not None)
    if total is not None and given > total:
        raise WrongField(field, f"{field}={total} is less than the {given} that it includes")


def status(field: str, value: Any, error_type: str | None) -> str:
    """How a call ended: what is said, else by whether there is an error."""
    if value is None:
        return "success" if error_type is None else "error"
    if value not in STATUSES:
        raise WrongField(
            field, f"{field}={shown(value)} is unknown: write one of {', '.join(STATUSES)}"
        )
    return str(value)
