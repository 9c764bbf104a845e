"""Who lets a server wait is let go of; nobody else is, and the next one is served."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator

import grpc
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tollspan.collector import otlp_grpc, patient
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


TOKEN = (("authorization", "Bearer plain"),)
THREADS = 2

Nothing = Callable[[], Iterator[bytes]]


@pytest.fixture
def grpc_port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Of a receiver with few threads, which looks at the clock often."""
    monkeypatch.setattr(otlp_grpc, "LOOK_S", 0.05)
    receiver = GrpcReceiver(_Refusing(), host="127.0.0.1", port=0, token="plain", threads=THREADS)  # type: ignore[arg-type]
    receiver.start()
    yield receiver.port
    receiver.stop(0)


@pytest.fixture
def nothing() -> Iterator[Nothing]:
    """Messages that never come, nor their end."""
    quiet = threading.Event()

    def never() -> Iterator[bytes]:
        quiet.wait(60)
        yield from ()

    yield never
    quiet.set()


def opened(channel: grpc.Channel, messages: Iterator[bytes], **options: object) -> grpc.Future:
    """A request whose messages come when they like; to the receiver it is one like any other."""
    return channel.stream_unary(TRACES).future(messages, timeout=60, **options)


def test_grpc_without_the_token_holds_no_thread(grpc_port: int, nothing: Nothing) -> None:
    """More requests without a message than there are threads: each is answered at once, and so is a
    sender with the token."""
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        for each in [opened(channel, nothing()) for _ in range(2 * THREADS)]:
            assert each.exception(60).code() is grpc.StatusCode.UNAUTHENTICATED
        assert told(channel) is grpc.StatusCode.INVALID_ARGUMENT


def told(channel: grpc.Channel) -> grpc.StatusCode:
    """What a sender is told that has the token and sends its message at once."""
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(TRACES)(b"x", metadata=TOKEN, timeout=20)
    code: grpc.StatusCode = refused.value.code()
    return code


def test_grpc_with_the_token_holds_a_thread_until_another_wants_it(
    grpc_port: int, nothing: Nothing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp_grpc, "AMONG_OTHERS_S", 0.2)
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        grpc.channel_ready_future(channel).result(60)  # before, requests may overtake one another
        held = [opened(channel, nothing(), metadata=TOKEN) for _ in range(2 * THREADS)]
        assert told(channel) is grpc.StatusCode.INVALID_ARGUMENT
        monkeypatch.setattr(otlp_grpc, "ALONE_S", 0.2)  # for what is left: nobody waits now
        for each in held:
            assert each.exception(60).code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert each.details() == "the message did not come within 0.2 s; send it again"


def test_grpc_lets_go_of_who_sends_nothing_though_nobody_else_comes(
    grpc_port: int, nothing: Nothing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp_grpc, "ALONE_S", 0.2)
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        only = opened(channel, nothing(), metadata=TOKEN)
        assert only.exception(60).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert only.details() == "the message did not come within 0.2 s; send it again"


def test_grpc_takes_a_message_that_comes_late_and_says_where_there_is_none(
    grpc_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp_grpc, "AMONG_OTHERS_S", 0.1)

    def late() -> Iterator[bytes]:
        time.sleep(0.5)
        yield b"x"

    with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        for messages, code, details in [
            (late(), grpc.StatusCode.INVALID_ARGUMENT, "nothing is taken here"),
            (iter(()), grpc.StatusCode.UNIMPLEMENTED, "the request has no message"),
        ]:
            request = opened(channel, messages, metadata=TOKEN)
            assert request.exception(60).code() is code
            assert request.details() == details
