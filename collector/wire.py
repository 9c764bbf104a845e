"""OTLP as it travels, read into spans: protobuf and JSON, total against whatever is in them.

https://opentelemetry.io/docs/specs/otlp/ and opentelemetry-proto 1.45. JSON is OTLP's own dialect:
ids are hex, 64-bit numbers are strings, unknown fields are ignored.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from ._json import spans_in
from .private import kept
from .receiver import Malformed
from .span import KINDS, STATUSES, Event, Span

__all__ = ["Decoded", "answer", "logs", "metrics", "traces"]

EARLIEST_NS = 946_684_800 * 10**9
"""2000-01-01: a span that says it started earlier has a broken clock, and no month to lie in."""

LATEST_NS = 7_258_118_400 * 10**9
"""2200-01-01, well inside what a 64-bit count of nanoseconds holds."""


@dataclass
class Decoded:
    """The spans of one request, and how many had to be left out, with the last reason."""

    spans: list[Span] = field(default_factory=list)
    rejected: int = 0
    why: str = ""

    def add(self, span: Span) -> None:
        """Take `span` if it can be kept."""
        why = _fault(span)
        if why:
            self.rejected += 1
            self.why = why
        else:
            span.attributes = kept(span.attributes)
            for event in span.events:
                event.attributes = kept(event.attributes)
            self.spans.append(span)


def _fault(span: Span) -> str:
    if len(span.trace_id) != 32 or not span.trace_id.strip("0"):
        return "a trace id is not 16 bytes, or is all zero"
    if len(span.span_id) != 16 or not span.span_id.strip("0"):
        return "a span id is not 8 bytes, or is all zero"
    if not EARLIEST_NS <= span.start_ns < LATEST_NS:
        return "a start time lies outside the years 2000 to 2199"
    if not 0 <= span.end_ns < LATEST_NS:
        return "an end time lies outside the years 1970 to 2199"
    return ""


def traces(body: bytes, *, is_json: bool = False) -> Decoded:
    """The spans of one ExportTraceServiceRequest.

    Raises:
        Malformed: `body` is not such a request.
    """
    decoded = Decoded()
    for span in spans_in(_parsed(body)) if is_json else _spans(body):
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


def _spans(body: bytes) -> Iterator[Span]:
    request = ExportTraceServiceRequest()
    _merge(request, body)
    for each in request.resource_spans:
        resource = kept(_attributes(each.resource.attributes))
        for group in each.scope_spans:
            for span in group.spans:
                yield _span(span, resource, group.scope.name, group.scope.version)


def _span(span: Any, resource: dict[str, Any], scope: str, scope_version: str) -> Span:
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=_parent(span.parent_span_id),
        name=span.name,
        kind=KINDS[span.kind] if 0 <= span.kind < len(KINDS) else KINDS[0],
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        resource=resource,
        scope=scope,
        scope_version=scope_version,
        status=STATUSES[span.status.code] if 0 <= span.status.code < len(STATUSES) else STATUSES[0],
        status_message=span.status.message[:1024],
        events=[
            Event(event.name, event.time_unix_nano, _attributes(event.attributes))
            for event in span.events
        ],
    )


def _parent(raw: bytes) -> str:
    return raw.hex() if len(raw) == 8 and any(raw) else ""


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    return _READ[value.WhichOneof("value")](value)


_READ: dict[str | None, Callable[[Any], Any]] = {
    None: lambda value: None,
    "string_value": lambda value: value.string_value,
    "int_value": lambda value: value.int_value,
    "double_value": lambda value: value.double_value,
    "bool_value": lambda value: value.bool_value,
    "bytes_value": lambda value: base64.b64encode(value.bytes_value).decode(),
    "array_value": lambda value: [_value(each) for each in value.array_value.values],
    "kvlist_value": lambda value: _attributes(value.kvlist_value.values),
    # Profiles only: an index into a table that traces do not have.
    "string_value_strindex": lambda value: None,
}
