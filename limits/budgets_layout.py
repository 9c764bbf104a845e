"""How a count stands in its file: the sums in two copies, what is reserved, a slot for each process."""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import Any, NamedTuple

from .budgets_slots import Slots

__all__ = [
    "COPIES",
    "COPY",
    "HARD",
    "HEAD",
    "MAGIC",
    "MOST",
    "NEWEST",
    "NUMBERS",
    "PLACES",
    "RESERVED",
    "SIZE",
    "SLOTS_AT",
    "SOFT",
    "Head",
    "Standing",
    "UnreadableCount",
    "mapped",
    "spent_of",
]

SOFT, HARD = 1, 2
MOST = (1 << 63) - 1
MAGIC = b"tollspan budget 1"
HEAD = struct.Struct("<QQQQQQQQdd")
COPY = HEAD.size + 4
_NEWEST_AT = 32
"""A byte: which copy was written last."""
COPIES = (64, 192)
PLACES = tuple(slice(at, at + COPY) for at in COPIES)
SLOTS_AT = 320
SIZE = SLOTS_AT + Slots.SIZE
_WORD = 8
"""Bytes of one store, which nobody can be killed in the middle of."""
NEWEST, RESERVED = _NEWEST_AT // _WORD, 5
"""Words. What is reserved is no part of the copies: it is what the slots hold, added up."""
NUMBERS = tuple(at // _WORD for at in COPIES)


class UnreadableCount(Exception):
    """The file is none of ours, or damaged in both copies."""


class Standing(NamedTuple):
    """Where a count stands. Amounts are whole numbers of the count's unit."""

    number: int = 0
    """How often it was written."""
    settled: int = 0
    """What the calls of this machine cost."""
    calls: int = 0
    unpriced: int = 0
    ledger: int = 0
    """What the ledger said was spent, on every machine."""
    known: int = 0
    """How much of `settled` the ledger had counted then."""
    average: int = 0
    """Moving average of what a call cost."""
    told: int = 0
    """Bits: the soft limit was told of, the hard one."""
    ledger_at: float = 0.0
    """Seconds since the epoch; 0 is never."""
    asked_at: float = 0.0
    """When some process last began to ask the ledger."""
    reserved: int = 0
    """What is held back for calls in flight."""

    @property
    def spent(self) -> int:
        """What is spent as far as is known: never less than the calls of this machine."""
        return spent_of(self)


Head = tuple[Any, ...]
"""A `Standing` without what is reserved. On the way of a call there is no time for names."""


def spent_of(head: Head) -> int:
    settled: int = head[1]
    if not head[8]:
        return settled
    everywhere: int = head[4] + settled - head[5]
    return max(settled, everywhere)


def mapped(path: Path) -> mmap.mmap:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(file).st_size not in (0, SIZE):
            raise UnreadableCount(f"{path} has not {SIZE} bytes")
        os.ftruncate(file, SIZE)
        return mmap.mmap(file, SIZE)  # which keeps a file of its own open
    finally:
        os.close(file)
