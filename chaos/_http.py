"""HTTP, as far as the provider needs it: sockets, threads, request lines and the table of paths."""

from __future__ import annotations

import json
import re
import select
import socket
import socketserver
import threading
import time
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast

from . import _chat, _completions, _embeddings, _messages, _moderations, _responses
from ._exchange import Exchange, Left
from ._reply import input_tokens, reply
from ._wire import Wire, anthropic_error, openai_error
from .answers import Answer
from .steps import Step

if TYPE_CHECKING:
    from .server import Chaos

LARGEST_BODY = 64 * 1024 * 1024
"""Bytes of a request; more is refused with 413."""

LOG_PATH = "/__chaos__/log"

_PATH = re.compile(
    r"(?:/openai)?(?:/v1)?(?:/deployments/(?P<deployment>[^/]+))?"
    r"/(?P<api>chat/completions|completions|responses|embeddings|moderations"
    r"|messages/count_tokens|messages)"
)
"""Azure puts the deployment in the path: `/openai/deployments/NAME/chat/completions`."""

_APIS: dict[str, tuple[str, Wire]] = {
    "chat/completions": ("chat_completions", _chat),
    "completions": ("completions", _completions),
    "moderations": ("moderations", _moderations),
    "responses": ("responses", _responses),
    "embeddings": ("embeddings", _embeddings),
    "messages": ("messages", _messages),
    "messages/count_tokens": ("count_tokens", _messages),
}


_MODELS = {"moderations": "omni-moderation-latest"}
"""What answers where the request need not name a model."""


class Server:
    """Listens from its making to its closing; one thread a connection.

    `handler`: what answers; those that are no provider's need no `chaos`.
    """

    def __init__(
        self, host: str, port: int, chaos: Chaos | None, handler: type[Handler] | None = None
    ) -> None:
        self._http = _Listener((host, port), handler or Handler)
        if chaos is not None:
            self._http.chaos = chaos
        self.port = int(self._http.server_address[1])
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.05,), name="tollspan-chaos", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        self._http.break_all_off(deadline_s=time.monotonic() + 5)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    chaos: Chaos

    def __init__(self, *args: Any) -> None:
        self.lock = threading.Lock()
        self.connections: dict[socket.socket, threading.Thread] = {}
        self.stopping = threading.Event()
        super().__init__(*args)

    def server_bind(self) -> None:
        # HTTPServer's own asks the resolver for this host's full name, which may take seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that vanish are the daily bread of this server; its own faults are printed."""
        import sys

        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def break_all_off(self, deadline_s: float) -> None:
        self.stopping.set()
        with self.lock:
            left = dict(self.connections)
        for connection in left:
            _shut(connection)
        for thread in left.values():
            thread.join(max(0.0, deadline_s - time.monotonic()))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.connections[self.connection] = threading.current_thread()
        if self.server.stopping.is_set():  # accepted while everything was being closed
            _shut(self.connection)

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            with self.server.lock:
                self.server.connections.pop(self.connection, None)

    def log_message(self, format: str, *args: Any) -> None:
        """The log of this server is `Chaos.log`."""

    # --- what an exchange needs (`Connection`) ----------------------------------------------------
    def pause(self, seconds: float | None) -> None:
        until = None if seconds is None else time.monotonic() + seconds
        while True:
            left = 3600.0 if until is None else max(0.0, until - time.monotonic())
            readable, _, _ = select.select([self.connection], [], [], left)
            if self.server.stopping.is_set():
                raise Left
            if readable:
                if not self.connection.recv(1, socket.MSG_PEEK):
                    raise Left
                # Bytes of a next request: from here on the socket cannot tell whether it closes.
                if self.server.stopping.wait(left):
                    raise Left
            if until is not None and time.monotonic() >= until:
                return

    def send(self, data: bytes) -> None:
        try:
            self.wfile.write(data)
        except OSError as error:
            raise Left from error

    def break_off(self) -> None:
        self.close_connection = True
        _shut(self.connection)

    # --- requests ---------------------------------------------------------------------------------
    def do_GET(self) -> None:
        if self.path == LOG_PATH:
            log = [answer.as_json() for answer in self.server.chaos.log]
            self._json(200, {"log": log})
        else:
            self._refuse(self._answer(""), 404)

    def do_POST(self) -> None:
        path = self.path.split("?", 1)[0]
        found = _PATH.fullmatch(path)
        body = self._body()
        if body is None:
            return self._refuse(self._answer(""), 413, close=True)
        if found is None:
            return self._refuse(self._answer(""), 404)
        api, wire = _APIS[found["api"]]
        request = _parsed(body)
        if request is None:
            return self._refuse(self._answer(api), 400, "The body is not a JSON object.")
        request.setdefault("model", found["deployment"] or _MODELS.get(api))
        model = request["model"]
        if not isinstance(model, str) or not model:
            return self._refuse(self._answer(api), 400, "You must provide a model parameter.")
        answer = self._answer(api, model, request.get("stream") is True)
        if api == "count_tokens":
            answer.status, answer.completed = 200, True
            return self._done(lambda: self._json(200, {"input_tokens": input_tokens(request)}))
        return self._done(lambda: self._exchange(answer, wire, request))

    def _exchange(self, answer: Answer, wire: Wire, request: dict[str, Any]) -> None:
        chaos = self.server.chaos
        step: Step = chaos.next_step(answer.model_asked)
        if answer.api == "embeddings":  # no text comes out of it
            step = replace(step, output_tokens=0, reasoning_tokens=0)
        token = f"{chaos.token}{answer.n:06d}"
        said = reply(step, request, token, int(answer.started_s))
        request_id = f"req_{token}"
        headers = _headers(answer, request_id)
        Exchange(self, answer, step, wire, said, headers, request_id).run()

    def _done(self, answering: Any) -> None:
        try:
            answering()
        except Left:
            self.close_connection = True
        finally:
            self.server.chaos.closed()

    def _answer(self, api: str, model: str | None = None, stream: bool = False) -> Answer:
        headers = dict(self.headers.items())
        return self.server.chaos.opened(self.path.split("?", 1)[0], api, model, stream, headers)

    def _body(self) -> bytes | None:
        """The request's body; None when it is too long or of no stated length."""
        stated = self.headers.get("content-length", "")
        if not stated.isascii() or not stated.isdigit() or int(stated) > LARGEST_BODY:
            return None
        return self.rfile.read(int(stated))

    def _refuse(
        self, answer: Answer, code: int, message: str | None = None, close: bool = False
    ) -> None:
        """An error before any step was taken."""
        fields = {} if message is None else {"message": message}
        if code == 404:
            fields = {"message": f"Invalid URL ({self.command} {answer.path})"}
        request_id = f"req_{self.server.chaos.token}{answer.n:06d}"
        anthropic = answer.path.startswith("/v1/messages") or "anthropic-version" in answer.headers
        body = (
            anthropic_error(code, fields, request_id) if anthropic else openai_error(code, fields)
        )
        answer.status, answer.completed = code, True
        self.close_connection = self.close_connection or close
        self._done(lambda: self._json(code, body, request_id))

    def _json(self, code: int, body: Any, request_id: str = "") -> None:
        data = json.dumps(body).encode()
        self.send_response_only(code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        if request_id:
            self.send_header("x-request-id", request_id)
            self.send_header("request-id", request_id)
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        self.send(data)


def _parsed(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def _headers(answer: Answer, request_id: str) -> dict[str, str]:
    """What the provider's real answers carry, with figures of this server."""
    now = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
    remaining = str(max(0, 10_000 - answer.n))
    if answer.api == "messages":
        return {
            "date": now,
            "request-id": request_id,
            "anthropic-organization-id": "org-chaos",
            "anthropic-ratelimit-requests-limit": "10000",
            "anthropic-ratelimit-requests-remaining": remaining,
            "server": "tollspan-chaos",
        }
    return {
        "date": now,
        "x-request-id": request_id,
        "openai-processing-ms": str(int((time.time() - answer.started_s) * 1000) + 1),
        "openai-version": "2020-10-01",
        "openai-organization": "org-chaos",
        "x-ratelimit-limit-requests": "10000",
        "x-ratelimit-remaining-requests": remaining,
        "x-ratelimit-reset-requests": "6ms",
        "server": "tollspan-chaos",
    }


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # it is shut already
        connection.shutdown(socket.SHUT_RDWR)
