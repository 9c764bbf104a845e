"""A server on 127.0.0.1 that answers as told and remembers the headers that really arrived."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote_plus

import aiohttp
import httpx
import httpx2
import requests
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from tollspan import semconv
from tollspan.calls import OpenCall, current_call
from tollspan.instrumentation import _attempts


@dataclass
class Reply:
    """One answer. Without `complete` the connection breaks off after the body's first half."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b'{"ok": true}'
    complete: bool = True
    delay: threading.Event | None = None


class Mirror:
    """Answers `replies` in their order, then 200; `received` has the headers of each request and
    `bodies` what came with them. It is a proxy for `http:` addresses too."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.received: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                mirror.bodies.append(body)
                mirror.received.append({k.lower(): v for k, v in self.headers.items()})
                reply = mirror.replies.pop(0) if mirror.replies else Reply()
                if reply.delay is not None:
                    reply.delay.wait(30)
                self.send_response_only(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(reply.body)))
                self.end_headers()
                if reply.complete:
                    self.wfile.write(reply.body)
                else:
                    self.wfile.write(reply.body[: len(reply.body) // 2])
                    self.close_connection = True

            do_GET = do_POST

            def log_message(self, *_: Any) -> None: ...

            def handle(self) -> None:
                try:
                    super().handle()
                except OSError:  # the client went away, as some tests want
                    self.close_connection = True

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/v1/chat/completions"
        self.url_by_name = f"http://localhost:{self.port}/v1/chat/completions"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def watching(provider: TracerProvider) -> Iterator[None]:
    """The recorder at work, its spans going to `provider`."""
    _attempts.install(provider)
    try:
        yield
    finally:
        _attempts.uninstall()


@contextmanager
def open_call(
    provider: TracerProvider, *, outer: OpenCall | None = None, **attributes: Any
) -> Iterator[OpenCall]:
    """A call as the engine opens it: span current, `current_call` set, attempts closed at the end.

    Attribute names are those of `tollspan.semconv`, e.g. `TENANT="acme"`.
    """
    with provider.get_tracer("test").start_as_current_span("chat m") as span:
        call = OpenCall(span, 0, outer)
        call.attributes.update({getattr(semconv, k): v for k, v in attributes.items()})
        token = current_call.set(call)
        try:
            yield call
        finally:
            current_call.reset(token)
            _attempts.close(call)


def context_of(headers: Mapping[str, str]) -> tuple[str, str] | None:
    """Trace id and span id of the `traceparent` among `headers`."""
    sent = headers.get("traceparent")
    return None if sent is None else (sent.split("-")[1], sent.split("-")[2])


def carried(headers: Mapping[str, str]) -> dict[str, str]:
    """The members of the baggage among `headers`."""
    members = [each for each in headers.get("baggage", "").split(",") if each]
    return {k: unquote_plus(v) for k, _, v in (each.partition("=") for each in members)}


def ids_of(span: Any) -> tuple[str, str]:
    found = span.get_span_context()
    return trace.format_trace_id(found.trace_id), trace.format_span_id(found.span_id)


Send = Callable[..., int]
"""`send(url, headers=None, timeout=30)`: POST it, follow redirects, read the body, give the status."""


def _httpx(module: Any) -> Send:
    def send(url: str, headers: Any = None, timeout: float = 30) -> int:
        with module.Client(follow_redirects=True, timeout=timeout, trust_env=False) as client:
            return int(client.post(url, headers=headers, json={}).status_code)

    return send


def _httpx_async(module: Any) -> Send:
    async def sent(url: str, headers: Any, timeout: float) -> int:
        async with module.AsyncClient(
            follow_redirects=True, timeout=timeout, trust_env=False
        ) as client:
            return int((await client.post(url, headers=headers, json={})).status_code)

    return lambda url, headers=None, timeout=30: asyncio.run(sent(url, headers, timeout))


def _requests(url: str, headers: Any = None, timeout: float = 30) -> int:
    with requests.Session() as session:
        session.trust_env = False
        return session.post(url, headers=headers, json={}, timeout=timeout).status_code


async def _aiohttp_sent(url: str, headers: Any, timeout: float) -> int:
    limits = aiohttp.ClientTimeout(total=timeout)
    async with (
        aiohttp.ClientSession(timeout=limits) as session,
        session.post(url, headers=headers, json={}) as response,
    ):
        await response.read()
        return response.status


def _aiohttp(url: str, headers: Any = None, timeout: float = 30) -> int:
    return asyncio.run(_aiohttp_sent(url, headers, timeout))


CLIENTS: Mapping[str, Send] = {
    "httpx": _httpx(httpx),
    "httpx async": _httpx_async(httpx),
    "httpx2": _httpx(httpx2),
    "httpx2 async": _httpx_async(httpx2),
    "requests": _requests,
    "aiohttp": _aiohttp,
}
