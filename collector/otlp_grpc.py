"""OTLP over gRPC: raw bytes in, spans to the sink, the answer once they are safe.

Generic handlers, so that no generated service stands between the bytes and the reader.
https://opentelemetry.io/docs/specs/otlp/#otlpgrpc
"""

from __future__ import annotations

import hmac
import socket
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf.duration_pb2 import Duration  # type: ignore[import-untyped]
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from . import wire
from .receiver import MAX_BODY_BYTES, Malformed, Overloaded, Received, Sink

__all__ = ["GrpcReceiver", "PortInUse"]

TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
THREADS = 16
COMMIT_TIMEOUT_S = 30.0
MESSAGE = "the ledger could not take the spans; send them again"


class PortInUse(RuntimeError):
    """Nothing can listen there; the message is the reason."""


class GrpcReceiver:
    """Listens at `host:port`; port 0 takes a free one, which `port` then tells.

    Raises:
        PortInUse: somebody else listens there.
    """

    def __init__(
        self, sink: Sink, received: Received, *, host: str, port: int, token: str = ""
    ) -> None:
        self._sink = sink
        self._received = received
        self._token = token
        self._server = grpc.server(
            ThreadPoolExecutor(THREADS, thread_name_prefix="tollspan-grpc"),
            handlers=[_Handlers({TRACES: self._traces, METRICS: self._metrics, LOGS: self._logs})],
            options=[
                ("grpc.max_receive_message_length", MAX_BODY_BYTES),
                ("grpc.so_reuseport", 0),
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

    def _traces(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        decoded = _read(lambda: wire.traces(body), context)
        self._received.add(requests=1, spans=len(decoded.spans), rejected=decoded.rejected)
        try:
            _wait(self._sink.offer(decoded.spans), context)
        except Overloaded as overload:
            _refuse(context, overload)
        return wire.answer(decoded)

    def _metrics(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        self._received.add(requests=1, metrics=_read(lambda: wire.metrics(body), context))
        return b""

    def _logs(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        self._received.add(requests=1, logs=_read(lambda: wire.logs(body), context))
        return b""

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


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, methods: dict[str, Callable[[bytes, Any], bytes]]) -> None:
        self._methods = {
            name: grpc.unary_unary_rpc_method_handler(_authorised(method))
            for name, method in methods.items()
        }

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        return self._methods.get(details.method)


def _authorised(method: Callable[[bytes, Any], bytes]) -> Callable[[bytes, Any], bytes]:
    receiver: GrpcReceiver = method.__self__  # type: ignore[attr-defined]

    def checked(body: bytes, context: Any) -> bytes:
        if not receiver.allows(context.invocation_metadata()):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "send TOLLSPAN_TOKEN as a bearer token")
        return method(body, context)

    return checked


def _read(read: Callable[[], Any], context: Any) -> Any:
    try:
        return read()
    except Malformed as error:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))


def _wait(done: Future[None], context: Any) -> None:
    try:
        done.result(COMMIT_TIMEOUT_S)
    except (RuntimeError, TookTooLong):
        context.abort(grpc.StatusCode.UNAVAILABLE, MESSAGE)


def _refuse(context: Any, overload: Overloaded) -> None:
    """RESOURCE_EXHAUSTED is retried by OTLP senders only where RetryInfo says when."""
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    status = Status(code=code.value[0], message=str(overload))
    seconds = int(overload.retry_after_s)
    nanos = int((overload.retry_after_s - seconds) * 1e9)
    status.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=seconds, nanos=nanos)))
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, str(overload))
