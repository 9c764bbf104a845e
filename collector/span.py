"""One span as it came in, whoever made it: ids as hex, times as nanoseconds, values as Python's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from tollspan import semconv

__all__ = ["KINDS", "STATUSES", "Event", "Span"]

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
"""Span kinds by their number in OTLP."""

STATUSES = ("unset", "ok", "error")
"""Status codes by their number in OTLP."""

OLD_ENVIRONMENT = "deployment.environment"
"""What the resource attribute was called before semantic conventions 1.27."""


@dataclass(slots=True)
class Event:
    """Something that happened within a span."""

    name: str
    time_ns: int
    attributes: dict[str, Any]


@dataclass(slots=True)
class Span:
    """One span.

    `trace_id` is 32 hex digits, `span_id` 16, `parent_id` 16 or empty. Attribute values are `str`,
    `bool`, `int`, `float`, `None`, and lists and dictionaries of these. `end_ns` is 0 where the
    sender did not say.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    resource: Mapping[str, Any] = field(default_factory=dict)
    scope: str = ""
    scope_version: str = ""
    status: str = "unset"
    status_message: str = ""
    events: list[Event] = field(default_factory=list)
    stored_version: int = 0
    """Of a span that comes back from the ledger; else 0 until `version` is asked."""

    @property
    def duration_ns(self) -> int | None:
        """None where the end is not known or lies before the start."""
        return self.end_ns - self.start_ns if self.end_ns >= self.start_ns else None

    @property
    def service(self) -> str:
        return str(self.resource.get(semconv.SERVICE_NAME) or "")

    @property
    def environment(self) -> str:
        found = self.resource.get(semconv.DEPLOYMENT_ENVIRONMENT)
        return str(found or self.resource.get(OLD_ENVIRONMENT) or "")

    @property
    def version(self) -> int:
        """Which of two differing copies of one span stands: more evidence first, then content.

        64 bits, a function of the content alone: whichever copy comes first, the same one stays.
        """
        if not self.stored_version:
            self.stored_version = self._content_version()
        return self.stored_version

    def _content_version(self) -> int:
        told = 2 if semconv.COST_ROLE in self.attributes else 1
        content = repr(
            (
                self.parent_id,
                self.name,
                self.kind,
                self.start_ns,
                self.end_ns,
                self.status,
                self.status_message,
                sorted((key, repr(value)) for key, value in self.attributes.items()),
            )
        )
        digest = blake2b(content.encode("utf-8", "replace"), digest_size=7).digest()
        return told << 56 | int.from_bytes(digest)
