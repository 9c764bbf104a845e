"""Watches the methods through which an SDK's calls go, and hands each call's answer on untouched.

A provider module never sees a span; this module never reads a provider's objects. The caller's call
stands alone in its `try`, which raises what it caught; everything of ours stands in `quietly`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace

from tollspan import attribution, semconv
from tollspan.config import settings
from tollspan.guard import quietly

from ._adoption import foreign_span
from ._call import Call
from ._chunks import is_watched, watch_chunks
from ._context import SUPPRESSED, SUPPRESSED_PLAINLY
from ._hosts import servers
from ._paths import Place, places
from ._raw import watch_body, watch_raw
from ._read import text
from ._spec import Provider, Surface
from ._stream import Holder, watch_generator, watch_stream

__all__ = ["Switch", "forget_kinds", "watching"]


class Switch:
    """Whether a patch still watches: one that others have wrapped cannot be taken out, only rest."""

    __slots__ = ("on",)

    def __init__(self) -> None:
        self.on = True


Opener = Callable[[tuple[Any, ...], dict[str, Any]], Call | None]
"""Arguments of a watched function to its call; None for what is not inference."""


def watching(
    original: Callable[..., Any],
    provider: Provider,
    surface: Surface | None,
    tracer: trace.Tracer,
    tracer_provider: trace.TracerProvider | None,
    switch: Switch,
) -> Callable[..., Any]:
    """A function that does what `original` does, and opens and ends a call around it."""
    opened = (
        _client_calls(provider, tracer, tracer_provider)
        if surface is None
        else _function_calls(original, provider, surface, tracer)
    )
    if inspect.iscoroutinefunction(original):
        return _around_coroutine(original, opened, switch)
    return _around_function(original, opened, switch)


def _around_function(
    original: Callable[..., Any], opened: Opener, switch: Switch
) -> Callable[..., Any]:
    @functools.wraps(original)
    def watched(*args: Any, **kwargs: Any) -> Any:
        call = None
        with quietly:
            call = opened(args, kwargs) if switch.on else None
        if call is None:
            return original(*args, **kwargs)
        with quietly:
            call.enter()
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            with quietly:
                call.leave()
            with quietly:
                call.fail(error)
            raise
        with quietly:
            call.leave()
        with quietly:
            result = _handed_on(result, call)
        return result

    return watched


def _around_coroutine(
    original: Callable[..., Any], opened: Opener, switch: Switch
) -> Callable[..., Any]:
    @functools.wraps(original)
    async def watched(*args: Any, **kwargs: Any) -> Any:
        call = None
        with quietly:
            call = opened(args, kwargs) if switch.on else None
        if call is None:
            return await original(*args, **kwargs)
        return await _awaited(original(*args, **kwargs), call)

    return watched


async def _awaited(coroutine: Any, call: Call, holder: Holder | None = None) -> Any:
    """Runs `coroutine` as the call; where nobody did in time, `holder` has ended the call."""
    with quietly:
        if holder is not None:
            holder.let_go()
    with quietly:
        call.enter()
    try:
        result = await coroutine
    except BaseException as error:
        with quietly:
            call.leave()
        with quietly:
            call.fail(error)
        raise
    with quietly:
        call.leave()
    with quietly:
        result = _handed_on(result, call)
    return result


# --- what a call is -------------------------------------------------------------------------------


def _client_calls(
    provider: Provider, tracer: trace.Tracer, tracer_provider: trace.TracerProvider | None
) -> Opener:
    """Calls of a client's `request(cast_to, options, *, stream, stream_cls)`."""
    place_of = places(provider)
    server_of = servers(provider)

    def opened(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        client = args[0]
        options = kwargs["options"] if "options" in kwargs else args[2]
        url = options.url if type(options.url) is str else str(options.url)
        place = place_of(url)
        if place is None or options.method.upper() != "POST":
            return None
        context = otel_context.get_current()
        if context.get(SUPPRESSED) or context.get(SUPPRESSED_PLAINLY):
            return None
        asked: dict[str, Any] = {semconv.PROVIDER: provider.name}
        adopted = None
        with quietly:
            adopted = foreign_span(client, options, tracer_provider)
            asked.update(server_of(client, url))
            asked.update(place.surface.request(_body(options)))
            _details(asked, place, client, kwargs)
        return Call.start(tracer, place.surface, asked, adopted=adopted)

    return opened


def _body(options: Any) -> Mapping[str, Any]:
    """The JSON body that the SDK will send, `extra_body` included; empty for anything else."""
    body = options.json_data
    if not isinstance(body, Mapping):
        body = {}
    extra = getattr(options, "extra_json", None)
    return {**body, **extra} if isinstance(extra, Mapping) and extra else body


def _details(asked: dict[str, Any], place: Place, client: Any, kwargs: Mapping[str, Any]) -> None:
    asked[semconv.OPENAI_API] = place.api
    if place.model and semconv.REQUEST_MODEL not in asked:
        asked[semconv.REQUEST_MODEL] = place.model
    if kwargs.get("stream"):
        asked[semconv.REQUEST_STREAM] = True
    if settings().hash_key and (key := text(getattr(client, "api_key", None))) is not None:
        asked[semconv.API_KEY_FINGERPRINT] = attribution.hashed(f"key {key}")


def _function_calls(
    original: Callable[..., Any], provider: Provider, surface: Surface, tracer: trace.Tracer
) -> Opener:
    """Calls of a function whose arguments are the request."""
    names = _positional(original)

    def opened(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        context = otel_context.get_current()
        if context.get(SUPPRESSED) or context.get(SUPPRESSED_PLAINLY):
            return None
        given = {**dict(zip(names, args, strict=False)), **kwargs} if args else kwargs
        asked: dict[str, Any] = {semconv.PROVIDER: provider.name}
        with quietly:
            asked.update(surface.request(given))
        adopted = None
        with quietly:
            adopted = foreign_span(None, None, None)
        return Call.start(tracer, surface, asked, adopted=adopted)

    return opened


def _positional(function: Callable[..., Any]) -> tuple[str, ...]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # no signature: a builtin
        return ()
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(each.name for each in parameters if each.kind in kinds)


# --- what becomes of the answer -------------------------------------------------------------------


def _handed_on(result: Any, call: Call) -> Any:
    """What the caller gets; if watching it fails, the call ends here with what is known."""
    with quietly:
        return _watched(result, call)
    with quietly:
        call.end("success", {})
    return result


def _watched(result: Any, call: Call) -> Any:
    """What the caller gets: `result` itself, but for generators and coroutines, which nobody can
    look into; those come back inside one of the same kind."""
    kind = _kind_of(type(result))
    if kind == "answer":
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
    elif kind == "generator":
        return watch_generator(result, call)
    elif kind == "awaitable":
        made = _awaited(result, call, Holder(call))
        made.__name__ = result.__name__  # type: ignore[attr-defined]
        made.__qualname__ = result.__qualname__  # type: ignore[attr-defined]
        return made
    return result


def _kind_of(kind: Any) -> str:
    """As `_kind`, which would keep alive a class that was made for one stream, and the stream."""
    return _kind.__wrapped__(kind) if "<locals>" in kind.__qualname__ else _kind(kind)


@functools.lru_cache(maxsize=256)
def _kind(kind: Any) -> str:
    """How an answer of this class is read: types are few, and asking them each time is dear."""
    if hasattr(kind, "__stream__"):
        return "stream"
    if hasattr(kind, "http_request") and hasattr(kind, "parse"):
        return "raw"
    if hasattr(kind, "iter_raw") and hasattr(kind, "raise_for_status"):
        return "http"
    if is_watched(kind):
        return "chunks"
    if issubclass(kind, (GeneratorType, AsyncGeneratorType)):
        return "generator"
    return "awaitable" if issubclass(kind, CoroutineType) else "answer"


def forget_kinds() -> None:
    """Classes have been patched or restored."""
    _kind.cache_clear()
