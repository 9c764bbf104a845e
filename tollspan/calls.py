"""The LLM calls that are open in this process, and who wants to know when one ends.

Instrumentation opens a call and gathers facts on it; processors settle it (cost, path) when it
ends. The two never import each other: they meet here, and all they exchange are attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Protocol

from opentelemetry import trace

__all__ = [
    "Attempt",
    "OpenCall",
    "Settler",
    "adopts",
    "current_call",
    "install",
    "open_calls",
    "settler",
    "start_span",
    "start_with",
    "write",
]


class Attempt:
    """One HTTP request that the SDK made for a call.

    `attributes` are what its span carries: `tollspan.attempt`, method, status, error type, and
    allow-listed response headers under `http.response.header.<name>`. Times are nanoseconds since
    the epoch; `end_ns` is 0 while the attempt is open.
    """

    __slots__ = ("attributes", "end_ns", "is_to_be_made", "parent_id", "span", "start_ns")

    def __init__(self, start_ns: int, span: trace.Span | None = None) -> None:
        self.start_ns = start_ns
        self.end_ns = 0
        self.span = span
        """Our own span, or None where the HTTP instrumentation makes one."""
        self.is_to_be_made = False
        """`span` is only the id of the one that the settler makes when the call is released."""
        self.parent_id = 0
        """Span id of the call that made it; calls around that one list it too."""
        self.attributes: dict[str, Any] = {}


class OpenCall:
    """One SDK call from its start to its end.

    `attributes` is everything known so far, by semantic-convention name; it is gathered whether
    or not the span is sampled.
    """

    __slots__ = (
        "adopted",
        "attempts",
        "attributes",
        "end_ns",
        "held",
        "hops",
        "inner",
        "outer",
        "span",
        "span_id",
        "start_ns",
        "usage",
    )

    def __init__(self, span: trace.Span, start_ns: int, outer: OpenCall | None = None) -> None:
        self.span = span
        self.span_id = span.get_span_context().span_id
        self.start_ns = start_ns
        self.end_ns = 0
        self.outer = outer
        """The call that this one is a part of (litellm around openai); it owns the money."""
        self.inner: list[OpenCall] = []
        """Ended calls inside this one, in order of their ends."""
        self.adopted = False
        """`span` is somebody else's (anthropic's native span, an open util-genai inference)."""
        self.attributes: dict[str, Any] = {}
        self.attempts: list[Attempt] = []
        self.hops: list[Mapping[str, Any]] = []
        """Attributes of each hop span, outermost first; written by the settler."""
        self.held: list[Any] = []
        """Ended spans that the span processor keeps until the call ends."""
        self.usage: Mapping[str, Any] = {}
        """On an inner call: what its answer stated about usage and cost, under the standard names
        that a restated span must not carry."""

    def carry(self, span: trace.Span) -> None:
        """Make `span` the call's; its id is 0 while an adopted one has not started."""
        self.span = span
        self.span_id = span.get_span_context().span_id

    def abandon(self) -> None:
        """End the call now, as one whose answer nobody reads to its end; once ended, do nothing.

        For span processors that shut down while calls are open.
        """


class Settler(Protocol):
    """Derives what a call cost and which way it went. Implemented by the processors."""

    def settle(self, call: OpenCall) -> Mapping[str, Any]:
        """Attributes to add to the call span, asked once, just before it ends.

        May fill `call.hops`. Pure but for that: the same call gives the same answer.
        """
        ...

    def release(self, call: OpenCall) -> None:
        """The call span has ended: forward what was held for it."""
        ...


current_call: ContextVar[OpenCall | None] = ContextVar("tollspan_call", default=None)
"""The innermost call whose SDK method is running in this context."""

open_calls: dict[int, OpenCall] = {}
"""Open calls by span id, for span processors; an entry goes when its call has been released."""

settler: Settler | None = None

adopts: bool = False
"""A span processor of ours is installed: it gives `call.span` to an adopted call when the native
span starts, and forwards that span with `call.attributes` when the call is released."""


Start = Callable[[trace.Tracer, str, dict[str, Any], int], trace.Span]
Write = Callable[[trace.Span, Mapping[str, Any]], None]


def _start_span(
    tracer: trace.Tracer, name: str, attributes: dict[str, Any], start_ns: int
) -> trace.Span:
    return tracer.start_span(
        name, kind=trace.SpanKind.CLIENT, attributes=attributes, start_time=start_ns
    )


def _write(span: trace.Span, attributes: Mapping[str, Any]) -> None:
    span.set_attributes(attributes)


start_span: Start = _start_span
"""Starts the span of a call. The processors put a faster one here, on whose spans the given dict
itself stands: what is known later reaches the span by being put into the dict."""

write: Write = _write
"""Sees to it that a live span carries all of a call's attributes, known to be clean."""


def start_with(start: Start | None, writing: Write | None) -> None:
    """Start and write spans with these from now on; None is the SDK's own way."""
    global start_span, write
    start_span = start if start is not None else _start_span
    write = writing if writing is not None else _write


def install(new: Settler | None) -> None:
    """Make `new` the settler of this process; None takes it away."""
    global settler
    settler = new
