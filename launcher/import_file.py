"""Files of records: JSON lines, an array, one object, or an object that holds an array; packed or not."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import chain
from pathlib import Path
from typing import IO, Any, NamedTuple

__all__ = ["Item", "Unreadable", "items"]

STDIN = "-"
GZIP = b"\x1f\x8b"
HOLDING = ("records", "data", "logs", "events")
"""Members under which others' exports hold their records."""


class Unreadable(ValueError):
    """A file cannot be read; the message says which and why."""


class Item(NamedTuple):
    """One record as JSON, and where it stands: `calls.jsonl:7`, `calls.json[6]`."""

    text: bytes
    where: str


def items(path: str) -> Iterator[Item]:
    """The records of the file at `path`; `-` is standard input. What is no JSON comes as it is.

    Raises:
        Unreadable: there is no such file, or it is damaged.
    """
    name = path if path != STDIN else "standard input"
    try:
        with _opened(path) as file:
            first, number = b"", 0
            for number, first in enumerate(file, start=1):  # noqa: B007  (the first that is not blank)
                if first.strip():
                    break
            if _is_json(first):
                yield from _of_lines(chain([first], file), name, number)
            else:
                yield from _of_whole(first + file.read(), name)
    except (OSError, EOFError, zlib.error) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise Unreadable(f"{name} cannot be read: {why}") from error


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    with Path(path).open("rb") if path != STDIN else nullcontext(sys.stdin.buffer) as file:
        there: Any = file  # a buffered reader, which can look ahead
        if there.peek(2)[:2] != GZIP:
            yield there
            return
        with gzip.open(there) as unpacked:
            yield unpacked  # type: ignore[misc]


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _of_lines(lines: Iterable[bytes], name: str, number: int) -> Iterator[Item]:
    """A line may hold several: a batch of a queue."""
    for at, line in enumerate(lines, start=number):
        text = line.strip().replace(b"\r", b" ")
        if text.startswith((b"[", b'{"records"')) and _is_json(text):
            for index, each in enumerate(_several(json.loads(text))):
                yield Item(json.dumps(each).encode(), f"{name}:{at}[{index}]")
        elif text:
            yield Item(text, f"{name}:{at}")


def _of_whole(text: bytes, name: str) -> Iterator[Item]:
    if not text.strip():
        return
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        if text.lstrip()[:1] == b"[":
            raise Unreadable(f"{name} is not JSON: it ends in the middle, or is damaged") from None
        # Lines, of which the first is none.
        yield from _of_lines(text.splitlines(), name, 1)
        return
    for index, each in enumerate(_several(found)):
        yield Item(json.dumps(each).encode(), f"{name}[{index}]")


def _several(found: Any) -> list[Any]:
    if isinstance(found, list):
        return found
    if isinstance(found, dict):
        for name in HOLDING:
            if isinstance(found.get(name), list):
                return list(found[name])
    return [found]
