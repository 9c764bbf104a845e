"""Ids that we make ourselves: of requests, and of spans that are made when they have ended."""

from __future__ import annotations

import os
from random import Random

__all__ = ["request_id", "span_id"]

_random = Random()
"""Our own: drawing from the global one would change the numbers that the application draws."""

if hasattr(os, "register_at_fork"):  # a child does not repeat its parent's ids
    os.register_at_fork(after_in_child=_random.seed)


def request_id() -> str:
    """32 hex digits."""
    return _random.getrandbits(128).to_bytes(16, "big").hex()  # a third of what formatting takes


def span_id() -> int:
    """64 bits, never 0, which means none."""
    return _random.getrandbits(64) or 1
