"""HTTP as it passes through a tap: from the client to the upstream, and back, piece by piece."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any

from tollspan.instrumentation._hosts import provider_at
from tollspan.instrumentation._wire import Recording

from ._exchange import Left
from ._http import Handler

if TYPE_CHECKING:
    from .tap import Tap

__all__ = ["SEEN_BY", "Passing"]

PIECE = 64 * 1024
"""Bytes that are read at once; what comes is sent on as soon as it is there."""

SEEN_BY = "tap"
"""Says in a file that it was captured here, and that its time is of this machine's clock."""

LOOK_S = 0.2
"""Seconds between two looks at whether a client that waits is still there."""

_OF_THE_CONNECTION = frozenset(
    {
        *("connection", "expect", "host", "keep-alive", "proxy-authenticate", "te", "trailer"),
        *("proxy-authorization", "proxy-connection", "transfer-encoding", "upgrade"),
    }
)


class Passing(Handler):
    """One connection of a client, and the one to the upstream that goes with it."""

    tap: Tap

    def setup(self) -> None:
        super().setup()
        self._upstream: HTTPConnection | None = None

    def finish(self) -> None:
        try:
            self._hang_up()
        finally:
            super().finish()

    def _hang_up(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.close()

    def do_POST(self) -> None:
        if not self.path.startswith("/"):
            self._refuse_it("this is no forward proxy: make it the base URL")
            return
        to = self.tap.to
        target = to.path.rstrip("/") + self.path
        headers = [("host", to.netloc), *self._passing(self.headers.items())]
        recording = Recording(
            self.tap.writer,
            _facts(self.headers.get("traceparent", ""), str(to.hostname)),
            time.time_ns(),
            self.command,
            f"{to.scheme}://{to.netloc}{target}",
            headers,
        )
        recording.begin()
        try:
            self._pass(recording, target, headers)
        except Left:
            self.close_connection = True
            recording.finish("closed")
        finally:
            recording.finish("broken")

    def _refuse_it(self, why: str) -> None:
        self.close_connection = True
        told = {"message": f"tollspan wire tap: {why}", "type": "invalid_request_error"}
        self._json(400, {"error": told})

    do_GET = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = do_POST

    def _passing(self, headers: Any) -> Iterator[tuple[str, str]]:
        """Those that are meant for the other end."""
        headers = list(headers)
        named = ",".join(value for name, value in headers if name.lower() == "connection")
        own = {*_OF_THE_CONNECTION, *(name.strip().lower() for name in named.split(","))}
        return ((name, value) for name, value in headers if name.lower() not in own)

    def _pass(self, recording: Recording, target: str, headers: list[tuple[str, str]]) -> None:
        try:
            length = self._length()
            upstream = self._connected()
            self._ask(upstream, recording, target, headers, length)
            with _Watch(self, upstream):
                answer = upstream.getresponse()
                recording.answered(answer.status, answer.getheaders())
                self._pass_back(answer, recording)
        # ValueError: a length that is no number, a header that cannot be sent on.
        except (OSError, HTTPException, ValueError) as error:
            self._hang_up()
            if isinstance(error, Left) or self._is_gone():
                raise Left from error
            recording.failed(error)
            if recording.status:
                self.break_off()
                return
            if not isinstance(error, (OSError, HTTPException)):
                self._refuse_it(str(error))
                return
            self.close_connection = True
            to = f"{self.tap.to.scheme}://{self.tap.to.netloc}"
            told = f"tollspan wire tap: {to} gave no answer: {type(error).__name__}: {error}"
            self._json(502, {"error": {"message": told, "type": "upstream"}})

    def _connected(self) -> HTTPConnection:
        """The connection of the client's request before, if the upstream has not closed it."""
        if self._upstream is not None and self._upstream.sock is not None:
            if not select.select([self._upstream.sock], [], [], 0)[0]:
                return self._upstream
            self._hang_up()
        made = self._upstream = self.tap.connection()
        made.connect()
        made.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def _is_gone(self) -> bool:
        try:
            self.pause(0)
        except (Left, OSError):
            return True
        return False

    # --- the request ------------------------------------------------------------------------------
    def _ask(
        self,
        upstream: HTTPConnection,
        recording: Recording,
        target: str,
        headers: list[tuple[str, str]],
        length: int | None,
    ) -> None:
        upstream.putrequest(self.command, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            upstream.putheader(name, value)
        chunked = length is None
        if chunked:
            upstream.putheader("transfer-encoding", "chunked")
        upstream.endheaders()
        for piece in self._pieces(length):
            recording.asked(piece)
            upstream.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            upstream.send(b"0\r\n\r\n")
        recording.call |= _model(recording)

    def _length(self) -> int | None:
        """Of the client's body; None where it comes in chunks."""
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            return None
        stated = self.headers.get("content-length", "0")
        if not stated.isascii() or not stated.isdigit():
            raise ValueError(f"content-length: {stated!r} is no length")
        return int(stated)

    def _pieces(self, length: int | None) -> Iterator[bytes]:
        """The client's body as it comes."""
        if length is None:
            while size := int(self.rfile.readline(PIECE).partition(b";")[0] or b"0", 16):
                if size < 0:
                    raise ValueError(f"a chunk of {size} bytes")
                yield self._read(size)
                self.rfile.readline(PIECE)
            while self.rfile.readline(PIECE).strip():  # trailers
                pass
            return
        while length > 0:
            yield (piece := self._read(min(length, PIECE)))
            length -= len(piece)

    def _read(self, size: int) -> bytes:
        piece = self.rfile.read(size)
        if len(piece) < size:
            raise Left
        return piece

    # --- the answer -------------------------------------------------------------------------------
    def _pass_back(self, answer: HTTPResponse, recording: Recording) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in self._passing(answer.getheaders()):
            self.send_header(name, value)
        bodiless = self.command == "HEAD" or answer.status in (204, 304)
        stated = answer.length is not None or bodiless
        chunked = not stated and self.request_version != "HTTP/1.0"
        if chunked:
            self.send_header("transfer-encoding", "chunked")
        elif not stated:
            self.close_connection = True
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        left = 0 if bodiless else answer.length
        while left != 0 and (piece := answer.read1(PIECE if left is None else min(left, PIECE))):
            recording.saw(piece)
            left = None if left is None else left - len(piece)
            self.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if left:
            raise ConnectionError(f"{left} bytes are missing")
        answer.close()  # the connection is free for the next request
        recording.finish("complete")
        if chunked:
            self.send(b"0\r\n\r\n")
        if answer.will_close:
            self._hang_up()


class _Watch:
    """Hangs up on the upstream when the client leaves while it waits: nobody wants that answer."""

    def __init__(self, handler: Passing, upstream: HTTPConnection) -> None:
        self._handler, self._socket = handler, upstream.sock
        self._over = threading.Event()

    def __enter__(self) -> None:
        threading.Thread(target=self._watch, name="tollspan-tap", daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _watch(self) -> None:
        try:
            while not self._over.is_set():
                self._handler.pause(LOOK_S)
        except (Left, OSError, ValueError):  # a socket that is closed by now has no number
            if not self._over.is_set():
                with suppress(OSError):  # past TLS, whose state belongs to the other thread
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def _facts(traceparent: str, host: str) -> dict[str, str]:
    """What is known of the call: its trace, as https://www.w3.org/TR/trace-context/ tells it, and who
    answers there."""
    facts = {"seen_by": SEEN_BY}
    parts = traceparent.split("-")
    if len(parts) == 4:
        facts |= {"trace_id": parts[1], "span_id": parts[2]}
    provider = provider_at(host)
    return facts if provider is None else {**facts, "provider": provider}


def _model(recording: Recording) -> dict[str, str]:
    """The model that a JSON body asks for."""
    try:
        asked = json.loads(b"".join(recording.request_pieces))
    except (ValueError, RecursionError):
        return {}
    model = asked.get("model") if isinstance(asked, dict) else None
    return {"model": model} if isinstance(model, str) else {}
