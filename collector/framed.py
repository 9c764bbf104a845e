"""Where the spans of a request stand in its bytes, found by the lengths in front of them.

protobuf would copy each span out of its request, into an object of its own; whoever goes through
thousands at once needs neither. Only requests as every encoder writes them are read here: known fields
in the order of their numbers, each once where it can be there once.
https://protobuf.dev/programming-guides/encoding/ and opentelemetry-proto 1.45, trace_service.proto
"""

from __future__ import annotations

import re
from array import array
from typing import NamedTuple

__all__ = ["Framed", "framed"]

_REQUEST = re.compile(rb"\x0a*")
_OF_RESOURCE = re.compile(rb"\x0a?\x12*\x1a?")
"""Tags of a resource, of what its scopes say, of a schema's address."""
_OF_SCOPE = _OF_RESOURCE
"""Tags of a scope, of its spans, of a schema's address."""

_OWN, _MANY = 0x0A, 0x12


class Framed(NamedTuple):
    """Spans of one scope of one resource: each from its place in `begins` to that in `ends`."""

    resource: bytes
    scope: bytes
    begins: array[int]
    ends: array[int]


class _Fields(NamedTuple):
    """Fields that are bytes or messages: tags, and where each begins and ends."""

    tags: bytes
    begins: list[int]
    ends: list[int]


def framed(body: bytes) -> list[Framed] | None:
    """What is in a request; None where it takes protobuf to say that, or whether it is one at all."""
    try:
        request = _fields(body, 0, len(body), _REQUEST)
        return None if request is None else _of_request(body, request)
    except IndexError:  # it ends within a length
        return None


def _of_request(body: bytes, request: _Fields) -> list[Framed] | None:
    found: list[Framed] = []
    for begin, end in zip(request.begins, request.ends, strict=True):
        of_resource = _fields(body, begin, end, _OF_RESOURCE)
        if of_resource is None:
            return None
        resource = _own(body, of_resource)
        for tag, at, behind in zip(*of_resource, strict=True):
            if tag != _MANY:
                continue
            of_scope = _fields(body, at, behind, _OF_SCOPE)
            if of_scope is None:
                return None
            first = of_scope.tags.startswith(bytes((_OWN,)))
            some = slice(first, first + of_scope.tags.count(_MANY))
            begins, ends = (array("q", each[some]) for each in (of_scope.begins, of_scope.ends))
            found.append(Framed(resource, _own(body, of_scope), begins, ends))
    return found


def _own(body: bytes, fields: _Fields) -> bytes:
    """The one that stands in front of those of which there may be many."""
    if fields.tags[:1] != bytes((_OWN,)):
        return b""
    return body[fields.begins[0] : fields.ends[0]]


def _fields(body: bytes, at: int, end: int, usual: re.Pattern[bytes]) -> _Fields | None:
    """The fields from `at` to `end`; None where they are not the `usual` ones.

    Raises:
        IndexError: they end where `body` has ended already.
    """
    tags, begins, ends = bytearray(), [], []
    while at < end:
        tags.append(body[at])
        size = body[at + 1]
        at += 2
        if size >= 0x80:  # it goes on, seven bits in each byte
            more = body[at]
            at += 1
            size += (more - 1) << 7
            if more >= 0x80:
                size, at = _longer(body, size, at)
        begins.append(at)
        at += size
        ends.append(at)
    return _Fields(bytes(tags), begins, ends) if at == end and usual.fullmatch(tags) else None


def _longer(body: bytes, size: int, at: int) -> tuple[int, int]:
    """A length of which two bytes are read, and where it ends; a third to a fifth byte are left."""
    for place in (14, 21, 28):
        more = body[at]
        at += 1
        size += (more - 1) << place
        if more < 0x80:
            return size, at
    raise IndexError("no such length")
