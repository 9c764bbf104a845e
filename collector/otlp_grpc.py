"""OTLP over gRPC: raw bytes in, the answer once they are safe.

Generic handlers, so that no generated service stands between the bytes and the reader.
https://opentelemetry.io/docs/specs/otlp/#otlpgrpc
"""

from __future__ import annotations

import hmac
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from itertools import count
from threading import Lock
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf.duration_pb2 import Duration  # type: ignore[import-untyped]
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from .receiver import MAX_BODY_BYTES, TRY_AGAIN, Intake, Refusal, Unavailable

__all__ = ["GrpcReceiver", "PortInUse"]

TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
THREADS = 16
MOST_STREAMS = 1000
"""Requests of one connection at once; a sender keeps those beyond to itself until others are answered."""
COMMIT_TIMEOUT_S = 30.0

LOOK_S = 1.0
"""How often a request is looked at whose message is not here yet."""
ALONE_S, AMONG_OTHERS_S = 120.0, 15.0
"""How long a message may take from when a thread reads it: as long as a body over HTTP, and less while
others wait for a thread."""


Take = Callable[[bytes], Future[bytes]]
Answer = Callable[[Iterator[bytes], Any], bytes]


class PortInUse(RuntimeError):
    """Nothing can listen there; the message is the reason."""


class GrpcReceiver:
    """Listens at `host:port`; port 0 takes a free one, which `port` then tells.

    Raises:
        PortInUse: somebody else listens there.
    """

    def __init__(
        self, intake: Intake, *, host: str, port: int, token: str = "", threads: int = THREADS
    ) -> None:
        self._token = token
        reading = _Reading(threads)
        taking = {TRACES: intake.traces, METRICS: intake.metrics, LOGS: intake.logs}
        self._server = grpc.server(
            # A message is taken off the wire once a thread is there to answer it: their number bounds
            # what is in memory, and the others wait at their senders.
            ThreadPoolExecutor(threads, thread_name_prefix="tollspan-grpc"),
            handlers=[
                _Handlers(
                    {name: self._answering(take, reading) for name, take in taking.items()},
                    self.allows,
                    reading,
                )
            ],
            options=[
                ("grpc.max_receive_message_length", MAX_BODY_BYTES),
                ("grpc.so_reuseport", 0),
                ("grpc.max_concurrent_streams", MOST_STREAMS),
                # A sender that is gone without a word holds a thread until that is found out, which
                # takes two hours if nobody asks.
                ("grpc.keepalive_time_ms", 60_000),
                ("grpc.keepalive_timeout_ms", 20_000),
            ],
        )
        _check_free(host, port)
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            self.port: int = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise PortInUse(f"{address} is taken") from error
        if not self.port:
            raise PortInUse(f"{address} is taken")

    def start(self) -> None:
        """Take requests from now on."""
        self._server.start()

    def stop(self, grace_s: float = 5.0) -> None:
        """Take no new request, and let those that run come to their end."""
        self._server.stop(grace_s).wait()

    def _answering(self, take: Take, reading: _Reading) -> Answer:
        def answer(messages: Iterator[bytes], context: Any) -> bytes:
            body = reading.message(messages, context)
            try:
                return take(body).result(COMMIT_TIMEOUT_S)
            except Refusal as refusal:
                _refuse(context, refusal)
            except (RuntimeError, TookTooLong):
                _refuse(context, Unavailable(TRY_AGAIN))
            raise AssertionError("abort raises")

        return answer

    def allows(self, metadata: Any) -> bool:
        """Whether the caller showed the token, where one is asked for."""
        if not self._token:
            return True
        shown = next((value for key, value in metadata if key == "authorization"), "")
        shown = shown.decode("latin-1") if isinstance(shown, bytes) else shown
        return hmac.compare_digest(shown.encode(), f"Bearer {self._token}".encode())


def _check_free(host: str, port: int) -> None:
    """Ask before gRPC does: it complains on standard error, past Python."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as asked:
        asked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            asked.bind((host, port))
        except OSError as error:
            raise PortInUse(f"{host}:{port} is taken") from error


class _Reading:
    """Waits for the one message of a request, and lets go of who never sends it.

    grpcio waits for as long as the sender likes, and no option of a server makes that less. So a second
    thread waits there, and ends with the request; the one that answers looks at the clock.
    """

    def __init__(self, threads: int) -> None:
        self._readers = ThreadPoolExecutor(threads, thread_name_prefix="tollspan-grpc-read")
        self._waiting = 0
        self._lock = Lock()

    def wanted(self, by: int = 1) -> None:
        """One request more waits for a thread, or one less."""
        with self._lock:
            self._waiting += by

    def message(self, messages: Iterator[bytes], context: Any) -> bytes:
        """The message; where there is none, or none in time, the request is ended."""
        self.wanted(-1)
        body = self._in_time(self._readers.submit(next, messages, None), context)
        if body is None:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "the request has no message")
            raise AssertionError("abort raises")
        return body

    def _in_time(self, coming: Future[bytes | None], context: Any) -> bytes | None:
        for looks in count(1):
            try:
                return coming.result(LOOK_S)
            except TookTooLong:
                longest_s = AMONG_OTHERS_S if self._waiting else ALONE_S
                if looks * LOOK_S >= longest_s:
                    why = f"the message did not come within {longest_s:g} s; send it again"
                    context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, why)
        raise AssertionError("abort raises")


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Who does not show the token is told so before the message is read: reading takes a thread, and a
    sender may be slow."""

    def __init__(
        self, methods: dict[str, Answer], allows: Callable[[Any], bool], reading: _Reading
    ) -> None:
        # To a sender one message of a stream is the same as one message. A handler of streams begins
        # before the message is here.
        self._methods = {
            name: grpc.stream_unary_rpc_method_handler(method) for name, method in methods.items()
        }
        self._allows = allows
        self._reading = reading
        self._stranger = grpc.stream_unary_rpc_method_handler(_turned_away)

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        if not self._allows(details.invocation_metadata):
            return self._stranger
        if (method := self._methods.get(details.method)) is not None:
            self._reading.wanted()
        return method


def _turned_away(messages: object, context: Any) -> bytes:
    context.abort(grpc.StatusCode.UNAUTHENTICATED, "send TOLLSPAN_TOKEN as a bearer token")
    raise AssertionError("abort raises")


def _refuse(context: Any, refusal: Refusal) -> None:
    """RESOURCE_EXHAUSTED is retried by OTLP senders only where RetryInfo says when."""
    if refusal.retry_after_s is not None:
        status = Status(code=refusal.code, message=str(refusal))
        seconds = int(refusal.retry_after_s)
        nanos = int((refusal.retry_after_s - seconds) * 1e9)
        status.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=seconds, nanos=nanos)))
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(CODES[refusal.code], str(refusal))


CODES = {code.value[0]: code for code in grpc.StatusCode}
