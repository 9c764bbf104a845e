"""A regular expression over the bytes of a span, made from the names of its attributes.

It takes a span only where every tag, length and name is what it should be, up to the last attribute:
then it is the same to protobuf. A length is one of a few alternatives with so many bytes behind each.
There is one way to read a span, so that nothing is tried twice; `{8}+` says so, and is faster.
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from .shapes import COUNT, DECIDES, IDENTIFIES, part

__all__ = ["KIND", "MOST_SIZE", "START", "Pattern", "Sizes", "name_size", "pattern"]

MOST_SIZE = 127
"""Bytes of a name or an attribute: its length is one byte."""
MOST_DIGITS = 4
"""Bytes of a count: up to 268 million."""

Sizes = Sequence[int]
"""How long the name of a span is, and each of its attributes."""

KIND, START, _NEXT = 0, 1, 2
"""Places of groups in each match: of the kind, of the start (eight bytes, little end first)."""

_FRONT = rb"\x0a\x10.{16}+\x12\x08.{8}+(?:\x22\x08.{8}+|\x22\x00|)\x2a"
"""Trace, span and perhaps parent, as every encoder writes them (those in Go also an empty parent), up
to the length of the name."""
_MIDDLE = rb"\x30([\x00-\x7f])\x39(.{8})\x41.{8}+"
"""Kind, start and end."""
_begun = re.compile(_FRONT + rb"([\x00-\x7f])", re.DOTALL).match


class Pattern(NamedTuple):
    """What reads spans of some names, and which groups of a match are what.

    The last group is what stands behind the attributes.
    """

    match: Callable[[bytes], re.Match[bytes] | None]
    deciding: tuple[int, ...]
    """Groups that must be known for what they are: with them also goes which counts are zero."""
    counts: tuple[int, ...]
    """Groups of the counts, as protobuf writes numbers."""


def name_size(raw: bytes) -> int | None:
    """How long a span's name is; None where it does not begin as patterns do."""
    begun = _begun(raw)
    return None if begun is None else begun[1][0]


def pattern(names: Sequence[bytes], least: Sizes, most: Sizes) -> Pattern:
    """What reads spans with attributes of these `names`, given as `key_of` does, and sizes from
    `least` to `most`."""
    (shortest, *short), (longest, *long) = least, most
    deciding, counts = [KIND], []
    parts = [_FRONT, _sized(shortest, longest), _MIDDLE]
    at = _NEXT
    for what, run in groupby(zip(names, short, long, strict=True), lambda each: part(each[0])):
        if what == COUNT:
            for name, _, _ in run:
                parts.append(_count(name))
                counts.append(at)
                deciding.append(at + 1)
                at += 2
            continue
        make = _text if what == IDENTIFIES else _attribute
        inside = b"".join(make(*each) for each in run)
        if what == DECIDES:
            inside = b"(%b)" % inside
            deciding.append(at)
            at += 1
        parts.append(inside)
    expression = b"".join([*parts, b"(.*)"])
    made = re.compile(expression, re.DOTALL)
    return Pattern(made.fullmatch, (*deciding, at), tuple(counts))


def _attribute(name: bytes, least: int, most: int) -> bytes:
    """Whatever its value is."""
    if least == most:
        return rb"\x4a%b%b.{%d}+" % (_byte(most), re.escape(name), most - len(name))
    return rb"\x4a(?=.%b)%b" % (re.escape(name), _sized(least, most))


def _text(name: bytes, least: int, most: int) -> bytes:
    """A text that does not begin with `gen-`."""
    before = len(name) + 3
    return rb"\x4a(?:%b)" % _either(
        rb"%b%b%b\x0a%b(?!gen-).{%d}+"
        % (_byte(before + size), re.escape(name), _byte(size + 2), _byte(size), size)
        for size in range(max(0, least - before), most - before + 1)
    )


def _count(name: bytes) -> bytes:
    """A number of up to `MOST_DIGITS` bytes in one group, and in another if it is zero."""
    before = len(name) + 3
    sizes = _either(
        rb"%b%b%b\x18(?=[\x80-\xff]{%d}+[%b-\x7f])"
        % (_byte(before + more), re.escape(name), _byte(2 + more), more, _byte(more > 0))
        for more in range(min(MOST_DIGITS, MOST_SIZE + 1 - before))
    )
    return rb"\x4a(?:%b)((\x00)|[\x80-\xff]{0,%d}+[\x01-\x7f])" % (sizes, MOST_DIGITS - 1)


def _sized(least: int, most: int) -> bytes:
    """A length and so many bytes."""
    return b"(?:%b)" % _either(b"%b.{%d}+" % (_byte(size), size) for size in range(least, most + 1))


def _either(alternatives: Iterable[bytes]) -> bytes:
    """One of these; where there are none, nothing fits."""
    return b"|".join(alternatives) or b"(?!)"


def _byte(number: int) -> bytes:
    return re.escape(bytes((number,)))
