"""Who lets a server wait is let go of; nobody else is, and the next one is served."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import grpc
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tollspan.collector import patient
from tollspan.collector.http_servers import HttpServers, bound
from tollspan.collector.otlp_grpc import TRACES, GrpcReceiver
from tollspan.collector.receiver import Malformed

ANSWERED = threading.Event()


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Of a server that is not patient at all; `/slow` answers when `ANSWERED` is set."""
    monkeypatch.setattr(patient, "LOOK_S", 0.05)
    monkeypatch.setattr(patient, "LONGEST_S", {patient.HEAD: 0.1, patient.BODY: 0.1})
    ANSWERED.clear()

    async def slow(request: Request) -> Response:
        await asyncio.to_thread(ANSWERED.wait, 60)
        return Response("done")

    async def read(request: Request) -> Response:
        return Response(str(len(await request.body())))

    app = Starlette(routes=[Route("/slow", slow), Route("/read", read, methods=["POST"])])
    at = bound("127.0.0.1", 0)
    servers = HttpServers([(app, at)])
    servers.start()
    yield at.getsockname()[1]
    ANSWERED.set()
    servers.stop()


def said(port: int, begins: bytes) -> socket.socket:
    """A connection on which that was said."""
    made = socket.create_connection(("127.0.0.1", port), timeout=60)
    made.sendall(begins)
    return made


HOST = b"Host: 127.0.0.1\r\n"
UNFINISHED = [
    b"",
    b"GET /slow HTTP/1.1\r\n" + HOST + b"X-A: ",
    b"POST /read HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\nabc",
    b"POST /read HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
]


@pytest.mark.parametrize("begins", UNFINISHED, ids=["nothing", "head", "body", "chunk"])
def test_a_request_that_is_never_finished_is_let_go_of(port: int, begins: bytes) -> None:
    with said(port, begins) as waiting:
        assert waiting.recv(100) == b"", "the connection is closed by the server"


def test_an_answer_may_take_longer_than_a_sender(port: int) -> None:
    with said(port, b"GET /slow HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n") as asking:
        for _ in range(3):  # each is let go of after the time that senders have
            with said(port, b"") as waiting:
                assert waiting.recv(100) == b""
        ANSWERED.set()
        answer = b"".join(iter(lambda: asking.recv(1000), b""))

    assert answer.startswith(b"HTTP/1.1 200 OK") and answer.endswith(b"done")


class _Refusing:
    """An intake that takes nothing."""

    def traces(self, body: bytes, *, is_json: bool = False) -> object:
        raise Malformed("nothing is taken here")

    metrics = logs = traces


def test_grpc_without_the_token_holds_no_thread() -> None:
    """More requests without a message than there are threads: each is answered at once, and so is a
    sender with the token."""
    receiver = GrpcReceiver(_Refusing(), host="127.0.0.1", port=0, token="plain", threads=2)  # type: ignore[arg-type]
    receiver.start()
    quiet = threading.Event()

    def nothing() -> Iterator[bytes]:
        quiet.wait(60)
        yield from ()

    try:
        with grpc.insecure_channel(f"127.0.0.1:{receiver.port}") as channel:
            strangers = [channel.stream_unary(TRACES).future(nothing(), timeout=60) for _ in "1234"]
            for each in strangers:
                assert each.exception(60).code() is grpc.StatusCode.UNAUTHENTICATED
            with pytest.raises(grpc.RpcError) as refused:
                token = (("authorization", "Bearer plain"),)
                channel.unary_unary(TRACES)(b"x", metadata=token, timeout=60)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    finally:
        quiet.set()
        receiver.stop()
