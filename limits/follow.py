"""Follows what another process has found by its probes: `GET /v1/health` of a `tollspan up`.

Asked in a thread of its own, never on a call's way; what does not answer changes nothing, except that
after a while nobody knows any more how the backends are.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from tollspan.config import settings
from tollspan.guard import quietly

from .probing import DOWN, UNKNOWN, UP
from .watched import Known, Where

__all__ = ["Following"]

EVERY_S: Final = 5.0
_TIMEOUT_S: Final = 5.0
_MOST_BYTES: Final = 8 * 1024 * 1024
_STALE_AFTER: Final = 6
"""Looks in a row that failed: what was known is then no longer so."""


class Following:
    """Takes over what probes say at `url`, until `stop`.

    Raises (when made):
        ValueError: `url` is none.
    """

    def __init__(self, known: Known, url: str, every_s: float = EVERY_S) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ValueError("TOLLSPAN_HEALTH_URL is no address: write http://127.0.0.1:4319")
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._known = known
        self._every_s = every_s
        self._told: set[Where] = set()
        self._failed = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tollspan-health", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Follow no more; a look that is under way ends by itself."""
        self._stopped.set()

    def _run(self) -> None:
        while True:
            with quietly:
                self._look()
            if self._stopped.wait(self._every_s):
                return

    def _look(self) -> None:
        found = self._asked()
        self._failed = 0 if found is not None else self._failed + 1
        if found is not None:
            for each in found:
                self._take_over(each)
        elif self._failed == _STALE_AFTER:
            for where in self._told:
                if (watched := self._known.find(where)) is not None:
                    watched.probed(UNKNOWN, "")
            self._told.clear()

    def _take_over(self, told: Mapping[str, Any]) -> None:
        probes, name = told.get("probes"), told.get("name")
        if not isinstance(probes, Mapping) or probes.get("state") not in (UP, DOWN):
            return
        address, port = told.get("server_address"), told.get("server_port")
        if not isinstance(name, str) or not isinstance(address, str) or type(port) is not int:
            return
        where = Where(str(told.get("provider") or ""), address, 0 if port in (80, 443) else port)
        watched = self._known.find(where)
        if watched is None or not watched.name:
            watched = self._known.declare(where, name, self._known.policy)
        self._told.add(watched.where)
        watched.probed(probes["state"], f"probed elsewhere: {str(told.get('reason'))[:200]}")

    def _asked(self) -> list[Mapping[str, Any]] | None:
        """The backends that are told; None: no answer that is one."""
        headers = {"accept": "application/json"}
        if token := settings().token:
            headers["authorization"] = f"Bearer {token}"
        connection = self._connection()
        try:
            connection.request("GET", "/v1/health?history_s=1", headers=headers)
            answer = connection.getresponse()
            body = answer.read(_MOST_BYTES) if answer.status == 200 else b""
            found = json.loads(body)["backends"]
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            return None
        finally:
            connection.close()
        return (
            [each for each in found if isinstance(each, Mapping)]
            if isinstance(found, list)
            else None
        )

    def _connection(self) -> http.client.HTTPConnection:
        if self._secure:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=_TIMEOUT_S, context=ssl.create_default_context()
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_S)
