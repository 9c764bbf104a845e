"""Raw and streaming responses: the caller parses, or reads the body in a way of its own.

Nothing is read in the caller's place. A body that is there already is read again; a `parse()` that
gives a stream has that stream watched; and of a body that the caller reads in pieces, the pieces are
looked at as they pass. https://github.com/openai/openai-python/blob/main/src/openai/_response.py
"""

from __future__ import annotations

import inspect
import json
import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from tollspan import semconv
from tollspan.guard import quietly

from . import _dropped
from ._call import Call
from ._stream import Holder, watch_close, watch_stream

__all__ = ["watch_body", "watch_raw"]

_LARGEST_BODY = 8 * 2**20
"""Bytes; a larger body is not read for its usage: the caller would wait for that."""


def watch_raw(raw: Any, http: Any, call: Call) -> None:
    """Watch a raw response of the openai or anthropic SDK around the HTTP response `http`."""
    if bool(getattr(raw, "_stream", False) or getattr(raw, "_is_sse_stream", False)):
        _watch_parse(raw, call, _passing(http, call))
    else:
        watch_body(http, call)


def watch_body(http: Any, call: Call) -> None:
    """Watch the body of a response of httpx or httpx2; one that was read already is the answer."""
    if (code := http.status_code) >= 400:  # the SDK is about to raise of it
        call.end("error", {semconv.ERROR_TYPE: str(code)}, str(code))
    elif http.is_closed:
        call.answered(_json(getattr(http, "_content", b"")))
    else:
        _passing(http, call)


def _passing(http: Any, call: Call) -> _Body:
    _dropped.listen()
    body = _Body(http, call)
    body.hook()
    watch_close(http, call, body.unhook, body.source)
    return body


def _json(content: Any) -> Any:
    """`content` as parsed JSON; None for anything else, and for what would take long to parse."""
    try:
        return json.loads(content) if 0 < len(content) <= _LARGEST_BODY else None
    except (ValueError, RecursionError, TypeError):
        return None


def _watch_parse(raw: Any, call: Call, body: _Body) -> None:
    original = raw.parse

    def parsed_as(parsed: Any) -> None:
        kind = type(parsed)
        if not (hasattr(kind, "__stream__") or hasattr(kind, "__decode__")):
            return
        if watch_stream(parsed, call):
            body.unhook()

    def parse(*args: Any, **kwargs: Any) -> Any:
        parsed = original(*args, **kwargs)
        with quietly:
            parsed_as(parsed)
        return parsed

    async def parse_async(*args: Any, **kwargs: Any) -> Any:
        parsed = await original(*args, **kwargs)
        with quietly:
            parsed_as(parsed)
        return parsed

    raw.parse = parse_async if inspect.iscoroutinefunction(original) else parse


class _Body:
    """Looks at the pieces of a body as the caller reads them: server-sent events, or JSON."""

    def __init__(self, http: Any, call: Call) -> None:
        kind = str(http.headers.get("content-type", "")).lower()
        self._http = http
        self._call = call
        self._events = "event-stream" in kind
        self._keep = self._events or "json" in kind
        self._kept = bytearray()
        self._see: Callable[[Any], None] | None = None
        self._holder: Holder | None = Holder(call)
        self._parts: Callable[[], Any] | None = None
        self._prior: dict[str, Any] = {}
        """What others have put in place of the ways to read."""

    def source(self) -> Any:
        """What reads the body; None when that is being freed."""
        return self if self._parts is None else self._parts()

    def hook(self) -> None:
        own = self._http.__dict__
        self._prior = {name: own.get(name) for name in ("iter_bytes", "aiter_bytes")}
        if hasattr(self._http.stream, "__iter__"):
            self._http.iter_bytes = self._reading(self._http.iter_bytes)
        if hasattr(self._http.stream, "__aiter__"):
            self._http.aiter_bytes = self._reading_async(self._http.aiter_bytes)

    def unhook(self) -> None:
        for name in self._prior:
            self._http.__dict__.pop(name, None)
            if (prior := self._prior[name]) is not None:
                self._http.__dict__[name] = prior
        if self._holder is not None:
            self._holder.let_go()
            self._holder = None

    def _reading(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def iter_bytes(*args: Any, **kwargs: Any) -> Generator[bytes, None, None]:
            parts = original(*args, **kwargs)
            with quietly:
                self._parts = weakref.ref(parts)
            while True:
                self._call.reading = True
                try:
                    part = next(parts)
                except StopIteration:
                    with quietly:
                        self._read(None)
                    return
                except BaseException as error:
                    with quietly:
                        self._read(error)
                    raise
                self._call.reading = False
                with quietly:
                    self._look(part)
                yield part

        return iter_bytes

    def _reading_async(self, original: Callable[..., Any]) -> Callable[..., Any]:
        async def aiter_bytes(*args: Any, **kwargs: Any) -> AsyncGenerator[bytes, None]:
            parts = original(*args, **kwargs)
            with quietly:
                self._parts = weakref.ref(parts)
            try:
                while True:
                    self._call.reading = True
                    try:
                        part = await parts.__anext__()
                    except StopAsyncIteration:
                        with quietly:
                            self._read(None)
                        return
                    except BaseException as error:
                        with quietly:
                            self._read(error)
                        raise
                    self._call.reading = False
                    with quietly:
                        self._look(part)
                    yield part
            finally:
                if hasattr(parts, "aclose"):
                    await parts.aclose()

        return aiter_bytes

    def _look(self, part: bytes) -> None:
        if self._events:
            self._call.first_chunk()
        if not self._keep:
            return
        self._kept += part
        if len(self._kept) > _LARGEST_BODY:
            self._keep = False
            self._kept = bytearray()
        elif self._events:
            *lines, self._kept = self._kept.split(b"\n")
            for line in lines:
                self._line(bytes(line))

    def _line(self, line: bytes) -> None:
        if not line.startswith(b"data:"):
            return
        if isinstance(event := _json(line[5:]), dict):
            if self._see is None:
                self._see = self._call.watched()
            self._see(event)

    def _read(self, error: BaseException | None) -> None:
        """The body was read to its end, or reading it failed."""
        self.unhook()
        self._call.reading = False
        if error is not None:
            self._call.fail(error)
        elif self._events:
            with quietly:
                self._line(bytes(self._kept))
            self._call.complete()
        else:
            with quietly:
                self._call.answered(_json(bytes(self._kept)))
            self._call.complete()  # where that failed; a call ends once
