"""CRC-32, as zlib has it: from Intel's library where that is installed (`isal` in `[collector]`, which has
no wheels for every machine). It takes half the time, slicing included.
https://github.com/pycompression/python-isal
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["crc32"]


def _quickest() -> Callable[[bytes | memoryview], int]:
    try:
        from isal.isal_zlib import crc32
    except ImportError:
        from zlib import crc32
    return crc32


crc32: Callable[[bytes | memoryview], int] = _quickest()
"""Of a run of bytes."""
