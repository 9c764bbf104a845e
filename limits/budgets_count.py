"""How much of one budget is spent in one period, counted by every process of this machine together.

One small file, mapped into each of them and changed under a lock (`budgets_lock`). It survives whatever
happens to a process: the sums stand in it twice, each copy with its number and checksum, and the
older one is overwritten; what a process holds back for calls in flight stands in a slot of its own
with its pid, and goes when that process is gone or has not been heard of for `ALIVE_S`.

Amounts are whole numbers of a unit that whoever counts has chosen.
"""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import Any
from zlib import crc32

from .budgets_layout import (
    HEAD,
    MAGIC,
    NEWEST,
    NUMBERS,
    PLACES,
    RESERVED,
    SIZE,
    SLOTS_AT,
    Head,
    Standing,
    UnreadableCount,
    mapped,
    spent_of,
)
from .budgets_lock import LOCKS, Lock
from .budgets_slots import Slots

__all__ = ["Count", "Standing", "UnreadableCount"]

_pack = HEAD.pack
_AVERAGED = 10
"""Of so many calls the newest is one in the moving average."""


class Count:
    """A count that is open in this process; without a path, of this process alone.

    `lock`: of the file's folder, where several counts are changed in one go; None is one of its own.
    What says that it wants the lock is asked while `lock` is taken.
    """

    def __init__(self, path: Path | None = None, lock: Lock | None = None) -> None:
        """
        Raises:
            OSError: the file cannot be made or opened.
            UnreadableCount: it is none of ours.
        """
        self._own = 0
        self._head: Head = Standing()[:-1]
        self._beside, self._number_beside = NUMBERS[1], -1
        """The word with the number of the other copy, and what stands there while nobody else writes: the
        next who does overwrites it."""
        self._later: deque[tuple[int, int | None, int]] = deque()
        self._memory: Any
        if path is None or not LOCKS:
            path = None
            self._memory = bytearray(SIZE)
        else:
            self._memory = mapped(path)
        self._words = memoryview(self._memory).cast("Q")
        self._shares_lock = lock is not None
        self.lock = lock if lock is not None else Lock(path)
        self._slots = Slots(self._memory, SLOTS_AT)
        self._is_open = path is not None
        try:
            self._begin(path)
        except BaseException:
            self._close_lock()
            raise

    def _begin(self, path: Path | None) -> None:
        if not self.lock.take(1.0):
            raise UnreadableCount(f"{path} is locked")
        try:
            if self._memory[: len(MAGIC)] == bytes(len(MAGIC)):
                self._write(Standing()[:-1])
                self._memory[: len(MAGIC)] = MAGIC
            elif self._memory[: len(MAGIC)] != MAGIC:
                raise UnreadableCount(f"{path} is no count of a budget")
            self._read()
        finally:
            self.lock.give()

    def close(self) -> None:
        """Let go of what this process holds back. The file stays. Idempotent."""
        if not self._is_open:
            return
        self._is_open = False
        if self.lock.take():
            try:
                self._settled()
                self._own = 0
                self._slots.leave()
                self._swept()
            finally:
                self.lock.give()
        self._close_lock()

    def _close_lock(self) -> None:
        if not self._shares_lock:
            self.lock.close()

    def after_fork(self) -> None:
        """A child holds nothing back."""
        if not self._shares_lock:
            self.lock.after_fork()
        self._own = 0
        self._later.clear()
        self._slots.forget()

    # --- what calls do ---------------------------------------------------------------------------

    def reserve(self, amount: int | None, limit: int) -> tuple[int | None, int] | None:
        """Hold `amount` back for a call, unless what is spent and held back has reached `limit`.

        `amount` None: as much as a call cost on average. Returns what is held, None where nothing
        is, and what is spent; only None where nobody can tell.
        """
        if not self.lock.take():
            return None
        try:
            return self.reserve_now(amount, limit)
        finally:
            self.lock.give()

    def reserve_now(self, amount: int | None, limit: int) -> tuple[int | None, int]:
        """As `reserve`. Wants the lock."""
        words = self._words
        head = self._head
        if self._later:
            head = self._settled()
        elif words[self._beside] != self._number_beside:
            head = self._read()  # some other process has written
        spent = spent_of(head) if head[8] else head[1]
        reserved = words[RESERVED]
        if spent + reserved >= limit:
            if spent < limit:
                reserved = self._swept()
            if spent + reserved >= limit:
                return None, spent
        if amount is None:
            amount = head[6]
        own = self._own = self._own + amount
        if (slot := self._slots.word) is not None:
            words[slot] = own
        else:
            self._slots.hold(own)
        words[RESERVED] = reserved + amount
        return amount, spent

    def settle(self, reserved: int, cost: int | None) -> int | None:
        """A call has ended: give back what was held for it, and count its cost.

        `cost` None: its price is not known. Returns what is spent now; None where the lock is not
        free, which leaves this to the next who has it.
        """
        if not self.lock.take():
            self.settle_later(reserved, cost)
            return None
        try:
            return self.settle_now(reserved, cost)
        finally:
            self.lock.give()

    def settle_later(self, reserved: int, cost: int | None) -> None:
        """As `settle`, left to the next who has the lock."""
        self._later.append((reserved, cost, 1))

    def settle_now(self, reserved: int, cost: int | None) -> int:
        """As `settle`. Wants the lock."""
        if self._later or cost is None:
            self.settle_later(reserved, cost)
            return spent_of(self._settled())
        words = self._words
        head = self._head
        if words[self._beside] != self._number_beside:
            head = self._read()
        number, settled, calls, unpriced, ledger, known, average, told, ledger_at, asked_at = head
        if cost:
            settled += cost
            average = average + (cost - average) // _AVERAGED if average else cost
        self._number_beside = number
        number += 1
        calls += 1
        head = number, settled, calls, unpriced, ledger, known, average, told, ledger_at, asked_at
        self._head = head
        packed = _pack(*head)  # as `_write`
        which = number & 1
        self._memory[PLACES[which]] = packed + crc32(packed).to_bytes(4, "little")
        words[NEWEST] = which
        self._beside = NUMBERS[not which]
        held = words[RESERVED]
        words[RESERVED] = held - reserved if held > reserved else 0
        own = self._own
        own = self._own = own - reserved if own > reserved else 0
        if (slot := self._slots.word) is not None:
            words[slot] = own
        return spent_of(head) if ledger_at else settled

    def release(self, reserved: int) -> None:
        """Give back what was held for a call that does not count."""
        self._later.append((reserved, 0, 0))
        if self.lock.take():
            try:
                self._settled()
            finally:
                self.lock.give()

    def standing(self) -> Standing | None:
        """Where it stands; None where nobody can tell."""
        if not self.lock.take():
            return None
        try:
            return self._stands()
        finally:
            self.lock.give()

    # --- what happens beside them ------------------------------------------------------------------

    def tell(self, bit: int) -> bool:
        """Whether it is for this process to tell of the soft or the hard limit: one does, once."""
        if not self.lock.take():
            return False
        try:
            now = self._stands()
            if now.told & bit:
                return False
            self._put(now._replace(told=now.told | bit))
            return True
        finally:
            self.lock.give()

    def asks(self, every_s: float) -> bool:
        """Whether it is for this process to ask the ledger now: one does, every so often."""
        if not self.lock.take():
            return False
        try:
            now, moment = self._stands(), time.time()
            if 0 <= moment - now.asked_at < every_s:
                return False
            self._put(now._replace(asked_at=moment))
            return True
        finally:
            self.lock.give()

    def reconcile(self, ledger: int, known: int) -> None:
        """The ledger says that `ledger` is spent, `known` of it by the calls counted here."""
        if self.lock.take():
            try:
                told = self._stands()._replace(ledger=ledger, known=known)
                self._put(told._replace(ledger_at=time.time()))
            finally:
                self.lock.give()

    def sweep(self) -> None:
        """Say that this process is alive, count what waits, and take out who is not alive."""
        if self.lock.take():
            try:
                self._slots.live()
                self._settled()
                self._swept()
            finally:
                self.lock.give()

    # --- under the lock ----------------------------------------------------------------------------

    def _read(self) -> Head:
        newest = self._words[NEWEST] & 1
        for place in (PLACES[newest], PLACES[1 - newest]):
            copy = self._memory[place]
            packed, crc = copy[: HEAD.size], copy[HEAD.size :]
            if crc == crc32(packed).to_bytes(4, "little"):
                self._know(HEAD.unpack(packed))
                return self._head
            # Somebody was killed while writing it; the one before is whole.
        raise UnreadableCount("both copies of a count are damaged")

    def _write(self, head: Head) -> None:
        """The number of `head` is that of the copy that it follows, plus 1."""
        packed = _pack(*head)
        which = head[0] & 1
        self._memory[PLACES[which]] = packed + crc32(packed).to_bytes(4, "little")
        self._words[NEWEST] = which
        self._know(head)

    def _know(self, head: Head) -> None:
        self._head = head
        self._beside, self._number_beside = NUMBERS[1 - (head[0] & 1)], head[0] - 1

    def _stands(self) -> Standing:
        return Standing(*(*self._read(), self._words[RESERVED]))

    def _put(self, now: Standing) -> None:
        self._write((now.number + 1, *now[1:-1]))

    def _settled(self) -> Head:
        head = self._read()
        settled, calls, unpriced = head[1:4]
        average = head[6]
        held = self._words[RESERVED]
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
                average = average + (cost - average) // _AVERAGED if average else cost
        head = (head[0] + 1, settled, calls, unpriced, *head[4:6], average, *head[7:])
        self._write(head)
        self._own = own
        self._slots.hold(own)
        self._words[RESERVED] = held
        return head

    def _swept(self) -> int:
        """What is held back is the sum of the slots of who is alive."""
        reserved = self._slots.live_total()
        self._words[RESERVED] = reserved
        return reserved
