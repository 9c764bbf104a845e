"""Spans as they came, in groups of one scope and resource, for a sink that need not open each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .opened import Scope, opened, view
from .span import Span

__all__ = ["Sealed"]


@dataclass(slots=True)
class Sealed:
    """Spans of one scope of one resource, as bytes."""

    resource: Mapping[str, Any]
    scope: Scope
    spans: list[bytes]

    def opened(self, place: int) -> Span:
        """One of them.

        Raises:
            Malformed: it is no OTLP.
        """
        raw = self.spans[place]
        viewed = view(raw)
        return opened(raw, viewed, viewed.attributes[:], self.resource, self.scope)
