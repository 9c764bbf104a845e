"""The request of a call that has not left yet, and how another one is sent in its place.

Made only where calls are held to rules (`tollspan.calls.before`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from copy import copy
from typing import Any

from tollspan import semconv
from tollspan.calls import Less

from ._call import Call
from ._less import cheaper
from ._spec import Asked, Provider, Sent

__all__ = ["of_client", "of_function"]

_Args = tuple[Any, ...]
_Kwargs = dict[str, Any]


def of_client(call: Call, args: _Args, kwargs: _Kwargs) -> _OfClient | None:
    """Of a client's `request(cast_to, options, …)`; None of one without a JSON body."""
    options = kwargs["options"] if "options" in kwargs else args[2] if len(args) > 2 else None
    if not isinstance(getattr(options, "json_data", None), Mapping):
        return None
    return _OfClient(call, args, kwargs)


class _OfClient:
    """What `options` of openai's and anthropic's clients, and of their many likes, will send."""

    __slots__ = ("_args", "_call", "_kwargs")

    def __init__(self, call: Call, args: _Args, kwargs: _Kwargs) -> None:
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
        _know(self._call, body)
        return True

    def less(self, wanted: Less) -> bool:
        dials = self._call.surface.dials
        if dials is None:
            return False
        body = self.body
        changed = cheaper(body, wanted, dials, self._call.attributes)
        return changed != body and self.send(changed)


def of_function(
    call: Call,
    provider: Provider,
    sends: Callable[[Mapping[str, Any]], Sent | None],
    given: Mapping[str, Any],
    sent: Sent,
    placed: tuple[str, ...],
    args: _Args,
    kwargs: _Kwargs,
) -> _OfFunction | None:
    """Of a function with arguments `given` by name, of which `placed` name the positional ones."""
    asked = provider.asked(given, sent)
    if asked is None:
        return None
    return _OfFunction(call, provider, sends, given, asked, placed, args, kwargs)


class _OfFunction:
    """What a function of any other shape will send."""

    __slots__ = ("_args", "_asked", "_call", "_given", "_kwargs", "_placed", "_provider", "_sends")

    def __init__(
        self,
        call: Call,
        provider: Provider,
        sends: Callable[[Mapping[str, Any]], Sent | None],
        given: Mapping[str, Any],
        asked: Asked,
        placed: tuple[str, ...],
        args: _Args,
        kwargs: _Kwargs,
    ) -> None:
        self._call = call
        self._provider = provider
        self._sends = sends
        self._given = given
        self._asked = asked
        self._placed = placed
        self._args = args
        self._kwargs = kwargs

    @property
    def body(self) -> Mapping[str, Any]:
        return self._asked.body

    def send(self, body: Mapping[str, Any]) -> bool:
        asked = self._asked
        gone: AbstractSet[str] = frozenset()
        if asked.instead is None:
            changed, gone = body, asked.body.keys() - body.keys()
        else:
            changed = asked.instead(body)
        given = {name: each for name, each in self._given.items() if name not in gone}
        given.update(changed)
        sent = self._sends(given)
        another = None if sent is None else self._provider.asked(given, sent)
        if sent is None or another is None:
            return False
        self._place(
            {name: each for name, each in changed.items() if not self._has(name, each)}, gone
        )
        self._given, self._asked = given, another
        self._call.instead = self._args, self._kwargs
        _know(self._call, sent.body)
        return True

    def _has(self, name: str, value: Any) -> bool:
        return name in self._given and self._given[name] is value

    def _place(self, changed: Mapping[str, Any], gone: AbstractSet[str]) -> None:
        """Put arguments where the caller has put them, and new ones beside the named ones."""
        args, kwargs = list(self._args), dict(self._kwargs)
        for name in gone:
            kwargs.pop(name, None)
        places = self._placed[: len(args)]
        for name, value in (*changed.items(), *((name, None) for name in gone if name in places)):
            if name in places:
                args[places.index(name)] = value
            else:
                kwargs[name] = value
        self._args, self._kwargs = tuple(args), kwargs

    def less(self, wanted: Less) -> bool:
        asked = self._asked
        if asked.dials is None:
            return False
        changed = cheaper(asked.body, wanted, asked.dials, self._call.attributes)
        return changed != asked.body and self.send(changed)


def _know(call: Call, body: Mapping[str, Any]) -> None:
    """The call asks for what stands in `body`, as its surface reads it."""
    for name, value in call.surface.request(body).items():
        if value is not None and name != semconv.PROVIDER:
            call.attributes[name] = value
