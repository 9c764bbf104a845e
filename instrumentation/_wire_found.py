"""What is to be masked in a stream, found in what its events differ in.

Of hundreds of events that say the same but for a few letters one is looked through whole, and of the
others what is theirs. Whatever that could not tell as well as all of the text (rules of the user's own,
a key that goes on over events, a value that its name makes a secret) has all of it looked through.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from tollspan.redaction import Found, Redactor

from ._wire_alike import Run
from ._wire_told import Told

__all__ = ["found_in_events"]

_OVER_EVENTS = "-----BEGIN"
"""How values begin that do not end with a quotation mark."""

_BEGIN, _BETWEEN, _END = '\n"', '"\n"', '"\n'
"""Around values that stand between quotation marks, as they do in their events."""


def found_in_events(text: str, told: Told, redactor: Redactor) -> list[Found] | None:
    """As `redactor.found(text)`, or None where that must be asked. `told` are the events of `text`."""
    runs = told.runs
    if not runs or not redactor.is_built_in or _OVER_EVENTS in text:
        return None
    for run in runs:
        fixed = "".join(run.frame.fixed)
        if "\\" in fixed or "%" in fixed or any(map(redactor.is_secret_name, run.frame.names)):
            return None
    kept: list[str] = []
    done = 0
    for run in runs:
        kept.append(text[done : run.begin])
        kept += [f"{_BEGIN}{_BETWEEN.join(column)}{_END}" for column in run.columns]
        done = run.end
    kept.append(text[done:])
    found = redactor.found("".join(kept))
    if not found:
        return found
    places = list(_places(text, runs))
    begins = [begin for begin, _, _ in places]
    wholes = {told.event(run.shape.first) for run in runs}
    back: list[Found] = []
    for each in found:
        begin, end, origin = places[bisect_right(begins, each.start) - 1]
        if not begin <= each.start < each.end <= end:
            return None
        start = each.start - begin + origin
        back.append(each._replace(start=start, end=each.end - begin + origin))
        if any(first < back[-1].end and start < last for first, last in wholes):
            return None  # others may have the same, where they do not differ
    return sorted(back)


def _places(text: str, runs: Sequence[Run]) -> Iterator[tuple[int, int, int]]:
    """Begin and end of each piece of what is looked through, and where it is in `text`."""
    at = done = 0
    for run in runs:
        length = run.begin - done
        yield at, at + length, done
        at += length
        for number, column in enumerate(run.columns):
            at += len(_BEGIN) - len(_BETWEEN)
            for value, start in zip(column, run.starts(number), strict=True):
                at += len(_BETWEEN)
                yield at, at + len(value), start
                at += len(value)
            at += len(_END)
        done = run.end
    yield at, at + len(text) - done, done
