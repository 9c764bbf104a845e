"""Spans of traces that have no call yet: of each only its own id and its parent's.

A trace's first call may come after spans that stand between two calls. What lies below what decides
who owns an answer, so their places are kept a while, within a bound: 36 bytes of each.
"""

from __future__ import annotations

from collections import OrderedDict

from .span import Span
from .trimmed import ViewedSpan

__all__ = ["Bystanders"]

PLACE_BYTES = 200
"""What one place takes, with its share of lists and names."""

_TRACE, _SPAN, _PARENT = b"\x0a\x10", b"\x12\x08", b"\x22\x08"
"""Fields 1, 2 and 4 of a span with ids of the right length, as every encoder writes them."""


class Bystanders:
    """Places by trace, at most `most_bytes` of them; the traces that came first are forgotten first."""

    def __init__(self, most_bytes: int) -> None:
        self._most = max(1, most_bytes // PLACE_BYTES)
        self._places: OrderedDict[str, list[bytes]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, trace_id: str, raw: bytes) -> None:
        """Note a span by its bytes. One without a parent leads nowhere."""
        if raw[28:30] == _PARENT and raw[18:20] == _SPAN and raw[:2] == _TRACE:
            place = raw[20:28] + raw[30:38]
        else:
            place = _place(raw)
            if not place:
                return
        places = self._places.get(trace_id)
        if places is None:
            self._places[trace_id] = [place]
        else:
            places.append(place)
        self._count += 1
        while self._count > self._most:
            self._count -= len(self._places.popitem(last=False)[1])

    def take_out(self, trace_id: str) -> list[Span]:
        """The places of a trace, as spans that say nothing else."""
        places = self._places.pop(trace_id, ())
        self._count -= len(places)
        return [
            Span(trace_id, each[:8].hex(), each[8:].hex(), "", "unspecified", 0, 0, {})
            for each in dict.fromkeys(places)
        ]


def _place(raw: bytes) -> bytes:
    """The same for a span that is written in another way; empty where it has no place."""
    viewed = ViewedSpan.FromString(raw)
    span_id, parent_id = bytes(viewed.span_id), bytes(viewed.parent_span_id)
    return span_id + parent_id if len(span_id) == len(parent_id) == 8 and any(parent_id) else b""
