"""Lines of `/v1/usage/export` taken in again: calls as they were, settled, to the last digit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan.collector.told import Fault, Told, Untold

from .usage_line import WHOLE, NoLine, spans_of

__all__ = ["read"]


def read(said: Any, now_ns: int) -> Told:
    """The call of a line, and its hops.

    Raises:
        Untold: it is no line of an export.
    """
    if not isinstance(said, Mapping):
        raise Untold([Fault("", "a line is a JSON object")])
    try:
        call, *hops = spans_of(said)
    except NoLine as wrong:
        raise Untold([Fault(WHOLE, str(wrong))]) from None
    return Told(call, beside=hops)
