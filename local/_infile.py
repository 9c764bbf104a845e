"""Bytes as a file that the embedded engine can read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
    def holding(self, body: bytes) -> Iterator[str]:
        """A path under which the engine reads `body`. One at a time.

        Raises:
            OSError: there is no room for it.
        """
        if not hasattr(os, "memfd_create"):
            with tempfile.NamedTemporaryFile(prefix="tollspan-", buffering=0) as named:
                _write(named, body)
                yield named.name
            return
        if self._file is None:
            self._file = open(os.memfd_create("tollspan"), "wb", buffering=0)  # noqa: SIM115
        try:
            self._file.seek(0)
            _write(self._file, body)
            self._file.truncate(len(body))
            yield f"/proc/self/fd/{self._file.fileno()}"
        finally:
            if len(body) > MOST_KEPT:
                self._file.truncate(MOST_KEPT)

    def close(self) -> None:
        """Idempotent."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _write(file: Any, body: bytes) -> None:
    left = memoryview(body)
    while left:
        left = left[file.write(left) :]
