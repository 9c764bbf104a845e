"""The backends that this process calls, each with its circuit, shared by all threads.

A backend is a provider at an address. What is told of one is put into a queue and taken in by
whichever thread can: telling never waits, also where the garbage collector ends a stream while this
very thread holds the lock.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from .circuits import CLOSED, Change, Circuit, Policy, State
from .outcomes import Outcome

__all__ = ["Known", "Snapshot", "Watched", "Where"]

_MOST: Final = 200
"""Undeclared backends that are remembered; then the one known longest is forgotten."""

Clock = Callable[[], float]
"""Seconds that do not run backwards."""


class Where(NamedTuple):
    """Which backend. '' and 0 where nobody stated it; ports of HTTPS and HTTP are not told."""

    provider: str
    address: str = ""
    port: int = 0

    def __str__(self) -> str:
        at = f"{self.address}:{self.port}" if self.port else self.address
        return f"{self.provider} at {at}" if self.provider and at else self.provider or at

    def is_called(self, name: str) -> bool:
        """Whether `name` is the provider, the host, or the host with its port."""
        if name in (self.provider, self.address):
            return True
        host, _, port = name.rpartition(":")
        return host == self.address and port in ((str(self.port),) if self.port else ("443", "80"))


class Snapshot(NamedTuple):
    """A circuit at one moment. Times are in UTC, durations in seconds."""

    where: Where
    name: str
    state: State
    admits: bool
    since: datetime | None
    reason: str
    retry_after_s: float | None
    is_limited: bool
    kinds: dict[str, int]
    probe: str
    """`up`, `down` or `unknown`, by probes."""


Told = Callable[["Watched", Change, datetime], None]
"""Hears of a change of state and when it was; called outside of every lock."""


class _Ended(NamedTuple):
    """A call that is over."""

    outcome: Outcome | None
    started: float
    now: float
    acquired_at: float | None


class Watched:
    """One backend: its circuit behind a lock, and what has been told but not yet taken in."""

    def __init__(self, where: Where, policy: Policy, clock: Clock, told: Told) -> None:
        self.where = where
        self.name = ""
        """As the file of backends calls it; '' for one that only calls have shown."""
        self.probe = "unknown"
        self._circuit = Circuit(policy, random.random)
        self._clock = clock
        self._told = told
        self._waiting: deque[_Ended] = deque()
        self._lock = threading.Lock()

    def __str__(self) -> str:
        return self.name or str(self.where)

    def ended(
        self, outcome: Outcome | None, started: float, acquired_at: float | None = None
    ) -> None:
        """A call made at `started`, and let go at `acquired_at` if it had asked, has ended now.

        Never waits. None as its outcome: it tells nothing.
        """
        self._waiting.append(_Ended(outcome, started, self._clock(), acquired_at))
        self._drain()

    def _drain(self) -> None:
        """Take in what waits, unless somebody is about to, and tell what came of it."""
        while self._waiting and self._lock.acquire(blocking=False):
            try:
                self._take_in()
                changes = self._taken()
            finally:
                self._lock.release()
            self._tell(changes)

    def acquire(self) -> float | None:
        """When a call was let go, to be told to `ended`; None: it may not go."""
        with self._lock:
            self._take_in()
            now = self._clock()
            granted = now if self._circuit.acquire(now) else None
            changes = self._taken()
        self._tell(changes)
        return granted

    def stands(self, acquired_at: float) -> bool:
        """Whether a call that was let go then, and has not left yet, may still leave."""
        with self._lock:
            self._take_in()
            return self._circuit.stands(acquired_at, self._clock())

    def probed(self, probe: str, reason: str) -> None:
        """Probes say that the backend is `up` or `down`, or `unknown`: nobody probes any more."""
        with self._lock:
            self._take_in()
            before, self.probe = self.probe, probe
            if probe == "down" and before != "down":
                self._circuit.trip(reason, self._clock())
            elif probe == "up" and before == "down":
                self._circuit.hasten(self._clock())
            changes = self._taken()
        self._tell(changes)

    def snapshot(self) -> Snapshot:
        with self._lock:
            self._take_in()
            circuit, now = self._circuit, self._clock()
            state = circuit.state(now)
            found = Snapshot(
                self.where,
                self.name,
                state,
                circuit.admits(now),
                None if circuit.since is None else self._moment(circuit.since),
                circuit.reason,
                circuit.retry_after_s(now),
                state == CLOSED and circuit.limited_until > now,
                circuit.recent.kinds(now),
                self.probe,
            )
            changes = self._taken()
        self._tell(changes)
        return found

    def latency_p95_s(self) -> float | None:
        """What 95 % of the good calls in the window did not exceed, in seconds."""
        with self._lock:
            self._take_in()
            return self._circuit.recent.percentile_s(0.95, self._clock())

    def after_fork(self) -> None:
        """The lock may be held by a thread that is not here."""
        self._lock = threading.Lock()

    def _take_in(self) -> None:
        while self._waiting:
            outcome, started, now, acquired_at = self._waiting.popleft()
            if outcome is not None:
                self._circuit.record(outcome, started, now)
            if acquired_at is not None:
                self._circuit.release(acquired_at)

    def _taken(self) -> list[Change]:
        changes, self._circuit.changes = self._circuit.changes, []
        return changes

    def _tell(self, changes: Iterable[Change]) -> None:
        """After the lock is let go: also of calls that ended meanwhile."""
        for change in changes:
            self._told(self, change, self._moment(change.at))
        if self._waiting:
            self._drain()

    def _moment(self, at: float) -> datetime:
        return datetime.now(UTC) - timedelta(seconds=self._clock() - at)


class Known:
    """All backends of this process."""

    def __init__(
        self, told: Told, policy: Policy | None = None, clock: Clock = time.monotonic
    ) -> None:
        self.clock = clock
        self._told = told
        self.policy = policy or Policy()
        """For backends that nobody has declared."""
        self._all: dict[Where, Watched] = {}
        self._declared: dict[tuple[str, int], Watched] = {}
        # Reentrant: the garbage collector may end a call, of a backend nobody knows, at any time.
        self._lock = threading.RLock()

    def declare(self, where: Where, name: str, policy: Policy) -> Watched:
        """Know a backend under a name of its own. A declared one is never forgotten.

        Calls to its host and port are its calls, whatever they call its provider. One that calls have
        shown before keeps what is known of it.
        """
        with self._lock:
            made = self._all.get(where)
            if made is None:
                made = self._all[where] = Watched(where, policy, self.clock, self._told)
            made.name = name
            self._declared.setdefault((where.address, where.port), made)
        return made

    def at(self, where: Where) -> Watched:
        """The backend at `where`, new if nobody has heard of it."""
        found = self.find(where)
        if found is not None:
            return found
        with self._lock:
            found = self._all.get(where)
            if found is None:
                found = self._all[where] = Watched(where, self.policy, self.clock, self._told)
                self._forget_one()
        return found

    def find(self, where: Where) -> Watched | None:
        """The backend at `where`; None if nobody has heard of it."""
        found = self._all.get(where)
        return found if found is not None else self._declared.get((where.address, where.port))

    def called(self, name: str) -> list[Watched]:
        """Those that `name` may mean: the one of that name, else all at that provider or host."""
        every = self.every()
        named = [each for each in every if each.name == name]
        return named or [each for each in every if each.where.is_called(name)]

    def every(self) -> list[Watched]:
        return list(self._all.values())

    def forget(self) -> None:
        """Know of nobody any more."""
        with self._lock:
            self._all.clear()
            self._declared.clear()

    def after_fork(self) -> None:
        self._lock = threading.RLock()
        for each in self.every():
            each.after_fork()

    def _forget_one(self) -> None:
        unnamed = [where for where, each in self._all.items() if not each.name]
        if len(unnamed) > _MOST:
            del self._all[unnamed[0]]
