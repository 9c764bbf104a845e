"""What a server process logs, as the collectors beside it do: one line for each event, on standard error.

    2026-05-28T20:26:41.123Z <tab> warn <tab> tollspan <tab> requests are refused for now: …

An application's logging is its own; this is for processes that are ours.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

__all__ = ["log_lines"]

LEVELS = {"warning": "warn", "critical": "fatal"}
"""Where a collector says it otherwise than Python does."""


class _Line(logging.Formatter):
    """Times in UTC; what others said stays within its line."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        at = datetime.fromtimestamp(record.created, UTC)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def formatMessage(self, record: logging.LogRecord) -> str:
        level = record.levelname.lower()
        said = "".join(each if each.isprintable() else _escaped(each) for each in record.message)
        return "\t".join((record.asctime, LEVELS.get(level, level), record.name, said))

    def usesTime(self) -> bool:
        return True


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


@contextmanager
def log_lines() -> Iterator[None]:
    """Log to standard error within: what `tollspan` says from `info` on, of others the warnings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line())
    root, ours = logging.getLogger(), logging.getLogger("tollspan")
    before = ours.level
    root.addHandler(handler)
    ours.setLevel(logging.INFO)
    try:
        yield
    finally:
        ours.setLevel(before)
        root.removeHandler(handler)
