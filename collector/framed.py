"""Where the spans of a request stand in its bytes, found by the lengths in front of them.

protobuf would copy each span out of its request, into an object of its own; whoever goes through
thousands at once needs neither. Only requests as every encoder writes them are read here
(`framed.c`): known fields in the order of their numbers, each once where it can be there once.
https://protobuf.dev/programming-guides/encoding/ and opentelemetry-proto 1.45, trace_service.proto
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

try:
    from ._framed import framed as _framed
except ImportError:  # there was no compiler: protobuf finds them all

    def _framed(body: bytes, /) -> list[tuple[bytes, bytes, bytes, bytes]] | None:
        return None


__all__ = ["Framed", "framed"]


class Framed(NamedTuple):
    """Spans of one scope of one resource: each from its place in `begins` to that in `ends`."""

    resource: bytes
    scope: bytes
    begins: array[int]
    ends: array[int]


def framed(body: bytes) -> list[Framed] | None:
    """What is in a request; None where it takes protobuf to say that, or whether it is one at all."""
    found = _framed(body)
    if found is None:
        return None
    return [
        Framed(resource, scope, array("q", begins), array("q", ends))
        for resource, scope, begins, ends in found
    ]
