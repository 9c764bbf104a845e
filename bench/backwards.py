"""OTLP as the OpenTelemetry Collector writes it: the highest field first, all the way down.

https://github.com/open-telemetry/opentelemetry-collector/blob/main/pdata/internal/generated_proto_span.go
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from google.protobuf.message import Message  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

__all__ = ["backwards"]


def backwards(body: bytes) -> bytes:
    """The same request, in the other order; each span with a status, as a collector writes one."""
    request = ExportTraceServiceRequest.FromString(body)
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                span.status.SetInParent()
    return _written(request)


def _written(message: Any) -> bytes:
    fields = sorted(message.ListFields(), key=lambda each: _place(each[0]), reverse=True)
    return b"".join(_field(type(message), field, value) for field, value in fields)


def _place(field: Any) -> float:
    """Where it is written, counted from the end."""
    return 4.5 if field.full_name == _FLAGS else field.number


_FLAGS = "opentelemetry.proto.trace.v1.Span.flags"
"""Its number is the highest of a span's, and its place is behind the parent's id."""


def _field(kind: type[Any], field: Any, value: Any) -> bytes:
    """A field of a message of `kind` with all its values, which keep their order."""
    if field.type != field.TYPE_MESSAGE:
        return bytes(kind(**{field.name: value}).SerializeToString())
    tag = _varint(field.number << 3 | 2)
    several = [value] if isinstance(value, Message) else value
    if field.name == "attributes":
        written = [_pair(each.SerializeToString()) for each in several]
    else:
        written = list(map(_written, several))
    return b"".join(tag + _varint(len(one)) + one for one in written)


@lru_cache(maxsize=65_536)
def _pair(raw: bytes) -> bytes:
    return _written(KeyValue.FromString(raw))


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
