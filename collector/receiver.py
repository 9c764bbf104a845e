"""What a receiver hands spans to, and the answers a sender can get."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

from .span import Span

__all__ = ["MAX_BODY_BYTES", "Malformed", "Overloaded", "Received", "Sink", "TooLarge"]

MAX_BODY_BYTES = 64 * 1024 * 1024
"""Of one request, unpacked. A batch of 512 LLM spans is about half a megabyte."""


class Malformed(ValueError):
    """The request is not OTLP. The message says what is wrong with it, without quoting data."""


class TooLarge(ValueError):
    """The request is bigger, packed or unpacked, than we take."""


class Overloaded(RuntimeError):
    """The sink is full; the sender should come back in `retry_after_s` seconds."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("the ledger cannot keep up; send again later")
        self.retry_after_s = retry_after_s


class Sink(Protocol):
    """Where received spans go."""

    def offer(self, spans: Sequence[Span]) -> Future[None]:
        """Take `spans`; the future is done when they are safe, and only then is the sender told.

        Raises:
            Overloaded: nothing was taken.
        """
        ...


@dataclass
class Received:
    """What came in since the start. Counted under a lock: two receivers, many threads."""

    requests: int = 0
    spans: int = 0
    rejected: int = 0
    metrics: int = 0
    logs: int = 0

    def __post_init__(self) -> None:
        self._lock = Lock()

    def add(
        self,
        *,
        requests: int = 0,
        spans: int = 0,
        rejected: int = 0,
        metrics: int = 0,
        logs: int = 0,
    ) -> None:
        with self._lock:
            self.requests += requests
            self.spans += spans
            self.rejected += rejected
            self.metrics += metrics
            self.logs += logs
