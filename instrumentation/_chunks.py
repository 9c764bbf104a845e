"""Classes of streams that have no iterator to take the place of: their own iteration is watched.

The class is patched, its objects are not: identity, class and methods stay as they are.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

from tollspan.guard import quietly

from . import _dropped
from ._call import Call
from ._stream import Holder, watch_close

__all__ = [
    "STEPS",
    "is_watched",
    "leave_base",
    "watch_base",
    "watch_chunks",
    "watched_step",
    "watched_step_async",
]

_RECORDER = f"{__package__}._httpx"
_KEPT = "_tollspan"
"""Attribute of a watched object that keeps its call's chunks."""


class _Seen:
    """The call of one stream object, and where its chunks go. Current while a chunk is made, so
    that a request which the stream itself makes (a fallback half-way) is a part of the call."""

    __slots__ = ("_holder", "_see", "call")

    def __init__(self, call: Call) -> None:
        self.call = call
        self._see: Callable[[Any], None] | None = None
        self._holder = Holder(call)

    def step(self) -> None:
        self.call.reading = True
        self.call.enter()

    def chunk(self, stream: Any, chunk: Any) -> None:
        self.call.leave()
        self.call.reading = False
        if self._see is None:
            self.call.first_chunk()
            self._see = self.call.watched(stream)
        self._see(chunk)

    def ended(self, error: BaseException | None) -> None:
        self.call.leave()
        self.call.reading = False
        self._holder.let_go()
        if error is None:
            self.call.complete()
        else:
            self.call.fail(error)


def is_watched(kind: type) -> bool:
    """Whether `kind`, or a class that it is made from, is a watched one."""
    return any(
        each in _bases or any(getattr(vars(each).get(name), _KEPT, False) for name in STEPS)
        for each in kind.__mro__
    )


_bases: weakref.WeakSet[type] = weakref.WeakSet()
"""Watched classes without a step of their own: the classes made from them have it."""


def watch_base(kind: type) -> None:
    """Watch the objects of whatever class is made from `kind`, which has no step itself."""
    _bases.add(kind)


def leave_base(kind: type) -> None:
    """Watch them no longer."""
    _bases.discard(kind)


STEPS = ("__next__", "__anext__")


def watch_chunks(stream: Any, call: Call) -> None:
    """Watch one object of a watched class."""
    _dropped.listen()
    _watch_own_steps(type(stream))
    setattr(stream, _KEPT, _Seen(call))
    with quietly:
        _watch_close(stream, call)


def _watch_close(stream: Any, call: Call) -> None:
    """See the caller close the stream, where that goes through an HTTP response that it holds."""
    own = getattr(stream, "__dict__", {})
    response = own.get("response")
    if hasattr(response, "iter_raw"):
        _forget_other(response)
        reading = own.get("generator")
        source = weakref.ref(reading) if reading is not None else None
        watch_close(response, call, source=source)


def _watch_own_steps(kind: type) -> None:
    """Watch the steps that a class has in the place of those it inherits from a watched class.

    LiteLLM's Router makes such a class for each stream; what is put there goes with the stream.
    """
    for name, watched in ((STEPS[0], watched_step), (STEPS[1], watched_step_async)):
        step = getattr(kind, name, None)
        if step is not None and not getattr(step, _KEPT, False):
            setattr(kind, name, watched(step))


def _forget_other(response: Any) -> None:
    """Of the response that the recorder of attempts hooked, mistralai makes another one when it
    traces, with all that it had: that hook would close the one that is gone."""
    if type(response).__module__.startswith("httpx"):
        return
    own = vars(response)
    for name in ("close", "aclose"):
        if getattr(own.get(name), "__module__", "") == _RECORDER:
            del own[name]


def _seen(stream: Any) -> _Seen | None:
    found = getattr(stream, "__dict__", {}).get(_KEPT)
    return found if isinstance(found, _Seen) else None


def watched_step(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`__next__` of a class of streams, which also shows its chunk to the object's call."""

    @functools.wraps(original)
    def step(stream: Any) -> Any:
        seen = None
        with quietly:
            seen = _seen(stream)
        if seen is None:
            return original(stream)
        with quietly:
            seen.step()
        try:
            chunk = original(stream)
        except StopIteration:
            with quietly:
                seen.ended(None)
            raise
        except BaseException as error:
            with quietly:
                seen.ended(error)
            raise
        with quietly:
            seen.chunk(stream, chunk)
        return chunk

    setattr(step, _KEPT, True)
    return step


def watched_step_async(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`__anext__`, likewise."""

    @functools.wraps(original)
    async def step(stream: Any) -> Any:
        seen = None
        with quietly:
            seen = _seen(stream)
        if seen is None:
            return await original(stream)
        with quietly:
            seen.step()
        try:
            chunk = await original(stream)
        except StopAsyncIteration:
            with quietly:
                seen.ended(None)
            raise
        except BaseException as error:
            with quietly:
                seen.ended(error)
            raise
        with quietly:
            seen.chunk(stream, chunk)
        return chunk

    setattr(step, _KEPT, True)
    return step
