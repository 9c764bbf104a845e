"""Spans as they came, in groups of one scope and resource, for a sink that need not open each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from .opened import Scope, opened, view
from .span import Span

__all__ = ["Sealed"]


@dataclass(slots=True)
class Sealed:
    """Spans of one scope of one resource, where they stand in the bytes of their request."""

    resource: Mapping[str, Any]
    scope: Scope
    body: bytes
    begins: Sequence[int]
    ends: Sequence[int]

    @classmethod
    def of(cls, resource: Mapping[str, Any], scope: Scope, spans: Sequence[bytes]) -> Sealed:
        """Spans that stand apart."""
        ends = list(accumulate(map(len, spans)))
        return cls(resource, scope, b"".join(spans), [0, *ends][:-1], ends)

    def __len__(self) -> int:
        return len(self.ends)

    def raw(self, place: int) -> bytes:
        """The bytes of one of them."""
        return self.body[self.begins[place] : self.ends[place]]

    def opened(self, place: int) -> Span:
        """One of them.

        Raises:
            Malformed: it is no OTLP.
        """
        raw = self.raw(place)
        viewed = view(raw)
        return opened(raw, viewed, viewed.attributes[:], self.resource, self.scope)
