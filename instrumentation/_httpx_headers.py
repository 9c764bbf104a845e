"""The headers of httpx and httpx2 as the list that they keep.

What their methods answer is made in Python, header by header, of a list of name, name in lower case,
and value, which C goes through in a tenth of the time.
https://github.com/encode/httpx/blob/master/httpx/_models.py
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from tollspan.remembered import Remembered

__all__ = ["are_listed", "rows_of"]


def _are_listed(kind: Any) -> bool:
    """Whether headers of this class keep such a list."""
    if not kind.__module__.startswith("httpx"):
        return False
    return getattr(kind({"Baggage": "a=b"}), "_list", None) == [(b"Baggage", b"baggage", b"a=b")]


are_listed: Remembered[Any, bool] = Remembered(_are_listed, 64)

_list, _raw = attrgetter("_list"), attrgetter("raw")


def rows_of(headers: Any) -> Callable[[Any], Any]:
    """What gives of headers of this class a row for each: the name first, the value last."""
    return _list if are_listed[type(headers)] else _raw
