"""Told calls as OTLP requests: what a stage sends on of records that came as no span."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from struct import Struct
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from tollspan import semconv

from .fields import fields, head, written
from .span import KINDS, STATUSES, Span
from .trimmed import Bundle

__all__ = ["requests_of"]

REQUEST_BYTES = 2_000_000
"""After so many a further request begins: a collector takes 4 MiB at once unless told otherwise, and the
step appends to each span."""

_TIMES = Struct("<BQBQ")


def requests_of(spans: Sequence[Span]) -> Iterator[tuple[list[Span], bytes]]:
    """ExportTraceServiceRequests with `spans`, each with those that are in it."""
    some: list[Span] = []
    raws: list[bytes] = []
    size = 0
    for span in spans:
        raw = _span(span)
        if some and size + len(raw) > REQUEST_BYTES:
            yield some, _request(some, raws)
            some, raws, size = [], [], 0
        some.append(span)
        raws.append(raw)
        size += len(raw)
    if some:
        yield some, _request(some, raws)


def _request(spans: Sequence[Span], raws: Sequence[bytes]) -> bytes:
    bundle = Bundle()
    scopes: dict[tuple[Any, ...], Any] = {}
    for span, raw in zip(spans, raws, strict=True):
        key = (span.scope, *sorted(span.resource.items()))
        if key not in scopes:
            resource = bundle.resource_spans.add()
            resource.resource.append(_resource(span.resource))
            scopes[key] = resource.scope_spans.add()
            scopes[key].scope.append(InstrumentationScope(name=span.scope).SerializeToString())
        scopes[key].spans.append(raw)
    return bytes(bundle.SerializeToString())


def _resource(said: Mapping[str, Any]) -> bytes:
    pairs = [KeyValue.FromString(written(name, value)) for name, value in said.items()]
    return bytes(Resource(attributes=pairs).SerializeToString())


def _sent(span: Span) -> Iterator[tuple[str, Any]]:
    """Attributes, without what the span's own status says: the step would have to move it out of the way
    of what it appends itself, which takes longer than all the rest."""
    implied = "error" if span.status == "error" else "success"
    for name, value in span.attributes.items():
        if name != semconv.STATUS or value != implied:
            yield name, value


def _span(span: Span) -> bytes:
    """https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto"""
    name = span.name.encode("utf-8", "replace")
    status = STATUSES.index(span.status)
    parts = [
        b"\x0a\x10" + bytes.fromhex(span.trace_id),
        b"\x12\x08" + bytes.fromhex(span.span_id),
        b"\x22\x08" + bytes.fromhex(span.parent_id) if span.parent_id else b"",
        head(b"\x2a", len(name)) + name,
        b"\x30%c" % KINDS.index(span.kind),
        _TIMES.pack(0x39, span.start_ns, 0x41, span.end_ns),
        *fields([written(key, value) for key, value in _sent(span)]),
        b"\x7a\x02\x18%c" % status if status else b"",
    ]
    return b"".join(parts)
