"""Runs of base64 in a text, opened: what they say, where that is a text.

Most of what looks like base64 is none (names in source code, ids), and is told by the bits in which
UTF-8 says how letters begin, before anything is decoded.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections.abc import Iterator

from .redaction_letters import Letters

__all__ = ["SHORTEST_CODED", "maybe_texts", "opened", "runs"]

SHORTEST_CODED, LONGEST_SHIFTED, SHORTEST_TEXT = 16, 16 * 1024, 24
"""Characters of base64 that are looked into, up to how many its beginning is searched for, and bytes
that are text before what they say is looked at."""

_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

_LOOKED_AT = 6
"""Bytes of which their first two bits are looked at: what is `SHORTEST_CODED` long has as many."""

_ALONE, _BEHIND, _LEADS = (0, 1), (2,), (3,)
"""What those bits are in UTF-8: of a letter of one byte, of one more byte of a letter, of the first
byte of several."""


def _bits(byte: int, *kinds: int) -> str:
    """The letters of base64 in which the first two bits of `byte` stand, where they are of `kinds`."""
    far = 4 - 2 * (byte % 3)
    letters = [chr(each) for at, each in enumerate(_LETTERS) if (at >> far & 3) in kinds]
    url_safe = "-" * ("+" in letters) + "_" * ("/" in letters)
    return f"[{re.escape(''.join(letters) + url_safe)}]"


def _goes_on(byte: int) -> str:
    """Whether what follows `byte` may follow it. The fourth letter has the rest of the third byte."""
    between = "." * (byte % 3 == 2)
    alone = _bits(byte, *_ALONE) + between + _bits(byte + 1, *_ALONE, *_LEADS)
    leads = _bits(byte, *_LEADS) + between + _bits(byte + 1, *_BEHIND)
    return f"(?=.{{{byte + byte // 3}}}(?:{alone}|{leads}|{_bits(byte, *_BEHIND)}))"


_BEGIN = f"(?={_bits(0, *_ALONE, *_LEADS)}){''.join(map(_goes_on, range(_LOOKED_AT - 1)))}"
_BEGINS_TEXT = re.compile(_BEGIN.encode())
"""Where base64 may begin to say a text in UTF-8, by the bits of its first bytes."""

_MAY_SAY_TEXT = re.compile(
    rf"^(?=.{{{SHORTEST_CODED}}})(?=.{{0,3}}?{_BEGIN}).*".encode(), re.MULTILINE
)
"""A line of base64 that has such a place among its first four."""

_UTF_8 = re.compile(
    rb"(?:[\x00-\x7f]++|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]"
    rb"|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}"
    rb"|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})*+"
)
_HEAD = 36
"""Letters of base64 that say `SHORTEST_TEXT` bytes and the rest of a letter that they cut."""


def runs(seen: Letters) -> Iterator[tuple[int, int, bytes]]:
    """Start, end (with the signs that fill it up) and letters of what may be base64."""
    for start, end in seen.coded:
        filled = end
        while filled < end + 2 and seen.plain.startswith(b"=", filled):
            filled += 1
        yield start, filled, seen.plain[start:end]


def maybe_texts(runs: bytes) -> list[bytes]:
    """Those of `runs`, of which each is a line, that are worth opening: of others nothing comes out."""
    found: list[bytes] = _MAY_SAY_TEXT.findall(runs)
    return found


def opened(run: bytes) -> Iterator[str]:
    """What `run` says when it is decoded, if that is a text.

    It may begin with characters that are not part of it (`file/` before), so that short ones are
    decoded at each of four beginnings.
    """
    run = run.replace(b"-", b"+").replace(b"_", b"/")
    for shift in range(4) if len(run) <= LONGEST_SHIFTED else range(1):
        if _BEGINS_TEXT.match(run, shift) is None:
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
