"""uvicorn's protocol, for a server that does not wait for ever.

uvicorn closes a connection that asked something and then nothing more. One that never asks, or never
finishes asking, it keeps, and refuses everybody from its `limit_concurrency` on: a few hundred idle
connections would shut all senders out.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

__all__ = ["Patient"]

LOOK_S = 5.0
"""How often a connection is looked at."""
HEAD, BODY, ANSWER = "head", "body", "answer"
LONGEST_S = {HEAD: 15.0, BODY: 120.0}
"""How long the sender may let us wait for the head of a request, and for its body. We may take as long
as we want to answer, and to read: while the body is held back because we are behind, nobody waits."""


class Patient(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """Closes connections whose other side lets us wait."""

    _looking: asyncio.TimerHandle

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._seen: tuple[str, Any] = (HEAD, None)
        self._since = self.loop.time()
        self._looking = self.loop.call_later(LOOK_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._looking.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        now, seen = self.loop.time(), self._waits_for()
        if seen != self._seen:
            self._seen, self._since = seen, now
        elif now - self._since >= LONGEST_S.get(seen[0], now):
            self.transport.close()
            return
        self._looking = self.loop.call_later(LOOK_S, self._look)

    def _waits_for(self) -> tuple[str, Any]:
        """What of which request."""
        request = self.cycle
        if request is None or request.response_complete:
            return HEAD, request
        is_ours = self.flow.read_paused or not request.more_body
        return (ANSWER if is_ours else BODY), request
