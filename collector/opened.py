"""A span out of its bytes, without message content and secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WholeSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tollspan import semconv

from .pairs import attributes, map_of
from .private import LONGEST_VALUE, QUERIES, kept, without_keys
from .receiver import Malformed
from .span import KINDS, STATUSES, Event, Span, version_of
from .trimmed import ViewedSpan
from .unjoined import UNJOINED, before

__all__ = ["Scope", "opened", "resource_of", "scope_of", "view"]


class Scope(NamedTuple):
    """An instrumentation scope."""

    name: str
    version: str


def view(raw: bytes) -> Any:
    """A span's bytes as a `ViewedSpan`.

    Raises:
        Malformed: they are none.
    """
    try:
        return ViewedSpan.FromString(raw)
    except DecodeError as error:
        raise Malformed("a span is not an OTLP protobuf message") from error


def opened(
    raw: bytes, viewed: Any, raws: Sequence[bytes], resource: Mapping[str, Any], scope: Scope
) -> Span:
    """The span that `raw` is, and `viewed` a view of; `raws` are its attributes.

    What an earlier stage has appended is taken off again.

    Raises:
        Malformed: a part of it is no OTLP.
    """
    try:
        code, message = _status(viewed.status) if viewed.status else (0, "")
        said = attributes(raws)
        role = said.get(semconv.COST_ROLE)
        parent = viewed.parent_span_id
        span = Span(
            trace_id=viewed.trace_id.hex(),
            span_id=viewed.span_id.hex(),
            parent_id=parent.hex() if len(parent) == 8 and any(parent) else "",
            name=viewed.name.decode(),
            kind=KINDS[viewed.kind] if 0 <= viewed.kind < len(KINDS) else KINDS[0],
            start_ns=viewed.start_time_unix_nano,
            end_ns=viewed.end_time_unix_nano,
            attributes=said if role != UNJOINED else before(said),
            resource=resource,
            scope=scope.name,
            scope_version=scope.version,
            status=STATUSES[code] if 0 <= code < len(STATUSES) else STATUSES[0],
            status_message=message[:1024],
            events=_events(raw) if viewed.events else [],
        )
    except (DecodeError, UnicodeDecodeError) as error:
        raise Malformed("a span is not an OTLP protobuf message") from error
    if role != UNJOINED and _is_whole(raw, raws, said):
        span.stored_version = version_of(span, raws)
    return span


def _is_whole(raw: bytes, raws: Sequence[bytes], said: Mapping[str, Any]) -> bool:
    """Whether attributes that came as `raws` were read without taking anything out or cutting."""
    return len(said) == len(raws) and len(raw) <= LONGEST_VALUE and said.keys().isdisjoint(QUERIES)


def _events(raw: bytes) -> list[Event]:
    return [
        Event(each.name, each.time_unix_nano, kept(map_of(each.attributes)))
        for each in WholeSpan.FromString(raw).events
    ]


@lru_cache(maxsize=1024)
def _status(raw: bytes) -> tuple[int, str]:
    found = Status.FromString(raw)
    return found.code, without_keys(found.message[:1024])


@lru_cache(maxsize=1024)
def scope_of(raw: bytes) -> Scope:
    """An instrumentation scope out of its bytes.

    Raises:
        Malformed: they are none.
    """
    try:
        found = InstrumentationScope.FromString(raw)
    except DecodeError as error:
        raise Malformed("a scope is not an OTLP protobuf message") from error
    return Scope(found.name, found.version)


@lru_cache(maxsize=1024)
def resource_of(raw: bytes) -> Mapping[str, Any]:
    """Attributes of a resource out of its bytes, without secrets; one object for many spans.

    Raises:
        Malformed: they are none.
    """
    try:
        return kept(map_of(Resource.FromString(raw).attributes))
    except DecodeError as error:
        raise Malformed("a resource is not an OTLP protobuf message") from error
