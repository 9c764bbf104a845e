"""What a look at tollspan's surroundings gives: one finding, and how bad it is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BAD", "OK", "WARN", "Check"]

OK, WARN, BAD = "ok", "warn", "bad"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: what was looked at, its state, and a sentence that says what to do if not ok."""

    name: str
    state: str
    text: str
