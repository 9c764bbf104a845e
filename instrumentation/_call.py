"""The life of one call: it starts once, is current while the SDK works, and ends exactly once."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from time import monotonic, time_ns
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace

from tollspan import attribution, calls, semconv
from tollspan.guard import harmless, quietly

from . import _attempts, _dropped
from ._blocked import refusal, stopped
from ._context import entered
from ._ids import request_id
from ._restated import counted_by_library, restated
from ._spec import Attributes, Fold, Surface

__all__ = ["Call", "abandon_all"]

_live: dict[int, Call] = {}
"""Calls that have not ended, by `id`. Taking a call out of it is the right to end it: `pop` is
atomic, so of all threads that see an end only one writes it."""


class Call(calls.OpenCall):
    """One call of an SDK: what is known of it, and its span."""

    __slots__ = (
        "_before",
        "_first_chunk_s",
        "_fold",
        "_inside",
        "_opened",
        "_started_s",
        "reading",
        "surface",
    )

    def __init__(
        self, surface: Surface, span: trace.Span, start_ns: int, outer: calls.OpenCall | None
    ) -> None:
        super().__init__(span, start_ns, outer)
        self.surface = surface
        self.reading = False
        """The SDK itself is reading the body now, so a close that happens now is its own."""
        self._started_s = monotonic()
        self._first_chunk_s: float | None = None
        self._fold: Fold | None = None
        self._opened: list[Call] = []
        self._before: otel_context.Context | None = None
        self._inside: otel_context.Context | None = None

    @classmethod
    def start(
        cls,
        tracer: trace.Tracer,
        surface: Surface,
        asked: Attributes,
        *,
        adopted: trace.Span | None = None,
        start_ns: int | None = None,
    ) -> Call:
        """Open a call with what is known of its request, `gen_ai.provider.name` included.

        `adopted` is somebody else's span for the same call, to be used in place of one of ours;
        `trace.INVALID_SPAN` for one that is yet to start. `start_ns`: nanoseconds since the epoch.
        """
        outer = calls.current_call.get()
        if outer is not None and outer.end_ns:
            outer = None  # a task that outlived the call in which it was made
        attributes: dict[str, Any] = {
            semconv.OPERATION: surface.operation,
            **{name: value for name, value in asked.items() if value is not None},
        }
        with quietly:
            attributes.update(attribution.current())
        if semconv.REQUEST_ID not in attributes:
            with quietly:
                attributes[semconv.REQUEST_ID] = request_id()
        if outer is not None:
            _belong(attributes, outer)
        if start_ns is None:
            start_ns = time_ns()
        if adopted is None:
            model = attributes.get(semconv.REQUEST_MODEL)
            name = f"{surface.operation} {model}" if model else surface.operation
            span = calls.start_span(tracer, name, attributes, start_ns)
        else:
            span = adopted
        call = cls(surface, span, start_ns, outer)
        call.adopted = adopted is not None
        call.attributes = attributes
        _live[id(call)] = call
        if not _registered:
            with quietly:
                _before_exit()
        if span_id := call.span_id:
            calls.open_calls[span_id] = call
        if isinstance(outer, Call):
            outer._opened.append(call)
        return call

    def enter(self) -> None:
        """Be current: the SDK's method starts to run."""
        calls.current_call.set(self)
        if self.adopted:
            return  # whoever owns the span makes it current
        self._before = otel_context.get_current()
        self._inside = entered(self._before, self.span)
        otel_context.attach(self._inside)

    def leave(self) -> None:
        """Be current no longer. A coroutine may be closed in another context than its own, where
        a token could not be used; so what is put back is the value, and only where it is ours."""
        if calls.current_call.get() is self:
            calls.current_call.set(self.outer)
        if self._inside is not None and otel_context.get_current() is self._inside:
            otel_context.attach(self._before or otel_context.Context())
        self._before = self._inside = None

    # --- how an answer comes in: each of these ends the call, whatever becomes of reading it -----

    def watched(self, stream: Any = None) -> Callable[[Any], None]:
        """The answer is a stream: where to show its chunks, without fear."""
        self._fold = self.surface.fold() if self.surface.fold is not None else None
        if stream is not None and (opened := getattr(self._fold, "opened", None)) is not None:
            opened(stream)
        _dropped.listen()
        return harmless(self._fold.add) if self._fold is not None else _unread

    def first_chunk(self) -> None:
        if self._first_chunk_s is None:
            self._first_chunk_s = monotonic() - self._started_s

    def answered(self, response: Any) -> None:
        """The whole answer is there."""
        with quietly:
            self._finish(self._stated(self.surface.response(response)))
            return
        self.end("success", {})

    def complete(self) -> None:
        """The stream was read to its end."""
        with quietly:
            self._finish(self._folded())
            return
        self.end("success", {})

    def abandon(self) -> None:
        """The caller closed or dropped the answer; half-read, unless the model had finished."""
        with quietly:
            found = self._folded()
            if semconv.FINISH_REASONS in found or semconv.ERROR_TYPE in found:
                self._finish(found)
            else:
                self.end("abandoned", found)
            return
        self.end("abandoned", {})

    def fail(self, error: BaseException) -> None:
        """The SDK raised: `error.type` is the exception's class.

        Its message goes nowhere: providers repeat prompts and keys in theirs.
        """
        found: dict[str, Any] = {}
        with quietly:
            found.update(self._folded())
        if isinstance(error, GeneratorExit):  # a coroutine or generator closed before its end
            self.end("abandoned", found)
        elif not isinstance(error, Exception):  # cancelled, interrupted: the application's wish
            self.end("cancelled", found)
        else:
            found[semconv.ERROR_TYPE] = kind = type(error).__qualname__
            code = getattr(error, "status_code", None)
            stated = isinstance(code, int) and code >= 400
            status = "error"
            with quietly:
                if (refused := refusal(error)) is not None:
                    found.update(refused)
                    status = "blocked"
            self.end(status, found, f"{kind} {code}" if stated else kind)

    def _folded(self) -> Attributes:
        found: Attributes = {}
        if self._fold is not None:
            with quietly:
                found = self._stated(self._fold.attributes())
        return found

    def _stated(self, found: Attributes) -> Attributes:
        """0 as a cost is a price only from who sends the bill: others write it for an unknown."""
        free = found.get(semconv.COST_REPORTED) == 0
        if not free or self.attributes.get(semconv.PROVIDER) == "openrouter":
            return found
        return {name: value for name, value in found.items() if name != semconv.COST_REPORTED}

    def _finish(self, found: Attributes) -> None:
        if (kind := found.get(semconv.ERROR_TYPE)) is not None:
            self.end("error", found, str(kind))
            return
        self.end("blocked" if stopped(found.get(semconv.FINISH_REASONS)) else "success", found)

    # --- the one end ----------------------------------------------------------------------------

    def end(self, status: str, found: Attributes, failure: str | None = None) -> None:
        """Write what is known and end the span. Whoever comes second does nothing."""
        if _live.pop(id(self), None) is None:
            return
        self.end_ns = time_ns()
        if self._opened:
            with quietly:
                for inner in self._opened:  # what the caller can no longer read to its end
                    inner.end(status, inner._folded())
        with quietly:
            self._settle(status, found)
        with quietly:
            if not self.adopted:
                if failure is not None and self.span.is_recording():
                    self.span.set_status(trace.StatusCode.ERROR, failure)
                self.span.end(self.end_ns)
        if calls.settler is not None:
            with quietly:
                calls.settler.release(self)
        calls.open_calls.pop(self.span_id, None)
        self._fold = None
        if self.outer is not None:
            self.outer.inner.append(self)

    def _settle(self, status: str, found: Attributes) -> None:
        known = {name: value for name, value in found.items() if value is not None}
        if self.attempts:
            known[semconv.APP_ATTEMPTS] = len(self.attempts)
            with quietly:
                _attempts.close(self)
        if self.inner and counted_by_library(known, self.inner[-1]):
            known[semconv.USAGE_UNTRUSTED] = True
        if self.outer is not None:
            self.usage, known = restated(known)
        known[semconv.STATUS] = status
        if self._first_chunk_s is not None:
            known[semconv.TIME_TO_FIRST_CHUNK] = self._first_chunk_s
        if type(reasons := known.get(semconv.FINISH_REASONS)) is list:
            known[semconv.FINISH_REASONS] = tuple(reasons)  # as spans have it
        self.attributes.update(known)
        if calls.settler is not None:
            with quietly:
                self.attributes.update(calls.settler.settle(self))
        if self.span.is_recording():
            calls.write(self.span, self.attributes)


def _unread(chunk: Any) -> None:
    """A chunk of a surface that gathers none."""


def _belong(attributes: dict[str, Any], outer: calls.OpenCall) -> None:
    """Mark a call inside another: the outermost one owns the money."""
    while outer.outer is not None:
        outer = outer.outer
    attributes[semconv.COST_ROLE] = "restated"
    if semconv.REQUEST_ID in outer.attributes:
        attributes[semconv.REQUEST_ID] = outer.attributes[semconv.REQUEST_ID]
    if owner := outer.span_id:
        attributes[semconv.OWNER_SPAN_ID] = f"{owner:016x}"


def abandon_all() -> None:
    """End every open call: the process or its span processor goes."""
    for call in list(_live.values()):
        with quietly:
            call.abandon()


_registered = False


def _before_exit() -> None:
    """At exit, end what is open. Registered with the first call, when a tracer provider is there:
    the last that registered goes first, and a provider that was shut down takes no more spans."""
    global _registered
    _registered = True
    atexit.register(abandon_all)


def _after_fork() -> None:
    """A child does not end its parent's calls."""
    _live.clear()
    calls.open_calls.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
_dropped.ends(lambda call: call.abandon())
