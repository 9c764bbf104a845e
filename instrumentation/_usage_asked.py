"""Asks chat streams for their usage, where the user wants that, and hides what this adds.

On OpenAI's wire a stream tells its usage only if `stream_options.include_usage` asks for it; then
every chunk has `"usage": null` and one more comes, without choices, whose usage is stated:
https://platform.openai.com/docs/api-reference/chat/create#chat-create-stream_options
The caller did not ask, so the bytes that the SDK or the caller reads are those of a stream that
nobody asked. What cannot be hidden is `iter_raw()`, which gives a body as it came, compressed.
"""

from __future__ import annotations

import json
import re
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from copy import copy
from typing import Any

from tollspan import semconv
from tollspan.config import settings
from tollspan.guard import quietly

from ._call import Call
from ._hosts import provider_at

__all__ = ["ask", "hide"]

_DOCUMENTED = frozenset({"openai", "deepseek", "moonshot_ai", "alibaba_cloud"})
"""Providers whose manual has `stream_options.include_usage`. Azure refuses it in older API versions
and beside data sources; others state the usage of every stream."""


def ask(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any], options: Any) -> None:
    """Have `call` send a copy of `options` that asks for usage, if the caller left that open."""
    body, extra = options.json_data, getattr(options, "extra_json", None)
    if not _is_wanted(call.attributes) or not isinstance(body, Mapping):
        return
    given = body.get("stream_options") or {}
    if not isinstance(given, Mapping) or "include_usage" in given:
        return
    if isinstance(extra, Mapping) and not extra.keys().isdisjoint(("stream", "stream_options")):
        return
    asking = copy(options)  # the caller may use the options again
    asking.json_data = {**body, "stream_options": {**given, "include_usage": True}}
    if "options" in kwargs:
        call.instead = args, {**kwargs, "options": asking}
    else:
        call.instead = (*args[:2], asking, *args[3:]), kwargs
    call.hides = True


def _is_wanted(asked: Mapping[str, Any]) -> bool:
    wanted = settings().stream_usage
    host = asked.get(semconv.SERVER_ADDRESS)
    if host is None:
        return False
    # By the host: the provider of one that nobody knows is only said to be that of the SDK.
    return host in wanted or ("1" in wanted and provider_at(host) in _DOCUMENTED)


def hide(http: Any, call: Call) -> None:
    """Have everybody read the body of `http`, a response of httpx or httpx2, without the usage."""
    if "event-stream" not in str(http.headers.get("content-type", "")).lower():
        return
    held = weakref.ref(http)  # a response that holds itself would be freed late
    for name, kind in (("iter_bytes", _Parts), ("aiter_bytes", _AsyncParts)):
        setattr(http, name, _reader(held, name, kind, http.__dict__.get(name), call))


def _reader(
    held: Any, name: str, kind: type[_Parts], prior: Callable[..., Any] | None, call: Call
) -> Callable[..., Any]:
    def read(*args: Any, **kwargs: Any) -> Any:
        if prior is not None:
            return kind(prior(*args, **kwargs), call)
        http = held()
        return kind(getattr(type(http), name)(http, *args, **kwargs), call)

    return read


_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
# Inside a string of JSON the quotes would be escaped, so this is always a member.
_NULL = re.compile(rb',\s*"usage"\s*:\s*null|"usage"\s*:\s*null\s*,')


class _Parts:
    """The pieces of a body, whole events at a time, without what the caller did not ask for."""

    __slots__ = ("__weakref__", "_call", "_inner", "_kept")

    def __init__(self, inner: Any, call: Call) -> None:
        self._inner = inner
        self._call = call
        self._kept = b""
        """The beginning of an event whose end is yet to come."""

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        while True:
            try:
                part = next(self._inner)
            except StopIteration:
                if rest := self._shown(b"", ended=True):
                    return rest
                raise
            if shown := self._shown(part):
                return shown

    def _shown(self, part: bytes, ended: bool = False) -> bytes:
        came = self._kept + part if self._kept else part
        self._kept = b""
        shown = came
        with quietly:
            end = len(came)
            if not ended:
                end = max((found.end() for found in _END.finditer(came)), default=0)
            shown, self._kept = self._without(came[:end]), came[end:]
        return shown

    def _without(self, events: bytes) -> bytes:
        if b'"usage"' not in events:
            return events
        shown, begin = [], 0
        for end in [found.end() for found in _END.finditer(events)] + [len(events)]:
            event, begin = events[begin:end], end
            if b'"usage"' in event:
                if (added := _added(event)) is not None:
                    self._call.unseen(added)
                    continue
                event = _NULL.sub(b"", event, count=1)
            shown.append(event)
        return b"".join(shown)


class _AsyncParts(_Parts):
    __slots__ = ()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while True:
            try:
                part = await self._inner.__anext__()
            except StopAsyncIteration:
                if rest := self._shown(b"", ended=True):
                    return rest
                raise
            if shown := self._shown(part):
                return shown

    async def aclose(self) -> None:
        await self._inner.aclose()


def _added(event: bytes) -> Mapping[str, Any] | None:
    """The chunk of `event`, if it is the one that only usage was asked for brings."""
    data = b"".join(line[5:] for line in event.splitlines() if line.startswith(b"data:"))
    try:
        chunk = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if (
        isinstance(chunk, dict)
        and isinstance(chunk.get("usage"), dict)
        and not chunk.get("choices")
    ):
        return None if "error" in chunk else chunk
    return None
