"""Attempts inside a call that burned tokens: they are added to what the call cost, as waste.

A library that retries or falls back (litellm around openai) makes several calls for one answer.
The one that gave the answer is what the outer call paid for; the others were paid for besides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tollspan import semconv

from .blame import well
from .usage import Counts, counts

__all__ = ["Inner", "answering", "besides"]

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
