"""Probes all backends of a file, each at its own pace, in one thread; and what the probes add up to.

Thresholds are pure: one good probe shows that a backend of which nothing was known is up, and from
then on only several in a row change its state.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from tollspan.guard import quietly

from .backends import Backend, Check
from .probes import Result, probe

__all__ = ["DOWN", "UNKNOWN", "UP", "Prober", "Standing", "pause_s"]

UP: Final = "up"
DOWN: Final = "down"
UNKNOWN: Final = "unknown"


@dataclass(slots=True)
class _Counted:
    """How one check stands."""

    state: str = UNKNOWN
    since: datetime | None = None
    last: Result | None = None
    in_a_row: int = 0
    """Results that contradict the state, the newest ones."""

    def add(self, result: Result, up_after: int, down_after: int) -> None:
        agrees = self.state == (UP if result.ok else DOWN)
        self.in_a_row = 0 if agrees else self.in_a_row + 1
        if self.last is not None and self.last.ok != result.ok and not agrees:
            self.in_a_row = 1
        self.last = result
        enough = up_after if result.ok else down_after
        if not agrees and (self.in_a_row >= enough or (result.ok and self.state == UNKNOWN)):
            self.state, self.since = (UP if result.ok else DOWN), result.time
            self.in_a_row = 0


@dataclass(slots=True)
class Standing:
    """How a backend stands by its probes."""

    backend: Backend
    state: str = UNKNOWN
    since: datetime | None = None
    reason: str = ""
    checks: dict[Check, _Counted] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.checks = {check: _Counted() for check in self.backend.checks}

    def add(self, check: Check, result: Result) -> bool:
        """Take a result in; whether the backend's state changed by it."""
        counted = self.checks[check]
        counted.add(result, self.backend.up_after, self.backend.down_after)
        state = self._state()
        if state == self.state:
            return False
        self.state, self.since = state, result.time
        self.reason = self._reason(check, result)
        return True

    def _state(self) -> str:
        states = {each.state for check, each in self.checks.items() if check.decides}
        for each in (DOWN, UP):
            if each in states:
                return each
        return UNKNOWN

    def _reason(self, check: Check, result: Result) -> str:
        asked = (
            f"{result.kind} {check.method} {check.path}" if check.kind == "http" else result.kind
        )
        if self.state == DOWN:
            return (
                f"{self.backend.down_after} probes in a row failed: {asked.strip()}: {result.error}"
            )
        return f"its probes are answered: {asked.strip()}"


Heard = Callable[[Standing, Check, Result, bool], None]
"""Each result, with how the backend stands after it and whether that is new; in the prober's thread."""


def pause_s(backend: Backend, chance: float) -> float:
    """Seconds from the end of a probe to the next one; `chance` is from 0 up to 1."""
    return backend.interval_s * (1 + backend.jitter * (2 * chance - 1))


class Prober:
    """A thread that probes `backends` until `stop`, and tells `heard`, which must not wait."""

    def __init__(self, backends: Iterable[Backend], heard: Heard) -> None:
        self.standings = [Standing(each) for each in backends]
        self._heard = heard
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="tollspan-probes", daemon=True)

    def start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread.start()

    def stop(self) -> None:
        """Probe no more; returns when the thread has ended. Idempotent."""
        if self._loop is not None and self._thread.is_alive():
            with suppress(RuntimeError):  # it has just ended
                self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join()

    def _run(self) -> None:
        assert self._loop is not None
        try:
            self._loop.run_until_complete(self._all())
        finally:
            self._loop.close()

    async def _all(self) -> None:
        tasks = [
            asyncio.ensure_future(self._again_and_again(standing, check))
            for standing in self.standings
            for check in standing.backend.checks
        ]
        await self._stopped.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _again_and_again(self, standing: Standing, check: Check) -> None:
        backend = standing.backend
        while True:
            with quietly:
                result = await probe(backend, check)
                is_new = standing.add(check, result)
                self._heard(standing, check, result, is_new)
            await asyncio.sleep(pause_s(backend, random.random()))
