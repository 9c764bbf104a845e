"""The stage's inner step as one would write it first: generated classes, one span after the other.

It does the same work with the same functions of the processors, and its output says the same.
"""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tollspan import semconv
from tollspan.collector.private import kept
from tollspan.processors.foreign import operation
from tollspan.processors.ownership import normalised, priced

__all__ = ["enrich", "value_of", "write"]

_ERROR = 2


def enrich(body: bytes) -> bytes:
    """`body`, an ExportTraceServiceRequest, with cost and path on the calls in it."""
    request = ExportTraceServiceRequest.FromString(body)
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                came = {pair.key: value_of(pair.value) for pair in span.attributes}
                said = kept(came)
                if len(said) < len(came):
                    keep = [pair for pair in span.attributes if pair.key in said]
                    del span.attributes[:]
                    span.attributes.extend(keep)
                if operation(said) is None or semconv.COST_ROLE in said:
                    continue
                failed = span.status.code == _ERROR
                call = normalised(said, failed=failed, scope=scope.scope.name)
                own = priced(call, start_ns=span.start_time_unix_nano).attributes
                for name, value in own.items():
                    write(span.attributes.add(key=name).value, value)
    return bytes(request.SerializeToString())


def value_of(value: AnyValue) -> Any:
    """A value as Python has it."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None


def write(into: AnyValue, value: Any) -> None:
    """`value` as OTLP has it."""
    if isinstance(value, bool):
        into.bool_value = value
    elif isinstance(value, str):
        into.string_value = value
    elif isinstance(value, int):
        into.int_value = value
    else:
        into.double_value = value
