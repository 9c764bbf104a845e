"""What becomes of an answer: the caller gets the SDK's own object, and its call sees it being read.

Which way an answer is watched, its class decides. All of ours here stands in `quietly`; what runs
outside it is one step of the SDK's own.
"""

from __future__ import annotations

from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

import wrapt

from tollspan.guard import quietly
from tollspan.remembered import Remembered

from ._call import Call
from ._chunks import STEPS, is_watched, watch_chunks
from ._raw import watch_body, watch_raw
from ._read import get
from ._repeats import explain
from ._stream import Holder, watch_generator, watch_stream

__all__ = ["awaited", "forget_kinds", "handed_on"]


def handed_on(result: Any, call: Call) -> Any:
    """What the caller gets; if watching it fails, the call ends here with what is known."""
    try:
        return _watched(result, call)
    except BaseException:
        call.end("success", {})
        raise


async def awaited(coroutine: Any, call: Call, holder: Holder | None = None) -> Any:
    """Runs `coroutine` as the call; where nobody did in time, `holder` has ended the call."""
    with quietly:
        if holder is not None:
            holder.let_go()
    with quietly:
        call.enter()
    call.is_watched = True
    try:
        result = await coroutine
    except BaseException as error:
        with quietly:
            call.leave()
        if (refused := call.refused) is not None:
            with quietly:
                explain(refused, error)
                call.fail(refused.__cause__ or refused)
            raise refused from refused.__cause__
        with quietly:
            call.fail(error)
        raise
    with quietly:
        call.is_watched = False
        try:
            call.leave()
        finally:
            result = handed_on(result, call)
    return result


def _watched(result: Any, call: Call) -> Any:
    """What the caller gets: `result` itself, but for generators and coroutines, which nobody can
    look into; those come back inside one of the same kind."""
    kind = _kind_of(type(result))
    if call.hides and kind in _HTTP:
        with quietly:
            from ._usage_asked import hide

            hide(get(result, *_HTTP[kind]), call)
    if kind == "answer":
        if call.surface.holds is None or not _watched_held(result, call):
            call.answered(result)
    elif kind == "stream":
        if not watch_stream(result, call):
            call.complete()
    elif kind == "raw":
        watch_raw(result, result.http_response, call)
    elif kind == "http":
        watch_body(result, call)
    elif kind == "chunks":
        watch_chunks(result, call)
    elif kind == "proxy":  # another instrumentation's, around the SDK's own answer
        inner = result.__wrapped__
        if _kind_of(type(inner)) in ("generator", "awaitable"):
            call.complete()
        else:
            _watched(inner, call)
    elif kind == "generator":
        return watch_generator(result, call)
    elif kind == "native":
        from ._native import watch_native  # only of SDKs that are not Python

        watch_native(result, call)
    elif kind == "future":
        from ._native import watch_future

        watch_future(result, call, _watched)
    elif kind == "awaitable":
        made = awaited(result, call, Holder(call))
        made.__name__ = result.__name__  # type: ignore[attr-defined]
        made.__qualname__ = result.__qualname__  # type: ignore[attr-defined]
        return made
    return result


def _watched_held(result: Any, call: Call) -> bool:
    from ._held import watch_held  # only of bedrock, which most programs do without

    return watch_held(result, call)


_HTTP = {"stream": ("response",), "raw": ("http_response",), "http": ()}
"""Where an answer of each kind has its HTTP response."""


def _kind_of(kind: Any) -> str:
    """As `_kind`, which would keep alive a class that was made for one stream, and the stream."""
    found = _kinds.get(kind)
    if found is None:
        found = _kind(kind) if "<locals>" in kind.__qualname__ else _kinds[kind]
    return found


_PROXY = getattr(wrapt, "BaseObjectProxy", wrapt.ObjectProxy)


def _kind(kind: Any) -> str:
    """How an answer of this class is read: types are few, and asking them each time is dear."""
    if issubclass(kind, _PROXY):
        return "proxy"
    if hasattr(kind, "__stream__") or hasattr(kind, "__decode__"):
        return "stream"
    if hasattr(kind, "http_request") and hasattr(kind, "parse"):
        return "raw"
    if hasattr(kind, "iter_raw") and hasattr(kind, "raise_for_status"):
        return "http"
    if is_watched(kind):
        return "chunks"
    if issubclass(kind, (GeneratorType, AsyncGeneratorType)):
        return "generator"
    if issubclass(kind, CoroutineType):
        return "awaitable"
    if _is_future(kind):
        return "future"
    return "native" if _is_native_stream(kind) else "answer"


_kinds: Remembered[Any, str] = Remembered(_kind, 256)


def _is_future(kind: Any) -> bool:
    return hasattr(kind, "add_done_callback") and hasattr(kind, "get_loop")


def _is_native_stream(kind: Any) -> bool:
    """Whether objects of `kind` iterate, can be patched by their class, and keep nothing."""
    if getattr(kind, "__dictoffset__", 1) or getattr(kind, "__weakrefoffset__", 1):
        return False
    immutable = kind.__flags__ & 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE
    return not immutable and any(hasattr(kind, step) for step in STEPS)


def forget_kinds() -> None:
    """Classes have been patched or restored."""
    _kinds.clear()
