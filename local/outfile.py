"""A file that the embedded engine writes, given on piece by piece."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

__all__ = ["Outfile"]

PIECE_BYTES = 1 << 18


class Outfile:
    """A place for one file: `path` does not exist yet. Goes when it was read, or is let go of."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tollspan-export-"))
        self.path = self._folder / "rows"

    def pieces(self) -> Iterator[bytes]:
        """Its bytes. The file has no name any more from now on: nothing is left behind."""
        file = self.path.open("rb")
        self.remove()
        return _read(file)

    def remove(self) -> None:
        """Take the folder away. Idempotent."""
        with suppress(OSError):
            shutil.rmtree(self._folder)


def _read(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(PIECE_BYTES):
            yield piece
