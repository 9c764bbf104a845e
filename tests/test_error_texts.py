"""Keys that providers repeat in the texts of errors are masked where other tracers' spans come in."""

from __future__ import annotations

import json

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from spans import foreign, otlp_json, protobuf

from tollspan.collector.clean import cleaned
from tollspan.collector.trimmed import OpenSpan, ViewedSpan
from tollspan.collector.wire import traces

KEY = "sk-proj-plantedPLANTED0123456789"
TEXT = f"Incorrect API key provided: {KEY}. Ask ann@example.com."
MASKED = "Incorrect API key provided: [redacted:api_key]. Ask ann@example.com."


def raised() -> ExportTraceServiceRequest:
    """A span of another tracer that failed, and says so in each place that it has."""
    request = ExportTraceServiceRequest.FromString(
        protobuf([foreign(1, attributes={"error.message": TEXT})])
    )
    (span,) = request.resource_spans[0].scope_spans[0].spans
    span.status.message = TEXT
    event = span.events.add()
    event.name = "exception"
    for name in ("exception.message", "exception.stacktrace"):
        pair = event.attributes.add()
        pair.key, pair.value.string_value = name, TEXT
    return request


def test_spans_that_come_as_protobuf_lose_them() -> None:
    (span,) = traces(raised().SerializeToString()).spans

    assert span.status_message == MASKED
    assert span.attributes["error.message"] == MASKED
    assert span.events[0].attributes == {
        "exception.message": MASKED,
        "exception.stacktrace": MASKED,
    }


def test_spans_that_come_as_json_lose_them() -> None:
    document = json.loads(otlp_json([foreign(1, attributes={"error.message": TEXT})]))
    span = document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    span["status"]["message"] = TEXT
    (read,) = traces(json.dumps(document).encode(), is_json=True).spans

    assert read.status_message == MASKED
    assert read.attributes["error.message"] == MASKED


def test_spans_that_go_on_as_bytes_lose_them() -> None:
    raw = raised().resource_spans[0].scope_spans[0].spans[0].SerializeToString()
    said = OpenSpan.FromString(raw).attributes[:]
    kept = cleaned(raw, ViewedSpan.FromString(raw), said, makes_room=False)

    assert KEY.encode() not in kept
    assert kept.count(MASKED.encode()) == 4
