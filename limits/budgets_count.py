"""How much of one budget is spent in one period, counted by every process of this machine together.

One small file, mapped into each of them and changed under a lock of the file. It survives whatever
happens to a process: the sums stand in it twice, each copy with its number and checksum, and the
older one is overwritten; what a process holds back for calls in flight stands in a slot of its own
with its pid, and goes when that process is gone or has not been heard of for `ALIVE_S`.

Amounts are whole numbers of a unit that whoever counts has chosen.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
import zlib
from collections import deque
from pathlib import Path
from threading import get_ident
from typing import Any, NamedTuple

from .budgets_slots import Slots

try:
    from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock

    LOCKS, _NOW = True, LOCK_EX | LOCK_NB
except ImportError:  # no such locks on this system: each process counts for itself
    LOCKS = False

__all__ = ["Count", "Standing", "UnreadableCount"]

SOFT, HARD = 1, 2
MOST = (1 << 63) - 1
_MAGIC = b"tollspan budget 1"
_HEAD = struct.Struct("<QQQQQQQQdd")
_COPY = _HEAD.size + 4
_NEWEST_AT = 32
"""A byte: which copy was written last."""
_RESERVED_AT = 40
_RESERVED = struct.Struct("@Q")
"""In one store. Not part of the copies: it is what the slots hold, added up."""
_COPIES = (64, 192)
_SLOTS_AT = 320
SIZE = _SLOTS_AT + Slots.SIZE
_WAIT_S = 0.25
"""A lock that is not free within this time is left alone: the call goes on, and for `_STUCK_S` nobody
here waits for it again. On a busy machine a process that has it may well have to wait for its turn."""
_STUCK_S = 1.0
_WEIGHT = 0.1
"""Of the newest call in the moving average."""


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
        return _spent(self)


_Head = tuple[Any, ...]
"""A `Standing` without what is reserved. On the way of a call there is no time for names."""


def _spent(head: _Head) -> int:
    settled: int = head[1]
    if not head[8]:
        return settled
    everywhere: int = head[4] + settled - head[5]
    return max(settled, everywhere)


class Count:
    """A count that is open in this process; without a path, of this process alone."""

    def __init__(self, path: Path | None = None) -> None:
        """
        Raises:
            OSError: the file cannot be made or opened.
            UnreadableCount: it is none of ours.
        """
        self._thread = threading.Lock()
        self._holder = 0
        self._stuck_until_s = 0.0
        self._own = 0
        self._copy = b""
        self._head: _Head = Standing()[:-1]
        self._later: deque[tuple[int, int | None, int]] = deque()
        self._path = path
        self._file: int | None = None
        self._memory: Any
        if path is None or not LOCKS:
            self._memory = bytearray(SIZE)
        else:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if os.fstat(self._file).st_size not in (0, SIZE):
                    raise UnreadableCount(f"{path} has not {SIZE} bytes")
                os.ftruncate(self._file, SIZE)
                self._memory = mmap.mmap(self._file, SIZE)
            except BaseException:
                os.close(self._file)
                raise
        self._slots = Slots(self._memory, _SLOTS_AT)
        self._begin(path)

    def _begin(self, path: Path | None) -> None:
        if not self._take(4 * _WAIT_S):
            raise UnreadableCount(f"{path} is locked")
        try:
            if self._memory[: len(_MAGIC)] == bytes(len(_MAGIC)):
                self._write(Standing()[:-1])
                self._memory[: len(_MAGIC)] = _MAGIC
            elif self._memory[: len(_MAGIC)] != _MAGIC:
                raise UnreadableCount(f"{path} is no count of a budget")
            self._read()
        finally:
            self._give()

    def close(self) -> None:
        """Let go of what this process holds back. The file stays. Idempotent."""
        if self._file is None:
            return
        if self._take(_WAIT_S):
            try:
                self._settled()
                self._own = 0
                self._slots.leave()
                self._swept()
            finally:
                self._give()
        file, self._file = self._file, None
        os.close(file)

    def after_fork(self) -> None:
        """A child holds nothing back, and neither its parent's threads' lock nor the one of the file,
        which goes with what opened it, is its own."""
        self._thread = threading.Lock()
        if self._file is not None and self._path is not None:
            os.close(self._file)
            self._file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        self._own = 0
        self._later.clear()
        self._slots.forget()

    # --- what calls do ---------------------------------------------------------------------------

    def reserve(self, amount: int | None, limit: int) -> tuple[int | None, int] | None:
        """Hold `amount` back for a call, unless what is spent and held back has reached `limit`.

        `amount` None: as much as a call cost on average. Returns what is held, None where nothing
        is, and what is spent; only None where nobody can tell.
        """
        if not self._take(_WAIT_S):
            return None
        try:
            head = self._settled() if self._later else self._read()
            spent = _spent(head)
            (reserved,) = _RESERVED.unpack_from(self._memory, _RESERVED_AT)
            if spent + reserved >= limit:
                if spent < limit:
                    reserved = self._swept()
                if spent + reserved >= limit:
                    return None, spent
            if amount is None:
                amount = head[6]
            own = self._own = self._own + amount
            self._slots.hold(own)
            _RESERVED.pack_into(self._memory, _RESERVED_AT, reserved + amount)
            return amount, spent
        finally:
            self._give()

    def settle(self, reserved: int, cost: int | None) -> int | None:
        """A call has ended: give back what was held for it, and count its cost.

        `cost` None: its price is not known. Returns what is spent now; None where the lock is not
        free, which leaves this to the next who has it.
        """
        self._later.append((reserved, cost, 1))
        if not self._take(_WAIT_S):
            return None
        try:
            return _spent(self._settled())
        finally:
            self._give()

    def release(self, reserved: int) -> None:
        """Give back what was held for a call that does not count."""
        self._later.append((reserved, 0, 0))
        if self._take(_WAIT_S):
            try:
                self._settled()
            finally:
                self._give()

    def standing(self) -> Standing | None:
        """Where it stands; None where nobody can tell."""
        if not self._take(_WAIT_S):
            return None
        try:
            return self._stands()
        finally:
            self._give()

    # --- what happens beside them ------------------------------------------------------------------

    def tell(self, bit: int) -> bool:
        """Whether it is for this process to tell of the soft or the hard limit: one does, once."""
        if not self._take(_WAIT_S):
            return False
        try:
            now = self._stands()
            if now.told & bit:
                return False
            self._put(now._replace(told=now.told | bit))
            return True
        finally:
            self._give()

    def asks(self, every_s: float) -> bool:
        """Whether it is for this process to ask the ledger now: one does, every so often."""
        if not self._take(_WAIT_S):
            return False
        try:
            now, moment = self._stands(), time.time()
            if 0 <= moment - now.asked_at < every_s:
                return False
            self._put(now._replace(asked_at=moment))
            return True
        finally:
            self._give()

    def reconcile(self, ledger: int, known: int) -> None:
        """The ledger says that `ledger` is spent, `known` of it by the calls counted here."""
        if self._take(_WAIT_S):
            try:
                told = self._stands()._replace(ledger=ledger, known=known)
                self._put(told._replace(ledger_at=time.time()))
            finally:
                self._give()

    def sweep(self) -> None:
        """Say that this process is alive, count what waits, and take out who is not alive."""
        if self._take(_WAIT_S):
            try:
                self._slots.live()
                self._settled()
                self._swept()
            finally:
                self._give()

    # --- under the lock ----------------------------------------------------------------------------

    def _take(self, wait_s: float) -> bool:
        thread = get_ident()
        # A stream that is freed settles its call at any allocation, also of the thread that holds it.
        if not self._thread.acquire(False) and (
            self._holder == thread or not self._thread.acquire(timeout=wait_s)
        ):
            return False
        self._holder = thread
        if self._file is None:
            return True
        try:
            flock(self._file, _NOW)
        except OSError:
            if not self._waited(wait_s):
                self._holder = 0
                self._thread.release()
                return False
        return True

    def _waited(self, wait_s: float) -> bool:
        assert self._file is not None
        now_s = time.monotonic()
        until_s = now_s + wait_s if now_s >= self._stuck_until_s else now_s
        pause_s = 0.00002
        while time.monotonic() < until_s:
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.001)
            try:
                flock(self._file, _NOW)
            except OSError:
                continue
            return True
        self._stuck_until_s = max(self._stuck_until_s, now_s + _STUCK_S)
        return False

    def _give(self) -> None:
        if self._file is not None:
            flock(self._file, LOCK_UN)
        self._holder = 0
        self._thread.release()

    def _read(self) -> _Head:
        newest = self._memory[_NEWEST_AT] & 1
        at = _COPIES[newest]
        copy = self._memory[at : at + _COPY]
        if copy == self._copy:  # as this process wrote it itself
            return self._head
        for at in (_COPIES[newest], _COPIES[1 - newest]):
            copy = self._memory[at : at + _COPY]
            packed, crc = copy[: _HEAD.size], copy[_HEAD.size :]
            if crc == zlib.crc32(packed).to_bytes(4, "little"):
                self._head, self._copy = _HEAD.unpack(packed), copy
                return self._head
            # Somebody was killed while writing it; the one before is whole.
        raise UnreadableCount("both copies of a count are damaged")

    def _write(self, head: _Head) -> None:
        """The number of `head` is that of the copy that it follows, plus 1."""
        packed = _HEAD.pack(*head)
        copy = packed + zlib.crc32(packed).to_bytes(4, "little")
        which = head[0] & 1
        at = _COPIES[which]
        self._memory[at : at + _COPY] = copy
        self._memory[_NEWEST_AT] = which
        self._copy, self._head = copy, head

    def _stands(self) -> Standing:
        return Standing(*self._read(), *_RESERVED.unpack_from(self._memory, _RESERVED_AT))

    def _put(self, now: Standing) -> None:
        self._write((now.number + 1, *now[1:-1]))

    def _settled(self) -> _Head:
        head = self._read()
        settled, calls, unpriced = head[1:4]
        average = head[6]
        (held,) = _RESERVED.unpack_from(self._memory, _RESERVED_AT)
        own, later = self._own, self._later
        while later:
            reserved, cost, counted = later.popleft()
            own = own - reserved if own > reserved else 0
            held = held - reserved if held > reserved else 0
            calls += counted
            if cost is None:
                unpriced += 1
            elif cost:
                settled += cost
                average = int(average + (cost - average) * _WEIGHT) if average else cost
        head = (head[0] + 1, settled, calls, unpriced, *head[4:6], average, *head[7:])
        self._write(head)
        self._own = own
        self._slots.hold(own)
        _RESERVED.pack_into(self._memory, _RESERVED_AT, held)
        return head

    def _swept(self) -> int:
        """What is held back is the sum of the slots of who is alive."""
        reserved = self._slots.live_total()
        _RESERVED.pack_into(self._memory, _RESERVED_AT, reserved)
        return reserved
