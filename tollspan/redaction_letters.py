"""Where in a text a pattern is worth trying: found with searches of the C library, on its bytes.

Patterns cost some 20 ns for each letter, and there are thirty. A key stands in a long run of letters
and digits, a card in a run of digits: `bytes.translate` marks what a letter is like at half a
nanosecond, and `bytes.find` finds where many of a kind stand together at less. Nothing that a pattern
would match is missed: tests/test_redaction_search.py.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence

__all__ = ["FEWEST_DIGITS", "LONG", "Letters", "places"]

LONG = 11
"""Coded letters that every key has in a row: `sk-` and eight more."""

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


class Letters:
    """A text, one byte for each of its letters, and what is found in them.

    `known`: those of a text of which this one is a part, or which is this one with more between: what
    was not in there is not in here, either.
    """

    __slots__ = (
        *("_absent", "_coded", "_different", "_lower", "_numbers", "_together"),
        *("changed", "plain", "text"),
    )

    def __init__(self, text: str, known: Letters | None = None) -> None:
        self.text = text
        self.plain = text.encode("latin-1", "replace")
        self._lower: bytes | None = None
        self._coded: list[tuple[int, int]] | None = None
        self._different: set[bytes] | None = None
        self._together: bytes | None = None
        self._numbers: list[tuple[int, int]] | None = None
        self.changed: Letters | None = None
        """What `know` was told."""
        self._absent: dict[str, set[bytes]] = {"plain": set(), "lower": set(), "together": set()}
        if known is not None:
            self._absent = {name: set(words) for name, words in known._absent.items()}
            if known._numbers == []:
                self._numbers = []

    def know(self, changed: Letters) -> None:
        """Take in what is in `changed`, a part of this text in which all stands that may be new."""
        for where, absent in self._absent.items():
            absent.difference_update(changed.having(list(absent), where))
        self._numbers = None
        self.changed = changed

    def having(self, words: Sequence[bytes], where: str) -> Sequence[bytes]:
        """Those of `words` that stand in the letters of this name."""
        absent = self._absent[where]
        wanted = [word for word in words if word not in absent] if absent else words
        if not wanted:
            return wanted
        letters: bytes = getattr(self, where)
        found = [word for word in wanted if word in letters]
        if len(found) < len(wanted):
            absent.update(wanted)
            absent.difference_update(found)
        return found

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
            self._coded = list(_runs(self.plain.translate(_CODED), LONG))
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


def _runs(marked: bytes, length: int) -> Iterator[tuple[int, int]]:
    """Start and end of each run of ones in `marked` that has `length` of them or more."""
    wanted = b"\1" * length
    start = marked.find(wanted)
    while start >= 0:
        end = marked.find(b"\0", start + length)
        if end < 0:
            end = len(marked)
        yield start, end
        start = marked.find(wanted, end)


def places(letters: bytes, word: bytes) -> Iterator[int]:
    """Where `word` stands in `letters`; places may overlap, as in `xoxox`."""
    at = letters.find(word)
    while at >= 0:
        yield at
        at = letters.find(word, at + 1)
