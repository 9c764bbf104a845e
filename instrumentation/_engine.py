"""Watches the methods through which an SDK's calls go, and hands each call's answer on untouched.

A provider module never sees a span; this module never reads a provider's objects: what a call is says
`_asking`, what becomes of its answer `_answers`. The caller's call stands alone in its `try`, which
raises what it caught; everything of ours stands in `quietly`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from opentelemetry import trace

from tollspan import calls
from tollspan.guard import quietly

from ._answers import awaited, handed_on
from ._asking import Opener, Sends, client_calls, function_calls, of_arguments
from ._call import Call
from ._repeats import explain
from ._spec import Provider, Surface
from ._stream import Holder

__all__ = ["Switch", "watching"]


class Switch:
    """Whether a patch still watches: one that others have wrapped cannot be taken out, only rest."""

    __slots__ = ("on",)

    def __init__(self) -> None:
        self.on = True


def watching(
    original: Callable[..., Any],
    provider: Provider,
    surface: Surface | None,
    tracer: trace.Tracer,
    tracer_provider: trace.TracerProvider | None,
    switch: Switch,
    sends: Sends | None = None,
) -> Callable[..., Any]:
    """A function that does what `original` does, and opens and ends a call around it."""
    if surface is not None:
        sends = of_arguments(provider, surface)
    if sends is not None:
        opened = function_calls(original, provider, sends, tracer, tracer_provider)
    else:
        opened = client_calls(provider, tracer, tracer_provider)
    if inspect.iscoroutinefunction(original):
        return _around_coroutine(original, opened, switch)
    return _around_function(original, opened, switch, inspect.isasyncgenfunction(original))


def _around_function(
    original: Callable[..., Any], opened: Opener, switch: Switch, is_awaited: bool
) -> Callable[..., Any]:
    """`is_awaited`: it makes async generators, whose callers can wait only when they want a chunk."""

    @functools.wraps(original)
    def watched(*args: Any, **kwargs: Any) -> Any:
        call = None
        with quietly:
            if switch.on and (call := opened(args, kwargs)) is not None:
                call.enter()
        if call is None:
            return original(*args, **kwargs)
        if calls.before:
            from ._allowed import allow, asked_first  # hooks are few, and it knows of event loops

            if is_awaited and type(call) is Call:
                with quietly:
                    call.leave()
                return asked_first(call, Holder(call), original, args, kwargs)
            allow(call)
        if call.instead is not None:
            args, kwargs = call.instead
        call.is_watched = True
        try:
            result = original(*args, **kwargs)
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
        if calls.before:
            from ._allowed import allowed

            await allowed(call)
        if call.instead is not None:
            args, kwargs = call.instead
        try:
            coroutine = original(*args, **kwargs)
        except BaseException as error:  # arguments that the method does not take
            with quietly:
                call.fail(error)
            raise
        return await awaited(coroutine, call)

    return watched
