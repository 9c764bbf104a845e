"""The circuit of one backend: closed, open, half-open. Pure: no clock, no lock, no thread of its own.

Closed, calls go. Enough failures in the window open it; open, no call goes until its cool-down is
over; then it is half-open, a few calls at a time are let through, and what becomes of them closes it
or opens it again for longer. The pattern: https://martinfowler.com/bliki/CircuitBreaker.html

Times are seconds of any clock that does not run backwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from .outcomes import FAILURES, LIMITED, SLOW, Outcome
from .recent import Recent

__all__ = ["CLOSED", "HALF_OPEN", "OPEN", "Change", "Circuit", "Policy", "State"]

State = Literal["closed", "open", "half_open"]
CLOSED: Final = "closed"
OPEN: Final = "open"
HALF_OPEN: Final = "half_open"


@dataclass(frozen=True, slots=True)
class Policy:
    """When a circuit opens, and for how long."""

    window_s: float = 60.0
    failures: int = 5
    """In the window, at least, …"""
    failure_ratio: float = 0.5
    """… and of its calls, at least."""
    slow_s: float = 0.0
    """A good answer that took longer is slow; 0: none is."""
    slow_ratio: float = 0.8
    """With as many slow calls as `failures`, and this part of all: it opens, too."""
    cool_down_s: float = 5.0
    cool_down_factor: float = 2.0
    """Each opening in a row is so much longer than the one before, …"""
    cool_down_most_s: float = 300.0
    """… up to this; a provider's Retry-After is honoured up to this, too."""
    jitter: float = 0.1
    """Part of a cool-down that chance adds, so that processes do not come back together."""
    trials: int = 1
    """Calls at a time while half-open."""
    trials_to_close: int = 2
    """Good ones in a row that close it."""
    trial_s: float = 60.0
    """A trial that says nothing for so long gives its place away."""


class Change(NamedTuple):
    """One change of state."""

    before: State
    after: State
    at: float
    reason: str


_SAID: Final = {
    "server": "answered 5xx",
    "connect": "could not be reached",
    "timeout": "did not answer in time",
}


class Circuit:
    """One circuit. `chance` gives numbers from 0 up to 1.

    `changes` gathers what has happened until somebody takes it.
    """

    __slots__ = (
        "_asked_until",
        "_chance",
        "_closed_at",
        "_cool_down_s",
        "_good",
        "_openings",
        "_state",
        "_trials",
        "_until",
        "changes",
        "limited_until",
        "policy",
        "reason",
        "recent",
        "since",
    )

    def __init__(self, policy: Policy, chance: Callable[[], float]) -> None:
        self.policy = policy
        self._chance = chance
        self._state: State = CLOSED
        self.since: float | None = None
        """When the state began; None: it has never changed."""
        self.reason = ""
        self.recent = Recent(policy.window_s)
        self.limited_until = 0.0
        """The backend has asked for patience until then (429 with Retry-After); it is not dead."""
        self.changes: list[Change] = []
        self._until = 0.0
        self._asked_until = 0.0
        self._openings = 0
        self._cool_down_s = 0.0
        self._closed_at = float("-inf")
        self._good = 0
        self._trials: list[float] = []

    # --- asked ------------------------------------------------------------------------------------

    def state(self, now: float) -> State:
        """The state at `now`: an open circuit whose cool-down is over is half-open."""
        if self._state == OPEN and now >= self._until:
            self._become(HALF_OPEN, self._until, "its cool-down is over")
        return self._state

    def admits(self, now: float) -> bool:
        """Whether `acquire` would be granted."""
        state = self.state(now)
        if state == HALF_OPEN:
            self._drop_lost_trials(now)
            return len(self._trials) < self.policy.trials
        return state == CLOSED

    def retry_after_s(self, now: float) -> float | None:
        """Seconds until a call is worth trying; None: now."""
        until = self._until if self.state(now) == OPEN else self.limited_until
        return until - now if until > now else None

    def acquire(self, now: float) -> bool:
        """Whether a call may go now. While half-open it takes a place among the trials, which
        `release` gives back."""
        if not self.admits(now):
            return False
        if self._state == HALF_OPEN:
            self._trials.append(now)
        return True

    def stands(self, acquired_at: float, now: float) -> bool:
        """Whether a call that was let go at `acquired_at`, and has not left yet, may still leave."""
        state = self.state(now)
        return state == CLOSED or (state == HALF_OPEN and acquired_at in self._trials)

    def release(self, acquired_at: float) -> None:
        """A call that was let go at `acquired_at` is over."""
        if acquired_at in self._trials:
            self._trials.remove(acquired_at)

    # --- told -------------------------------------------------------------------------------------

    def record(self, outcome: Outcome, started: float, now: float) -> None:
        """A call that was made at `started` has ended as `outcome`.

        What was under way when the state began says nothing about it: a call that hung for a minute
        must not decide over a backend that came back meanwhile.
        """
        slow_s = self.policy.slow_s
        if slow_s and outcome.kind == "answered" and (outcome.duration_s or 0.0) > slow_s:
            outcome = outcome._replace(kind=SLOW)
        state = self.state(now)
        self.recent.add(outcome, now)
        self._heed(outcome, now)
        if self.since is not None and started < self.since:
            return
        if state == CLOSED:
            self._judge(outcome, now)
        elif state == HALF_OPEN:
            self._judge_trial(outcome, now)

    def trip(self, reason: str, now: float) -> None:
        """Somebody else knows that the backend is down: open, whatever calls say."""
        if self.state(now) != OPEN:
            self._open(reason, now)

    def hasten(self, now: float) -> None:
        """Somebody else knows that it is up again: an open circuit need not wait for its time."""
        if self.state(now) == OPEN:
            self._become(HALF_OPEN, now, "a probe was answered")

    # --- decides ----------------------------------------------------------------------------------

    def _heed(self, outcome: Outcome, now: float) -> None:
        wait_s = outcome.retry_after_s
        if wait_s is None:
            return
        until = now + min(wait_s, self.policy.cool_down_most_s)
        if outcome.kind == LIMITED:
            self.limited_until = max(self.limited_until, until)
        elif outcome.kind in FAILURES:
            self._asked_until = max(self._asked_until, until)

    def _judge(self, outcome: Outcome, now: float) -> None:
        policy, recent = self.policy, self.recent
        failed, calls = recent.failures(), recent.calls()
        if outcome.kind in FAILURES:
            if failed >= policy.failures and failed >= policy.failure_ratio * calls:
                said = _SAID[outcome.kind]
                self._open(f"{failed} of {calls} calls failed; the last one {said}", now)
        elif outcome.kind == SLOW:
            slow = recent.slow()
            if slow >= policy.failures and slow >= policy.slow_ratio * calls:
                self._open(f"{slow} of {calls} calls took longer than {policy.slow_s:g} s", now)

    def _judge_trial(self, outcome: Outcome, now: float) -> None:
        if outcome.kind in FAILURES:
            self._open(f"a trial call failed: it {_SAID[outcome.kind]}", now)
        elif outcome.kind == SLOW:
            self._open(f"a trial call took longer than {self.policy.slow_s:g} s", now)
        elif outcome.kind != LIMITED:  # which says neither that it works nor that it does not
            self._good += 1
            if self._good >= self.policy.trials_to_close:
                self._close(now)

    def _open(self, reason: str, now: float) -> None:
        policy = self.policy
        # One that fails again right after it had closed has not come back: the waiting goes on to grow.
        if self._state == CLOSED and now - self._closed_at > max(
            self._cool_down_s, policy.window_s
        ):
            self._openings = 0
        self._openings += 1
        grown = policy.cool_down_s * policy.cool_down_factor ** min(self._openings - 1, 64)
        cool_down_s = min(grown, policy.cool_down_most_s)
        self._cool_down_s = cool_down_s * (1 + policy.jitter * self._chance())
        self._until = max(now + self._cool_down_s, self._asked_until)
        self._become(OPEN, now, reason)

    def _close(self, now: float) -> None:
        self.recent.clear()
        self._asked_until = 0.0
        self._closed_at = now
        self._become(CLOSED, now, f"{self._good} trial calls were answered")

    def _become(self, state: State, now: float, reason: str) -> None:
        self.changes.append(Change(self._state, state, now, reason))
        self._state, self.since, self.reason = state, now, reason
        self._good = 0
        self._trials.clear()

    def _drop_lost_trials(self, now: float) -> None:
        self._trials = [each for each in self._trials if now - each < self.policy.trial_s]
