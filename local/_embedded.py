"""Opening the embedded engine, and hearing what it says when it cannot."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import chdb

__all__ = ["Unreadable", "connect"]


class Unreadable(RuntimeError):
    """The engine did not open the folder; the message is what it wrote about it."""


def connect(folder: Path) -> Any:
    """A connection to the ledger in `folder`.

    Raises:
        Unreadable: the folder is locked, damaged or no folder.
    """
    with _engine_says() as said:
        try:
            return chdb.connect(str(folder))
        except RuntimeError as error:
            said.seek(0)
            raise Unreadable(said.read().strip() or str(error)) from error


@contextmanager
def _engine_says() -> Iterator[IO[str]]:
    """The engine writes its reasons to file descriptor 2, past Python: keep them, show none."""
    sys.stderr.flush()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        kept = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(kept, 2)
            os.close(kept)
