"""Requests whose fields were written last first, as the OpenTelemetry Collector writes them.

Its encoder fills its buffer from the end, so each message begins with its highest field and an
attribute with its value. Protobuf allows any order; shapes, moulds and places of ids go by bytes in the
order of the field numbers, in which SDKs write.
https://github.com/open-telemetry/opentelemetry-collector/blob/main/pdata/internal/generated_proto_span.go
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from .trimmed import Bundle

__all__ = ["bundled"]

_TRACE_ID = 0x0A
"""Tag of the lowest field of a span."""


def bundled(body: bytes) -> tuple[bytes, Any]:
    """`body`, an ExportTraceServiceRequest, with its fields in order, and what is in it.

    A body that only its order changes is another spelling of the same message; where that cannot be
    made (a text is not UTF-8), or where it changes nothing, the body is as it came.

    Raises:
        DecodeError: `body` is none.
    """
    bundle = Bundle.FromString(body)
    if not _is_backwards(bundle):
        return body, bundle
    try:
        body = ExportTraceServiceRequest.FromString(body).SerializeToString()
    except DecodeError:
        return body, bundle
    return body, Bundle.FromString(body)


def _is_backwards(bundle: Any) -> bool:
    for of_resource in bundle.resource_spans:
        for of_scope in of_resource.scope_spans:
            for raw in of_scope.spans:
                return bool(raw) and raw[0] != _TRACE_ID
    return False
