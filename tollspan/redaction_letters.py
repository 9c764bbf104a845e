"""Where in a text a pattern is worth trying: found with searches of the C library, on its bytes.

Patterns cost some 20 ns for each letter, and there are thirty. A key stands in a long run of letters
and digits, a card in a run of digits: `bytes.translate` marks what a letter is like at half a
nanosecond, and `bytes.find` finds where many of a kind stand together at less. Nothing that a pattern
would match is missed: tests/test_redaction_search.py.
"""

from __future__ import annotations

import re
import string
import sys
from collections.abc import Iterator, Sequence

__all__ = ["FEWEST_DIGITS", "LONG", "Letters", "Words", "places"]

LONG = 11
"""Coded letters that every key has in a row: `sk-` and eight more."""

FEW, FEW_OF_ALL = 12, 200
"""Letters for each word that is looked for, and in all, up to which one pattern of all words is tried
first: it takes 12 ns for a letter, and each word takes 150 ns even in few letters. A pattern of words
that all begin with the same letter is faster in texts of any length."""

FEWEST_DIGITS = 9
"""Of what may be a number of a card or a phone."""

_BETWEEN_DIGITS = b" ().+/-"
_UNKNOWN = b"?"
"""What stands for letters that are not Latin-1; some of those are digits."""


def _marking(letters: bytes) -> bytes:
    return bytes(each in letters for each in range(256))


_CODED = _marking(f"{string.ascii_letters}{string.digits}+/_-".encode())
_DIGIT = _marking(string.digits.encode())
_DIGIT_MAYBE = _marking(string.digits.encode() + _UNKNOWN)
_OF_NUMBER = _marking(string.digits.encode() + _BETWEEN_DIGITS)
_OF_NUMBER_MAYBE = _marking(string.digits.encode() + _BETWEEN_DIGITS + _UNKNOWN)


class Words:
    """Words that are looked for in the letters of the name `where`: one of `Letters`' members."""

    __slots__ = ("all", "any", "few", "where")

    def __init__(self, where: str, words: Sequence[bytes]) -> None:
        self.where = where
        self.all = words
        self.any = re.compile(b"|".join(map(re.escape, words)))
        alike = len(words) > 1 and len({word[:1] for word in words}) == 1
        self.few = sys.maxsize if alike else min(FEW_OF_ALL, FEW * len(words))
        """In fewer letters than that, none is found out faster by this pattern than word by word."""


class Letters:
    """A text, one byte for each of its letters, and what is found in them.

    `known`: those of a text of which this one is a part, or which is this one with more between: what
    was not in there is not in here, either.
    """

    __slots__ = (
        *("_absent", "_coded", "_different", "_lower", "_numbers", "_plain", "_together"),
        *("changed", "is_named", "text"),
    )

    def __init__(self, text: str, known: Letters | None = None) -> None:
        self.text = text
        self._plain: bytes | None = None
        self._lower: bytes | None = None
        self._coded: list[tuple[int, int]] | None = None
        self._different: set[bytes] | None = None
        self._together: bytes | None = None
        self._numbers: list[tuple[int, int]] | None = None
        self.changed: Letters | None = None
        """What `know` was told."""
        self.is_named: bool = known is None or known.is_named
        """Whether a name of something secret may stand in here."""
        self._absent: dict[str, set[bytes]] = {"plain": set(), "lower": set(), "together": set()}
        if known is not None:
            self._absent = {name: set(words) for name, words in known._absent.items()}
            if known._numbers == []:
                self._numbers = []

    def know(self, changed: Letters) -> None:
        """Take in what is in `changed`, a part of this text in which all stands that may be new."""
        for where, absent in self._absent.items():
            letters: bytes = getattr(changed, where)
            absent.difference_update([word for word in absent if word in letters])
        self._numbers = None
        self.changed = changed

    def having(self, words: Words) -> Sequence[bytes]:
        """Those of `words` that stand here."""
        absent = self._absent[words.where]
        wanted = [word for word in words.all if word not in absent] if absent else words.all
        if not wanted:
            return wanted
        letters: bytes = getattr(self, words.where)
        if len(letters) < words.few and words.any.search(letters) is None:
            return ()
        found = [word for word in wanted if word in letters]
        if len(found) < len(wanted):
            absent.update(wanted)
            absent.difference_update(found)
        return found

    @property
    def plain(self) -> bytes:
        """Each letter, or `?` for one that is not Latin-1."""
        if self._plain is None:
            self._plain = self.text.encode("latin-1", "replace")
        return self._plain

    @property
    def lower(self) -> bytes:
        """`plain` in lower case, as far as it is ASCII."""
        if self._lower is None:
            self._lower = self.plain.lower()
        return self._lower

    @property
    def coded(self) -> list[tuple[int, int]]:
        """Start and end of each run of `LONG` coded letters (of base64, of keys, `-` and `_`)."""
        if self._coded is None:
            self._coded = _runs(self.plain.translate(_CODED), LONG)
        return self._coded

    @property
    def different(self) -> set[bytes]:
        """The coded runs, each once: in a stream most come with every event."""
        if self._different is None:
            self._different = {self.plain[start:end] for start, end in self.coded}
        return self._different

    @property
    def together(self) -> bytes:
        """Each different coded run, on a line: what is not in here is in none of them."""
        if self._together is None:
            self._together = b"\n".join(self.different)
        return self._together

    @property
    def numbers(self) -> list[tuple[int, int]]:
        """Start and end of each run of digits, and what may stand between them, that has enough."""
        if self._numbers is None:
            self._numbers = list(_numbers(self.plain, self.text.isascii()))
        return self._numbers


def _numbers(plain: bytes, is_ascii: bool) -> Iterator[tuple[int, int]]:
    digit = _DIGIT if is_ascii else _DIGIT_MAYBE
    enough = b"\1" * FEWEST_DIGITS
    # Quick, and all that most texts need: without what may stand between, digits stand in a row.
    if enough not in plain.translate(digit, _BETWEEN_DIGITS):
        return
    marked = plain.translate(_OF_NUMBER if is_ascii else _OF_NUMBER_MAYBE)
    for start, end in _runs(marked, FEWEST_DIGITS):
        if enough in plain[start:end].translate(digit, _BETWEEN_DIGITS):
            yield start, end


def _runs(marked: bytes, length: int) -> list[tuple[int, int]]:
    """Start and end of each run of ones in `marked` that has `length` of them or more."""
    wanted = b"\1" * length
    found: list[tuple[int, int]] = []
    find = marked.find
    start = find(wanted)
    while start >= 0:
        end = find(b"\0", start + length)
        if end < 0:
            end = len(marked)
        found.append((start, end))
        start = find(wanted, end)
    return found


def places(letters: bytes, word: bytes) -> Iterator[int]:
    """Where `word` stands in `letters`; places may overlap, as in `xoxox`."""
    at = letters.find(word)
    while at >= 0:
        yield at
        at = letters.find(word, at + 1)
