"""The LLM calls that are open in this process, and who wants to know when one ends.

Instrumentation opens a call and gathers facts on it; processors settle it (cost, path) when it
ends. The two never import each other: they meet here, and all they exchange are attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, ClassVar, NamedTuple, Protocol

from opentelemetry import trace

__all__ = [
    "Attempt",
    "Less",
    "OpenCall",
    "Refusal",
    "Sending",
    "Settler",
    "adopts",
    "after",
    "before",
    "current_call",
    "install",
    "on_after",
    "on_before",
    "open_calls",
    "postpone",
    "settler",
    "start_span",
    "start_with",
    "unready",
    "write",
]


class Attempt:
    """One HTTP request that the SDK made for a call.

    `attributes` are what its span carries: `tollspan.attempt`, method, status, error type, and
    allow-listed response headers under `http.response.header.<name>`. Times are nanoseconds since
    the epoch; `end_ns` is 0 while the attempt is open.
    """

    __slots__ = ("attributes", "end_ns", "is_to_be_made", "parent_id", "span", "start_ns", "unread")

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
        self.unread: tuple[Callable[[Any], Mapping[str, Any]], Any] | None = None
        """What gives more of `attributes`, and of what, for who needs what the response headers say:
        see `read`."""

    def read(self) -> None:
        """Have all that is known in `attributes`: the headers of a good answer wait until the call
        is settled, or somebody asks."""
        unread, self.unread = self.unread, None
        if unread is not None:
            read, found = unread
            self.attributes.update(read(found))


class Refusal(Exception):
    """A call may not leave, or not be tried again, by a rule that the application itself has set.

    Raised by a `before` hook, it reaches the caller as it is, and the call ends as `blocked` by the
    application. `attributes`: what more its span says.
    """

    attributes: Mapping[str, Any] = {}


class Less(NamedTuple):
    """How a call is made cheaper; None leaves that as it is."""

    model: str | None = None
    """As the SDK takes it."""
    max_tokens: int | None = None
    no_tools: bool = False


class Sending(Protocol):
    """The request of a call that has not left yet, for `before` hooks."""

    @property
    def body(self) -> Mapping[str, Any]:
        """What the SDK was given to send, as JSON has it; the caller's own objects stand in it."""
        ...

    def send(self, body: Mapping[str, Any]) -> bool:
        """Have the SDK send `body` instead, and the call know so; False where that cannot be done."""
        ...

    def less(self, wanted: Less) -> bool:
        """Have the SDK ask for less, as far as this API can; whether it now asks for anything else."""
        ...


_NOTHING: Mapping[str, Any] = {}


def _id_of(span: Any) -> int:
    """A span that `start_span` made has its ids at hand, and its context only when it is asked for."""
    ids = getattr(span, "ids", None)
    found = ids[1] if type(ids) is tuple else span.get_span_context().span_id
    return found  # type: ignore[no-any-return]


class OpenCall:
    """One SDK call from its start to its end.

    `attributes` is everything known so far, by semantic-convention name; it is gathered whether
    or not the span is sampled.
    """

    __slots__ = (
        "adopted",
        "asked_after",
        "attempts",
        "attributes",
        "end_ns",
        "failure",
        "held",
        "hops",
        "inner",
        "is_watched",
        "may_wait",
        "outer",
        "refused",
        "sending",
        "span",
        "span_id",
        "start_ns",
        "usage",
    )

    steps: ClassVar[Sequence[Callable[[Any], None]]] = ()
    """What finishes a call that has ended: it is settled, its span ends and it is released. Each is
    done once, in this order; what one fails to do keeps no other from being done."""

    def __init__(self, span: trace.Span, start_ns: int, outer: OpenCall | None = None) -> None:
        self.span = span
        self.span_id = _id_of(span)
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
        self.hops: Sequence[Mapping[str, Any]] = ()
        """Attributes of each hop span, outermost first; written by the settler."""
        self.held: list[Any] = []
        """Ended spans that the span processor keeps until the call ends."""
        self.usage: Mapping[str, Any] = _NOTHING
        """On an inner call: what its answer stated about usage and cost, under the standard names
        that a restated span must not carry."""
        self.sending: Sending | None = None
        """While `before` hooks are asked, where the surface shows its body."""
        self.may_wait = True
        """Its caller can wait: not where a blocking call is made in the thread of an event loop, which
        would stand still, and with it whatever could make room. A hook is then not asked again."""
        self.refused: Refusal | None = None
        """Raised in place of what the SDK's method ends with. Its cause is why the SDK wanted to try
        again."""
        self.is_watched = False
        """The engine stands around the SDK's method now, so that `refused` will be raised."""
        self.asked_after = 0
        """The number of attempts after which `retry` was asked last."""
        self.failure: Any = None
        """While `retry` is there: the exception or the answer with which the last attempt failed."""

    def carry(self, span: trace.Span) -> None:
        """Make `span` the call's; its id is 0 while an adopted one has not started."""
        self.span = span
        self.span_id = _id_of(span)

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


Price = Callable[[str, str, str | None, int, int, str | None, str | None], float | None]

price: Price | None = None
"""Provider, model, asked tier, input and output tokens, the host and the place that are asked to US
dollars, None where it is not known. Put here by whoever knows the price book."""

Before = Callable[[OpenCall], float | None]
After = Callable[[OpenCall], None]

before: tuple[Before, ...] = ()
"""Asked in this order when a call is open, before the SDK's method runs: None lets it go on, a number
of seconds is when to ask this one again, and a `Refusal` raised ends the call. Whatever else a hook
raises is a fault of ours, and the call goes on. Calls inside of another are asked, too."""

after: tuple[After, ...] = ()
"""Told of every call that has been settled, the refused ones too: what it cost stands in its
attributes. May come up to 50 ms after its end, and from another thread."""


retry: Callable[[OpenCall], Refusal | None] | None = None
"""Asked of an outermost call when an SDK is about to repeat a request of it that failed; a refusal
ends the call."""


def on_before(hook: Before) -> Callable[[], None]:
    """Ask `hook`, too, from now on; what comes back takes it away again."""
    global before
    before = (*before, hook)

    def remove() -> None:
        global before
        before = tuple(each for each in before if each is not hook)

    return remove


def on_after(hook: After) -> Callable[[], None]:
    """Tell `hook`, too, from now on; what comes back takes it away again."""
    global after
    after = (*after, hook)

    def remove() -> None:
        global after
        after = tuple(each for each in after if each is not hook)

    return remove


current_call: ContextVar[OpenCall | None] = ContextVar("tollspan_call", default=None)
"""The innermost call whose SDK method is running in this context."""

open_calls: dict[int, OpenCall] = {}
"""Open calls by span id, for span processors; an entry goes when its call has been released."""

settler: Settler | None = None

unready: Callable[[], None] | None = None
"""Puts in place what calls need and is not there yet (settler, prices, exporters), before the first of
them opens; and takes itself away."""

postpone: Callable[[OpenCall], bool] | None = None
"""Whether nobody can see it if a call that ends now is finished a moment later (`ended`). Where it
is so, the processors have noted what stands around the call. None: always at once."""

adopts: bool = False
"""A span processor of ours is installed: it gives `call.span` to an adopted call when the native
span starts, and forwards that span with `call.attributes` when the call is released."""


Start = Callable[[trace.Tracer, str, dict[str, Any], int], trace.Span]
Write = Callable[[trace.Span, Mapping[str, Any]], None]


def _start_span(
    tracer: trace.Tracer, name: str, attributes: dict[str, Any], start_ns: int
) -> trace.Span:
    if unready is not None:
        unready()
        if start_span is not _start_span:
            return start_span(tracer, name, attributes, start_ns)
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
