"""What stands on the span of a call in the place of what the SDK makes for each span: its attributes
without a copy, and nothing that is made before somebody asks for it.
https://github.com/open-telemetry/opentelemetry-python/blob/main/opentelemetry-sdk/src/opentelemetry/sdk/trace/__init__.py
"""

from __future__ import annotations

import threading
from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.util import BoundedList

__all__ = ["Gathered", "Later", "LockLater"]


class Gathered(BoundedAttributes):
    """`BoundedAttributes` without limits that bite, over a dict that stands already."""

    dropped = 0
    max_value_len = None
    maxlen: int | None = None
    _immutable = False


class Later:
    """The list of a span's events or links, made when somebody asks for it: calls have none."""

    def __init__(self, name: str, limit: str) -> None:
        self._name = name
        self._limit = limit

    def __get__(self, span: Any, owner: type) -> Any:
        if span is None:
            return self
        made: Any = BoundedList(getattr(span._limits, self._limit))
        return span.__dict__.setdefault(self._name, made)


class LockLater:
    """The lock of a span or of its attributes, made for the first who goes through the SDK's own
    methods: an exporter, or whoever writes on the span of a call that is not his."""

    def __get__(self, locked: Any, owner: type) -> Any:
        if locked is None:
            return self
        return locked.__dict__.setdefault("_lock", threading.Lock())


Gathered._lock = LockLater()  # type: ignore[assignment]
