"""Attempts through aiohttp (3.12 and newer), as the innermost middleware of each request.

A middleware sees every request on the wire, those after redirects and those that other middlewares
repeat; older versions have none and are not watched. An HTTP instrumentation has its span open
here (it uses trace hooks, which run before the middlewares).
https://docs.aiohttp.org/en/stable/client_middleware_cookbook.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

from tollspan import attribution
from tollspan.calls import OpenCall
from tollspan.guard import quietly

from ._attempts import open_call
from ._flight import Flight
from ._onward import Onward
from ._repeats import may_leave, note_answer, note_failure

__all__ = ["patches"]


def patches(module: ModuleType) -> Iterator[tuple[type, str, Callable[..., Any]]]:
    if hasattr(module, "ClientMiddlewareType"):
        yield module.ClientSession, "_request", _request


def _request(wrapped: Callable[..., Any], session: Any, args: Any, kwargs: Any) -> Any:
    call = open_call()
    if call is None and not attribution.is_known():
        return wrapped(*args, **kwargs)
    watched = kwargs
    with quietly:
        ours = _onward if call is None else _watched(call)
        watched = _with(ours, session, kwargs)
    return wrapped(*args, **watched)


Middleware = Callable[[Any, Callable[[Any], Awaitable[Any]]], Awaitable[Any]]


def _with(ours: Middleware, session: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """`kwargs` of a request with our middleware behind those of the request or the session."""
    chosen = kwargs.get("middlewares")
    if chosen is None:
        chosen = session._middlewares or ()
    return {**kwargs, "middlewares": (*chosen, ours)}


async def _onward(request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
    with Onward(lambda: (request.headers, request.url.host or "", False)):
        return await handler(request)


def _watched(call: OpenCall) -> Middleware:
    """Notes each request of `call` on the wire."""

    async def attempt(request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        may_leave(call)
        flight = Flight(call)
        with quietly:
            url = request.url
            flight.depart(request, request.method, url.host or "", url.port, below=None)
        try:
            response = await handler(request)
        except BaseException as error:
            with quietly:
                flight.land()
                flight.failed(error)
                note_failure(call, error)
            raise
        with quietly:
            flight.land()
            _answered(flight, response)
            note_answer(call, response, response.status)
        return response

    return attempt


def _answered(flight: Flight, response: Any) -> None:
    if flight.attempt is None:
        return
    flight.answered(response.status, tuple(response.raw_headers))
    connection = response.connection
    if connection is None:  # a short body is read with the head
        flight.end()
    else:
        connection.add_callback(flight.end)
    if flight.wire is not None:
        flight.wire.watch(response)
