"""Streams as the caller got them, watched: same object, same class, same methods.

A `Stream` of the openai or anthropic SDK iterates over its `_iterator`; a watching one takes that
place. Closing goes through the HTTP response in every helper of both SDKs, so that is where a close
is seen: https://github.com/openai/openai-python/blob/main/src/openai/_streaming.py
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any

from tollspan.guard import quietly

from . import _dropped
from ._call import Call
from ._repeats import explain

__all__ = ["Holder", "watch_close", "watch_generator", "watch_stream"]


Then = Callable[[], None] | None
Source = Callable[[], Any] | None


class Holder:
    """Who holds this holds the answer; when it goes, nobody can read the answer any more."""

    __slots__ = ("call",)

    def __init__(self, call: Call) -> None:
        self.call: Call | None = call

    def let_go(self) -> None:
        """Somebody else holds the answer now, or it has ended."""
        self.call = None

    def __del__(self) -> None:
        with quietly:
            if self.call is not None:
                _dropped.drop(self.call)


class _Chunks:
    """The SDK's own iterator, whose chunks are also shown to a call."""

    __slots__ = ("_call", "_holder", "_inner", "_next", "_see")

    def __init__(self, inner: Any, call: Call, step: Callable[[], Any]) -> None:
        self._inner = inner
        self._next = step
        self._call = call
        self._see: Callable[[Any], None] | None = None
        self._holder = Holder(call)

    def __getattr__(self, name: str) -> Any:
        """Whatever else the SDK's iterator has (`close`, `aclose`, `gi_frame`)."""
        return getattr(self._inner, name)

    def _first(self, chunk: Any) -> None:
        self._call.first_chunk()
        self._see = self._call.watched()
        self._see(chunk)

    def _ended(self, error: BaseException | None) -> None:
        self._holder.let_go()
        self._call.reading = False
        if error is None:
            self._call.complete()
        else:
            is_refused = error is self._call.refused
            self._call.fail(error.__cause__ or error if is_refused else error)

    def __del__(self) -> None:
        # The SDK's generator goes first and closes the body, which ends a native span; then ours.
        self._next = self._inner = None  # type: ignore[assignment]


class SyncChunks(_Chunks):
    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        call = self._call
        call.reading = True
        try:
            chunk = self._next()
        except StopIteration:
            with quietly:
                self._ended(None)
            raise
        except BaseException as error:
            with quietly:
                self._ended(error)
            raise
        call.reading = False
        if (see := self._see) is not None:
            see(chunk)
        else:
            with quietly:
                self._first(chunk)
        return chunk


class AsyncChunks(_Chunks):
    __slots__ = ()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        call = self._call
        call.reading = True
        try:
            chunk = await self._next()
        except StopAsyncIteration:
            with quietly:
                self._ended(None)
            raise
        except BaseException as error:
            with quietly:
                self._ended(error)
            raise
        call.reading = False
        if (see := self._see) is not None:
            see(chunk)
        else:
            with quietly:
                self._first(chunk)
        return chunk


def watch_stream(stream: Any, call: Call) -> bool:
    """Watch a `Stream` or `AsyncStream` in place; False if it has no iterator to watch."""
    inner = getattr(stream, "_iterator", None)
    watching: _Chunks
    if (step := getattr(inner, "__next__", None)) is not None:
        watching = SyncChunks(inner, call, step)
    elif (step := getattr(inner, "__anext__", None)) is not None:
        watching = AsyncChunks(inner, call, step)
    else:
        return False
    _dropped.listen()
    stream._iterator = watching
    with quietly:
        http = getattr(stream, "response", None) or stream.http_response
        watch_close(http, call, source=weakref.ref(inner))
    return True


class _Close:
    """In place of a response's `close` until it is called: closes, then tells the call.

    The response is held weakly, as an object that holds itself would be freed later than the SDK
    means it to be; should it be gone, what it would have closed is closed all the same.
    """

    __slots__ = ("_body", "_call", "_prior", "_response", "_source", "_then")
    name = "close"

    def __init__(self, response: Any, call: Call, then: Then, source: Source) -> None:
        self._response = weakref.ref(response)
        self._body = response.stream
        self._call = call
        self._then = then
        self._source = source
        self._prior = response.__dict__.get(self.name)
        """Somebody else's, in the same place."""

    def _step_back(self, response: Any) -> None:
        own = response.__dict__
        if own.get(self.name) is not self:
            return
        if self._prior is None:
            del own[self.name]
        else:
            own[self.name] = self._prior

    def _told(self) -> None:
        if self._call.reading:
            return
        if self._then is not None:
            self._then()
        if self._source is not None and self._source() is None:
            # Not the caller: the generator that reads the body closes it as it is freed.
            _dropped.drop(self._call)
        else:
            self._call.abandon()

    def __call__(self) -> None:
        response = self._response()
        try:
            if response is None:
                self._body.close()
                return
            with quietly:
                self._step_back(response)
            type(response).close(response) if self._prior is None else self._prior()
        finally:
            with quietly:
                self._told()


class _AsyncClose(_Close):
    __slots__ = ()
    name = "aclose"

    async def __call__(self) -> None:  # type: ignore[override]
        response = self._response()
        try:
            if response is None:
                await self._body.aclose()
                return
            with quietly:
                self._step_back(response)
            await (type(response).aclose(response) if self._prior is None else self._prior())
        finally:
            with quietly:
                self._told()


def watch_close(response: Any, call: Call, then: Then = None, source: Source = None) -> None:
    """See the caller close `response`, of httpx or httpx2, sync or async; first of all, `then`.

    `source` gives what reads the body, or None when that is being freed.
    """
    for kind in (_Close, _AsyncClose):
        if hasattr(response.stream, kind.name):
            setattr(response, kind.name, kind(response, call, then, source))


def watch_generator(inner: Any, call: Call) -> Any:
    """A generator or async generator like `inner`, whose chunks are also shown to `call`.

    Many ask the provider only when their first chunk is wanted, so `call` is current in each step.
    """
    _dropped.listen()
    if isinstance(inner, AsyncGenerator):
        return _async_steps(AsyncChunks(inner, call, _current_async(call, inner.__anext__)))
    return _steps(SyncChunks(inner, call, _current(call, inner.__next__)))


def _current(call: Call, step: Callable[[], Any]) -> Callable[[], Any]:
    def made() -> Any:
        with quietly:
            call.resume()
            call.is_watched = True
        try:
            return step()
        except StopIteration:
            raise
        except BaseException as error:
            if (refused := call.refused) is None:
                raise
            explain(refused, error)
            raise refused from refused.__cause__
        finally:
            with quietly:
                call.is_watched = False
                call.pause()

    return made


def _current_async(call: Call, step: Callable[[], Any]) -> Callable[[], Any]:
    async def made() -> Any:
        with quietly:
            call.resume()
            call.is_watched = True
        try:
            return await step()
        except StopAsyncIteration:
            raise
        except BaseException as error:
            if (refused := call.refused) is None:
                raise
            explain(refused, error)
            raise refused from refused.__cause__
        finally:
            with quietly:
                call.is_watched = False
                call.pause()

    return made


def _steps(chunks: SyncChunks) -> Generator[Any, None, Any]:
    try:
        yield from chunks
    finally:
        chunks.close()
        with quietly:
            chunks._call.pause()


async def _async_steps(chunks: AsyncChunks) -> AsyncGenerator[Any, None]:
    try:
        async for chunk in chunks:
            yield chunk
    finally:
        await chunks.aclose()
        with quietly:
            chunks._call.pause()
