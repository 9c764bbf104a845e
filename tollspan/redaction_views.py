"""A text as others will read it: escapes of JSON undone, percent signs decoded.

A secret hides from a pattern when it is written another way: `sk\\u002dabc`, a PEM whose line breaks
are `\\n`, `%2B49…` in a query. A view is the decoded text and the way back: which characters of the
original stand behind each of its own.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]

from .redaction_edits import Found

__all__ = ["MARKS", "View", "views"]

MOST_LEVELS = 3
"""JSON in a string of JSON in a string of JSON."""

LINES, SPARSE = 5, 300
"""Lines that are looked at around what was decoded, in a text of so many letters for each."""

FEW = 200
"""Escapes that are decoded faster one by one."""

LONG_STRINGS = 120
"""Letters for each string of a text that is read string by string."""

_ENDS_VALUE = (",", "}", "]")
"""What stands behind a string in JSON that is no name, where no blank does."""

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
        *("_at", "_changed", "_escapes", "_from", "_has_marks_only", "_outer", "_shorter"),
        *("is_sparse", "outline", "read", "text"),
    )

    def __init__(
        self,
        text: str,
        read: str,
        escape: re.Pattern[str],
        outer: View | None = None,
        *,
        has_marks_only: bool | None = False,
        outline: str = "",
    ) -> None:
        self.text = text
        self.read = read
        self.outline = outline
        """Where `read` was read string by string: what is JSON if `read` is, and says of each value
        that is a string only whether a quotation mark or a backslash is in it."""
        self._has_marks_only = has_marks_only
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

    @property
    def has_marks_only(self) -> bool:
        """Whether `MARKS` are all that was decoded: no other word stands in it than before."""
        if self._has_marks_only is None:  # JSON, which has no others but these
            self._has_marks_only = "\\u" not in self.read and "\\/" not in self.read
        return self._has_marks_only

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


def _read_strings(text: str) -> tuple[str, str] | None:
    """`text` decoded and its outline, if it is JSON of few strings: a prompt of source code is. None
    where it is not, or an escape in it is half of a letter: then nothing of it may be decoded so."""
    parts: list[str] = []
    outline: list[str] = []
    at = 0
    for _ in range(len(text) // LONG_STRINGS):
        quote = text.find('"', at)
        between = text[at : quote + 1] if quote >= 0 else text[at:]
        if "\\" in between:
            return None
        parts.append(between)
        outline.append(between)
        if quote < 0:
            return "".join(parts), "".join(outline)
        try:
            said, at = scanstring(text, quote + 1, True)
        except ValueError:
            return None
        if not said.isascii() and text.find("\\u", quote, at) >= 0:
            return None
        parts += (said, '"')
        if text.startswith(_ENDS_VALUE, at):
            outline.append(r'\""' if '"' in said or "\\" in said else '"')
        else:  # a name, or no JSON
            outline.append(text[quote + 1 : at])
    return None


def views(text: str) -> Iterator[View]:
    """Every other way to read `text` that differs from it."""
    found: View | None = None
    read = text
    for _ in range(MOST_LEVELS):
        if "\\" not in read:
            break
        found = _view(read, found)
        if len(found.text) == len(read):  # each escape is longer than what it stands for
            break
        yield found
        read = found.text
    if "%" in text and len(plain := _PERCENT.sub(_meant, text)) < len(text):
        yield View(plain, text, _PERCENT)


def _view(read: str, outer: View | None) -> View:
    """`read`, in which there is a backslash, with its escapes undone."""
    if read.startswith(("{", "[")) and (strings := _read_strings(read)) is not None:
        plain, outline = strings
        return View(plain, read, _ESCAPE, outer, has_marks_only=None, outline=outline)
    plain, marks_only = _unescaped(read)
    return View(plain, read, _ESCAPE, outer, has_marks_only=marks_only)
