"""Spans made by hand, and the OTLP requests that carry them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tollspan import semconv
from tollspan.collector.span import KINDS, STATUSES, Span

START_NS = 1_780_000_000_000_000_000
TRACE = "5b8aa5a2d2c872e8321cf37308d69df2"


def span(
    number: int, parent: int = 0, attributes: Mapping[str, Any] | None = None, **more: Any
) -> Span:
    """Span `number` of `TRACE`, `number` seconds after the start, a child of span `parent`."""
    given: dict[str, Any] = {
        "trace_id": TRACE,
        "span_id": f"{number:016x}",
        "parent_id": f"{parent:016x}" if parent else "",
        "name": f"span {number}",
        "kind": "internal",
        "start_ns": START_NS + number * 10**9,
        "end_ns": START_NS + number * 10**9 + 500_000_000,
        "attributes": dict(attributes or {}),
        "resource": {semconv.SERVICE_NAME: "shop", semconv.DEPLOYMENT_ENVIRONMENT: "test"},
        "scope": semconv.SCOPE,
    }
    return Span(**(given | more))


def owner(number: int, parent: int = 0, cost: float | None = 0.000123, **more: Any) -> Span:
    """A call span of ours, priced where it ran."""
    attributes = {
        semconv.OPERATION: "chat",
        semconv.PROVIDER: "openai",
        semconv.REQUEST_MODEL: "gpt-4o-mini",
        semconv.RESPONSE_MODEL: "gpt-4o-mini-2024-07-18",
        semconv.INPUT_TOKENS: 540,
        semconv.OUTPUT_TOKENS: 180,
        semconv.ENDPOINT_TAG: "checkout.ai_summary",
        semconv.TENANT: "acme",
        semconv.STATUS: "success",
        semconv.COST_ROLE: "owner",
        semconv.COST_GRADE: "derived" if cost is not None else "unpriced",
        semconv.ROUTE: "openai/gpt-4o-mini",
        semconv.HOP_COUNT: 1,
    }
    if cost is not None:
        attributes |= {semconv.COST_AMOUNT: cost, semconv.COST_CURRENCY: "USD"}
    attributes |= more.pop("attributes", {})
    return span(number, parent, attributes, kind="client", **more)


def foreign(number: int, parent: int = 0, tokens: int | None = 1000, **more: Any) -> Span:
    """A call span of somebody else: usage, no cost."""
    attributes: dict[str, Any] = {
        semconv.OPERATION: "chat",
        semconv.PROVIDER: "openai",
        semconv.REQUEST_MODEL: "gpt-4o-mini",
    }
    if tokens is not None:
        attributes |= {semconv.INPUT_TOKENS: tokens, semconv.OUTPUT_TOKENS: tokens}
    attributes |= more.pop("attributes", {})
    return span(number, parent, attributes, kind="client", scope="another", **more)


def hop(number: int, parent: int, index: int, role: str, name: str) -> Span:
    return span(
        number,
        parent,
        {
            semconv.HOP_ROLE: role,
            semconv.HOP_NAME: name,
            semconv.HOP_INDEX: index,
            semconv.HOP_EVIDENCE: "reported",
        },
        name=f"hop {name}",
    )


def attempt(number: int, parent: int, status: int = 200, **headers: str) -> Span:
    attributes: dict[str, Any] = {semconv.HTTP_METHOD: "POST", semconv.HTTP_STATUS: status}
    for name, value in headers.items():
        attributes[semconv.RESPONSE_HEADER_PREFIX + name.replace("_", "-")] = value
    return span(number, parent, attributes, kind="client", name="POST", scope="http")


def protobuf(spans: Iterable[Span]) -> bytes:
    """An ExportTraceServiceRequest with `spans`, one resource each."""
    request = ExportTraceServiceRequest()
    for each in spans:
        resource = request.resource_spans.add()
        resource.resource.attributes.extend(_pairs(each.resource))
        scope = resource.scope_spans.add()
        scope.scope.name = each.scope
        made = scope.spans.add()
        made.trace_id, made.span_id = bytes.fromhex(each.trace_id), bytes.fromhex(each.span_id)
        made.parent_span_id = bytes.fromhex(each.parent_id)
        made.name, made.kind = each.name, KINDS.index(each.kind)
        made.start_time_unix_nano, made.end_time_unix_nano = each.start_ns, each.end_ns
        made.status.code = STATUSES.index(each.status)
        made.attributes.extend(_pairs(each.attributes))
    return request.SerializeToString()


def otlp_json(spans: Iterable[Span]) -> bytes:
    """The same as OTLP/JSON."""
    return json.dumps(
        {
            "resourceSpans": [
                {
                    "resource": {"attributes": _json_pairs(each.resource)},
                    "scopeSpans": [
                        {
                            "scope": {"name": each.scope},
                            "spans": [
                                {
                                    "traceId": each.trace_id,
                                    "spanId": each.span_id,
                                    "parentSpanId": each.parent_id,
                                    "name": each.name,
                                    "kind": KINDS.index(each.kind),
                                    "startTimeUnixNano": str(each.start_ns),
                                    "endTimeUnixNano": str(each.end_ns),
                                    "status": {"code": STATUSES.index(each.status)},
                                    "attributes": _json_pairs(each.attributes),
                                }
                            ],
                        }
                    ],
                }
                for each in spans
            ]
        }
    ).encode()


def _pairs(attributes: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_any(value)) for key, value in attributes.items()]


def _any(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, list):
        made = AnyValue()
        made.array_value.values.extend(_any(each) for each in value)
        return made
    if isinstance(value, dict):
        made = AnyValue()
        made.kvlist_value.values.extend(_pairs(value))
        return made
    return AnyValue(string_value=value)


def _json_pairs(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _json_any(value)} for key, value in attributes.items()]


def _json_any(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_json_any(each) for each in value]}}
    return {"stringValue": value}
