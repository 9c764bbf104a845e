"""Spans without message content and secrets, as bytes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tollspan import semconv

from .fields import written
from .pairs import pair, usual
from .private import DROP, KEEP, LONGEST_VALUE, kept_value, rule, without_keys
from .receiver import Malformed
from .trimmed import Event, OpenSpan
from .unjoined import APPENDED

__all__ = ["cleaned", "without"]


def without(raw: bytes, hidden: Collection[int]) -> bytes:
    """A span less the attributes at these places."""
    span = OpenSpan.FromString(raw)
    said = span.attributes[:]
    del span.attributes[:]
    span.attributes.extend([each for place, each in enumerate(said) if place not in hidden])
    return bytes(span.SerializeToString())


def cleaned(raw: bytes, viewed: Any, said: Sequence[bytes], *, makes_room: bool) -> bytes:
    """A span (`viewed` is its view, `said` are its attributes) without what must not go further;
    `raw` itself where there is nothing of the kind.

    With `makes_room`, what the sender wrote under names that are to be appended moves out of the
    way.

    Raises:
        Malformed: an attribute or an event is no OTLP.
    """
    if len(viewed.status) > len(BARE_STATUS):
        raw = _status_without_keys(raw, viewed.status)
    attributes = _kept(said, makes_room=makes_room)
    if not viewed.events:
        if attributes == said:
            return raw
        events: list[bytes] = []
        span = OpenSpan.FromString(raw)
    else:
        span = OpenSpan.FromString(raw)
        before = span.events[:]
        events = [_event(each) for each in before]
        if attributes == said and events == before:
            return raw
    for name, fresh in (("attributes", attributes), ("events", events)):
        container = getattr(span, name)
        del container[:]
        container.extend(fresh)
    return bytes(span.SerializeToString())


BARE_STATUS = b"\x18\x02"
"""A status that is a code alone."""


def _status_without_keys(raw: bytes, status: bytes) -> bytes:
    """The span with its keys masked in what it says of its failure."""
    try:
        said = Status.FromString(status).message
        clean = without_keys(said)
        if clean == said:
            return raw
        span = Span.FromString(raw)
    except DecodeError as error:
        raise Malformed("a span is not an OTLP protobuf message") from error
    span.status.message = clean
    return bytes(span.SerializeToString())


def _event(raw: bytes) -> bytes:
    try:
        event = Event.FromString(raw)
    except DecodeError as error:
        raise Malformed("an event is not an OTLP protobuf message") from error
    said = event.attributes[:]
    kept = _kept(said, makes_room=False)
    if kept == said:
        return raw
    del event.attributes[:]
    event.attributes.extend(kept)
    return bytes(event.SerializeToString())


def _kept(said: Sequence[bytes], *, makes_room: bool) -> list[bytes]:
    found: list[bytes] = []
    for raw in said:
        usual_name = usual(raw)
        if usual_name is not None and not (makes_room and usual_name in APPENDED):
            found.append(raw)
            continue
        name, value = pair(raw)
        of_name = rule(name)
        if of_name == DROP:
            continue
        moved = semconv.BEFORE_PREFIX + name if makes_room and name in APPENDED else name
        if moved != name or of_name != KEEP or len(raw) > LONGEST_VALUE:
            fresh = kept_value(name, value)
            found.append(raw if moved == name and fresh == value else written(moved, fresh))
        else:
            found.append(raw)
    return found
