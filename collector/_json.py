"""OTLP/JSON objects read into spans. Total: a field of the wrong type counts as not given.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from .private import kept, without_keys
from .span import KINDS, STATUSES, Event, Span

__all__ = ["spans_in"]

DEEPEST = 32
"""Levels of lists and maps read within one attribute value."""


def spans_in(parsed: dict[str, Any]) -> Iterator[Span]:
    """The spans of one parsed ExportTraceServiceRequest."""
    for each in _objects(parsed.get("resourceSpans")):
        resource = kept(_attributes(_object(each.get("resource")).get("attributes")))
        for group in _objects(each.get("scopeSpans")):
            scope = _object(group.get("scope"))
            for span in _objects(group.get("spans")):
                yield _span(span, resource, _text(scope.get("name")), _text(scope.get("version")))


def _span(span: dict[str, Any], resource: dict[str, Any], scope: str, scope_version: str) -> Span:
    status = _object(span.get("status"))
    return Span(
        trace_id=_hex(span.get("traceId")),
        span_id=_hex(span.get("spanId")),
        parent_id=_parent(span.get("parentSpanId")),
        name=_text(span.get("name")),
        kind=_word(span.get("kind"), KINDS, "SPAN_KIND_"),
        start_ns=_number(span.get("startTimeUnixNano")),
        end_ns=_number(span.get("endTimeUnixNano")),
        attributes=_attributes(span.get("attributes")),
        resource=resource,
        scope=scope,
        scope_version=scope_version,
        status=_word(status.get("code"), STATUSES, "STATUS_CODE_"),
        status_message=without_keys(_text(status.get("message"))[:1024]),
        events=[
            Event(
                _text(event.get("name")),
                _number(event.get("timeUnixNano")),
                _attributes(event.get("attributes")),
            )
            for event in _objects(span.get("events"))
        ],
    )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    """A string that can be encoded: JSON may spell half of a surrogate pair."""
    if not isinstance(value, str):
        return ""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _number(value: Any) -> int:
    """A count or a time; 0 stands for not given, as in protobuf."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 21:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _hex(value: Any) -> str:
    text = _text(value).lower()
    return text if text and all(digit in "0123456789abcdef" for digit in text) else ""


def _parent(value: Any) -> str:
    text = _hex(value)
    return text if len(text) == 16 and text.strip("0") else ""


def _word(value: Any, words: tuple[str, ...], prefix: str) -> str:
    """Enums are numbers by the specification; some senders write the name."""
    if isinstance(value, str):
        name = value.removeprefix(prefix).lower()
        return name if name in words else words[0]
    number = _number(value)
    return words[number] if number < len(words) else words[0]


def _attributes(pairs: Any, depth: int = 0) -> dict[str, Any]:
    return {
        _text(pair.get("key")): _value(_object(pair.get("value")), depth)
        for pair in _objects(pairs)
    }


def _value(value: dict[str, Any], depth: int) -> Any:
    if "stringValue" in value:
        return _text(value["stringValue"])
    if "intValue" in value:
        return _integer(value["intValue"])
    if "boolValue" in value:
        return value["boolValue"] if isinstance(value["boolValue"], bool) else None
    if "doubleValue" in value:
        return _double(value["doubleValue"])
    if "bytesValue" in value:
        return _text(value["bytesValue"])
    if depth >= DEEPEST:
        return None
    if "arrayValue" in value:
        values = _object(value["arrayValue"]).get("values")
        return [_value(each, depth + 1) for each in _objects(values)]
    if "kvlistValue" in value:
        return _attributes(_object(value["kvlistValue"]).get("values"), depth + 1)
    return None


def _integer(value: Any) -> int | None:
    if isinstance(value, str) and len(value) < 21:
        digits = value.removeprefix("-")
        value = int(value) if digits.isascii() and digits.isdigit() else None
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -(2**63) <= value < 2**63 else None


def _double(value: Any) -> float | None:
    if value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if isinstance(value, float) or abs(value) < 2**1023 else math.inf
