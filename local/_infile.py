"""Bytes as a file that the embedded engine can read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .native import Data

__all__ = ["Infile"]

MOST_KEPT = 32 << 20
"""Bytes of memory that a file keeps for the next body: clearing new pages takes as long as filling them."""


class Infile:
    """A file for one body after the other; in memory where the system can.

    An insert that is streamed into the engine says nothing when writing fails (chdb-core 26.9: a
    full disk, a broken constraint), and data behind a statement ends at its first line feed. From a
    file it takes all or raises.
    """

    def __init__(self) -> None:
        self._file: Any = None

    @contextmanager
    def holding(self, *body: Data) -> Iterator[str]:
        """A path under which the engine reads `body`, one piece behind the other. One at a time.

        Raises:
            OSError: there is no room for it.
        """
        if not hasattr(os, "memfd_create"):
            with tempfile.NamedTemporaryFile(prefix="tollspan-", buffering=0) as named:
                for piece in body:
                    _write(named, piece)
                yield named.name
            return
        size = sum(map(len, body))
        if self._file is None:
            self._file = open(os.memfd_create("tollspan"), "wb", buffering=0)  # noqa: SIM115
        try:
            self._file.seek(0)
            for piece in body:
                _write(self._file, piece)
            self._file.truncate(size)
            yield f"/proc/self/fd/{self._file.fileno()}"
        finally:
            if size > MOST_KEPT:
                self._file.truncate(MOST_KEPT)

    def close(self) -> None:
        """Idempotent."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _write(file: Any, body: Data) -> None:
    left = memoryview(body)
    while left:
        left = left[file.write(left) :]
