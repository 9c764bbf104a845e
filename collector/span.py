"""One span as it came in, whoever made it: ids as hex, times as nanoseconds, values as Python's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, NamedTuple

from tollspan import semconv

from .crc import crc32
from .fields import fields, head, written

__all__ = ["KINDS", "STATUSES", "Event", "Reading", "Span", "fault", "version", "version_of"]

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
"""Span kinds by their number in OTLP."""

STATUSES = ("unset", "ok", "error")
"""Status codes by their number in OTLP."""

EARLIEST_NS = 946_684_800 * 10**9
"""2000-01-01: a span that says it started earlier has a broken clock, and no month to lie in."""

LATEST_NS = 7_258_118_400 * 10**9
"""2200-01-01, well inside what a 64-bit count of nanoseconds holds."""

OLD_ENVIRONMENT = "deployment.environment"
"""What the resource attribute was called before semantic conventions 1.27."""


@dataclass(slots=True)
class Event:
    """Something that happened within a span."""

    name: str
    time_ns: int
    attributes: dict[str, Any]


class Reading(NamedTuple):
    """A span as a call that another instrumentation tells of.

    `call` has its attributes in standard names, None where it is none; `settled` what settling it
    without attempts adds, where that is known already, and `hops` those of its path.
    """

    call: Mapping[str, Any] | None
    settled: Mapping[str, Any] | None = None
    hops: Sequence[Mapping[str, Any]] = ()


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
    reading: Reading | None = field(default=None, repr=False, compare=False)
    """What was found out when it came; None where nobody has looked."""

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
        written_out = [written(name, value) for name, value in self.attributes.items()]
        return version_of(self, written_out)


def version_of(span: Span, attributes: Sequence[bytes]) -> int:
    """`Span.version`, from attributes as they travel.

    Behind what is told (2: who owns the cost) stand a CRC of the span's bytes from its parent to its
    attributes, as every encoder writes them, and how many there are. A span that was made from a record
    says itself which of two stands: a record that came again without a time is still the same.
    """
    stated = span.attributes.get(semconv.TOLD_VERSION)
    if type(stated) is int and semconv.TOLD_FROM in span.attributes:
        return 1 << 56 | stated & _TOLD_BITS
    told = 2 if semconv.COST_ROLE in span.attributes else 1
    name = span.name.encode("utf-8", "replace")
    parts = [
        b"\x22\x08" + bytes.fromhex(span.parent_id) if span.parent_id else b"",
        head(b"\x2a", len(name)) + name,
        b"\x30%c" % KINDS.index(span.kind) if span.kind != KINDS[0] else b"",
        _TIMES.pack(0x39, span.start_ns & _ALL_BITS, 0x41, span.end_ns & _ALL_BITS),
        *fields(attributes),
    ]
    if span.status != STATUSES[0] or span.status_message:
        parts.append(f"{span.status} {span.status_message}".encode("utf-8", "replace"))
    return version(told, b"".join(parts))


def version(told: int, content: bytes | memoryview) -> int:
    """64 bits: more evidence first, then content."""
    return told << 56 | crc32(content) << 24 | len(content) & 0xFFFFFF


_TIMES, _ALL_BITS = Struct("<BQBQ"), 2**64 - 1
_TOLD_BITS = 2**56 - 1


def fault(span: Span) -> str:
    """Why the ledger cannot keep `span`; empty where it can."""
    if len(span.trace_id) != 32 or not span.trace_id.strip("0"):
        return "a trace id is not 16 bytes, or is all zero"
    if len(span.span_id) != 16 or not span.span_id.strip("0"):
        return "a span id is not 8 bytes, or is all zero"
    if not EARLIEST_NS <= span.start_ns < LATEST_NS:
        return "a start time lies outside the years 2000 to 2199"
    if not 0 <= span.end_ns < LATEST_NS:
        return "an end time lies outside the years 1970 to 2199"
    return ""
