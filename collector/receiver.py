"""What stands behind a receiver, and the answers a sender can get."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .wire import Decoded

__all__ = [
    "MAX_BODY_BYTES",
    "TRY_AGAIN",
    "Intake",
    "Malformed",
    "NotTaken",
    "Overloaded",
    "Received",
    "Refusal",
    "Sink",
    "TooLarge",
    "Unavailable",
]

MAX_BODY_BYTES = 64 * 1024 * 1024
"""Of one request, unpacked. A batch of 512 LLM spans is about half a megabyte."""

TRY_AGAIN = "the ledger could not take the spans; send them again"

INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNIMPLEMENTED, UNAVAILABLE = 3, 8, 12, 14
"""Codes of google.rpc.Status, which gRPC answers with and OTLP/HTTP wants in every error's body."""


class Refusal(Exception):
    """The request is not taken; the message tells the sender why, without quoting its data.

    `code` is the gRPC status, `http_status` the other; with `retry_after_s` the sender is asked to
    come again.
    """

    code = UNAVAILABLE
    http_status = 503
    retry_after_s: float | None = None


class Malformed(Refusal, ValueError):
    """The request is not OTLP, or what stands behind says that it is not."""

    code, http_status = INVALID_ARGUMENT, 400


class TooLarge(Refusal, ValueError):
    """The request is bigger, packed or unpacked, than we take."""

    code, http_status = INVALID_ARGUMENT, 413


class NotTaken(Refusal, RuntimeError):
    """Nobody behind us takes this kind of signal."""

    code, http_status = UNIMPLEMENTED, 501


class Overloaded(Refusal, RuntimeError):
    """We are full; the sender should come back in `retry_after_s` seconds."""

    code, http_status = RESOURCE_EXHAUSTED, 429

    def __init__(
        self, retry_after_s: float, why: str = "the ledger cannot keep up; send again later"
    ) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class Unavailable(Refusal, RuntimeError):
    """What stands behind us could not take it; the sender should send it again."""

    def __init__(self, why: str = TRY_AGAIN, retry_after_s: float = 1.0) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class Sink(Protocol):
    """Where received spans go."""

    def take(self, decoded: Decoded) -> Future[None]:
        """Take spans; the future is done when they are safe, and only then is the sender told.

        Those that are not opened yet are opened where that is needed; what cannot be kept of them is
        counted in `decoded` by then.

        Raises:
            Overloaded: nothing was taken.
        """
        ...


class Intake(Protocol):
    """What a receiver hands bodies of requests to.

    Each method returns the body of the answer to come, protobuf or JSON as the request was; it or
    its future raises a `Refusal`, or another RuntimeError, which is told as `Unavailable`.
    """

    def traces(self, body: bytes, *, is_json: bool = False) -> Future[bytes]: ...

    def metrics(self, body: bytes, *, is_json: bool = False) -> Future[bytes]: ...

    def logs(self, body: bytes, *, is_json: bool = False) -> Future[bytes]: ...


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
