"""Keeps calls from backends that are down: `tollspan.health("openai").guard()`.

A guard asks when its block is entered. Calls of patched SDKs inside of it are asked once more when
they are about to leave, each of the backend that it goes to, and tell what became of them themselves;
of everything else the guard tells, by whether the block raised.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast

from tollspan import semconv
from tollspan.calls import OpenCall, Refusal

from .outcomes import ANSWERED, Outcome, of_call, of_error
from .watched import Known, Watched, Where

__all__ = ["CircuitOpen", "Guard", "Guarded", "after_call", "before_call", "where_of"]

F = TypeVar("F", bound=Callable[..., Any])


class CircuitOpen(Refusal):
    """A call was not made because its backend is down.

    `backend`: who; `reason`: why it is held to be down; `retry_after_s`: seconds until a call is worth
    trying, None where a trial is under way now.
    """

    def __init__(self, backend: str, reason: str, retry_after_s: float | None) -> None:
        if retry_after_s is None:
            when = "while a trial call is under way"
        else:
            when = f"for {retry_after_s:.1f} s more"
        super().__init__(f"{backend} is not asked {when}: {reason}")
        self.attributes = {semconv.BACKEND_STATE: "open", semconv.BACKEND_REASON: reason}
        self.backend = backend
        self.reason = reason
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[type[CircuitOpen], tuple[str, str, float | None]]:
        return type(self), (self.backend, self.reason, self.retry_after_s)


class Guard:
    """Blocks that ask one backend, one after the other or at once; or functions, each run of which is
    such a block: `def` and `async def` alike.

    Raises (on entering, or from a patched SDK's call inside):
        CircuitOpen: the backend is down.
    """

    def __init__(self, known: Known, name: str) -> None:
        self._known = known
        self._name = name

    def __enter__(self) -> Self:
        Guarded(self._known, self._name, self).__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        block = _current.get()
        while block is not None and block.guard is not self:
            block = block.outer
        if block is not None:  # a generator may be closed in another context than its own
            block.__exit__(kind, error, trace)

    def __call__(self, function: F) -> F:
        known, name = self._known, self._name
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def guarded_later(*args: Any, **kwargs: Any) -> Any:
                with Guarded(known, name):
                    return await function(*args, **kwargs)

            return cast(F, guarded_later)

        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            with Guarded(known, name):
                return function(*args, **kwargs)

        return cast(F, guarded)


class Guarded:
    """One block of a guard, from entering it to leaving it."""

    def __init__(self, known: Known, name: str, guard: Guard | None = None) -> None:
        self.guard = guard
        self.outer: Guarded | None = None
        self.outcome: Outcome | None = None
        """What the exception that left the block told of the backend."""
        self._known = known
        self._name = name
        self._permit: _Permit | None = None
        self._entered = 0.0
        self._is_over = False
        self._tells_itself = False
        """Patched calls were made inside."""

    def __enter__(self) -> Self:
        self._permit = _best(self._known, self._name)
        self._entered = self._known.clock()
        self.resume()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.pause()
        self._is_over = True
        duration_s = self._known.clock() - self._entered
        self.outcome = None if error is None else of_error(error, duration_s)
        told = Outcome(ANSWERED, duration_s) if error is None else self.outcome
        if self._permit is not None:
            self._permit.ended(None if self._tells_itself else told)
        elif told is not None and not self._tells_itself:
            self._known.at(Where(self._name)).ended(told, self._entered)

    def forgo(self) -> None:
        """The block that was to be is none."""
        self.pause()
        if not self._is_over and self._permit is not None:
            self._permit.ended(None)
        self._is_over = True

    def resume(self) -> None:
        """Be the innermost block of this context."""
        self.outer = _current.get()
        _current.set(self)

    def pause(self) -> None:
        """Be it no longer. A coroutine may be closed in another context than its own, where a token
        could not be used."""
        if _current.get() is self:
            _current.set(self.outer)

    def admit(self, call: OpenCall) -> None:
        """A patched call inside is about to leave.

        Raises:
            CircuitOpen: not to this backend.
        """
        if self._is_over:  # a task that outlived the block in which it was made
            return
        self._tells_itself = True
        where = where_of(call)
        if not any(where):  # a library's call: the one inside of it knows
            return
        watched = self._known.at(where)
        around = None if call.outer is None else _carried.get(id(call.outer))
        if around is not None and around.watched is watched:
            return
        permit = self._permit
        if permit is not None and permit.watched is watched and permit.stands():
            self._permit = None
        else:
            permit = _Permit(watched)
        if len(_carried) >= _MOST_CARRIED:
            _carried.clear()
        _carried[id(call)] = permit


class _Permit:
    """One call that was let go.

    Raises (when made):
        CircuitOpen: it is not.
    """

    __slots__ = ("_acquired_at", "watched")

    def __init__(self, watched: Watched) -> None:
        acquired_at = watched.acquire()
        if acquired_at is None:
            now = watched.snapshot()
            raise CircuitOpen(str(watched), now.reason, now.retry_after_s)
        self.watched = watched
        self._acquired_at = acquired_at

    def stands(self) -> bool:
        return self.watched.stands(self._acquired_at)

    def ended(self, outcome: Outcome | None) -> None:
        self.watched.ended(outcome, self._acquired_at, self._acquired_at)


def _best(known: Known, name: str) -> _Permit | None:
    """Leave to ask one of the backends that `name` means, those that are well first; None where nobody
    has heard of any: it may be asked.

    Raises:
        CircuitOpen: none of them may be asked; the message is of the one to be tried first.
    """
    found = known.called(name)
    if len(found) > 1:
        now = {each: each.snapshot() for each in found}
        found.sort(key=lambda each: (now[each].state != "closed", now[each].retry_after_s or 0.0))
    refused: CircuitOpen | None = None
    for each in found:
        try:
            return _Permit(each)
        except CircuitOpen as error:
            refused = refused or error
    if refused is not None:
        raise refused
    return None


_current: ContextVar[Guarded | None] = ContextVar("tollspan_guarded", default=None)
_carried: dict[int, _Permit] = {}
"""Of guarded calls that are under way, by their id, until they have been settled."""

_MOST_CARRIED: Final = 10_000
"""More are calls of whose ends nobody was told; their trials give their places away in time."""


def where_of(call: OpenCall) -> Where:
    """The backend that `call` asks; all of it empty where that is not known."""
    known = call.attributes
    provider, address = known.get(semconv.PROVIDER), known.get(semconv.SERVER_ADDRESS)
    port = known.get(semconv.SERVER_PORT)
    return Where(
        provider if isinstance(provider, str) else "",
        address if isinstance(address, str) else "",
        port if isinstance(port, int) and port not in (80, 443) else 0,
    )


def before_call(call: OpenCall) -> None:
    """For `tollspan.calls.on_before`: the guard of this context, if any, has a say.

    Raises:
        CircuitOpen: the call may not leave.
    """
    block = _current.get()
    if block is not None:
        block.admit(call)


def after_call(known: Known, call: OpenCall) -> None:
    """For `tollspan.calls.on_after`: what a call tells of its backend."""
    permit = _carried.pop(id(call), None)
    outcome = of_call(call)
    if permit is not None:
        permit.ended(outcome)
        return
    where = where_of(call)
    if outcome is not None and any(where):
        started = known.clock() - max(time.time_ns() - call.start_ns, 0) / 1e9
        known.at(where).ended(outcome, started)
