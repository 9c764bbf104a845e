"""A real OTLP/HTTP receiver on 127.0.0.1: decodes protobuf, remembers spans, and can misbehave."""

from __future__ import annotations

import gzip
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue


@dataclass
class Received:
    name: str
    scope: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    resource: dict[str, Any]


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None


def _values(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


@dataclass
class Receiver:
    """`hang=True`: connections are accepted and never answered, until the receiver closes."""

    hang: bool = False
    spans: list[Received] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    """Of the requests that carried spans, decompressed."""
    requests: int = 0

    def __enter__(self) -> Self:
        self._changed = threading.Condition()
        self._closing = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._take(self)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def _take(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        with self._changed:
            self.requests += 1
            self._changed.notify_all()
        if self.hang:
            self._closing.wait()
            handler.close_connection = True
            return
        if handler.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        answer = ExportTraceServiceResponse().SerializeToString()
        if handler.path == "/v1/traces":
            self._keep(ExportTraceServiceRequest.FromString(body), body)
        handler.send_response(200)
        handler.send_header("Content-Type", "application/x-protobuf")
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)

    def _keep(self, request: ExportTraceServiceRequest, body: bytes) -> None:
        with self._changed:
            self.bodies.append(body)
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        self.spans.append(
                            Received(
                                span.name,
                                scope.scope.name,
                                span.trace_id.hex(),
                                span.span_id.hex(),
                                span.parent_span_id.hex(),
                                _values(span.attributes),
                                _values(resource.resource.attributes),
                            )
                        )
            self._changed.notify_all()

    def forget(self) -> None:
        """As if nothing had come yet."""
        with self._changed:
            self.spans.clear()
            self.bodies.clear()

    def wait_for(self, enough: Any, timeout_s: float = 20.0) -> None:
        """Block until `enough()` holds; fails after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not enough():
                left = deadline - time.monotonic()
                assert left > 0, f"only {[span.name for span in self.spans]}"
                self._changed.wait(left)

    def calls(self) -> list[Received]:
        """The call spans of tollspan."""
        return [
            span
            for span in self.spans
            if span.scope == "tollspan"
            and "gen_ai.operation.name" in span.attributes
            and not span.name.startswith("hop ")
        ]
