"""How often one client may ask `/v1`: so many requests a minute, in bursts as it likes.

Each client has a bucket that fills evenly; an empty one means 429 and when to ask again. A client is
its bearer token where it shows one, else its address. What is posted is not counted: who takes it
says itself when it is full.
"""

from __future__ import annotations

import json
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b

from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Throttle"]

MOST_CLIENTS = 10_000
"""Clients that are remembered; the one that was heard of longest ago is forgotten first."""


class Throttle:
    """ASGI middleware in front of an application; 0 requests `a_minute` mean no limit."""

    def __init__(
        self, app: ASGIApp, a_minute: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._a_minute = a_minute
        self._clock = clock
        self._left: OrderedDict[bytes, tuple[float, float]] = OrderedDict()
        """By client: how many requests it may send, and when that was so. On the loop's thread."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._counts(scope):
            wait_s = self._taken(_client(scope))
            if wait_s:
                await self._refuse(send, wait_s)
                return
        await self._app(scope, receive, send)

    def _counts(self, scope: Scope) -> bool:
        return bool(
            self._a_minute
            and scope["type"] == "http"
            and scope["path"].startswith("/v1/")
            and scope["method"] != "POST"
        )

    def _taken(self, client: bytes) -> float:
        """Take one request; seconds to wait where there is none."""
        now = self._clock()
        left, then = self._left.pop(client, (float(self._a_minute), now))
        left = min(self._a_minute, left + (now - then) * self._a_minute / 60)
        wait_s = 0.0 if left >= 1 else (1 - left) * 60 / self._a_minute
        self._left[client] = (left - 1 if not wait_s else left, now)
        if len(self._left) > MOST_CLIENTS:
            self._left.popitem(last=False)
        return wait_s

    async def _refuse(self, send: Send, wait_s: float) -> None:
        sentence = f"more than {self._a_minute} requests a minute: ask again in {wait_s:.1f} s"
        headers = [
            (b"content-type", b"application/json"),
            (b"cache-control", b"no-store"),
            (b"retry-after", str(math.ceil(wait_s)).encode()),
        ]
        await send({"type": "http.response.start", "status": 429, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps({"error": sentence}).encode()})


def _client(scope: Scope) -> bytes:
    """Who asks, in a form that gives no token away."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            return blake2b(value, digest_size=16).digest()
    address = scope.get("client") or ("", 0)
    return str(address[0]).encode()
