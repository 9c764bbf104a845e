"""The LLM calls that are open in this process, and who wants to know when one ends.

Instrumentation opens a call and gathers facts on it; processors settle it (cost, path) when it
ends. The two never import each other: they meet here, and all they exchange are attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Protocol

from opentelemetry import trace

__all__ = ["Attempt", "OpenCall", "Settler", "current_call", "install", "open_calls", "settler"]


class Attempt:
    """One HTTP request that the SDK made for a call.

    `attributes` are what its span carries: `tollspan.attempt`, method, status, error type, and
    allow-listed response headers under `http.response.header.<name>`. Times are nanoseconds since
    the epoch; `end_ns` is 0 while the attempt is open.
    """

    __slots__ = ("attributes", "end_ns", "span", "start_ns")

    def __init__(self, start_ns: int, span: trace.Span | None = None) -> None:
        self.start_ns = start_ns
        self.end_ns = 0
        self.span = span
        """Our own span, or None where the HTTP instrumentation makes one."""
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
        "start_ns",
    )

    def __init__(self, span: trace.Span, start_ns: int, outer: OpenCall | None = None) -> None:
        self.span = span
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

    @property
    def span_id(self) -> int:
        """The call span's id; 0 while an adopted span has not started."""
        return self.span.get_span_context().span_id


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


def install(new: Settler | None) -> None:
    """Make `new` the settler of this process; None takes it away."""
    global settler
    settler = new
