"""Spans of a request that nobody looks into: to count them, and to know their traces."""

from __future__ import annotations

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from .receiver import Malformed
from .trimmed import Bundle

__all__ = ["spans_of"]


def spans_of(body: bytes) -> list[list[bytes]]:
    """The spans of an ExportTraceServiceRequest as bytes, by their scopes.

    Raises:
        Malformed: `body` is none.
    """
    try:
        bundle = Bundle.FromString(body)
    except DecodeError as error:
        raise Malformed("the body is not an OTLP protobuf message") from error
    return [
        of_scope.spans[:]
        for of_resource in bundle.resource_spans
        for of_scope in of_resource.scope_spans
    ]
