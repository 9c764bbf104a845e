"""Numbers over time in one line of text."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["sparkline"]

BARS = "▁▂▃▄▅▆▇█"
NOTHING = "·"


def sparkline(values: Sequence[float | None]) -> str:
    """A bar for each value, the highest for the greatest; None is a dot, nothing is known of it."""
    most = max((value for value in values if value is not None), default=0.0)
    made = []
    for value in values:
        if value is None:
            made.append(NOTHING)
        elif most <= 0 or value <= 0:
            made.append(BARS[0])
        else:
            made.append(BARS[min(len(BARS) - 1, int(value / most * len(BARS)))])
    return "".join(made)
