"""The async half of `_streaming_body`: raw streams of aiohttp and httpx, watched as they are read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from tollspan.guard import quietly

from ._reading import Proxy, Reading

__all__ = ["AsyncRaw"]


class _Content(Proxy):
    """The `StreamReader` of an aiohttp response."""

    def __init__(self, wrapped: Any, reading: Reading) -> None:
        super().__init__(wrapped)
        self._self_reading = reading

    async def _self_seen(self, name: str, asked: Any, *args: Any) -> Any:
        try:
            part = await getattr(self.__wrapped__, name)(*args)
        except BaseException as error:
            with quietly:
                self._self_reading.failed(error)
            raise
        with quietly:
            self._self_reading.saw(part[0] if isinstance(part, tuple) else part, asked)
        return part

    async def read(self, n: int = -1) -> Any:
        return await self._self_seen("read", n, n)

    async def readany(self) -> Any:
        return await self._self_seen("readany", 1)

    async def readchunk(self) -> Any:
        return await self._self_seen("readchunk", 1)

    async def readline(self, **kwargs: Any) -> Any:
        return await self._self_seen("readline", 1)

    def __aiter__(self) -> Any:
        return type(self.__wrapped__).__aiter__(self)

    def iter_any(self) -> Any:
        return type(self.__wrapped__).iter_any(self)

    def iter_chunked(self, n: int) -> Any:
        return type(self.__wrapped__).iter_chunked(self, n)

    def iter_chunks(self) -> Any:
        return type(self.__wrapped__).iter_chunks(self)


class AsyncRaw(Proxy):
    """The raw stream of an async body: the response of aiohttp, or of httpx."""

    def __init__(self, wrapped: Any, reading: Reading) -> None:
        super().__init__(wrapped)
        self._self_reading = reading

    @property
    def content(self) -> Any:
        content = self.__wrapped__.content
        return _Content(content, self._self_reading) if hasattr(content, "readany") else content

    async def __aenter__(self) -> Any:
        await self.__wrapped__.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> Any:
        try:
            return await self.__wrapped__.__aexit__(*error)
        finally:
            with quietly:
                self._self_reading.closed()

    async def read(self) -> Any:
        """Of aiohttp, and the two behind it: they read what `content` is here."""
        return await type(self.__wrapped__).read(self)

    async def text(self, *args: Any, **kwargs: Any) -> Any:
        return await type(self.__wrapped__).text(self, *args, **kwargs)

    async def json(self, **kwargs: Any) -> Any:
        return await type(self.__wrapped__).json(self, **kwargs)

    async def aiter_raw(self, *args: Any) -> AsyncIterator[Any]:
        """Of httpx."""
        reading = self._self_reading
        try:
            async for part in self.__wrapped__.aiter_raw(*args):
                with quietly:
                    reading.saw(part)
                yield part
        except GeneratorExit:
            raise
        except BaseException as error:
            with quietly:
                reading.failed(error)
            raise
        with quietly:
            reading.saw(b"")

    def close(self) -> Any:
        try:
            return self.__wrapped__.close()
        finally:
            with quietly:
                self._self_reading.closed()

    async def aclose(self) -> Any:
        try:
            return await self.__wrapped__.aclose()
        finally:
            with quietly:
                self._self_reading.closed()
