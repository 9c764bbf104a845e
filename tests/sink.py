"""The collector behind a stage, as the tests see it: OTLP in over gRPC and HTTP, kept in memory as a
ledger would, and misbehaving on demand.

Spans are kept by their ids and records by their call, the highest version standing, the last of
equals: what ReplacingMergeTree does.
"""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tollspan import semconv
from tollspan.collector.otlp_grpc import LOGS, METRICS, TRACES

Answer = Callable[[str, int], None]


@dataclass
class Failing:
    """What the sink answers instead: a gRPC code for a signal, as often as `times`."""

    code: grpc.StatusCode
    signals: tuple[str, ...] = ("traces", "logs")
    times: int = 1 << 30
    details: tuple[tuple[str, bytes], ...] = ()


@dataclass
class Sink:
    """`with Sink() as sink:`; `failing` and `slow_s` may be changed while it runs."""

    failing: Failing | None = None
    slow_s: float = 0.0
    rejects_spans: int = 0
    rejects_records: int = 0
    bodies: list[bytes] = field(default_factory=list)
    """Of requests with spans."""
    spans: dict[tuple[str, str], Any] = field(default_factory=dict)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By call id: the body of the record that stands."""
    told: list[dict[str, Any]] = field(default_factory=list)
    """Every record, in the order in which they came."""
    others: list[tuple[str, bytes]] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)
    port: int = 0

    def __enter__(self) -> Self:
        self.changed = threading.Condition()
        self._server = grpc.server(
            ThreadPoolExecutor(16),
            handlers=[_Handlers(self)],
            options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)],
        )
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                sink._post(self)

            def log_message(self, *_: Any) -> None: ...

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.stop(0).wait()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    @property
    def grpc_url(self) -> str:
        return f"grpc://127.0.0.1:{self.port}"

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    # --- what it is told -------------------------------------------------------------------------

    def take(self, signal: str, body: bytes) -> bytes:
        """The answer to a request that is taken."""
        if self.slow_s:
            time.sleep(self.slow_s)
        with self.changed:
            if signal == "traces":
                answer = self._take_spans(body)
            elif signal == "logs":
                answer = self._take_records(body)
            else:
                self.others.append((signal, body))
                answer = b""
            self.changed.notify_all()
        return answer

    def fails(self, signal: str) -> Failing | None:
        with self.changed:
            failing = self.failing
            if failing is None or signal not in failing.signals or not failing.times:
                return None
            failing.times -= 1
            return failing

    def _take_spans(self, body: bytes) -> bytes:
        self.bodies.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans[span.trace_id.hex(), span.span_id.hex()] = span
        answer = ExportTraceServiceResponse()
        if self.rejects_spans:
            answer.partial_success.rejected_spans = self.rejects_spans
            answer.partial_success.error_message = "some spans are ugly"
        return answer.SerializeToString()

    def _take_records(self, body: bytes) -> bytes:
        for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
            for scope in resource.scope_logs:
                for record in scope.log_records:
                    if scope.scope.name == semconv.LEDGER_SCOPE:
                        assert record.event_name == semconv.LEDGER_EVENT
                        self._keep(json.loads(record.body.string_value))
                    else:
                        self.others.append(("logs", body))
        answer = ExportLogsServiceResponse()
        if self.rejects_records:
            answer.partial_success.rejected_log_records = self.rejects_records
            answer.partial_success.error_message = "some records are ugly"
        return answer.SerializeToString()

    def _keep(self, record: dict[str, Any]) -> None:
        self.told.append(record)
        key = record["call"]["call_id"]
        there = self.records.get(key)
        if there is None or record["call"]["version"] >= there["call"]["version"]:
            self.records[key] = record

    # --- what the ledger would say ---------------------------------------------------------------

    def owners(self) -> list[dict[str, Any]]:
        """Rows of `tollspan_calls`."""
        with self.changed:
            rows = [record["call"] for record in self.records.values()]
        return [row for row in rows if row["role"] == "owner"]

    def usd(self) -> Decimal:
        return sum((Decimal(row.get("cost_usd", "0")) for row in self.owners()), Decimal(0))

    def state(self) -> dict[str, tuple[Any, ...]]:
        """All that the ledger holds of calls, without who told it and when."""
        with self.changed:
            return {
                key: (tuple(sorted(map(str, record["call"].items()))), str(record["hops"]))
                for key, record in self.records.items()
            }

    def missing(self, keys: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Spans of `keys` (trace id, span id) that are not there."""
        with self.changed:
            return [key for key in keys if key not in self.spans]

    def wait_for(self, enough: Callable[[], Any], timeout_s: float = 30.0) -> None:
        deadline = time.monotonic() + timeout_s
        with self.changed:
            while not enough():
                left = deadline - time.monotonic()
                assert left > 0, f"{len(self.spans)} spans, {len(self.told)} records"
                self.changed.wait(left)

    # --- HTTP ------------------------------------------------------------------------------------

    def _post(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        if handler.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.metadata.append({name.lower(): value for name, value in handler.headers.items()})
        signal = handler.path.rsplit("/", 1)[-1]
        failing = self.fails(signal)
        status, answer = 200, b""
        if failing is not None:
            status = HTTP.get(failing.code, 503)
        else:
            try:
                answer = self.take(signal, body)
            except DecodeError:
                status = 400
        handler.send_response(status)
        if status == 429:
            handler.send_header("Retry-After", "3")
        handler.send_header("Content-Type", "application/x-protobuf")
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)


HTTP = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNIMPLEMENTED: 404,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.INTERNAL: 500,
}


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def service(self, details: Any) -> Any:
        signal = {TRACES: "traces", METRICS: "metrics", LOGS: "logs"}.get(details.method)
        if signal is None:
            return None

        def answer(body: bytes, context: Any) -> bytes:
            self._sink.metadata.append(dict(context.invocation_metadata()))
            failing = self._sink.fails(signal)
            if failing is not None:
                context.set_trailing_metadata(failing.details)
                context.abort(failing.code, "the sink was told to say so")
            try:
                return self._sink.take(signal, body)
            except DecodeError:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "that is not OTLP")

        return grpc.unary_unary_rpc_method_handler(answer)
