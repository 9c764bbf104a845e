"""What an application gives to `attribute`: as text, and where it has none, a sentence in the log.

The call must not suffer for it, so it is said and not raised: with the line to change, once for each.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from enum import Enum
from types import FrameType
from typing import Any

from .guard import quietly

__all__ = ["say", "text_of", "unknown"]

_logger = logging.getLogger("tollspan")
_MOST = 1000
"""Sentences: a program whose lines are made while it runs must not fill the memory."""
_said: set[tuple[str, str]] = set()


def text_of(argument: str, value: Any) -> str:
    """The text of what is no string: an enum's value, bytes as UTF-8, a number, or whatever has a text
    of its own. Empty, and said, where that would be its place in memory or all that is in it."""
    with quietly:  # its `__str__` is the application's
        if isinstance(value, Enum):
            value = value.value
        if isinstance(value, bytes | bytearray):
            return value.decode("utf-8", "replace")
        written: object = type(value).__str__
        if isinstance(value, str | int | float) or written is not object.__str__:
            return str(value)
        say(
            f"{argument} is of type {type(value).__name__}, which has no text of its own, and is left "
            "out: give a string, a number or an id"
        )
    return ""


def unknown(name: str, known: Sequence[str]) -> str:
    """What to say of an argument that `attribute` does not take."""
    import difflib

    near = difflib.get_close_matches(name, known, 1)
    meant = f"did you mean {near[0]}=…? " if near else ""
    return (
        f"attribute({name}=…): {meant}It takes {', '.join(known)}; a dimension of your own is a tag: "
        f"tags={{{name!r}: …}}"
    )


def say(sentence: str) -> None:
    """Log `sentence`, which holds nothing of the application's data, with the place of the
    application's code that is running now."""
    told = (_place(), sentence)
    if told not in _said and len(_said) < _MOST:
        _said.add(told)
        _logger.warning("%s: %s; your call is unaffected", *told)


def _place() -> str:
    """`file:line` of the innermost frame that is not tollspan's."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        module = frame.f_globals.get("__name__")
        if not isinstance(module, str) or module.partition(".")[0] != "tollspan":
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"
