"""Whether a call may leave: asked of the `before` hooks, sync and async alike.

A refusal reaches the caller as it was raised; whatever else goes wrong in a hook lets the call go on.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator, Mapping
from copy import copy
from typing import Any

from tollspan import calls, semconv
from tollspan.guard import quietly

from ._call import Call
from ._open_calls import live

__all__ = ["allow", "allowed"]

_LONGEST_S = 60.0
"""A hook is asked again after this at the latest, whatever it says."""


def allow(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Return when `call`, which is current, may leave.

    Raises:
        Refusal: it may not; the call has ended.
    """
    try:
        for pause_s in _pauses(call, args, kwargs):
            time.sleep(pause_s)
    except BaseException as error:
        with quietly:
            call.leave()
        with quietly:
            call.fail(error)
        raise


async def allowed(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """As `allow`, of a call that is not current yet, in whatever event loop this is."""
    try:
        for pause_s in _pauses(call, args, kwargs):
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


def _pauses(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[float]:
    """Asks each hook until it lets the call go; gives the seconds to wait before it is asked again."""
    if id(call) not in live:
        return  # no call yet: it fetches what was paid for when it was asked for
    with quietly:
        call.sending = _sending(call, args, kwargs)
    for hook in calls.before:
        while (pause_s := _asked(hook, call)) is not None:
            yield min(max(pause_s, 0.0), _LONGEST_S)
    call.sending = None


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


def _sending(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Sending | None:
    """The request of a client's `request(cast_to, options, …)`; None of any other function."""
    options = kwargs["options"] if "options" in kwargs else args[2] if len(args) > 2 else None
    if not isinstance(getattr(options, "json_data", None), Mapping):
        return None
    return _Sending(call, args, kwargs)


class _Sending:
    """What `options` of openai's and anthropic's clients, and of their many likes, will send."""

    __slots__ = ("_args", "_call", "_kwargs")

    def __init__(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._call = call
        self._args = args
        self._kwargs = kwargs

    def _options(self) -> Any:
        args, kwargs = self._call.instead or (self._args, self._kwargs)
        return kwargs["options"] if "options" in kwargs else args[2]

    @property
    def body(self) -> Mapping[str, Any]:
        options = self._options()
        body: Mapping[str, Any] = options.json_data
        extra = getattr(options, "extra_json", None)
        return {**body, **extra} if isinstance(extra, Mapping) and extra else body

    def send(self, body: Mapping[str, Any]) -> bool:
        options = copy(self._options())  # the caller may use the options again
        options.json_data = body
        if getattr(options, "extra_json", None):
            options.extra_json = None  # it stands in `body`
        args, kwargs = self._call.instead or (self._args, self._kwargs)
        if "options" in kwargs:
            self._call.instead = args, {**kwargs, "options": options}
        else:
            self._call.instead = (*args[:2], options, *args[3:]), kwargs
        known = self._call.attributes
        for name, value in self._call.surface.request(body).items():
            if value is not None and name != semconv.PROVIDER:
                known[name] = value
        return True
