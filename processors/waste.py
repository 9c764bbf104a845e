"""What was spent for nothing: tokens of attempts beside the answer's, and time.

A library that retries or falls back (litellm around openai) makes several calls for one answer.
The one that gave the answer is what the outer call paid for; the others were paid for besides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tollspan import semconv
from tollspan.config import settings

from .blame import blame_for_delay, well
from .hops import Path
from .usage import Counts, counts

__all__ = ["Inner", "answering", "besides", "fell_back", "is_slow", "lost_time"]

Attributes = Mapping[str, Any]


class Inner(NamedTuple):
    """A call inside a call, and its HTTP attempts."""

    attributes: Attributes
    attempts: Sequence[Attributes] = ()


def answering(call: Attributes, inner: Sequence[Inner]) -> Inner | None:
    """The inner call whose answer the outer call gave, or None if it gave none of theirs."""
    own = counts(call)
    if not well(call) and not _size(own):
        return None
    same = [each for each in inner if _size(own) and _size(_burned(each)) == _size(own)]
    good = [each for each in same or inner if well(each.attributes)]
    if good:
        return good[-1]
    return same[-1] if same else None


def besides(call: Attributes, inner: Sequence[Inner]) -> list[Inner]:
    """Inner calls that burned tokens beside the answer's, in their order."""
    burned = [each for each in inner if any(_size(_burned(each)))]
    if not burned:
        return []
    own = _size(counts(call))
    sizes = [_size(_burned(each)) for each in burned]
    if len(burned) > 1 and own == (sum(s[0] for s in sizes), sum(s[1] for s in sizes)):
        return []  # the outer call states the sum already
    answer = answering(call, inner)
    return [each for each in burned if each is not answer]


def _burned(inner: Inner) -> Counts:
    return counts(inner.attributes, restated=True)


def _size(used: Counts) -> tuple[int, int]:
    return int(used.get("input_tokens", 0)), int(used.get("output_tokens", 0))


def fell_back(inner: Sequence[Inner]) -> bool:
    """Whether the calls inside asked more than one model."""
    asked = {each.attributes.get(semconv.REQUEST_MODEL) for each in inner}
    return len(asked - {None}) > 1


def is_slow(took_ns: int) -> bool:
    """Whether a call of `took_ns` counts as slow, however well it ended."""
    limit_s = settings().slow_s
    return 0 < limit_s * 1_000_000_000 <= took_ns


def lost_time(
    call: Attributes, attempts: Sequence[Attributes], way: Path, took_ns: int, waited_ns: int
) -> dict[str, Any]:
    """Attributes that say what time a call wasted, and who is to blame for a slow one.

    Args:
        call: its attributes, settled.
        took_ns: the whole call.
        waited_ns: before its last HTTP attempt started: earlier ones, and pauses between them.
    """
    found: dict[str, Any] = {}
    status = call.get(semconv.STATUS)
    if not well(call):
        if status != "blocked":
            found[semconv.WASTED_MS] = _ms(took_ns)
            left = status in ("abandoned", "cancelled")
            found[semconv.WASTED_MS_REASON] = "abandoned" if left else "error"
        return found
    if len(attempts) > 1 and waited_ns > 0:
        found[semconv.WASTED_MS] = _ms(waited_ns)
        doubled = call.get(semconv.WASTE_REASON) == "duplicate"
        found[semconv.WASTED_MS_REASON] = "duplicate" if doubled else "retry"
    if is_slow(took_ns) and semconv.BLAME not in call:
        blamed = blame_for_delay(
            call,
            attempts,
            took_ns / 1e6,
            waited_ns / 1e6,
            through_gateway=way.through_gateway,
            overhead_ms=way.overhead_ms,
            upstream_ms=way.upstream_ms,
        )
        if blamed is not None:
            found[semconv.BLAME], found[semconv.BLAME_EVIDENCE] = blamed
    return found


def _ms(ns: int) -> float:
    return round(ns / 1e6, 3)
