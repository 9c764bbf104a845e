"""ExportTraceServiceRequest seen through narrower windows: what a step does not need is not parsed.

The same field numbers as opentelemetry-proto 1.45, but parts are declared `bytes`, so that they are
copied and not read, and all else is left an unknown field, which protobuf keeps and writes again.
A sub-message that is declared `repeated bytes` may come in several pieces, as protobuf allows: the
pieces, one behind the other, are the message.
https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto
https://protobuf.dev/programming-guides/encoding/#last-one-wins
"""

from __future__ import annotations

from typing import Any

from google.protobuf import (  # type: ignore[import-untyped]
    descriptor_pb2,
    descriptor_pool,
    message_factory,
)

__all__ = ["Bundle", "Event", "OpenSpan", "View", "ViewedSpan"]

_FIELD = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "bytes": _FIELD.TYPE_BYTES,
    "int32": _FIELD.TYPE_INT32,
    "fixed64": _FIELD.TYPE_FIXED64,
}

_MESSAGES = """
Bundle       repeated BundledResource resource_spans = 1
BundledResource  repeated bytes resource = 1
BundledResource  repeated BundledScope scope_spans = 2
BundledScope repeated bytes scope = 1
BundledScope repeated bytes spans = 2

View         repeated ViewedResource resource_spans = 1
ViewedResource   repeated ViewedScope scope_spans = 2
ViewedScope  repeated ViewedSpan spans = 2
ViewedSpan   optional bytes trace_id = 1
ViewedSpan   optional bytes span_id = 2
ViewedSpan   optional bytes parent_span_id = 4
ViewedSpan   optional bytes name = 5
ViewedSpan   optional int32 kind = 6
ViewedSpan   optional fixed64 start_time_unix_nano = 7
ViewedSpan   optional fixed64 end_time_unix_nano = 8
ViewedSpan   repeated bytes attributes = 9
ViewedSpan   optional bytes events = 11
ViewedSpan   optional bytes status = 15

OpenSpan     repeated bytes attributes = 9
OpenSpan     repeated bytes events = 11
Event        repeated bytes attributes = 3
"""
"""Message, label, type, field and number of each field that is read."""


def _classes() -> dict[str, Any]:
    package = "tollspan_trimmed"
    file = descriptor_pb2.FileDescriptorProto(
        name="tollspan/trimmed.proto", package=package, syntax="proto3"
    )
    messages: dict[str, Any] = {}
    for line in _MESSAGES.splitlines():
        if not line:
            continue
        message, label, kind, name, _, number = line.split()
        if message not in messages:
            messages[message] = file.message_type.add(name=message)
        field = messages[message].field.add(name=name, number=int(number))
        field.label = _FIELD.LABEL_REPEATED if label == "repeated" else _FIELD.LABEL_OPTIONAL
        if kind in _TYPES:
            field.type = _TYPES[kind]
        else:
            field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".{package}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in messages
    }


_CLASS = _classes()

Bundle: Any = _CLASS["Bundle"]
"""A request with spans as bytes: to take some out, and to put others in. Lossless."""

View: Any = _CLASS["View"]
ViewedSpan: Any = _CLASS["ViewedSpan"]
"""A request, or one span, to read in; attributes and status are bytes, and so is the last event.
Not to be written: that would lose the other events."""

OpenSpan: Any = _CLASS["OpenSpan"]
"""One span, to take attributes out and put others in. Lossless."""

Event: Any = _CLASS["Event"]
"""An event of a span, likewise."""
