"""Text for a terminal: harmless whatever stands in it, never wider than it may be.

What is shown was written by anybody: a model's name may hold escape sequences that move the cursor,
change the title of the window or answer on the keyboard's behalf, marks that turn text around, and
letters two cells wide. https://www.unicode.org/reports/tr11/
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from tollspan.config import plain_terminal

__all__ = ["Column", "Paint", "clip", "harmless", "padded", "table", "tsv", "width"]

SIGN = "\ufffd"
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""General categories that are shown as a sign: control, format, unassigned, private, separators."""

SELECTORS = frozenset(map(chr, range(0xFE00, 0xFE10)))
MOST_MARKS = 2
"""Combining marks on one letter; more of them climb over the lines above."""

LONGEST = 2_000
"""Letters that are looked at: nothing that is shown is longer."""


def harmless(text: object) -> str:
    """`text` with nothing in it that a terminal obeys; one line."""
    made: list[str] = []
    marks = 0
    for letter in str(text)[:LONGEST]:
        category = unicodedata.category(letter)
        if letter in SELECTORS or letter == "\u200d":
            continue  # joins emoji to one of a width that nobody knows
        if category in ("Mn", "Me"):
            marks += 1
            if marks > MOST_MARKS or not made:
                continue
        else:
            marks = 0
        made.append(SIGN if category in HIDDEN else " " if category == "Zs" else letter)
    return "".join(made)


def _cells(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in ("W", "F") else 1


def width(text: str) -> int:
    """How many cells of a terminal `text` takes."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def clip(text: str, cells: int) -> str:
    """The beginning of `text` that fits into `cells`, with an ellipsis where something is left out."""
    if width(text) <= cells:
        return text
    if cells < 1:
        return ""
    made, used = [], 0
    for letter in text:
        if used + _cells(letter) > cells - 1:
            break
        used += _cells(letter)
        made.append(letter)
    return "".join(made) + "…"


def padded(text: str, cells: int, *, right: bool = False) -> str:
    """`text` in exactly `cells`, numbers to the right."""
    shown = clip(text, cells)
    gap = " " * (cells - width(shown))
    return gap + shown if right else shown + gap


CODES = {"bold": "1", "dim": "2", "bad": "31", "good": "32", "warn": "33"}


class Paint:
    """Colours for `out`, or none: not a terminal, a plain one, or NO_COLOR is set. `on` decides."""

    def __init__(self, out: TextIO | None = None, *, on: bool = True) -> None:
        out = out or sys.stdout
        self.on = on and out.isatty() and not plain_terminal()

    def __call__(self, kind: str, text: str) -> str:
        code = CODES.get(kind)
        return f"\x1b[{code}m{text}\x1b[0m" if self.on and code else text


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading, its width (0 takes what is left, by `share`), and when it gives way."""

    name: str
    cells: int = 0
    right: bool = False
    share: int = 1
    least: int = 10
    rank: int = 0
    """Columns of the highest rank go first where there is no room; those of rank 0 never."""


GAP = 2
Cell = tuple[str, str]
"""What is written, and the paint for it."""


def _laid_out(columns: Sequence[Column], cells: int) -> list[tuple[int, int]]:
    """`(index, width)` of the columns that have room in `cells`."""
    chosen = list(range(len(columns)))

    def needed() -> int:
        wide = sum(columns[n].cells or columns[n].least for n in chosen)
        return wide + GAP * (len(chosen) - 1)

    while needed() > cells:
        most = max(chosen, key=lambda n: columns[n].rank)
        if not columns[most].rank:
            break
        chosen.remove(most)
    fixed = sum(columns[n].cells for n in chosen) + GAP * (len(chosen) - 1)
    shares = sum(columns[n].share for n in chosen if not columns[n].cells)
    left, found = max(0, cells - fixed), []
    for n in chosen:
        wide = columns[n].cells
        if not wide:
            wide = left * columns[n].share // shares if shares else 0
            left, shares = left - wide, shares - columns[n].share
        found.append((n, wide))
    return found


def table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    cells: int,
    paint: Paint,
    *,
    head: bool = True,
) -> list[str]:
    """Lines no wider than `cells`; every text is made harmless here."""
    places = _laid_out(columns, cells)
    lines = []
    if head:
        names = [padded(columns[n].name, wide, right=columns[n].right) for n, wide in places]
        lines.append(paint("bold", (" " * GAP).join(names)[:cells]))
    for row in rows:
        shown = []
        for n, wide in places:
            text, kind = row[n]
            shown.append(paint(kind, padded(harmless(text), wide, right=columns[n].right)))
        lines.append((" " * GAP).join(shown).rstrip(" "))
    return lines


def tsv(fields: Sequence[object]) -> str:
    """One line for programs: fields with tabs between, unknown empty, nothing else on the line."""
    return "\t".join("" if field is None else harmless(field).strip() for field in fields)
