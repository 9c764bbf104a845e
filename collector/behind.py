"""The collector behind the stage: whether it would take what is sent on, asked without load.

A port that takes connections may speak another protocol, want a token or have no pipeline for logs.
So what is asked is what is meant: two empty requests, one of spans and one of records, which OTLP
wants answered with success. They are not sent while real ones are acknowledged.
https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-request
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TookTooLong
from threading import Lock

from .destination import Destination
from .forward import Forwarder, answers
from .receiver import Malformed, Overloaded, Refusal

__all__ = ["Behind"]

SIGNALS = ("traces", "logs")
KNOWN_FOR_S = 10.0
"""After a request of each signal was acknowledged."""

ASKED_FOR_S = 1.0
"""How long what was found when we asked is said again."""
WAIT_S = 1.0


class Behind:
    """A `Forwarder` that knows how the one that it sends through fares. Safe on any thread."""

    def __init__(
        self, through: Forwarder, to: Destination, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._through = through
        self._to = to
        self._clock = clock
        self._taken_at = dict.fromkeys(SIGNALS, float("-inf"))
        self._asking = Lock()
        self._asked_at = float("-inf")
        self._found = ""

    def send(self, signal: str, body: bytes) -> Future[bytes]:
        sent = self._through.send(signal, body)
        if signal in self._taken_at:
            sent.add_done_callback(lambda done: self._noted(signal, done))
        return sent

    def close(self) -> None:
        self._through.close()

    def why_not(self) -> str:
        """Why it would take nothing now, in a sentence that says what to do; '' where it would.

        One that is full or slow takes what it can: that is no reason to send elsewhere.
        """
        if not answers(self._to):
            return (
                f"nothing answers at {self._to.address}, where the stage sends on: start it there"
            )
        with self._asking:
            now = self._clock()
            if now - min(self._taken_at.values()) < KNOWN_FOR_S:
                return ""
            if now - self._asked_at >= ASKED_FOR_S:
                self._found = self._asked()
                self._asked_at = self._clock()
            return self._found

    def _asked(self) -> str:
        asked = [(signal, self.send(signal, b"")) for signal in SIGNALS]
        for signal, sent in asked:
            try:
                sent.result(WAIT_S)
            except (Malformed, Overloaded, TookTooLong):
                continue
            except Refusal as refusal:
                what = "spans" if signal == "traces" else "records of calls (as logs)"
                return f"{what} are not taken where the stage sends on: {refusal}"
        return ""

    def _noted(self, signal: str, done: Future[bytes]) -> None:
        if not done.cancelled() and done.exception() is None:
            self._taken_at[signal] = self._clock()
