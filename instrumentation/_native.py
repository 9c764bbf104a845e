"""Answers of SDKs that are not written in Python: futures, and streams on which nothing can be kept.

A native stream has neither a `__dict__` nor weak references. Its class is patched when the first one
is seen, and its call is found by the stream's address. The stream is held here while it is open, for
nothing tells when it goes; a thread that runs while any is open lets go of those that nobody else
holds, at most `_EVERY_S` after their caller did.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from functools import partial
from sys import getrefcount
from typing import Any

from tollspan.guard import quietly

from . import _dropped
from ._call import Call
from ._chunks import STEPS

__all__ = ["let_go", "restore", "watch_future", "watch_native"]

_EVERY_S = 0.05


class _Seen:
    __slots__ = ("call", "see", "stream")

    def __init__(self, stream: Any, call: Call) -> None:
        self.stream = stream
        self.call = call
        self.see: Callable[[Any], None] | None = None

    def chunk(self, chunk: Any) -> None:
        if self.see is None:
            self.call.first_chunk()
            self.see = self.call.watched()
        self.see(chunk)


_open: dict[int, _Seen] = {}
"""Streams that have not ended, by address."""
_patched: dict[tuple[type, str], Any] = {}
"""What classes had before, by class and method."""


def watch_native(stream: Any, call: Call) -> None:
    kind = type(stream)
    for name, watching in ((STEPS[0], _stepping), (STEPS[1], _stepping_async)):
        if (kind, name) not in _patched and (original := vars(kind).get(name)) is not None:
            _patched[kind, name] = original
            setattr(kind, name, watching(original))
    _open[id(stream)] = _Seen(stream, call)
    _dropped.listen()
    _keep_looking()


_looking: threading.Thread | None = None
_lock = threading.Lock()


def _keep_looking() -> None:
    """See to it that a thread lets go of what nobody else holds; one is enough."""
    global _looking
    with _lock:
        if _looking is not None:
            return
        thread = threading.Thread(target=_look, name="tollspan-native", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads: such calls end when watching does
            return
        _looking = thread


def _look() -> None:
    global _looking
    while True:
        time.sleep(_EVERY_S)
        with quietly:
            let_go()
        with _lock:
            if not _open:
                _looking = None
                return


def let_go() -> None:
    """End the calls of streams that only we hold."""
    for place, seen in list(_open.items()):
        if getrefcount(seen.stream) <= 2 and _open.pop(place, None) is not None:  # and its argument
            _dropped.drop(seen.call)


def restore() -> None:
    """Give the classes their own methods back; what is still open can be watched no longer."""
    while _patched:
        (kind, name), original = _patched.popitem()
        setattr(kind, name, original)
    while _open:
        _open.popitem()[1].call.abandon()


def _stepping(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def __next__(stream: Any) -> Any:
        try:
            chunk = original(stream)
        except BaseException as error:
            with quietly:
                _ended(stream, error)
            raise
        with quietly:
            if (seen := _open.get(id(stream))) is not None:
                seen.chunk(chunk)
        return chunk

    return __next__


def _stepping_async(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def __anext__(stream: Any) -> Any:
        future = original(stream)
        with quietly:
            # Not the stream: a callback that holds it would look like a caller that does.
            if (seen := _open.get(place := id(stream))) is not None:
                future.add_done_callback(partial(_stepped, place, seen))
        return future

    return __anext__


def _stepped(place: int, seen: _Seen, done: Any) -> None:
    with quietly:
        if _open.get(place) is not seen:
            return
        error = _error_of(done)
        if error is None:
            seen.chunk(done.result())
        else:
            del _open[place]
            _end(seen.call, error)


def _ended(stream: Any, error: BaseException) -> None:
    if (seen := _open.pop(id(stream), None)) is not None:
        _end(seen.call, error)


def _end(call: Call, error: BaseException) -> None:
    if isinstance(error, (StopIteration, StopAsyncIteration)):
        call.complete()
    else:
        call.fail(error)


def _error_of(done: Any) -> BaseException | None:
    """What a future that is done raises, if anything."""
    if done.cancelled():
        from asyncio import CancelledError

        return CancelledError()
    error: BaseException | None = done.exception()
    return error


def watch_future(future: Any, call: Call, then: Callable[[Any, Call], Any]) -> None:
    """When `future` has its result, `then` watches that as the answer."""

    def done(future: Any) -> None:
        with quietly:
            error = _error_of(future)
            if error is None:
                then(future.result(), call)
            else:
                call.fail(error)

    future.add_done_callback(done)


def _after_fork() -> None:
    """A child has neither its parent's threads nor its calls."""
    global _looking, _lock
    _looking, _lock = None, threading.Lock()
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
