"""A local reverse proxy that captures what it passes on: what a gateway really sent to its upstream.

    from tollspan.chaos import Tap

    with Tap("https://api.openai.com", "received") as tap:
        ...     # a gateway, whatever it is written in, whose upstream is `tap.openai_base_url`

Requests and answers pass as they come, piece by piece and byte by byte; only the headers of the
connection itself are made anew (RFC 9110, section 7.6.1), and `host` names the upstream. What is
captured is masked before it is written, as everywhere. It listens on the loopback address only, and
asks the upstream directly: no proxy of the environment stands between.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from tollspan.config import ConfigError
from tollspan.instrumentation._wire import writer_for

from ._http import Server
from ._listening import Listening
from ._passing import SEEN_BY, Passing

__all__ = ["SEEN_BY", "Tap"]


class Tap(Listening):
    """A local server; a context manager, or `start()` and `close()`.

    Args:
        to: the upstream, `https://api.openai.com`; a path is put before that of each request.
        folder: where exchanges are captured to.
        port: where to listen; 0 is a free one.

    Raises:
        ConfigError: `to` is no address of an upstream, or the folder cannot be used.
        OSError: the port is taken (at `start`).
    """

    def __init__(self, to: str, folder: str | Path, *, port: int = 0) -> None:
        super().__init__("127.0.0.1", port)
        self.to = _upstream(to)
        self.writer = writer_for(Path(folder).expanduser())

    def _listen(self) -> Server:
        handler = type("Handler", (Passing,), {"tap": self})
        return Server(self._host, self._port, None, handler)

    def close(self) -> None:
        """Break all connections off, and see that all that was captured is written."""
        super().close()
        self.writer.end_all()

    def connection(self) -> HTTPConnection:
        """A connection to the upstream, not made yet."""
        host, port = str(self.to.hostname), self.to.port
        if self.to.scheme == "http":
            return HTTPConnection(host, port)
        return HTTPSConnection(host, port, context=_trust())


def _upstream(to: str) -> SplitResult:
    try:
        found = urlsplit(to)
        known = found.scheme in ("http", "https") and found.hostname and found.port != 0
    except ValueError:
        known = False
    if not known or found.query or found.fragment or "@" in found.netloc or not to.isascii():
        raise ConfigError(f"{to!r} is no upstream: write https://HOST, or http://HOST:PORT")
    return found


def _trust() -> ssl.SSLContext:
    """The certificates of the system, and those that HTTP clients bring along."""
    context = ssl.create_default_context()
    with suppress(ImportError):
        import certifi

        context.load_verify_locations(certifi.where())
    return context
