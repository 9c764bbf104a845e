"""Where the bodies of an exchange are seen: what stands in the place of each HTTP client's own.

A proxy that looks at the bytes as they pass: nothing is read ahead or twice, `isinstance` and every
attribute are the client's own. When nobody holds it any more, the answer was dropped.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from tollspan.guard import harmless, quietly

from ._reading import Proxy
from ._streaming_body import Raw

if TYPE_CHECKING:
    from ._wire import Recording

__all__ = ["asked_body", "tapped"]


class Tap:
    """Held by whatever the caller reads from: with it the answer goes."""

    __slots__ = ("_back", "_recording")

    def __init__(self, recording: Recording, back: Any = None) -> None:
        self._recording = recording
        self._back = back

    @property
    def each(self) -> Callable[[Any], None]:
        """What is told each part where its end is told apart from it."""
        return self._recording.saw

    def saw(self, part: Any, asked: Any = 1) -> None:
        """`part` was read, when `asked` bytes were wanted: None and negative numbers are all."""
        self._recording.saw(part)
        if asked is None or asked < 0 or (asked and not part):
            self.ended()

    def ended(self) -> None:
        self._recording.finish("complete")
        self._let_go()

    def failed(self, error: BaseException) -> None:
        self._recording.failed(error)
        self._let_go()

    def closed(self) -> None:
        self._recording.finish("closed")
        self._let_go()

    def _let_go(self) -> None:
        back, self._back = self._back, None
        if back is not None:
            back()

    def __del__(self) -> None:
        with quietly:
            self._recording.finish("dropped")


# --- httpx ----------------------------------------------------------------------------------------


class _Each:
    """An iterator of the client's, looked at. No generator: what is dropped must close at once."""

    __slots__ = ("_next", "_saw", "_tap")

    def __init__(self, parts: Any, tap: Tap) -> None:
        self._next = parts.__next__
        self._saw = harmless(tap.each)
        self._tap = tap

    def __iter__(self) -> _Each:
        return self

    def __next__(self) -> Any:
        try:
            part = self._next()
        except StopIteration:
            with quietly:
                self._tap.ended()
            raise
        except BaseException as error:
            with quietly:
                self._tap.failed(error)
            raise
        self._saw(part)
        return part


class _EachAsync:
    """The async half of `_Each`."""

    __slots__ = ("_next", "_saw", "_tap")

    def __init__(self, parts: Any, tap: Tap) -> None:
        self._next = parts.__anext__
        self._saw = harmless(tap.each)
        self._tap = tap

    def __aiter__(self) -> _EachAsync:
        return self

    async def __anext__(self) -> Any:
        try:
            part = await self._next()
        except StopAsyncIteration:
            with quietly:
                self._tap.ended()
            raise
        except BaseException as error:
            with quietly:
                self._tap.failed(error)
            raise
        self._saw(part)
        return part


class _Stream(Proxy):
    """The byte stream of an httpx response."""

    def __init__(self, wrapped: Any, tap: Tap) -> None:
        super().__init__(wrapped)
        self._self_tap = tap

    def __iter__(self) -> Iterator[Any]:
        return _Each(iter(self.__wrapped__), self._self_tap)

    def __aiter__(self) -> Any:
        return _EachAsync(self.__wrapped__.__aiter__(), self._self_tap)

    def close(self) -> Any:
        try:
            return self.__wrapped__.close()
        finally:
            with quietly:
                self._self_tap.closed()

    async def aclose(self) -> Any:
        try:
            return await self.__wrapped__.aclose()
        finally:
            with quietly:
                self._self_tap.closed()


class _Leaving:
    """Sees the pieces of a request's body; in the place of a `Tap`."""

    def __init__(self, recording: Recording) -> None:
        self.each = recording.asked

    def ended(self) -> None: ...

    def failed(self, error: BaseException) -> None: ...

    closed = ended


# --- aiohttp --------------------------------------------------------------------------------------


class _Content(Proxy):
    """The `StreamReader` of an aiohttp response."""

    def __init__(self, wrapped: Any, tap: Tap) -> None:
        super().__init__(wrapped)
        self._self_tap = tap

    async def _self_seen(self, name: str, *args: Any, **kwargs: Any) -> Any:
        try:
            part = await getattr(self.__wrapped__, name)(*args, **kwargs)
        except BaseException as error:
            with quietly:
                self._self_tap.failed(error)
            raise
        with quietly:
            self._self_tap.saw(part[0] if isinstance(part, tuple) else part, 0)
            if self.__wrapped__.at_eof():
                self._self_tap.ended()
        return part

    async def read(self, n: int = -1) -> Any:
        return await self._self_seen("read", n)

    async def readany(self) -> Any:
        return await self._self_seen("readany")

    async def readchunk(self) -> Any:
        return await self._self_seen("readchunk")

    async def readline(self, **kwargs: Any) -> Any:
        return await self._self_seen("readline", **kwargs)

    async def readuntil(self, *args: Any, **kwargs: Any) -> Any:
        return await self._self_seen("readuntil", *args, **kwargs)

    async def readexactly(self, n: int) -> Any:
        return await self._self_seen("readexactly", n)

    def read_nowait(self, n: int = -1) -> Any:
        part = self.__wrapped__.read_nowait(n)
        with quietly:
            self._self_tap.saw(part, 0)
        return part

    def __aiter__(self) -> Any:
        return type(self.__wrapped__).__aiter__(self)

    def iter_any(self) -> Any:
        return type(self.__wrapped__).iter_any(self)

    def iter_chunked(self, n: int) -> Any:
        return type(self.__wrapped__).iter_chunked(self, n)

    def iter_chunks(self) -> Any:
        return type(self.__wrapped__).iter_chunks(self)


# --- which it is ----------------------------------------------------------------------------------


def asked_body(request: Any, recording: Recording) -> None:
    """Note the body of `request`, or have it seen while it leaves."""
    held = getattr(request, "__dict__", {})
    if "stream" in held and "_content" not in held:  # httpx, of a body that comes in pieces
        request.stream = _Stream(held["stream"], _Leaving(recording))  # type: ignore[arg-type]
        recording.undo = _putting_back(request, "stream")
        return
    body = held["_content"] if "_content" in held else getattr(request, "body", None)
    body = getattr(body, "_value", body)  # aiohttp's payloads
    if isinstance(body, str):
        body = body.encode("utf-8", "replace")
    if isinstance(body, (bytes, bytearray, memoryview)):
        if body:
            recording.asked(body)
    elif body is not None and not isinstance(body, tuple):
        recording.asked_unseen = "a stream of the caller's"


def tapped(response: Any, recording: Recording) -> None:
    """Have the body of `response` seen while the caller reads it."""
    held = getattr(response, "__dict__", {})
    if "is_closed" in held and "stream" in held:
        _tapped_httpx(response, recording)
    elif hasattr(content := held.get("content"), "readany"):  # `content` of requests would read
        back = _putting_back(response, "content")
        response.content = _Content(content, Tap(recording, back))
    elif isinstance(held.get("_content"), bytes):  # requests and botocore, read by now
        recording.saw(held["_content"])
        recording.finish("complete")
    elif (raw := held.get("raw")) is not None and hasattr(raw, "read"):
        response.raw = Raw(raw, Tap(recording, _putting_back(response, "raw")))  # type: ignore[arg-type]
    else:
        recording.unseen = "no stream that can be watched"
        recording.finish("complete")


def _tapped_httpx(response: Any, recording: Recording) -> None:
    if response.is_closed:  # a mock transport's responses are born read
        recording.saw(getattr(response, "_content", b""))
        recording.finish("complete")
        return
    response.stream = _Stream(response.stream, Tap(recording))


def _putting_back(holder: Any, name: str) -> Any:
    """What puts back the client's own object in the place `name`, if ours stands there."""
    known = weakref.ref(holder)

    def back() -> None:
        found = known()
        ours = getattr(found, name, None)
        if isinstance(ours, Proxy) and type(ours) in (_Stream, _Content, Raw):
            setattr(found, name, ours.__wrapped__)

    return back
