"""Bytes as a file that the embedded engine can read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["as_file"]


@contextmanager
def as_file(body: bytes) -> Iterator[str]:
    """A path under which the engine reads `body`: in memory where the system can.

    An insert that is streamed into the engine says nothing when writing fails (chdb-core 26.9: a
    full disk, a broken constraint), and data behind a statement ends at its first line feed. From a
    file it takes all or raises.
    """
    if hasattr(os, "memfd_create"):
        with open(os.memfd_create("tollspan"), "wb", buffering=0) as file:
            _write(file, body)
            yield f"/proc/self/fd/{file.fileno()}"
        return
    with tempfile.NamedTemporaryFile(prefix="tollspan-", buffering=0) as named:
        _write(named, body)
        yield named.name


def _write(file: Any, body: bytes) -> None:
    left = memoryview(body)
    while left:
        left = left[file.write(left) :]
