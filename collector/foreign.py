"""GenAI spans that other instrumentations made: read and priced as in the application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tollspan import semconv
from tollspan.guard import quietly
from tollspan.processors import ownership
from tollspan.processors.foreign import operation
from tollspan.processors.settle import Settled

from .span import Span

__all__ = ["normalised", "settled"]


def normalised(span: Span) -> Mapping[str, Any] | None:
    """Attributes of `span` in standard names; None where it is not about GenAI, or is settled."""
    if span.reading is not None:
        return span.reading.call
    said = span.attributes
    if semconv.COST_ROLE in said or semconv.HOP_ROLE in said or operation(said) is None:
        return None
    return ownership.normalised(said, failed=span.status == "error", scope=span.scope)


def settled(
    call: Mapping[str, Any], attempts: Sequence[Mapping[str, Any]], start_ns: int
) -> Settled:
    """Cost and path of a foreign call. A fault of ours leaves it as it came, unpriced."""
    found = Settled({semconv.COST_GRADE: "unpriced"})
    with quietly:
        found = ownership.priced(call, attempts, start_ns=start_ns)
    return found
