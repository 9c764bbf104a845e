"""One request's spans and records on their way to the collector behind: over when all are answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from threading import Lock

from .forward import Forwarder
from .receiver import Malformed, NotTaken, Overloaded, Refusal, Unavailable

__all__ = ["Handover"]


class Handover:
    """Sends at once; `over` hears, on any thread, when the last answer is there.

    Args:
        body: the request with spans.
        records: requests with records, each with how many it has.
    """

    def __init__(
        self,
        forwarder: Forwarder,
        body: bytes,
        records: Sequence[tuple[bytes, int]],
        over: Callable[[Handover], None],
    ) -> None:
        self.answer = b""
        self.record_answers: list[bytes] = []
        self.failures: Counter[str] = Counter()
        self.refusal: Refusal | None = None
        """What to tell the sender where not all was acknowledged."""
        self._over = over
        self._left = 1 + len(records)
        self._lock = Lock()
        forwarder.send("traces", body).add_done_callback(partial(self._ended, "traces"))
        for each, _ in records:
            forwarder.send("logs", each).add_done_callback(partial(self._ended, "logs"))

    def _ended(self, signal: str, done: Future[bytes]) -> None:
        error = done.exception()
        with self._lock:
            if error is not None:
                self.failures[signal] += 1
                self._note(signal, error)
            elif signal == "traces":
                self.answer = done.result()
            else:
                self.record_answers.append(done.result())
            self._left -= 1
            is_last = not self._left
        if is_last:
            self._over(self)

    def _note(self, signal: str, error: BaseException) -> None:
        """Which of several refusals the sender is told: that the data is bad goes before all else.

        Only about spans, though: records are ours, and nothing that the sender could mend.
        """
        if isinstance(self.refusal, Malformed):
            return
        told = (
            error if signal == "traces" and isinstance(error, Malformed) else _again(signal, error)
        )
        if self.refusal is None or isinstance(told, Malformed | Overloaded):
            self.refusal = told


def _again(signal: str, error: BaseException) -> Refusal:
    what = (
        "spans" if signal == "traces" else "records of calls (a pipeline for logs has to take them)"
    )
    if isinstance(error, NotTaken | Malformed):
        return Unavailable(f"{what}: {error}")
    return error if isinstance(error, Refusal) else Unavailable()
