"""A text as others will read it: escapes of JSON undone, percent signs decoded, base64 opened.

A secret hides from a pattern when it is written another way: `sk\\u002dabc`, a PEM whose line breaks
are `\\n`, `%2B49…` in a query. A view is the decoded text and the way back: which characters of the
original stand behind each of its own.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from bisect import bisect_right
from collections.abc import Iterator
from itertools import product
from json.decoder import scanstring  # type: ignore[attr-defined]

from .redaction_edits import Found
from .redaction_letters import Letters

__all__ = ["MARKS", "View", "is_long", "opened", "runs", "views"]

MOST_LEVELS = 3
"""JSON in a string of JSON in a string of JSON."""

SHORTEST_CODED, LONGEST_SHIFTED, SHORTEST_TEXT = 16, 16 * 1024, 24
"""Characters of base64 that are looked into, up to how many its beginning is searched for, and bytes
that are text before what they say is looked at."""

LINES, SPARSE = 5, 300
"""Lines that are looked at around what was decoded, in a text of so many letters for each."""

FEW = 200
"""Escapes that are decoded faster one by one."""

LONG_STRINGS = 400
"""Letters for each string of a text that is read string by string."""

_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)", re.DOTALL)
_PERCENT = re.compile(r"%[0-7][0-9a-fA-F]")
_SHORT = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_OFTEN = (("\\n", "\n"), ('\\"', '"'), ("\\t", "\t"))
"""Escapes that whole texts are full of."""

MARKS = "\n\r\t\b\f\"'\\"
_WRITTEN = frozenset(f"\\{letter}" for letter in "nrtbf\"'\\")
"""How they are escaped."""


class View:
    """`read` with what `escape` finds decoded, and where its characters came from."""

    __slots__ = (
        *("_at", "_changed", "_escapes", "_from", "_outer", "_shorter"),
        *("has_marks_only", "is_sparse", "read", "text"),
    )

    def __init__(
        self,
        text: str,
        read: str,
        escape: re.Pattern[str],
        outer: View | None = None,
        *,
        has_marks_only: bool = False,
    ) -> None:
        self.text = text
        self.read = read
        self.has_marks_only = has_marks_only
        """Whether `MARKS` are all that was decoded: no other word stands in it than before."""
        self._outer = outer
        self._escapes = escape.finditer(read)
        self._shorter = 0
        self.is_sparse = (len(read) - len(text)) * SPARSE < len(text)
        """Few letters of many were decoded."""
        self._at = [0]
        """Places in `text` from which characters stand one for one, ascending; as far as they were
        looked for: in most texts that is nowhere."""
        self._changed: list[tuple[int, int]] | None = None
        self._from = [0]
        """Where those places are in the text that was decoded."""

    def origin(self, place: int) -> int:
        """Where the character at `place` begins in the original; its length for the end."""
        if place >= self._at[-1]:
            self._look_as_far_as(place)
        known = bisect_right(self._at, place) - 1
        found = self._from[known] + place - self._at[known]
        return found if self._outer is None else self._outer.origin(found)

    def back(self, found: Found) -> Found:
        """What was found in `text`, where it is in the original."""
        return found._replace(start=self.origin(found.start), end=self.origin(found.end))

    @property
    def changed(self) -> list[tuple[int, int]]:
        """The lines of `text` in which something was decoded, with some around them: what stands in
        the others was read before, as it is. Starts and ends, in order."""
        if self._changed is None:
            self._changed = self._lines()
        return self._changed

    def _lines(self) -> list[tuple[int, int]]:
        self._look_as_far_as(len(self.text))
        found: list[tuple[int, int]] = []
        for at in self._at[1::2]:
            start, end = at, at + 1
            for _ in range(LINES + 1):
                start = self.text.rfind("\n", 0, max(0, start)) if start > 0 else start
                end = self.text.find("\n", end + 1) if end >= 0 else end
            start, end = max(0, start), len(self.text) if end < 0 else end
            if found and start <= found[-1][1]:
                found[-1] = found[-1][0], max(end, found[-1][1])
            else:
                found.append((start, end))
        return found

    def _look_as_far_as(self, place: int) -> None:
        for found in self._escapes:
            start, end = found.span()
            at = start - self._shorter
            self._at += (at, at + 1)
            self._from += (start, end)
            self._shorter += end - start - 1
            if at > place:
                return


def _meant(escape: re.Match[str]) -> str:
    """The letter that an escape stands for."""
    written = escape[0]
    if written[0] == "%":
        return chr(int(written[1:], 16))
    if written[1] == "u" and len(written) == 6:
        return chr(int(written[-4:], 16))
    return _SHORT.get(written[1], written[1])


def _unescaped(text: str) -> tuple[str, bool]:
    """`text` with each `_ESCAPE` decoded, and whether `MARKS` are all that came of that. What comes
    often is replaced at the speed of C: a backslash that is left when pairs of them are out of the way
    begins an escape."""
    if text.count("\\") < FEW:
        escapes: list[str] = []

        def meant(escape: re.Match[str]) -> str:
            escapes.append(escape[0])
            return _meant(escape)

        return _ESCAPE.sub(meant, text), _WRITTEN.issuperset(escapes)
    if (read := _read_strings(text)) is not None:
        return read, True
    parts = text.split("\\\\")
    marks_only = True
    for number, part in enumerate(parts):
        if "\\" in part:
            for written, letter in _OFTEN:
                part = part.replace(written, letter)
            if "\\" in part:
                marks_only = marks_only and _WRITTEN.issuperset(_ESCAPE.findall(part))
                part = _ESCAPE.sub(_meant, part)
            parts[number] = part
    return "\\".join(parts), marks_only


def _read_strings(text: str) -> str | None:
    """`text` decoded, if it is JSON of few strings with escapes of `MARKS` only: a prompt of source
    code is. None where it is not: then nothing of it may be decoded so."""
    if "\\u" in text or "\\/" in text:
        return None
    parts: list[str] = []
    at = 0
    for _ in range(len(text) // LONG_STRINGS):
        quote = text.find('"', at)
        parts.append(text[at : quote + 1] if quote >= 0 else text[at:])
        if "\\" in parts[-1]:
            return None
        if quote < 0:
            return "".join(parts)
        try:
            said, at = scanstring(text, quote + 1, False)
        except ValueError:
            return None
        parts += (said, '"')
    return None


def views(text: str) -> Iterator[View]:
    """Every other way to read `text` that differs from it."""
    found: View | None = None
    read = text
    for _ in range(MOST_LEVELS):
        if "\\" not in read:
            break
        plain, marks_only = _unescaped(read)
        if len(plain) == len(read):  # each escape is longer than what it stands for
            break
        found = View(plain, read, _ESCAPE, found, has_marks_only=marks_only)
        yield found
        read = plain
    if "%" in text and len(plain := _PERCENT.sub(_meant, text)) < len(text):
        yield View(plain, text, _PERCENT)


def runs(seen: Letters) -> Iterator[tuple[int, int, bytes]]:
    """Start, end (with the signs that fill it up) and letters of what may be base64."""
    for start, end in seen.coded:
        filled = end
        while filled < end + 2 and seen.plain.startswith(b"=", filled):
            filled += 1
        yield start, filled, seen.plain[start:end]


# --- base64 ---------------------------------------------------------------------------------------

_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def _begins_text(first: int, second: int) -> bool:
    """Whether 12 bits of base64 can begin a text in UTF-8."""
    byte, next_bits = (
        first << 2 | second >> 4,
        (second & 15) >> 2,
    )  # of the next byte: its first two
    if byte < 0x80:
        return next_bits != 2
    return 0xC2 <= byte <= 0xF4 and next_bits == 2


_BEGINNINGS = frozenset(
    bytes((_LETTERS[first], _LETTERS[second]))
    for first, second in product(range(64), repeat=2)
    if _begins_text(first, second)
)
_UTF_8 = re.compile(
    rb"(?:[\x00-\x7f]++|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]"
    rb"|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}"
    rb"|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})*+"
)
_HEAD = 36
"""Letters of base64 that say `SHORTEST_TEXT` bytes and the rest of a letter that they cut."""


def is_long(run: bytes) -> bool:
    """Whether `run` is looked into."""
    return len(run) >= SHORTEST_CODED


def opened(run: bytes) -> Iterator[str]:
    """What `run` says when it is decoded, if that is a text.

    It may begin with characters that are not part of it (`file/` before), so that short ones are
    decoded at each of four beginnings.
    """
    run = run.replace(b"-", b"+").replace(b"_", b"/")
    for shift in range(4) if len(run) <= LONGEST_SHIFTED else range(1):
        if run[shift : shift + 2] not in _BEGINNINGS:
            continue
        length = len(run) - shift
        length -= length % 4 == 1
        enough = min(SHORTEST_TEXT, length * 3 // 4 - 3)
        head = _UTF_8.match(_bytes(run[shift : shift + min(length, _HEAD)]))
        if head is None or head.end() < enough:
            continue
        plain = _bytes(run[shift : shift + length])
        try:
            yield plain.decode()
        except UnicodeDecodeError as error:
            if error.start >= enough:  # a text, and then something else
                yield plain.decode("latin-1")


def _bytes(coded: bytes) -> bytes:
    return a2b_base64(coded + b"=" * (-len(coded) % 4))
