"""A terminal that is drawn over again and again, and the keys pressed meanwhile."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

__all__ = ["Keys"]

ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J"
"""The other screen, no cursor, nothing on it."""
LEAVE = "\x1b[?25h\x1b[?1049l"


class Keys:
    """`with Keys() as keys`: the terminal is the table's, and as it was afterwards."""

    def __init__(self) -> None:
        self._before: list[Any] | None = None

    def __enter__(self) -> Self:
        if sys.stdin.isatty() and os.name == "posix":
            import termios
            import tty

            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        self._write(ENTER)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._write(LEAVE)
        if self._before is not None:
            import termios

            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    def draw(self, lines: Sequence[str], height: int) -> None:
        """Write `lines` from the top, over what was there; no more than fit."""
        shown = [f"{line}\x1b[K" for line in lines[:height]]
        self._write("\x1b[H" + "\n".join(shown) + "\x1b[J")

    def wait(self, seconds: float) -> str:
        """The key pressed within `seconds`, or nothing."""
        if self._before is None:
            time.sleep(seconds)
            return ""
        ready, _, _ = select.select([sys.stdin], [], [], seconds)
        return os.read(sys.stdin.fileno(), 1).decode("ascii", "replace") if ready else ""

    def _write(self, text: str) -> None:
        encoding = sys.stdout.encoding or "ascii"
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()
