"""Events of a stream that differ from one another in a few values only, many of them at a time.

A model's answer comes in hundreds of events that say the same but for a few letters. Once two of a
shape came, what stands around the values of the next is known, and an event is taken apart in a
fiftieth of the time in which it is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import NamedTuple

from ._wire_spelled import Shape

__all__ = ["Frames", "Run", "alike"]

FIRST, MOST = 16, 1024
"""Events that are looked at in one go: at first, and when all before were alike."""

MOST_VARYING = 6
"""Values of an event that differ; of those with more each is taken apart alone."""

_NUMBER = re.compile(r"[0-9]+")
_ENDS_VALUE = re.compile(r'["\\\n\r]')
"""What no value has here: with an escape in it, an event is taken apart alone."""


class Frame(NamedTuple):
    """What stands around the values of an event that differ."""

    fixed: tuple[str, ...]
    """One before each value, and one behind the last."""
    places: tuple[int, ...]
    """Of the values among the tokens of the shape: odd ones are quoted, even ones are numbers."""
    names: tuple[str, ...]
    """Of the members that have them; '' in a list."""


class Run(NamedTuple):
    """Events of one shape, one after another."""

    shape: Shape
    frame: Frame
    begin: int
    """Where the JSON of the first begins."""
    end: int
    """Where that of the last ends."""
    gap: int
    """Letters between two."""
    columns: tuple[list[str], ...]
    """For each place of the frame, what the events have there."""

    def values(self) -> dict[int, list[str]]:
        """What the events have, by the place among the tokens of their shape."""
        return dict(zip(self.frame.places, self.columns, strict=True))

    def events(self) -> Iterator[tuple[int, int]]:
        """Where the JSON of each begins and ends."""
        around = sum(map(len, self.frame.fixed))
        at = self.begin
        for values in zip(*self.columns, strict=True):
            end = at + around + sum(map(len, values))
            yield at, end
            at = end + self.gap

    def starts(self, column: int) -> Iterator[int]:
        """Where the values of `column` begin."""
        far = sum(map(len, self.frame.fixed[: column + 1]))
        before = zip(*self.columns[:column], strict=True) if column else repeat(())
        for (at, _), values in zip(self.events(), before, strict=False):
            yield at + far + sum(map(len, values))


class Frames:
    """The frames of shapes, each made anew when more of its values turn out to differ."""

    def __init__(self) -> None:
        self._known: dict[Shape, tuple[int, Frame | None]] = {}

    def of(self, shape: Shape) -> Frame | None:
        """None for a shape whose events are better taken apart alone."""
        count, frame = self._known.get(shape, (-1, None))
        if count != len(shape.varying):
            frame = _frame(shape)
            self._known[shape] = len(shape.varying), frame
        return frame


def alike(text: str, at: int, gap: str, shape: Shape, frame: Frame) -> Run | None:
    """Events of `shape` in `text` from `at` on, with `gap` before each, up to the first that is none
    and without the last that is one; None where there is none."""
    if not text.startswith(gap + frame.fixed[0], at):
        return None
    begin = at = at + len(gap)
    around = sum(map(len, frame.fixed)) + len(gap)
    columns: tuple[list[str], ...] = tuple([] for _ in frame.places)
    count = FIRST
    while True:
        *events, _ = text[at : at + count * (around + 8)].split(gap)
        apart = _apart(events, frame, gap)
        for column, values in zip(columns, apart, strict=True):
            column += values
            at += sum(map(len, values))
        at += around * len(apart[0])
        if len(apart[0]) < count // 2:
            break
        count = min(4 * count, MOST)
    return Run(shape, frame, begin, at - len(gap), len(gap), columns) if columns[0] else None


def _frame(shape: Shape) -> Frame | None:
    if not 0 < len(shape.varying) <= MOST_VARYING:
        return None
    fixed: list[str] = []
    names: list[str] = []
    before = ""
    for place, token in enumerate(shape.tokens):
        before += '"' if place else ""
        if place not in shape.varying:
            before += token
            continue
        head, tail = "", ""
        if place % 2 == 0:
            numbers = _NUMBER.findall(token)
            if len(numbers) != 1:
                return None
            head, _, tail = token.partition(numbers[0])
        fixed.append(before + head)
        named = (head if place % 2 == 0 else shape.tokens[place - 1]).strip() == ":"
        names.append(shape.tokens[place - 1 - place % 2] if named and place > 1 else "")
        before = tail
    return Frame((*fixed, before), tuple(sorted(shape.varying)), tuple(names))


def _apart(events: list[str], frame: Frame, gap: str) -> list[list[str]]:
    """The values of `events` by column, up to the first that is not of `frame`."""
    rest = _within(events, frame, gap)
    columns: list[list[str]] = []
    for middle in frame.fixed[1:-1]:
        parts = [event.partition(middle) for event in rest]
        found = next((at for at, part in enumerate(parts) if not part[1]), len(parts))
        columns.append([value for value, _, _ in parts[:found]])
        rest = [behind for _, _, behind in parts[:found]]
    columns.append(rest)
    good = min(_good(column, place) for column, place in zip(columns, frame.places, strict=True))
    return [column[:good] for column in columns]


def _within(events: list[str], frame: Frame, gap: str) -> list[str]:
    """What stands between the begin and the end of `frame` in `events`, up to the first that has
    others."""
    first, last = frame.fixed[0], frame.fixed[-1]
    begin, end, least = len(first), -len(last), len(first) + len(last)

    def is_one(event: str) -> bool:
        return event.startswith(first) and event.endswith(last) and len(event) >= least

    while events and not is_one(events[-1]):
        events.pop()
    rest = [event[begin:end] for event in events]
    # Most often they all are: put together again they then are what they were.
    between = f"{last}{gap}{first}"
    if events and f"{first}{between.join(rest)}{last}" != gap.join(events):
        del rest[next(at for at, event in enumerate(events) if not is_one(event)) :]
    return rest


def _good(values: Sequence[str], place: int) -> int:
    """How many of `values`, from the first on, may stand at `place`."""
    together = "".join(values)
    if place % 2:
        if _ENDS_VALUE.search(together) is None:
            return len(values)
        return next(at for at, value in enumerate(values) if _ENDS_VALUE.search(value))
    if together.isascii() and together.isdigit() and all(values):
        return len(values)
    wrong = (at for at, value in enumerate(values) if _NUMBER.fullmatch(value) is None)
    return next(wrong, len(values))
