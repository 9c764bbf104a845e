"""A cap on how often a call is tried again, where SDK, application and gateway all try again.

Three repeats of an SDK, each tried three times by a gateway, are nine requests for one call, at the
moment when a provider can bear them least. Counted are the requests that the application made, and
those that gateways tell of in their answers (foreign names of headers). Beyond the cap the SDK's next
repeat of the call does not leave: it ends with `RetriesExceeded`, whose cause is what the last
attempt ended with.

Asked only when a request is about to repeat one that failed, so what never fails is never refused.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tollspan import calls, semconv
from tollspan.calls import Attempt, OpenCall, Refusal
from tollspan.config import settings

__all__ = ["RetriesExceeded", "RetryGuard", "cap_by_settings", "reached", "uncap"]

_logger = logging.getLogger("tollspan")
_WINDOW_S = 60.0
_FEW = 10
"""Repeats within the window that every endpoint has, however few calls it makes."""
_MOST_ENDPOINTS = 1000
_OTHERS = "(others)"

_H = semconv.RESPONSE_HEADER_PREFIX
_FURTHER = (
    # Requests beyond the first: https://docs.litellm.ai/docs/proxy/response_headers
    _H + "x-litellm-attempted-retries",
    _H + "x-litellm-attempted-fallbacks",
    # https://portkey.ai/docs/api-reference/inference-api/response-schema
    _H + "x-portkey-retry-attempt-count",
)
_ALL = (_H + "ngrok-aig-attempts",)
"""All of the requests: https://ngrok.com/docs/ai-gateway"""
_MOST_STATED = 1000


class RetriesExceeded(Refusal):
    """The SDK was about to try once more, and did not. `__cause__` is what the last attempt ended
    with, where that is known.

    `attempts`: requests that the application made for the call; `reached`: those that came of them
    at providers, as far as gateways tell; `reason`: `call` or `endpoint`, whose cap it was.
    """

    def __init__(self, attempts: int, reached: int, reason: str, why: str) -> None:
        super().__init__(attempts, reached, reason, why)
        self.attempts = attempts
        self.reached = reached
        self.reason = reason
        self._why = why

    def __str__(self) -> str:
        return (
            f"This call is not tried again after {self.attempts} attempts, of which came "
            f"{self.reached} requests to providers: {self._why}."
        )

    @property
    def attributes(self) -> Mapping[str, Any]:  # type: ignore[override]
        return {semconv.RETRIES_OVER: self.reason}


def reached(attempts: Iterable[Attempt]) -> int:
    """Requests to providers that came of `attempts`, at least: each is one, and gateways say more."""
    found = 0
    for attempt in attempts:
        known = attempt.attributes
        found += max(1, *(_count(known.get(name)) for name in _ALL))
        found += sum(_count(known.get(name)) for name in _FURTHER)
    return found


def _count(stated: Any) -> int:
    if isinstance(stated, (list, tuple)) and stated:
        stated = stated[0]
    text = str(stated) if stated is not None else ""
    if not (text.isascii() and text.isdigit() and len(text) < 5):
        return 0
    return min(int(text), _MOST_STATED)


class _Window:
    """When calls began and were repeated in the last minute."""

    __slots__ = ("calls", "repeats")

    def __init__(self) -> None:
        self.calls: deque[float] = deque(maxlen=100_000)
        self.repeats: deque[float] = deque(maxlen=100_000)

    def forget(self, before_s: float) -> None:
        for each in (self.calls, self.repeats):
            while each and each[0] < before_s:
                each.popleft()


class RetryGuard:
    """Caps the repeats of the calls of this process.

    Args:
        most_attempts: requests to providers that one call may cause; 0 is any number.
        most_percent: repeats of an endpoint's calls within a minute, in percent of those calls, ten
            of them in any case; 0 is any number.
        warn_only: tell, and stop nothing.
    """

    def __init__(
        self,
        most_attempts: int = 0,
        most_percent: int = 0,
        *,
        warn_only: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most_attempts = most_attempts
        self._most_percent = most_percent
        self._warn_only = warn_only
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[str, _Window] = {}
        self._told: set[str] = set()
        self._undo = calls.on_before(self.count) if most_percent else None

    def count(self, call: OpenCall) -> None:
        """A call is about to leave."""
        if call.outer is None:
            with self._lock:
                self._window(call).calls.append(self._clock())

    def ask(self, call: OpenCall) -> Refusal | None:
        """See `tollspan.calls.retry`: what to end the call with, instead of trying again."""
        over = self._over(call)
        if over is None:
            return None
        call.attributes[semconv.RETRIES_OVER] = over.reason
        endpoint = str(call.attributes.get(semconv.ENDPOINT_TAG, "untagged"))
        if endpoint not in self._told and len(self._told) < _MOST_ENDPOINTS:
            self._told.add(endpoint)
            _logger.warning("Endpoint %r: %s%s", endpoint, over, self._told_more())
        return None if self._warn_only else over

    def _told_more(self) -> str:
        return " It is, as TOLLSPAN_RETRIES_WARN says." if self._warn_only else ""

    def _over(self, call: OpenCall) -> RetriesExceeded | None:
        attempts, came = len(call.attempts), reached(call.attempts)
        if self._most_attempts and came >= self._most_attempts:
            why = f"TOLLSPAN_MOST_ATTEMPTS allows {self._most_attempts}"
            return RetriesExceeded(attempts, came, "call", why)
        if not self._most_percent:
            return None
        with self._lock:
            window = self._window(call)
            now_s = self._clock()
            window.forget(now_s - _WINDOW_S)
            most = max(_FEW, len(window.calls) * self._most_percent // 100)
            if len(window.repeats) < most:
                window.repeats.append(now_s)
                return None
            why = (
                f"the endpoint has {len(window.repeats)} repeats for {len(window.calls)} calls in a "
                f"minute, and TOLLSPAN_MOST_RETRIES_PERCENT allows {self._most_percent} %"
            )
        return RetriesExceeded(attempts, came, "endpoint", why)

    def _window(self, call: OpenCall) -> _Window:
        endpoint = str(call.attributes.get(semconv.ENDPOINT_TAG, ""))
        if endpoint not in self._windows and len(self._windows) >= _MOST_ENDPOINTS:
            endpoint = _OTHERS
        return self._windows.setdefault(endpoint, _Window())

    def start(self) -> None:
        """Be asked from now on, in place of any other."""
        calls.retry = self.ask

    def stop(self) -> None:
        if calls.retry == self.ask:
            calls.retry = None
        if self._undo is not None:
            self._undo()


_current: RetryGuard | None = None


def _after_fork() -> None:
    """A thread of the parent may have held the lock, and that thread is not here."""
    if _current is not None:
        _current._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def cap_by_settings() -> None:
    """Cap the repeats as the settings say, if they do; idempotent."""
    global _current
    found = settings()
    if _current is None and (found.most_attempts or found.most_retries_percent):
        _current = RetryGuard(
            found.most_attempts, found.most_retries_percent, warn_only=found.retries_warn
        )
        _current.start()


def uncap() -> None:
    """Cap nothing any more."""
    global _current
    was, _current = _current, None
    if was is not None:
        was.stop()
