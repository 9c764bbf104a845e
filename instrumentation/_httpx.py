"""Attempts through httpx and httpx2, at the one method that sends one request.

`Client.send` follows redirects and runs authentication flows inside; `_send_single_request` is
called once for each request on the wire, in every version since 0.20, and every transport is
below it.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from tollspan import attribution, calls
from tollspan.calls import OpenCall
from tollspan.guard import quietly

from ._attempts import end, open_call
from ._flight import Flight
from ._httpx_headers import rows
from ._onward import Onward
from ._repeats import may_leave, note_answer, note_failure

__all__ = ["patches"]

_OTEL = "opentelemetry.instrumentation.httpx"
_DEFAULT_PORTS = {"https": 443, "http": 80}
_FAULTS_OF_THE_WIRE = frozenset({"httpx", "httpx2"})


def patches(module: ModuleType) -> Iterator[tuple[type, str, Callable[..., Any]]]:
    yield module.Client, "_send_single_request", _send
    yield module.AsyncClient, "_send_single_request", _send_async


def _send(wrapped: Callable[..., Any], client: Any, args: Any, kwargs: Any) -> Any:
    call = open_call()
    if call is None:
        if not attribution.is_known():
            return wrapped(*args, **kwargs)
        with _onward(client, "handle_request", *args, **kwargs):
            return wrapped(*args, **kwargs)
    if calls.retry is not None:
        may_leave(call)
    flight = Flight(call)
    with quietly:
        _depart(flight, client, "handle_request", *args, **kwargs)
    try:
        response = wrapped(*args, **kwargs)
    except BaseException as error:
        with quietly:
            flight.land()
            flight.failed(error)
            note_failure(call, error)
        raise
    with quietly:
        flight.land()
        _answered(flight, response, "close", _close_hook)
        if calls.retry is not None:
            note_answer(call, response, response.status_code)
    return response


def _send_async(wrapped: Callable[..., Any], client: Any, args: Any, kwargs: Any) -> Any:
    call = open_call()
    if call is None:
        if not attribution.is_known():
            return wrapped(*args, **kwargs)
        return _sent_onward(wrapped, client, args, kwargs)
    return _sent(call, wrapped, client, args, kwargs)


async def _sent_onward(wrapped: Callable[..., Any], client: Any, args: Any, kwargs: Any) -> Any:
    with _onward(client, "handle_async_request", *args, **kwargs):
        return await wrapped(*args, **kwargs)


def _onward(client: Any, sends: str, request: Any, *_: Any, **__: Any) -> Onward:
    return Onward(
        lambda: (request.headers, request.url.host, _is_below(client, sends, request.url))
    )


async def _sent(
    call: OpenCall, wrapped: Callable[..., Any], client: Any, args: Any, kwargs: Any
) -> Any:
    if calls.retry is not None:
        may_leave(call)
    flight = Flight(call)
    with quietly:
        _depart(flight, client, "handle_async_request", *args, **kwargs)
    try:
        response = await wrapped(*args, **kwargs)
    except BaseException as error:
        with quietly:
            flight.land()
            flight.failed(error)
            note_failure(call, error)
        raise
    with quietly:
        flight.land()
        _answered(flight, response, "aclose", _aclose_hook)
        if calls.retry is not None:
            note_answer(call, response, response.status_code)
    return response


def _depart(flight: Flight, client: Any, sends: str, request: Any, *_: Any, **__: Any) -> None:
    url = request.url
    flight.depart(
        request,
        request.method,
        url.host,
        url.port or _DEFAULT_PORTS.get(url.scheme),
        below=_is_below(client, sends, url),
    )


def _is_below(client: Any, sends: str, url: Any) -> bool:
    return _OTEL in sys.modules and _is_instrumented(client._transport_for_url(url), sends, url)


def _is_instrumented(transport: Any, method: str, url: Any, depth: int = 2) -> bool:
    """Whether the HTTP instrumentation will make a span for a request to `url` below `transport`.

    It wraps the methods of the default transport's class or of one client's transport, or is a
    transport itself; any of them may stand inside a transport of the user's.
    """
    kind = type(transport)
    if kind.__module__.startswith(_OTEL):
        return _is_enabled(getattr(transport, "_excluded_urls", None), url)
    wrapper = getattr(getattr(transport, method, None), "_self_wrapper", None)
    function = getattr(wrapper, "func", wrapper)
    if function is not None and str(getattr(function, "__module__", "")).startswith(_OTEL):
        keywords = getattr(wrapper, "keywords", None) or {}
        return _is_enabled(keywords.get("excluded_urls"), url)
    return depth > 0 and any(
        _is_instrumented(inner, method, url, depth - 1)
        for inner in getattr(transport, "__dict__", {}).values()
        if callable(getattr(type(inner), method, None))
    )


def _is_enabled(excluded_urls: Any, url: Any) -> bool:
    from opentelemetry.instrumentation.utils import is_http_instrumentation_enabled

    return is_http_instrumentation_enabled() and not (
        excluded_urls and excluded_urls.url_disabled(str(url))
    )


def _answered(
    flight: Flight, response: Any, close: str, hook: Callable[[Flight, Any], Callable[[], Any]]
) -> None:
    if flight.attempt is None:
        return
    flight.answered(response.status_code, rows(response.headers))
    if response.is_closed:  # a mock transport's responses are born read
        end(flight.attempt)
    else:
        setattr(response, close, hook(flight, response))
    if flight.wire is not None:
        flight.wire.watch(response)


class _Closing:
    """What the hook on a response's `close` knows; removes the hook when it is called.

    The response is referred to weakly: a cycle would keep what the caller drops from being closed
    at once. The response's own end comes first, whatever becomes of ours.
    """

    __slots__ = ("_before", "_flight", "_response")

    def __init__(self, flight: Flight, response: Any) -> None:
        self._flight = flight
        self._response = weakref.ref(response)
        self._before = sys.exception()

    def response(self, name: str) -> Any:
        response = self._response()
        response.__dict__.pop(name, None)
        return response

    def closed(self, error: BaseException | None) -> None:
        """`error` is what is being raised while the response is closed, if anything is.

        It broke the body off if it is the client's and was not there before the request was sent.
        """
        if (
            error is not None
            and error is not self._before
            and type(error).__module__.partition(".")[0] in _FAULTS_OF_THE_WIRE
        ):
            with quietly:
                self._flight.failed(error)
        self._flight.end()


def _close_hook(flight: Flight, response: Any) -> Callable[[], None]:
    closing = _Closing(flight, response)

    def close() -> None:
        error = sys.exception()
        try:
            closing.response("close").close()
        finally:
            with quietly:
                closing.closed(error)

    return close


def _aclose_hook(flight: Flight, response: Any) -> Callable[[], Any]:
    closing = _Closing(flight, response)

    async def aclose() -> None:
        error = sys.exception()
        try:
            await closing.response("aclose").aclose()
        finally:
            with quietly:
                closing.closed(error)

    return aclose
