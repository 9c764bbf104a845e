"""What attributes of spans look like as bytes, and how many of them are looked at together.

Field numbers: opentelemetry-proto 1.45, trace.proto and common.proto.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .packed import Packed, Places

__all__ = ["ATTRIBUTE", "DOUBLE", "INT", "TEXT", "Name", "Window", "ahead", "all_have", "fits"]

ATTRIBUTE = 0x4A
"""Tag of an attribute in a span."""

TEXT, INT, DOUBLE = 0x0A, 0x18, 0x21
"""Tags of an AnyValue: what kind of value an attribute has."""

MOST_AHEAD = 192
"""Bytes of a span that are looked at together, at most; less than `packed` has behind the last span."""


class Name(NamedTuple):
    """What attributes begin with that have one name and one kind of value."""

    key: bytes
    """Up to the tag of the value."""
    kind: int


class Window(NamedTuple):
    """Bytes of spans (rows), of which so many were gone through."""

    seen: NDArray[np.bytes_]
    done: int

    def has(self, more: int) -> bool:
        """Whether there are so many that were not."""
        return self.done + more <= self.seen.itemsize


def ahead(packed: Packed, at: Places) -> int:
    """How many bytes to look at together: as long as attributes are as long in some of the spans as
    they are in the first, and the one behind these."""
    content = packed.bytes
    first, *others = at[:: max(len(at) // 4, 1)].tolist()
    reach = width = 0
    while content[first + reach] == ATTRIBUTE:
        size = content[first + reach + 1]
        behind = reach + 2 + size
        if size >= 128 or behind + 15 > MOST_AHEAD:
            break
        width = behind + 15
        if any(content[other + reach + 1] != size for other in others):
            break
        reach = behind
    return width


def fits(
    size: NDArray[np.uint8], value: NDArray[np.uint8], key: int, kind: int
) -> NDArray[np.bool_]:
    """Whether values are of that kind, and their sizes such that they end where their attribute does.

    Args:
        size: of each attribute.
        value: what each value begins with: its size, its kind, and a text its own size.
        key: how long names are, with what stands around them.
    """
    inside, told, behind = value.T
    found: NDArray[np.bool_] = (inside == size - np.uint8(key + 1)) & (told == kind)
    found &= (inside >= 2) & (inside < 128)
    if kind == TEXT:
        found &= behind == inside - np.uint8(2)
    elif kind == DOUBLE:
        found &= inside == 9
    return found


def all_have(seen: NDArray[np.bytes_], at: int, key: bytes, same: NDArray[np.bool_]) -> None:
    """Keep in `same` those of the windows in which `key` stands at `at`: eight bytes at a time, the
    last ones over again where it is no multiple of eight."""
    last = len(key) - 8
    for place in (*range(0, last, 8), last):
        part = np.frombuffer(key, "<u8", 1, place)[0]
        every: Any = np.ndarray(len(seen), "<u8", seen, at + place, (seen.itemsize,))
        same &= every == part
