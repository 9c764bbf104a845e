"""ASGI applications served on sockets that are already bound, all in one thread."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Sequence

import uvicorn
from starlette.types import ASGIApp

from .patient import Patient

__all__ = ["HttpServers", "bound"]

STOP_S = 3
MOST_AT_ONCE = 1024
"""Requests of one application; those beyond are told to come again."""


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens at `host:port`; port 0 takes a free one.

    Raises:
        OSError: somebody else listens there, or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sends at once what it is given (TCP_NODELAY). Else the body of an
    # answer waits until the other side acknowledges its head, which it does after 40 ms.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # A connection of an earlier run that still lingers is no reason not to start.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(1024)
    except OSError:
        made.close()
        raise
    except TypeError as error:  # of a name that no name server can be asked for
        made.close()
        raise OSError(str(error)) from error
    return made


class HttpServers:
    """Runs from `start` to `stop`."""

    def __init__(self, served: Sequence[tuple[ASGIApp, socket.socket]]) -> None:
        self._servers = [(_Server(app), at) for app, at in served]
        self._thread = threading.Thread(target=self._run, name="tollspan-http", daemon=True)
        self._ready = threading.Event()

    def start(self) -> None:
        """Serve from now on. Returns when all sockets answer."""
        self._thread.start()
        self._ready.wait()
        if not all(server.started for server, _ in self._servers):
            raise RuntimeError("the HTTP servers did not start")

    def stop(self) -> None:
        """Let running requests come to their end, then end."""
        for server, _ in self._servers:
            server.should_exit = True
        self._thread.join()
        for _, at in self._servers:
            at.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serving())
        finally:
            self._ready.set()

    async def _serving(self) -> None:
        tasks = [asyncio.ensure_future(server.serve([at])) for server, at in self._servers]
        while not all(server.started for server, _ in self._servers):
            await asyncio.sleep(0.005)
        self._ready.set()
        await asyncio.gather(*tasks)


class _Server(uvicorn.Server):
    """Signals belong to whoever runs the process."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Patient,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                ws="none",
                timeout_graceful_shutdown=STOP_S,
                limit_concurrency=MOST_AT_ONCE,
            )
        )
