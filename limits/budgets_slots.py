"""Who holds money back for calls in flight: a slot for each process, in the file of a count.

A process is gone when the kernel does not know its pid, or knows somebody younger under it. One that
lives among other pids than ours (another container) is gone when its time is up.
"""

from __future__ import annotations

import functools
import os
import struct
import time
import zlib
from typing import Any

__all__ = ["ALIVE_S", "Slots"]

ALIVE_S = 30.0
"""A process that has said nothing for this long holds nothing back."""

_SLOT = struct.Struct("<IIQQd")
_HELD_AT, _UNTIL_AT = 16, 24
_AMOUNT = struct.Struct("@Q")
"""In one store, which nobody can be killed in the middle of."""
_TIME = struct.Struct("@d")
_MOST = 256


class Slots:
    """The slots in `memory` from `at` on. Whoever calls holds the lock of the file."""

    SIZE = _MOST * _SLOT.size

    def __init__(self, memory: Any, at: int) -> None:
        self._memory = memory
        self._at = at
        self.forget()

    def forget(self) -> None:
        """This process has no slot (any more)."""
        self._mine: int | None = None
        self.word: int | None = None
        """Where what this process holds stands, in words from the file's beginning on; None without a
        slot."""
        self._pid = os.getpid()
        self._born, self._space = _identity(self._pid)

    def hold(self, amount: int) -> None:
        """This process holds `amount` back.

        Where every slot is somebody's, it holds nothing that others would see.
        """
        mine = self._mine
        if mine is None and (not amount or (mine := self._take_one()) is None):
            return
        _AMOUNT.pack_into(self._memory, mine + _HELD_AT, amount)

    def _take_one(self) -> int | None:
        mine = self._free()
        if mine is not None:
            self._mine = mine
            self.word = (mine + _HELD_AT) // _AMOUNT.size
            until = time.time() + ALIVE_S
            _SLOT.pack_into(self._memory, mine, 0, self._space, self._born, 0, until)
            struct.pack_into("<I", self._memory, mine, self._pid)  # last: now it is taken
        return mine

    def live(self) -> None:
        """This process is alive."""
        if self._mine is not None:
            _TIME.pack_into(self._memory, self._mine + _UNTIL_AT, time.time() + ALIVE_S)

    def leave(self) -> None:
        if self._mine is not None:
            self._memory[self._mine : self._mine + _SLOT.size] = bytes(_SLOT.size)
            self._mine = self.word = None

    def live_total(self) -> int:
        """What all the processes that are alive hold back; slots of others are free afterwards."""
        total = 0
        now = time.time()
        for at in self._taken():
            pid, space, born, held, until = _SLOT.unpack_from(self._memory, at)
            if at == self._mine or (
                now < until <= now + 2 * ALIVE_S and (space != self._space or _is_alive(pid, born))
            ):
                total += held
            else:
                self._memory[at : at + _SLOT.size] = bytes(_SLOT.size)
        return total

    def _taken(self) -> list[int]:
        """Slots are taken from the first on; behind a gap there may be more."""
        every = range(self._at, self._at + self.SIZE, _SLOT.size)
        return [at for at in every if self._memory[at : at + 4] != b"\0\0\0\0"]

    def _free(self) -> int | None:
        every = range(self._at, self._at + self.SIZE, _SLOT.size)
        for at in every:
            if self._memory[at : at + 4] == b"\0\0\0\0":
                return at
        return None


@functools.lru_cache(maxsize=4)
def _identity(pid: int) -> tuple[int, int]:
    """When this process began, and among which pids it lives; 0 is not known."""
    return _born(pid) or 0, _space()


def _is_alive(pid: int, born: int) -> bool:
    now = _born(pid)
    if now is not None:
        return now == born or not born
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's, or of a system that does not tell
        pass
    return not born


def _born(pid: int) -> int | None:
    """When a process began, in ticks since the start of the machine; None where nobody says."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            told = file.read()
        return int(told[told.rindex(b")") + 2 :].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def _space() -> int:
    """A number for the set of pids that ours is one of."""
    try:
        return zlib.crc32(os.readlink("/proc/self/ns/pid").encode())
    except OSError:
        return 0
