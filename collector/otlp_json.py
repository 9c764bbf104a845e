"""OTLP/JSON as the protobuf that it stands for, so that it can be sent on.

JSON of OTLP is protobuf's own but for ids, which are hex instead of base64.
https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

import base64
import json
from typing import Any

from google.protobuf import json_format  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace

from .receiver import Malformed

__all__ = ["answer_as_json", "as_protobuf"]

REQUESTS: dict[str, Any] = {
    "traces": trace.ExportTraceServiceRequest,
    "metrics": metrics.ExportMetricsServiceRequest,
    "logs": logs.ExportLogsServiceRequest,
}
RESPONSES: dict[str, Any] = {
    "traces": trace.ExportTraceServiceResponse,
    "metrics": metrics.ExportMetricsServiceResponse,
    "logs": logs.ExportLogsServiceResponse,
}
IDS = frozenset({"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"})
DEEPEST = 90
"""Levels of JSON; protobuf itself reads 100."""


def as_protobuf(signal: str, body: bytes) -> bytes:
    """The request of `signal` in `body`, as protobuf. Unknown fields are left out.

    Raises:
        Malformed: it is not such a request.
    """
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Malformed("the body is not JSON") from error
    if not isinstance(parsed, dict):
        raise Malformed("the body is not a JSON object")
    _ids_to_base64(parsed)
    try:
        request = json_format.ParseDict(parsed, REQUESTS[signal](), ignore_unknown_fields=True)
        return bytes(request.SerializeToString())
    except (json_format.ParseError, ValueError, TypeError, AttributeError) as error:
        raise Malformed("the body is JSON, but not OTLP") from error


def answer_as_json(signal: str, answer: bytes) -> bytes:
    """A response of `signal` as JSON."""
    response = RESPONSES[signal].FromString(answer)
    return json.dumps(json_format.MessageToDict(response)).encode()


def _ids_to_base64(parsed: dict[str, Any]) -> None:
    level: list[Any] = [parsed]
    for _ in range(DEEPEST):
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                for name in IDS.intersection(each):
                    each[name] = _base64(each[name])
                below += each.values()
            elif isinstance(each, list):
                below += each
        level = [each for each in below if isinstance(each, dict | list)]
        if not level:
            return
    raise Malformed("the body is nested deeper than OTLP is")


def _base64(value: Any) -> str:
    """An id that is no hex is none."""
    try:
        return base64.b64encode(bytes.fromhex(value)).decode()
    except (ValueError, TypeError):
        return ""
