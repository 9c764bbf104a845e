"""`tollspan usage export`: a file that is whole or not there, and what it leaves out."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from .asking import NotAnswered

__all__ = ["Pieces", "written"]

WITHOUT = "x-tollspan-calls-without-cost"
"""Of an export in which calls without a cost have no row: how many there are."""


class Pieces(NamedTuple):
    """An export on its way; `headers` in small letters."""

    headers: Mapping[str, str]
    parts: Iterator[bytes]


def written(export: Pieces, output: str, time: str) -> int:
    """Write it to `output`, or print it where that is `-`; exit code 0.

    Args:
        time: what its calls were chosen by, in words.

    Raises:
        NotAnswered: it broke off, or cannot be written; what stood at `output` stands there still.
    """
    if output == "-":
        for part in export.parts:
            sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()
    else:
        path = Path(output)
        print(f"wrote {path}, {_kept(export.parts, path):,} bytes · {time}", flush=True)
    without = export.headers.get(WITHOUT, "")
    if without.isdecimal() and int(without):
        print(
            f"tollspan: calls whose cost is not known have no row here: {int(without):,}",
            file=sys.stderr,
        )
    return 0


def _kept(parts: Iterator[bytes], path: Path) -> int:
    """Bytes written. They take the place of a file that is there when the last of them has come."""
    if path.exists() and not path.is_file():
        return _through(parts, path)
    beside = ""
    try:
        descriptor, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            size = sum(map(file.write, parts))
        Path(beside).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        Path(beside).replace(path)
        beside = ""
    except OSError as error:
        raise NotAnswered(f"{path} cannot be written: {error.strerror}") from error
    finally:
        if beside:
            with suppress(OSError):
                Path(beside).unlink()
    return size


def _through(parts: Iterator[bytes], path: Path) -> int:
    """A pipe or a device: nothing there can be replaced."""
    try:
        with path.open("wb") as file:
            return sum(map(file.write, parts))
    except OSError as error:
        raise NotAnswered(f"{path} cannot be written: {error.strerror}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
