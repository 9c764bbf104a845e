"""Memory of requests: kept for the next one, instead of going back to the system and coming again.

A request of half a megabyte is more than glibc keeps: it returns the pages when the request is done,
and clears and maps them again for the next, which takes a third of the time that enriching takes.
https://man7.org/linux/man-pages/man3/mallopt.3.html
"""

from __future__ import annotations

import ctypes
import gc
import sys

__all__ = ["keep_pages", "look_less_often"]

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_KEPT = 512 << 20
_PAD = 64 << 20
_MAPPED = 32 << 20
"""The most that glibc takes."""


def keep_pages() -> bool:
    """Keep up to half a gigabyte of freed memory; whether the C library could be told so.

    For a process that takes requests all day; call it before its threads start.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    told = ((_MMAP_THRESHOLD, _MAPPED), (_TRIM_THRESHOLD, _KEPT), (_TOP_PAD, _PAD))
    return all(mallopt(name, size) == 1 for name, size in told)


def look_less_often() -> None:
    """Look for circles of objects after so many new ones, instead of after 700.

    A request makes tens of thousands of objects that live until it is done, and none of them is part
    of a circle.
    """
    gc.set_threshold(50_000, 20, 20)
