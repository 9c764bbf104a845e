"""How long traces are held, and which go first when memory is short. Pure bookkeeping over a clock.

The timer of a trace runs from its first span and is never extended. When the bound is reached, the
traces of the heaviest impact go, size times age: they gave most of what they had to give. Such a
trace is released, not dropped: its calls were told when they came.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Held", "Windows"]

DOWN_TO = 0.9
"""Of the bound, after a release: each has to look at every trace, so few releases are better."""


@dataclass(slots=True)
class Held:
    """One trace within its window."""

    since: float
    spans: int = 0
    weight: int = 0
    """Bytes of memory, estimated."""


class Windows:
    """Traces by id, the oldest first.

    Args:
        window_s: how long a trace is held.
        most_bytes: the bound on the weight of all.
        clock: seconds, monotonic.
    """

    def __init__(self, window_s: float, most_bytes: int, clock: Callable[[], float]) -> None:
        self._window_s = window_s
        self._most = most_bytes
        self._clock = clock
        self._held: OrderedDict[str, Held] = OrderedDict()
        self.weight = 0

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, trace_id: str) -> bool:
        return trace_id in self._held

    def spans(self, trace_id: str) -> int:
        """How many spans of a trace were added; 0 where it is not held."""
        held = self._held.get(trace_id)
        return held.spans if held else 0

    def add(self, trace_id: str, spans: int, weight: int) -> bool:
        """Hold `spans` more of a trace; whether they are its first."""
        held = self._held.get(trace_id)
        is_first = held is None
        if held is None:
            held = self._held[trace_id] = Held(self._clock())
        held.spans += spans
        held.weight += weight
        self.weight += weight
        return is_first

    def take_out(self, trace_id: str) -> None:
        """Hold a trace no longer."""
        held = self._held.pop(trace_id, None)
        if held is not None:
            self.weight -= held.weight

    def passed(self) -> Iterator[str]:
        """Take out the traces whose window has passed, the oldest first."""
        until = self._clock() - self._window_s
        while self._held:
            trace_id, held = next(iter(self._held.items()))
            if held.since > until:
                return
            self.take_out(trace_id)
            yield trace_id

    def too_heavy(self) -> list[str]:
        """Take out traces until there is room again, those of the heaviest impact first."""
        if self.weight <= self._most:
            return []
        now = self._clock()
        # A moment is added to each age, so that of traces that came at once the heaviest go.
        impacts = [
            (-held.weight * (now - held.since + 0.001), trace_id)
            for trace_id, held in self._held.items()
        ]
        heapq.heapify(impacts)
        out: list[str] = []
        while impacts and self.weight > self._most * DOWN_TO:
            trace_id = heapq.heappop(impacts)[1]
            self.take_out(trace_id)
            out.append(trace_id)
        return out
