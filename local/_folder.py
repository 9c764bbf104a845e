"""The folder of a ledger: who has it, and in one sentence why it cannot be opened."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from ._statements import first_line
from .migrations import NewerLedger
from .refused import Unusable

__all__ = ["locked", "sentence"]

LOCK_FILE = "tollspan.lock"


def locked(folder: Path) -> IO[str]:
    """Our own lock, so that the second process can be told who has the first. A new folder is for its
    owner alone: calls name tenants and users.

    Raises:
        Unusable: another process has it, or it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = open(folder / LOCK_FILE, "a+", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise Unusable(
            f"The data directory {folder} cannot be used ({error.strerror}): "
            "choose another with --data-dir or TOLLSPAN_DATA_DIR."
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read(20).strip()
        file.close()
        raise Unusable(
            _held(folder, f"process {holder}" if holder else "another process")
        ) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _held(folder: Path, holder: str) -> str:
    return (
        f"The data directory {folder} is held by {holder}: stop that one, "
        "or choose another with --data-dir or TOLLSPAN_DATA_DIR."
    )


def sentence(folder: Path, error: BaseException) -> str:
    """What is wrong with a folder that the engine could not open, and what to do."""
    if isinstance(error, NewerLedger):
        return (
            f"The data directory {folder} was written by a newer tollspan (ledger version {error}): "
            "upgrade tollspan, or choose another with --data-dir or TOLLSPAN_DATA_DIR."
        )
    if "Another server instance" in str(error):
        return _held(folder, "another process")
    return (
        f"The data directory {folder} is damaged or not a ledger ({first_line(error)}): nothing in "
        "it was changed; move it aside, or choose another with --data-dir or TOLLSPAN_DATA_DIR."
    )
