"""The HTTP servers of the local stack: all on one loop, in one thread."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence

import uvicorn
from starlette.types import ASGIApp

__all__ = ["HttpServers", "Served"]

STOP_S = 3

Served = tuple[ASGIApp, type[asyncio.Protocol], socket.socket]
"""An application, what reads its connections, and where they come in."""


class HttpServers:
    """Run on `loop`, which ends with them. `ending` is called there when they are to stop: it ends
    the streams that would go on."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        served: Sequence[Served],
        ending: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._servers = [(_Server(app, protocol), at) for app, protocol, at in served]
        self._ending = ending
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tollspan-servers", daemon=True)

    def start(self) -> None:
        """Begin; from here on `stop` is owed, whether or not they come up."""
        self._thread.start()

    def wait(self) -> None:
        """Return when all sockets answer."""
        self._ready.wait()
        if not all(server.started for server, _ in self._servers):
            raise RuntimeError("the servers of the local stack did not start")

    def stop(self) -> None:
        """Let running requests come to their end, then end."""
        for server, _ in self._servers:
            server.should_exit = True
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ending)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serving())
        finally:
            self._ready.set()
            self._loop.close()

    async def _serving(self) -> None:
        tasks = [asyncio.ensure_future(server.serve([at])) for server, at in self._servers]
        while not all(server.started for server, _ in self._servers):
            await asyncio.sleep(0.005)
        self._ready.set()
        await asyncio.gather(*tasks)
        await self._loop.shutdown_default_executor()


class _Server(uvicorn.Server):
    """Signals belong to whoever runs the stack."""

    def __init__(self, app: ASGIApp, protocol: type[asyncio.Protocol]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                ws="none",
                timeout_graceful_shutdown=STOP_S,
                limit_concurrency=256,
            )
        )
