"""The life of an attempt: one HTTP request that an SDK makes inside an open call.

A flight notes the facts on a `calls.Attempt`, gives it a span where nothing else makes one, and sees
to what leaves the process with the request.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, MutableMapping
from time import time_ns
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context

from tollspan import calls, contexts, semconv
from tollspan.calls import Attempt, OpenCall
from tollspan.config import settings
from tollspan.guard import quietly
from tollspan.ids import span_id

from . import _attempts, _propagation
from ._context import entered
from ._destinations import may_receive
from ._head import told
from ._headers import Row, pick, read
from ._http_spans import http_span_in

if TYPE_CHECKING:
    from ._wire import Recording

__all__ = ["Flight"]


class Request(Protocol):
    """What the requests of httpx, requests and aiohttp have in common."""

    @property
    def headers(self) -> MutableMapping[str, str]: ...


_NOWHERE = Context()
_FLIGHT = otel_context.create_key("tollspan-flight")
_ERROR = trace.Status(trace.StatusCode.ERROR)


def _outermost(call: OpenCall) -> OpenCall:
    while call.outer is not None:
        call = call.outer
    return call


class Flight:
    """One request from the moment that it is sent until its response or its failure comes.

    Making one cannot fail; `depart` may stop anywhere (a fault of ours) and `land` still leaves
    context and request as they were.
    """

    __slots__ = (
        "_before",
        "_call",
        "_changes",
        "_entered",
        "_marked",
        "_outer",
        "_request",
        "_undo",
        "attempt",
        "wire",
    )

    def __init__(self, call: OpenCall) -> None:
        self._call = call
        self._outer = call
        self.attempt: Attempt | None = None
        """None while nothing is recorded: a request inside a request, or one that is not the call's."""
        self.wire: Recording | None = None
        """What is captured of the exchange, with `TOLLSPAN_WIRE` only."""
        self._marked: trace.Span | None = None
        self._request: Request | None = None
        self._changes: _propagation.Changes = []
        self._undo: Callable[[], None] | None = None
        self._before = _NOWHERE
        self._entered: Context | None = None

    def depart(
        self, request: Request, method: str, host: str, port: int | None, *, below: bool | None
    ) -> None:
        """The request is about to be sent.

        Args:
            request: has its headers changed until `land`.
            below: whether an HTTP instrumentation below will make the span and inject. None where
                one would be above: its span is open already, and it has injected.
        """
        context = contexts.current()
        call = self._call
        self._outer = outer = call if call.outer is None else _outermost(call)
        above = context.get(_FLIGHT)
        if isinstance(above, Flight) and above._carries(outer):
            return  # a client that sends by means of another one (httpx over aiohttp)
        allowed = may_receive(host)
        asked = call.attributes.get(semconv.SERVER_ADDRESS)
        own = asked == host or not _is_side_request(call, request, method, host, asked)
        span: trace.Span | None = None
        if own:
            attempt = self._record(method, host, port)
            if below is None:
                self._marked = marked = http_span_in(context)
                if marked is not None:
                    marked.set_attributes(attempt.attributes)
            if not below and self._marked is None:
                span = self._start_span(attempt, method, context)
        self._request = request
        inside = context
        if below or allowed:
            inside = self._send_along(context, span, own=own, below=bool(below), allowed=allowed)
        if not allowed and _propagation.has_baggage(request.headers):
            self._changes += _propagation.take(request.headers)
        self._before, self._entered = context, entered(inside, span, _FLIGHT, self)
        contexts.attach(self._entered)
        if own and (names := settings().bridges):
            from . import _bridges  # off unless a setting names some

            parent = (span or call.span).get_span_context()
            self._undo = _bridges.cross(names, request, host, port, call.attributes, parent)
        if _attempts.wire is not None and self.attempt is not None:
            self.wire = _attempts.wire(call, self.attempt, request)
            self._note({semconv.WIRE_ID: self.wire.id})

    def _send_along(
        self, context: Context, span: trace.Span | None, *, own: bool, below: bool, allowed: bool
    ) -> Context:
        """Give the request what its host may receive, or have an instrumentation below do it: by
        the context that this gives."""
        assert self._request is not None
        headers = self._request.headers
        attributes: Mapping[str, Any] = self._outer.attributes if own else {}
        owner = _attempts.owner_of(self._outer) if own and allowed else ""
        if below:
            if allowed:  # what it injects there must not travel on with a redirect
                before = headers.get(_propagation.BAGGAGE)
                self._changes.append((_propagation.BAGGAGE, before))
            return _propagation.baggage_for_instrumentation(
                context, headers, allowed=allowed, attributes=attributes, owner=owner
            )
        if own:
            self._changes += _propagation.write(
                headers, span=span or self._call.span, attributes=attributes, owner=owner
            )
        return context

    def _carries(self, outer: OpenCall) -> bool:
        """Still on its way. A task that its transport left behind inherits the context of it."""
        return self._outer is outer and self._entered is not None

    def _record(self, method: str, host: str, port: int | None) -> Attempt:
        """A new attempt on the call and on every call that this one is a part of."""
        attempt = self.attempt = Attempt(time_ns())
        number = len(self._outer.attempts) + 1
        attempt.attributes = facts = {
            semconv.ATTEMPT: number,
            semconv.HTTP_METHOD: method,
            semconv.SERVER_ADDRESS: host,
        }
        if port is not None:
            facts[semconv.SERVER_PORT] = port
        if number > 1:
            facts[semconv.HTTP_RESEND_COUNT] = number - 1
        attempt.parent_id = self._call.span_id
        call: OpenCall | None = self._call
        while call is not None:
            call.attempts.append(attempt)
            call = call.outer
        return attempt

    def _start_span(self, attempt: Attempt, method: str, context: Context) -> trace.Span | None:
        parent = self._call.span
        if _attempts.tracer is None or not parent.is_recording():
            return None
        if calls.adopts:
            # The settler makes the span when the call is released: that costs a fifth of a live
            # one. Until then it has an id, which travels with the request.
            attempt.is_to_be_made = True
            attempt.span = span = _ToBeMade(parent)
            return span
        attempt.span = _attempts.tracer.start_span(
            method,
            context=trace.set_span_in_context(parent, context),
            kind=trace.SpanKind.CLIENT,
            attributes=attempt.attributes,
            start_time=attempt.start_ns,
        )
        return attempt.span

    def land(self) -> None:
        """The response's head or an error is there: context and request become what they were."""
        inside, self._entered = self._entered, None
        if inside is not None:
            contexts.put_back(self._before, inside)
        if self._undo is not None:
            self._undo()
        if self._request is not None and self._changes:
            _propagation.restore(self._request.headers, reversed(self._changes))

    def answered(self, status: int, headers: Collection[Row]) -> None:
        """The response's head is there; its body may still be to come."""
        attempt = self.attempt
        if attempt is None:
            return
        if status < 400 and attempt.is_to_be_made and self.wire is None and not settings().bridges:
            # Read when the call is settled, in one go with others; nothing else is held on to.
            attempt.attributes[semconv.HTTP_STATUS] = status
            found = pick(headers)
            if not found[0].tells:
                attempt.unread = read, found
                return
        if self.wire is not None:
            self.wire.answered(status, [(row[0], row[-1]) for row in headers])
        asked = self._request.headers if self._request is not None else {}
        facts: dict[str, Any] = {semconv.HTTP_STATUS: status}
        facts.update(told(headers, asked, time_ns(), attempt))
        if status >= 400:
            facts[semconv.ERROR_TYPE] = str(status)
        self._note(facts)
        if names := settings().bridges:
            from . import _bridges

            known = attempt.attributes
            port = known.get(semconv.SERVER_PORT)
            _bridges.heard(names, known[semconv.SERVER_ADDRESS], port, known)

    def failed(self, error: BaseException) -> None:
        """No response came, or its body broke off: the attempt is over."""
        if self.wire is not None:
            self.wire.failed(error)
        attempt = self.attempt
        if attempt is None or (attempt.end_ns and attempt.span is not None):
            return
        if semconv.ERROR_TYPE not in attempt.attributes:
            self._note({semconv.ERROR_TYPE: type(error).__qualname__})
        _attempts.end(attempt)

    def _note(self, facts: Mapping[str, Any]) -> None:
        """`facts` on the attempt and on whichever span is its."""
        assert self.attempt is not None
        self.attempt.attributes.update(facts)
        span = self.attempt.span
        if span is not None:
            if self.attempt.is_to_be_made:
                return
            span.set_attributes(facts)
            if semconv.ERROR_TYPE in facts:
                span.set_status(_ERROR)
        elif self._marked is not None:
            self._marked.set_attributes(facts)

    def end(self) -> None:
        """The body has been read or closed."""
        with quietly:
            if self.attempt is not None:
                _attempts.end(self.attempt)


class _ToBeMade(trace.NonRecordingSpan):
    """A span that is nothing but its id, in the trace of `parent`, made when somebody asks for it."""

    def __init__(self, parent: trace.Span) -> None:
        self._parent = parent

    def get_span_context(self) -> trace.SpanContext:
        found = self.__dict__.get("_context")
        if found is None:
            trace_id, _, _, flags, state, _ = self._parent.get_span_context()
            made = trace.SpanContext(
                trace_id, span_id(), is_remote=False, trace_flags=flags, trace_state=state
            )
            found = self.__dict__.setdefault("_context", made)
        return found  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"NonRecordingSpan({self.get_span_context()!r})"


def _is_side_request(call: OpenCall, request: Request, method: str, host: str, asked: Any) -> bool:
    """Whether this fetches a token for the call (Entra ID, Google, a metadata service) and no answer.

    It goes to another host than the call was made for, is no redirect from there, and has the
    shape that token requests have. Everything else counts as an attempt.
    """
    if not asked or str(asked).lower() == host.lower():
        return False
    if call.attempts and 300 <= call.attempts[-1].attributes.get(semconv.HTTP_STATUS, 0) < 400:
        return False
    kind = request.headers.get("content-type") or ""
    # The metadata service of AWS gives a token for a PUT.
    return method in ("GET", "PUT") or kind.startswith("application/x-www-form-urlencoded")
