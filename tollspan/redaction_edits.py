"""What is found in a text, and changes of one that comes in pieces, each of which stays a piece."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Edit", "Found", "applied"]


class Found(NamedTuple):
    """What a rule found, from `start` to before `end`; `value` is it as it is meant, decoded."""

    start: int
    end: int
    rule: str
    value: str


class Edit(NamedTuple):
    """Characters from `start` to before `end` become `mask`."""

    start: int
    end: int
    mask: str


def applied(parts: Sequence[str], edits: Sequence[Edit]) -> list[str]:
    """`parts` of one text with `edits` of the whole, which are in order and do not overlap.

    A mask stands in the part in which it begins; what it hides goes out of the others.
    """
    if not edits:
        return list(parts)
    made: list[str] = []
    waiting = iter(edits)
    edit: Edit | None = next(waiting, None)
    begin = 0
    for part in parts:
        end = begin + len(part)
        kept: list[str] = []
        at = begin
        while edit is not None and edit.start < end:
            kept.append(part[at - begin : max(edit.start, begin) - begin])
            if edit.start >= begin:
                kept.append(edit.mask)
            at = min(edit.end, end)
            if edit.end > end:
                break
            edit = next(waiting, None)
        kept.append(part[at - begin :])
        made.append("".join(kept))
        begin = end
    return made
