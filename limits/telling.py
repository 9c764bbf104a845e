"""Tells people and programs that a backend went down or came back: a log line, an OpenTelemetry event,
a webhook. Never in the way of a call: a change goes into a short queue, a thread does the rest.

The webhook is asked at the configured URL and nowhere else: redirects are not followed, and nothing
that a backend says becomes part of an address.
"""

from __future__ import annotations

import http.client
import json
import logging
import ssl
import threading
from dataclasses import dataclass
from datetime import datetime
from queue import SimpleQueue
from typing import Final
from urllib.parse import urlsplit

from opentelemetry import _logs

from tollspan import __version__, semconv
from tollspan.config import settings
from tollspan.guard import quietly

from .watched import Where

__all__ = ["Teller", "Telling"]

_logger = logging.getLogger("tollspan").getChild("health")

_MOST_WAITING: Final = 100
_TRIES: Final = 4
_TIMEOUT_S: Final = 5.0
_BAD: Final = ("down", "open")


@dataclass(frozen=True, slots=True)
class Telling:
    """One change: of what probes say (`up`, `down`), or of a circuit (`closed`, `open`, …)."""

    backend: str
    where: Where
    of: str
    """`probe` or `circuit`."""
    before: str
    after: str
    at: datetime
    reason: str

    @property
    def sentence(self) -> str:
        what = f"backend {self.backend}" if self.of == "probe" else f"circuit of {self.backend}"
        state = self.after.replace("_", "-")
        return f"{what} is {state}, was {self.before.replace('_', '-')}: {self.reason}"

    @property
    def is_news(self) -> bool:
        """Whether somebody wants to be woken: a circuit that is tried, and opens again, is none."""
        return self.after in ("up", "down", "closed") or self.before == "closed"

    def as_json(self) -> bytes:
        told = {
            "event": semconv.EVENT_BACKEND,
            "text": self.sentence,  # what chat systems show
            "backend": self.backend,
            "provider": self.where.provider,
            "server_address": self.where.address,
            "server_port": self.where.port or None,
            "of": self.of,
            "state": self.after,
            "state_before": self.before,
            "since": self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "reason": self.reason,
        }
        return json.dumps(told).encode()


class Teller:
    """Tells changes, in order, in a thread of its own that starts with the first one.

    `url`: of the webhook, '' for none; `header`: `name: value` to send there; `pause_s`: before the
    second try, each further pause twice as long.
    """

    def __init__(self, url: str = "", header: str = "", pause_s: float = 1.0) -> None:
        self._hook = _Webhook(url, header) if url else None
        self._pause_s = pause_s
        # Both can be used by whoever is using them already: the garbage collector may end a call, and
        # with it open a circuit, at any moment.
        self._waiting: SimpleQueue[Telling | None] = SimpleQueue()
        self._starting = threading.RLock()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._given_up = False
        self.lost = 0
        """Changes that were not told: too many at once, or a webhook that would not have them."""

    @classmethod
    def of_settings(cls) -> Teller:
        """As the settings say; a webhook that cannot be asked is logged, and there is none."""
        found = settings()
        try:
            return cls(found.health_webhook, found.health_webhook_header)
        except ValueError as error:
            _logger.warning("%s", error)
            return cls()

    def tell(self, change: Telling) -> None:
        """Never waits, and never fails."""
        if self._waiting.qsize() >= _MOST_WAITING:
            self.lost += 1
            return
        self._waiting.put(change)
        if self._thread is None:
            with self._starting:
                if self._thread is None and not self._stopped.is_set():
                    self._thread = threading.Thread(
                        target=self._run, name="tollspan-telling", daemon=True
                    )
                    self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Tell what waits, as far as that can be done in `timeout_s`, and then nothing more."""
        with self._starting:
            thread = self._thread
            self._stopped.set()
        if thread is not None:
            self._waiting.put(None)
            thread.join(timeout_s)
            self._given_up = True

    def _run(self) -> None:
        while (change := self._waiting.get()) is not None and not self._given_up:
            with quietly:
                self._told(change)

    def _told(self, change: Telling) -> None:
        began = change.before == "unknown" and change.after == "up"
        level = logging.WARNING if change.is_news else logging.DEBUG
        _logger.log(logging.INFO if began else level, "%s", change.sentence)
        _emit(change)
        if self._hook is None or not change.is_news:
            return
        for tried in range(_TRIES):
            if tried and self._stopped.wait(self._pause_s * 2 ** (tried - 1)):
                break
            if self._hook.post(change.as_json()):
                return
        self.lost += 1
        _logger.warning(
            "the webhook of TOLLSPAN_HEALTH_WEBHOOK took no notice: %s", change.sentence
        )


def _emit(change: Telling) -> None:
    """As an event through the application's logger provider; without one this does nothing."""
    bad = change.after in _BAD
    attributes = {
        semconv.BACKEND: change.backend,
        semconv.BACKEND_STATE: change.after,
        semconv.BACKEND_STATE_BEFORE: change.before,
        semconv.BACKEND_REASON: change.reason,
    }
    if change.where.provider:
        attributes[semconv.PROVIDER] = change.where.provider
    if change.where.address:
        attributes[semconv.SERVER_ADDRESS] = change.where.address
    _logs.get_logger(semconv.SCOPE, __version__).emit(
        timestamp=int(change.at.timestamp() * 1e9),
        severity_number=_logs.SeverityNumber.WARN if bad else _logs.SeverityNumber.INFO,
        severity_text="WARN" if bad else "INFO",
        body=change.sentence,
        attributes=attributes,
        event_name=semconv.EVENT_BACKEND,
    )


class _Webhook:
    """One address that takes JSON.

    Raises (when made):
        ValueError: it is none, or the header is none. The message does not show them.
    """

    def __init__(self, url: str, header: str = "") -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ValueError("TOLLSPAN_HEALTH_WEBHOOK is no address: write https://host/path")
        name, colon, value = header.partition(":")
        if header and not (colon and name.strip() and value.strip()):
            raise ValueError("TOLLSPAN_HEALTH_WEBHOOK_HEADER is no header: write name: value")
        self._headers = {
            "content-type": "application/json",
            "user-agent": f"tollspan/{__version__}",
        }
        if header:
            self._headers[name.strip()] = value.strip()
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def post(self, body: bytes) -> bool:
        """Whether it took it (2xx)."""
        connection = self._connection()
        try:
            connection.request("POST", self._target, body, self._headers)
            return 200 <= connection.getresponse().status < 300
        except (OSError, http.client.HTTPException, ValueError):
            return False
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self._secure:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=_TIMEOUT_S, context=ssl.create_default_context()
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_S)
