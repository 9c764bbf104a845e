"""What became of the calls of the last minute: a sliding window over one backend, on any clock."""

from __future__ import annotations

from collections import Counter, deque
from typing import Final, NamedTuple

from .outcomes import ANSWERED, FAILURES, SLOW, Outcome

__all__ = ["Recent"]

_MOST: Final = 1000
"""Outcomes that are kept, however many calls there are: enough for a ratio and a percentile."""


class _Seen(NamedTuple):
    at: float
    outcome: Outcome


class Recent:
    """The outcomes of the last `length_s` seconds, the newest thousand at most."""

    __slots__ = ("_kinds", "_length_s", "_seen")

    def __init__(self, length_s: float) -> None:
        self._length_s = length_s
        self._seen: deque[_Seen] = deque()
        self._kinds: Counter[str] = Counter()

    def add(self, outcome: Outcome, now: float) -> None:
        """Note `outcome`; `now` is in seconds and never runs backwards."""
        self._seen.append(_Seen(now, outcome))
        self._kinds[outcome.kind] += 1
        if len(self._seen) > _MOST:
            self._drop()
        self.forget_before(now - self._length_s)

    def forget_before(self, moment: float) -> None:
        while self._seen and self._seen[0].at <= moment:
            self._drop()

    def kinds(self, now: float) -> dict[str, int]:
        """How many outcomes there were of each kind that there was."""
        self.forget_before(now - self._length_s)
        return {kind: count for kind, count in self._kinds.items() if count}

    def failures(self) -> int:
        return sum(self._kinds[kind] for kind in FAILURES)

    def slow(self) -> int:
        return self._kinds[SLOW]

    def calls(self) -> int:
        return len(self._seen)

    def percentile_s(self, part: float, now: float) -> float | None:
        """The duration that `part` of the well answered calls did not exceed; None without any."""
        self.forget_before(now - self._length_s)
        known = sorted(
            each.outcome.duration_s
            for each in self._seen
            if each.outcome.duration_s is not None and each.outcome.kind in (ANSWERED, SLOW)
        )
        return known[min(int(part * len(known)), len(known) - 1)] if known else None

    def clear(self) -> None:
        self._seen.clear()
        self._kinds.clear()

    def _drop(self) -> None:
        self._kinds[self._seen.popleft().outcome.kind] -= 1
