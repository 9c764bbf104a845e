"""Who is let in, and what is shed first when more comes than can be done.

Hop correlation goes first: calls are told without the rest of their trace. Then enrichment: bytes
pass untouched and their records are made later. Refusing is last. What was let in is never dropped.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from enum import IntEnum
from threading import Condition

from .receiver import Overloaded, Unavailable

__all__ = ["Admission", "Level"]

HOPS_AT = 0.25
ENRICHMENT_AT = 0.5
"""Parts of the bound that wait for the step when that is shed."""

RETRY_AFTER_S = 1.0


class Level(IntEnum):
    """What is shed now; each level sheds what those below it shed."""

    NOTHING = 0
    HOPS = 1
    ENRICHMENT = 2
    REFUSE = 3


class Admission:
    """Counts bytes that were taken and not answered: at most `most_bytes`, or a single request."""

    def __init__(self, most_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most_bytes
        self._clock = clock
        self._inside: OrderedDict[int, tuple[float, int]] = OrderedDict()
        self._changed = Condition()
        self._next = 0
        self._is_closed = False
        self.inflight_bytes = 0
        self.waiting_bytes = 0
        """Of these, bytes that the step has not come to."""

    def enter(self, size: int) -> int:
        """Let a request of `size` bytes in; the number to leave with.

        Raises:
            Overloaded: there is no room for it.
            Unavailable: the stage is stopping.
        """
        with self._changed:
            if self._is_closed:
                raise Unavailable("the stage is stopping; send to another, or again")
            if self._inside and self.inflight_bytes + size > self._most:
                raise Overloaded(RETRY_AFTER_S, "the stage is full; send again later")
            self._next += 1
            self._inside[self._next] = (self._clock(), size)
            self.inflight_bytes += size
            self.waiting_bytes += size
            return self._next

    def begun(self, number: int) -> Level:
        """The step has come to request `number`; what to shed of it, by what waits behind it."""
        with self._changed:
            self.waiting_bytes -= self._inside[number][1]
            return self._shed()

    def leave(self, number: int) -> float:
        """The request was answered; how many seconds that took."""
        with self._changed:
            since, size = self._inside.pop(number)
            self.inflight_bytes -= size
            if not self._inside:
                self._changed.notify_all()
            return self._clock() - since

    @property
    def level(self) -> Level:
        """What would be shed of a request that came now."""
        with self._changed:
            return Level.REFUSE if self.inflight_bytes >= self._most else self._shed()

    def _shed(self) -> Level:
        waiting = self.waiting_bytes / self._most
        if waiting >= ENRICHMENT_AT:
            return Level.ENRICHMENT
        return Level.HOPS if waiting >= HOPS_AT else Level.NOTHING

    @property
    def lag_s(self) -> float:
        """Age of the oldest request that is not answered; 0 where there is none."""
        with self._changed:
            oldest = next(iter(self._inside.values()), None)
            return self._clock() - oldest[0] if oldest else 0.0

    @property
    def inside(self) -> int:
        """Requests taken and not answered."""
        with self._changed:
            return len(self._inside)

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    def close(self) -> None:
        """Let nobody in from now on. Idempotent."""
        with self._changed:
            self._is_closed = True

    def drained(self, timeout_s: float) -> bool:
        """Wait until all who are inside have left; False when that took too long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._inside, timeout_s)
