"""Whether a call may leave: asked of the `before` hooks, sync and async alike.

A refusal reaches the caller as it was raised; whatever else goes wrong in a hook lets the call go on.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from tollspan import calls
from tollspan.guard import quietly

from ._answers import handed_on
from ._call import Call
from ._open_calls import live
from ._stream import Holder

__all__ = ["allow", "allowed", "asked_first"]

_LONGEST_S = 60.0
"""A hook is asked again after this at the latest, whatever it says."""


def allow(call: Call) -> None:
    """Return when `call`, which is current, may leave. In the thread of a running event loop nobody
    waits.

    Raises:
        Refusal: it may not; the call has ended.
    """
    try:
        with quietly:
            call.may_wait = not _in_a_loop()
        for pause_s in _pauses(call):
            time.sleep(pause_s)
    except BaseException as error:
        with quietly:
            call.leave()
        with quietly:
            call.fail(error)
        raise


async def allowed(call: Call) -> None:
    """As `allow`, of a call that is not current yet, in whatever event loop this is."""
    try:
        for pause_s in _pauses(call):
            await _slept(pause_s)
    except BaseException as error:
        with quietly:
            call.fail(error)
        raise


async def _slept(pause_s: float) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        if (trio := sys.modules.get("trio")) is not None:
            await trio.sleep(pause_s)
        return  # in the loop of somebody whom nobody here knows, the hook is asked again at once
    await asyncio.sleep(pause_s)


async def asked_first(
    call: Call,
    holder: Holder,
    original: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> AsyncIterator[Any]:
    """The async generator that `original` makes, made when its first chunk is wanted and it may leave;
    `holder` has ended the call where nobody wants one."""
    with quietly:
        holder.let_go()
    await allowed(call)
    if call.instead is not None:
        args, kwargs = call.instead
    try:
        inner = original(*args, **kwargs)
    except BaseException as error:  # arguments that it does not take
        with quietly:
            call.fail(error)
        raise
    with quietly:
        inner = handed_on(inner, call)
    try:
        async for chunk in inner:
            yield chunk
    finally:
        await inner.aclose()


def _in_a_loop() -> bool:
    """Whether an event loop runs in this thread, of asyncio (uvloop's, too) or trio."""
    if asyncio._get_running_loop() is not None:
        return True
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_run())


def _pauses(call: Call) -> Iterator[float]:
    """Asks each hook until it lets the call go; gives the seconds to wait before it is asked again."""
    if call not in live:
        return  # no call yet: it fetches what was paid for when it was asked for
    try:
        for hook in calls.before:
            while (pause_s := _asked(hook, call)) is not None and call.may_wait:
                yield min(max(pause_s, 0.0), _LONGEST_S)
    finally:
        call.sending = None  # the caller's own objects


def _asked(hook: calls.Before, call: Call) -> float | None:
    refused = pause_s = None
    with quietly:
        try:
            pause_s = hook(call)
        except calls.Refusal as refusal:
            refused = refusal
    if refused is not None:
        raise refused
    return pause_s
