"""The life of one call: it starts once, is current while the SDK works, and ends exactly once."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, time_ns
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context

from tollspan import attribution, calls, contexts, ended, semconv
from tollspan.guard import harmless, quietly
from tollspan.ids import request_id

from . import _attempts, _dropped, _open_calls
from ._belonging import belong, join
from ._blocked import refusal
from ._context import entered
from ._open_calls import live
from ._settling import STEPS, UNREAD, Ending, concluded, stated
from ._spec import Attributes, Fold, Surface

__all__ = ["Call"]

_NOWHERE = Context()
_open = calls.OpenCall.__init__  # to ask `super()` for it costs as much as it does


class Call(calls.OpenCall):
    """One call of an SDK: what is known of it, and its span."""

    steps = STEPS
    __slots__ = (
        "_before",
        "_fold",
        "_inside",
        "_opened",
        "_started_s",
        "ending",
        "first_chunk_s",
        "hides",
        "instead",
        "reading",
        "surface",
    )

    def __init__(
        self, surface: Surface, span: trace.Span, start_ns: int, outer: calls.OpenCall | None
    ) -> None:
        _open(self, span, start_ns, outer)
        self.surface = surface
        self.reading = False
        """The SDK itself is reading the body now, so a close that happens now is its own."""
        self.instead: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        """Arguments to call the SDK with in place of the caller's."""
        self.hides = False
        """`instead` asks for usage that the caller is not to see."""
        self._started_s = monotonic()
        self.first_chunk_s: float | None = None
        """From its start to the first piece of a streamed answer."""
        self._fold: Fold | None = None
        self._opened: list[Call] = []
        self.ending: Ending
        """From its end on."""
        self._before = _NOWHERE
        self._inside: Context | None = None

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
        attributes: dict[str, Any] = {semconv.OPERATION: surface.operation, **asked}
        if None in attributes.values():
            attributes = {name: value for name, value in attributes.items() if value is not None}
        with quietly:
            owner = attribution.owner() if outer is None else None
            if owner is not None and semconv.CALL_PURPOSE not in attributes:
                join(attributes, owner)
            attributes |= attribution.current()
            if semconv.REQUEST_ID not in attributes:
                attributes[semconv.REQUEST_ID] = request_id()
        if outer is not None:
            belong(attributes, outer)
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
        live[call] = call
        if not _open_calls.registered:
            with quietly:
                _open_calls.end_at_exit()
        if call.span_id:
            calls.open_calls[call.span_id] = call
        if outer is not None and isinstance(outer, Call):
            outer._opened.append(call)
        return call

    def enter(self) -> None:
        """Be current: the SDK's method starts to run."""
        calls.current_call.set(self)
        if self.adopted:
            return  # whoever owns the span makes it current
        self._before = contexts.current()
        self._inside = entered(self._before, self.span)
        contexts.attach(self._inside)

    def leave(self) -> None:
        """Be current no longer, wherever that is still so: a coroutine may be closed in another
        context than its own."""
        if calls.current_call.get() is self:
            calls.current_call.set(self.outer)
        if self._inside is not None:
            contexts.put_back(self._before, self._inside)
            self._inside = None

    def resume(self) -> None:
        """As `enter`, for each step of the SDK's generator."""
        if self._inside is None:
            self.enter()
        else:
            calls.current_call.set(self)

    def pause(self) -> None:
        """As `leave`, after each step. A generator may have put a context of its own over ours (a
        span in a `with` around its `yield`): that stays until it takes it away."""
        if self._inside is None or contexts.current() is self._inside:
            self.leave()
        elif calls.current_call.get() is self:
            calls.current_call.set(self.outer)

    # --- how an answer comes in: each of these ends the call, whatever becomes of reading it -----

    def watched(self, stream: Any = None) -> Callable[[Any], None]:
        """The answer is a stream: where to show its chunks, without fear."""
        if self._fold is None and self.surface.fold is not None:
            self._fold = self.surface.fold()
        if stream is not None and (opened := getattr(self._fold, "opened", None)) is not None:
            opened(stream)
        _dropped.listen()
        return harmless(self._fold.add) if self._fold is not None else _unread

    def unseen(self, chunk: Any) -> None:
        """A chunk came that the caller does not see."""
        self.watched()(chunk)

    def first_chunk(self) -> None:
        if self.first_chunk_s is None:
            self.first_chunk_s = monotonic() - self._started_s

    def answered(self, response: Any) -> None:
        """The whole answer is there."""
        surface = self.surface
        try:
            if surface.glance is not None:
                self.end(UNREAD, surface.glance(response))
                return
            found = surface.response(response)
        except BaseException:
            self.end("success", {})
            raise
        self.told(found)

    def told(self, found: Attributes) -> None:
        """The whole answer is there, and read."""
        self.end(*concluded(self._stated(found)))

    def _stated(self, found: Attributes) -> Attributes:
        return stated(self, found) if semconv.COST_REPORTED in found else found

    def complete(self) -> None:
        """The stream was read to its end."""
        with quietly:
            self.end(*concluded(self._folded()))
            return
        self.end("success", {})

    def abandon(self) -> None:
        """The caller closed or dropped the answer; half-read, unless the model had finished."""
        with quietly:
            found = self._folded()
            if semconv.FINISH_REASONS in found or semconv.ERROR_TYPE in found:
                self.end(*concluded(found))
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
            found[semconv.ERROR_TYPE] = type(error).__qualname__
            if self.surface.failure is not None:
                with quietly:
                    found.update(self.surface.failure(error))
            kind = str(found[semconv.ERROR_TYPE])
            with quietly:
                from ._gateway_facts import failure  # reads errors only

                found.update(failure(error))
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
                found = stated(self, self._fold.attributes())
        return found

    # --- the one end ----------------------------------------------------------------------------

    def end(self, status: str, found: Attributes, failure: str | None = None) -> None:
        """Write what is known and end the span. Whoever comes second does nothing."""
        if live.pop(self, None) is None:
            return
        self.end_ns = time_ns()
        self.ending = status, found, failure
        if self._opened:
            with quietly:
                self.ending = self.read(status, found, failure)
            with quietly:
                for inner in self._opened:  # what the caller can no longer read to its end
                    inner.end(self.ending[0] or "success", inner._folded())
        with quietly:
            if self._may_wait() and ended.put(self):
                return
        self._fold = None
        ended.finish((self,))

    def read(self, status: str, found: Attributes, failure: str | None) -> Ending:
        """An ending that is read already is what it was."""
        if status != UNREAD:
            return status, found, failure
        return concluded(self._stated(self.surface.response(found)))

    def _may_wait(self) -> bool:
        """Whether nobody can see it if this call is finished a moment later."""
        if self.outer is not None or self.inner or calls.after:
            return False  # calls around this one read it as they end; hooks want to know now
        if calls.postpone is None or not calls.postpone(self):
            return False
        _attempts.close(self)
        self._fold = self.instead = None  # the caller's own objects
        return True


def _unread(chunk: Any) -> None:
    """A chunk of a surface that gathers none."""


_dropped.ends(lambda call: call.abandon())
