"""The headers of httpx and httpx2 as the list that they keep.

What their methods answer is made in Python, header by header, of a list of name, name in lower case,
and value, which C goes through in a tenth of the time.
https://github.com/encode/httpx/blob/master/httpx/_models.py
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tollspan.remembered import Remembered

__all__ = ["are_listed", "rows"]


def _are_listed(kind: Any) -> bool:
    """Whether headers of this class keep such a list."""
    if not kind.__module__.startswith("httpx"):
        return False
    return getattr(kind({"Baggage": "a=b"}), "_list", None) == [(b"Baggage", b"baggage", b"a=b")]


are_listed: Callable[[Any], bool] = Remembered(_are_listed, 64).__getitem__


def rows(headers: Any) -> Sequence[Any]:
    """Headers, a row for each: the name first, the value last."""
    return headers._list if are_listed(type(headers)) else headers.raw  # type: ignore[no-any-return]
