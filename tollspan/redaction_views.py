"""A text as others will read it: escapes of JSON undone, percent signs decoded, base64 opened.

A secret hides from a pattern when it is written another way: `sk\\u002dabc`, a PEM whose line breaks
are `\\n`, `%2B49…` in a query. A view is the decoded text and the way back: which characters of the
original stand behind each of its own.
"""

from __future__ import annotations

import base64
import binascii
import re
from bisect import bisect_right
from collections.abc import Iterator

__all__ = ["View", "opened", "runs", "views"]

MOST_LEVELS = 3
"""JSON in a string of JSON in a string of JSON."""

SHORTEST_CODED, LONGEST_SHIFTED, SHORTEST_TEXT = 16, 16 * 1024, 24
"""Characters of base64 that are looked into, up to how many its beginning is searched for, and bytes
that are text before what they say is looked at."""

_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)", re.DOTALL)
_PERCENT = re.compile(r"%[0-7][0-9a-fA-F]")
_SHORT = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_CODED = re.compile(r"[A-Za-z0-9+/_-]{%d,}={0,2}" % SHORTEST_CODED)  # noqa: UP031


class View:
    """A decoded text, and where its characters came from."""

    __slots__ = ("_at", "_from", "_outer", "text")

    def __init__(
        self, text: str, at: list[int], origin: list[int], outer: View | None = None
    ) -> None:
        self.text = text
        self._at = at
        """Places in `text` from which characters stand one for one, ascending, the first one 0."""
        self._from = origin
        """Where those places are in the text that was decoded."""
        self._outer = outer

    def origin(self, place: int) -> int:
        """Where the character at `place` begins in the original; its length for the end."""
        known = bisect_right(self._at, place) - 1
        found = self._from[known] + place - self._at[known]
        return found if self._outer is None else self._outer.origin(found)


def _decoded(text: str, escape: re.Pattern[str], outer: View | None) -> View | None:
    """`text` with what `escape` finds decoded; None where there is nothing."""
    made: list[str] = []
    at, origin = [0], [0]
    length = before = 0
    for found in escape.finditer(text):
        start, end = found.span()
        written = found[0]
        if written[0] == "%":
            letter = chr(int(written[1:], 16))
        elif written[1] == "u" and len(written) == 6:
            letter = chr(int(written[-4:], 16))
        else:
            letter = _SHORT.get(written[1], written[1])
        made += (text[before:start], letter)
        length += start - before
        at += (length, length + 1)
        origin += (start, end)
        length += 1
        before = end
    if not made:
        return None
    made.append(text[before:])
    return View("".join(made), at, origin, outer)


def views(text: str) -> Iterator[View]:
    """Every other way to read `text` that differs from it."""
    found: View | None = None
    read = text
    for _ in range(MOST_LEVELS):
        if "\\" not in read:
            break
        found = _decoded(read, _ESCAPE, found)
        if found is None:
            break
        yield found
        read = found.text
    if "%" in text and (plain := _decoded(text, _PERCENT, None)) is not None:
        yield plain


def runs(text: str) -> Iterator[tuple[int, int, str]]:
    """Start, end and letters of what may be base64 in `text`."""
    for found in _CODED.finditer(text):
        yield found.start(), found.end(), found[0]


def opened(run: str) -> Iterator[str]:
    """What `run` says when it is decoded, if that is a text.

    It may begin with characters that are not part of it (`file/` before), so that short ones are
    decoded at each of four beginnings.
    """
    run = run.rstrip("=").replace("-", "+").replace("_", "/")
    for shift in range(4) if len(run) <= LONGEST_SHIFTED else range(1):
        part = run[shift:]
        part = part[: len(part) - (len(part) % 4 == 1)]
        try:
            plain = base64.b64decode(part + "=" * (-len(part) % 4))
        except (binascii.Error, ValueError):
            continue
        try:
            yield plain.decode()
        except UnicodeDecodeError as error:
            if error.start >= min(SHORTEST_TEXT, len(plain) - 3):  # a text, and then something else
                yield plain.decode("latin-1")
