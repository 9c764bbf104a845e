"""The events of a stream, and where each stands in its text."""

from __future__ import annotations

from collections.abc import Iterator

from ._wire_alike import Run
from ._wire_spelled import Shape, Spelled

__all__ = ["Told"]


class Told:
    """Events in their order, those that are alike by runs. Where each of these is gets worked out when
    it is asked for: of most streams that is never."""

    def __init__(self) -> None:
        self.spelled = Spelled()
        self.runs: list[Run] = []
        self._parts: list[tuple[int, int] | Run] = []
        self._events: list[tuple[int, int]] = []

    def add(self, text: str, event: tuple[int, int]) -> Shape | None:
        """The next event, which stands in `text` from its start to its end. Gives its shape, or that
        of one before it."""
        self.spelled.add(text[event[0] : event[1]])
        self._parts.append(event)
        return self.spelled.last

    def add_run(self, run: Run) -> None:
        """The next events."""
        self.spelled.add_alike(run.shape, run.values())
        self.runs.append(run)
        self._parts.append(run)

    def event(self, number: int) -> tuple[int, int]:
        """Where the event of this number begins and ends."""
        if len(self._events) < self.spelled.count:
            self._events = list(self._all())
        return self._events[number]

    def _all(self) -> Iterator[tuple[int, int]]:
        for each in self._parts:
            if isinstance(each, Run):
                yield from each.events()
            else:
                yield each
