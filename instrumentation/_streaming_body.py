"""Bodies that botocore and aiobotocore hand out unread, watched as the caller reads them.

A `StreamingBody` is the caller's, class and methods: only the raw stream inside it has its place
taken, by a proxy that looks at the bytes as they pass. So `read()`, `read(n)`, the iterators,
`json.load(body)` and `with body as raw` all are seen, and nothing is read ahead or twice. When the
body has been read, the raw stream is back in its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tollspan.guard import quietly

from . import _dropped
from ._call import Call
from ._reading import Proxy, Reading, amount
from ._streaming_body_async import AsyncRaw

__all__ = ["Raw", "watch_reading"]


class Raw(Proxy):
    """The raw stream of a sync body: urllib3's response, or a file of the user's."""

    def __init__(self, wrapped: Any, reading: Reading) -> None:
        super().__init__(wrapped)
        self._self_reading = reading

    def _self_seen(self, name: str, asked: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            part = getattr(self.__wrapped__, name)(*args, **kwargs)
        except BaseException as error:
            with quietly:
                self._self_reading.failed(error)
            raise
        with quietly:
            self._self_reading.saw(part, asked)
        return part

    def read(self, *args: Any, **kwargs: Any) -> Any:
        return self._self_seen("read", amount(args, kwargs), *args, **kwargs)

    def read1(self, *args: Any, **kwargs: Any) -> Any:
        return self._self_seen("read1", 1, *args, **kwargs)

    def readline(self, *args: Any, **kwargs: Any) -> Any:
        return self._self_seen("readline", 1, *args, **kwargs)

    def readlines(self, *args: Any, **kwargs: Any) -> Any:
        lines = self.__wrapped__.readlines(*args, **kwargs)
        with quietly:
            self._self_reading.saw(b"".join(lines), amount(args, kwargs))
        return lines

    def readinto(self, buffer: Any) -> Any:
        try:
            length = self.__wrapped__.readinto(buffer)
        except BaseException as error:
            with quietly:
                self._self_reading.failed(error)
            raise
        with quietly:
            self._self_reading.saw(memoryview(buffer)[:length], len(buffer))
        return length

    def __enter__(self) -> Any:
        self.__wrapped__.__enter__()
        return self

    def __exit__(self, *error: object) -> Any:
        try:
            return self.__wrapped__.__exit__(*error)
        finally:
            with quietly:
                self._self_reading.closed()

    def __iter__(self) -> Iterator[Any]:
        return self._self_each(iter(self.__wrapped__))

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        return self._self_each(self.__wrapped__.stream(*args, **kwargs))

    def read_chunked(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        return self._self_each(self.__wrapped__.read_chunked(*args, **kwargs))

    def _self_each(self, parts: Iterator[Any]) -> Iterator[Any]:
        while True:
            try:
                part = next(parts)
            except StopIteration:
                with quietly:
                    self._self_reading.saw(b"")
                return
            except BaseException as error:
                with quietly:
                    self._self_reading.failed(error)
                raise
            with quietly:
                self._self_reading.saw(part)
            yield part

    def close(self) -> Any:
        try:
            return self.__wrapped__.close()
        finally:
            with quietly:
                self._self_reading.closed()


def watch_reading(body: Any, answer: Any, call: Call) -> bool:
    """Watch `body`, which `answer` holds; False if it has no raw stream to watch."""
    # aiobotocore 2: the body is itself a proxy of the response.
    place = "_raw_stream" if "_raw_stream" in getattr(body, "__dict__", ()) else "__wrapped__"
    raw = getattr(body, place, None)
    if raw is None:
        return False
    _dropped.listen()
    kind = AsyncRaw if hasattr(raw, "content") or hasattr(raw, "aiter_raw") else Raw
    setattr(body, place, kind(raw, Reading(body, place, answer, call)))
    return True
