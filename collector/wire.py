"""OTLP as it travels, read into spans: protobuf and JSON, total against whatever is in them.

https://opentelemetry.io/docs/specs/otlp/ and opentelemetry-proto 1.45. JSON is OTLP's own dialect:
ids are hex, 64-bit numbers are strings, unknown fields are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tollspan import semconv

from ._json import spans_in
from .enrich import settling
from .framed import framed
from .opened import opened, resource_of, scope_of
from .ordered import bundled
from .private import kept
from .receiver import Malformed
from .sealed import Sealed
from .span import Span, fault
from .trimmed import View
from .unjoined import UNJOINED, before

__all__ = ["Decoded", "answer", "logs", "metrics", "traces"]


@dataclass
class Decoded:
    """The spans of one request, and how many had to be left out, with the last reason."""

    spans: list[Span] = field(default_factory=list)
    sealed: list[Sealed] = field(default_factory=list)
    """Others, not opened: to be opened, and then added, by whoever takes them."""
    rejected: int = 0
    why: str = ""

    @property
    def size(self) -> int:
        """How many spans it has, those included that are not opened yet."""
        return len(self.spans) + sum(map(len, self.sealed))

    def reject(self, other: Decoded) -> None:
        """Count what was left out of `other`, too."""
        self.rejected += other.rejected
        self.why = other.why or self.why

    def add(self, span: Span) -> None:
        """Take `span` if it can be kept."""
        why = fault(span)
        if why:
            self.rejected += 1
            self.why = why
        else:
            self.spans.append(span)


def traces(body: bytes, *, is_json: bool = False, seals: bool = False) -> Decoded:
    """The spans of one ExportTraceServiceRequest; with `seals` those of tollspan itself unopened.

    Raises:
        Malformed: `body` is not such a request.
    """
    decoded = Decoded()
    if seals and not is_json and (found := _sealed(body)) is not None:
        decoded.sealed = found
        return decoded
    spans: Iterable[Span]
    if is_json:
        spans = map(_cleaned, spans_in(_parsed(body)))
    else:
        spans = _spans(body, decoded.sealed if seals else None)
    for span in spans:
        decoded.add(span)
    return decoded


def metrics(body: bytes, *, is_json: bool = False) -> int:
    """How many metrics a request has; they are counted and not kept."""
    if is_json:
        return _entries(_parsed(body), "resourceMetrics", "scopeMetrics", "metrics")
    request = ExportMetricsServiceRequest()
    _merge(request, body)
    return sum(
        len(scope.metrics) for each in request.resource_metrics for scope in each.scope_metrics
    )


def logs(body: bytes, *, is_json: bool = False) -> int:
    """How many log records a request has; they are counted and not kept."""
    if is_json:
        return _entries(_parsed(body), "resourceLogs", "scopeLogs", "logRecords")
    request = ExportLogsServiceRequest()
    _merge(request, body)
    return sum(
        len(scope.log_records) for each in request.resource_logs for scope in each.scope_logs
    )


def answer(decoded: Decoded, *, is_json: bool = False) -> bytes:
    """The response to a request: empty, or a partial success that says what was left out."""
    if is_json:
        if not decoded.rejected:
            return b"{}"
        partial = {"rejectedSpans": str(decoded.rejected), "errorMessage": decoded.why}
        return json.dumps({"partialSuccess": partial}).encode()
    response = ExportTraceServiceResponse()
    if decoded.rejected:
        response.partial_success.rejected_spans = decoded.rejected
        response.partial_success.error_message = decoded.why
    return bytes(response.SerializeToString())


def _merge(message: Any, body: bytes) -> None:
    try:
        message.MergeFromString(body)
    except DecodeError as error:
        raise Malformed("the body is not an OTLP protobuf message") from error


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Malformed("the body is not JSON") from error
    if not isinstance(parsed, dict):
        raise Malformed("the body is not a JSON object")
    return parsed


def _entries(parsed: dict[str, Any], *path: str) -> int:
    level: list[Any] = [parsed]
    for name in path:
        level = [
            entry
            for each in level
            if isinstance(each, dict) and isinstance(each.get(name), list)
            for entry in each[name]
        ]
    return len(level)


def _sealed(body: bytes) -> list[Sealed] | None:
    """The spans of a request all of whose spans are tollspan's own; None where not all are, or where
    that takes a closer look."""
    sealed = []
    for found in framed(body) or ():
        scope = scope_of(found.scope)
        if scope.name != semconv.SCOPE:
            return None
        resource = resource_of(found.resource)
        sealed.append(Sealed(resource, scope, body, found.begins, found.ends))
    return sealed or None


def _spans(body: bytes, sealed: list[Sealed] | None) -> Iterator[Span]:
    """The spans of a request, but for those that go into `sealed`."""
    try:
        body, bundle = bundled(body)
    except DecodeError as error:
        raise Malformed("the body is not an OTLP protobuf message") from error
    view = None
    for at, of_resource in enumerate(bundle.resource_spans):
        resource = resource_of(b"".join(of_resource.resource))
        for place, of_scope in enumerate(of_resource.scope_spans):
            scope = scope_of(b"".join(of_scope.scope))
            if sealed is not None and scope.name == semconv.SCOPE:
                sealed.append(Sealed.of(resource, scope, of_scope.spans[:]))
                continue
            if view is None:
                view = View()
                _merge(view, body)
            read = settling.reading(scope)
            in_scope = view.resource_spans[at].scope_spans[place]
            for raw, viewed in zip(of_scope.spans, in_scope.spans, strict=True):
                raws = viewed.attributes[:]
                span = opened(raw, viewed, raws, resource, scope)
                read(span, raw, viewed, raws)
                yield span


def _cleaned(span: Span) -> Span:
    """A span out of JSON, as `opened` leaves one out of protobuf."""
    span.attributes = kept(span.attributes)
    if span.attributes.get(semconv.COST_ROLE) == UNJOINED:
        span.attributes = before(span.attributes)
    for event in span.events:
        event.attributes = kept(event.attributes)
    return span
