"""A provider on 127.0.0.1 that answers as told: whole, broken off, or hanging half-way."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol


@dataclass(frozen=True)
class Answer:
    """One answer. Each piece goes out as a chunk of its own."""

    pieces: tuple[bytes, ...]
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    status: int = 200
    ends: str = "whole"
    """`whole`; `breaks`: the connection goes after the pieces; `hangs`: nothing more comes;
    `silent`: not even the status comes."""

    def failing(self, status: int) -> Answer:
        return replace(self, status=status)

    def first(self, count: int, ends: str) -> Answer:
        """The first `count` pieces, and then it `ends` so."""
        return replace(self, pieces=self.pieces[:count], ends=ends)


class Served(Protocol):
    """A running server."""

    url: str
    answer: Answer
    """What every request gets from now on."""
    asked: int
    """Requests so far."""
    last: tuple[str, bytes]
    """Path and body of the newest request."""
    waiting: threading.Event
    """Set when an answer hangs."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(
            sys.exception(), OSError
        ):  # else the client went away, as some tests want
            super().handle_error(request, client_address)


class HttpServed:
    """As `Served`, over HTTP/1.1."""

    def __init__(self) -> None:
        self.answer = Answer((b"{}",))
        self.asked = 0
        self.last = "", b""
        self.waiting = threading.Event()
        self._release = threading.Event()
        served = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if "chunked" in self.headers.get("transfer-encoding", ""):
                    while size := int(self.rfile.readline().split(b";")[0], 16):
                        body += self.rfile.read(size + 2)[:-2]
                    self.rfile.readline()
                served.asked += 1
                served.last = self.path, body
                served.reply(self)

            do_GET = do_DELETE = do_PUT = do_PATCH = do_POST

            def log_message(self, *_: Any) -> None: ...

            def handle(self) -> None:
                try:
                    super().handle()
                except (OSError, ValueError):  # the client went away, as some tests want
                    self.close_connection = True

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def reply(self, handler: BaseHTTPRequestHandler) -> None:
        answer = self.answer
        if answer.ends == "silent":
            self._hang(handler)
            return
        handler.send_response_only(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        for piece in answer.pieces:
            if piece:
                handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                handler.wfile.flush()
        if answer.ends == "whole":
            handler.wfile.write(b"0\r\n\r\n")
            handler.wfile.flush()
            return
        handler.wfile.flush()
        if answer.ends == "hangs":
            self._hang(handler)
        handler.close_connection = True

    def _hang(self, handler: BaseHTTPRequestHandler) -> None:
        self.waiting.set()
        self._release.wait(30)
        handler.close_connection = True

    def stop(self) -> None:
        self._release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def http() -> Iterator[HttpServed]:
    served = HttpServed()
    try:
        yield served
    finally:
        served.stop()
