"""Answers that can be fetched again and again, each counted the first time that its usage is seen."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import Any

from tollspan import semconv

from ._restated import restated

__all__ = ["counted_once", "first"]

_MOST = 4096
"""Ids remembered; beyond that the oldest are forgotten."""

_seen: dict[str, None] = {}
_lock = Lock()


def first(identity: str) -> bool:
    """Whether this process sees the usage of the answer `identity` for the first time."""
    with _lock:
        if identity in _seen:
            return False
        if len(_seen) >= _MOST:
            del _seen[next(iter(_seen))]
        _seen[identity] = None
        return True


def counted_once(known: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is known of a call made in the background; as a restated one if its answer was counted."""
    identity = known.get(semconv.RESPONSE_ID)
    if semconv.INPUT_TOKENS not in known or identity is None or first(identity):
        return known
    return {**restated(known)[1], semconv.COST_ROLE: "restated"}
