"""Spans made here, as the OTLP/JSON that any sender writes: they come in by the same door.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from tollspan import semconv
from tollspan.collector.span import KINDS, STATUSES

__all__ = ["Spans", "request"]


class Spans:
    """The spans of one trace, in the shape of OTLP/JSON."""

    def __init__(self, trace_id: str) -> None:
        self.trace_id = trace_id
        self.made: list[dict[str, Any]] = []

    def add(
        self,
        name: str,
        attributes: Mapping[str, Any],
        start_ns: int,
        end_ns: int,
        parent: str = "",
        *,
        kind: str = "internal",
        failed: bool = False,
    ) -> str:
        """Add one; returns its id."""
        span_id = secrets.token_hex(8)
        self.made.append(
            {
                "traceId": self.trace_id,
                "spanId": span_id,
                "parentSpanId": parent,
                "name": name,
                "kind": KINDS.index(kind),
                "startTimeUnixNano": str(start_ns),
                "endTimeUnixNano": str(end_ns),
                "status": {"code": STATUSES.index("error" if failed else "unset")},
                "attributes": [
                    {"key": key, "value": _value(value)} for key, value in attributes.items()
                ],
            }
        )
        return span_id


def request(spans: list[dict[str, Any]], resource: Mapping[str, Any]) -> bytes:
    """The body of a request with `spans` of one resource, as if our own instrumentation sent it."""
    told = {
        "resource": {
            "attributes": [{"key": key, "value": _value(value)} for key, value in resource.items()]
        },
        "scopeSpans": [{"scope": {"name": semconv.SCOPE}, "spans": spans}],
    }
    return json.dumps({"resourceSpans": [told]}).encode()


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(each) for each in value]}}
    return {"stringValue": value}
