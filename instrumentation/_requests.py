"""Attempts through requests, at the adapter that a session chooses for each request on the wire.

`Session.send` follows redirects inside; the adapter sends one request, and custom adapters pass
`get_adapter` too. An HTTP instrumentation sits above, on `Session.send`, so its span is open here.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tollspan import attribution
from tollspan.calls import OpenCall
from tollspan.guard import quietly

from ._attempts import open_call
from ._flight import Flight
from ._onward import Onward
from ._repeats import may_leave, note_answer, note_failure

if TYPE_CHECKING:

    class _Proxy:
        __wrapped__: Any

        def __init__(self, wrapped: object) -> None: ...

else:
    from wrapt import ObjectProxy as _Proxy

__all__ = ["patches", "release_hook"]

_DEFAULT_PORTS = {"https": 443, "http": 80}


def patches(module: ModuleType) -> Iterator[tuple[type, str, Callable[..., Any]]]:
    yield module.Session, "get_adapter", _get_adapter


def _get_adapter(wrapped: Callable[..., Any], session: Any, args: Any, kwargs: Any) -> Any:
    adapter = wrapped(*args, **kwargs)
    call = open_call()
    if call is None:
        return _Onward(adapter) if attribution.is_known() else adapter
    return _Watched(adapter, call)


class _Onward(_Proxy):
    """An adapter for the length of one request outside of calls, which takes attribution along."""

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        def known() -> tuple[Any, str, bool]:
            return request.headers, urlsplit(request.url).hostname or "", False

        with Onward(known):
            return self.__wrapped__.send(request, *args, **kwargs)


class _Watched(_Proxy):
    """An adapter for the length of one request; `isinstance` and every attribute are the adapter's."""

    def __init__(self, adapter: Any, call: OpenCall) -> None:
        super().__init__(adapter)
        self._self_call = call

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        call = self._self_call
        may_leave(call)
        flight = Flight(call)
        with quietly:
            _depart(flight, request)
        try:
            response = self.__wrapped__.send(request, *args, **kwargs)
        except BaseException as error:
            with quietly:
                flight.land()
                flight.failed(error)
                note_failure(call, error)
            raise
        with quietly:
            flight.land()
            _answered(flight, response)
            note_answer(call, response, response.status_code)
        return response


def _depart(flight: Flight, request: Any) -> None:
    url = urlsplit(request.url)
    port = url.port or _DEFAULT_PORTS.get(url.scheme)
    flight.depart(request, request.method, url.hostname or "", port, below=None)


def _answered(flight: Flight, response: Any) -> None:
    if flight.attempt is None:
        return
    flight.answered(response.status_code, response.headers.items())
    raw = response.raw
    release = getattr(raw, "release_conn", None)
    if release is None or not hasattr(raw, "__dict__"):
        flight.end()  # a custom adapter's body, which nobody can watch
    else:
        raw.release_conn = release_hook(flight, raw)
    if flight.wire is not None:
        flight.wire.watch(response)


def release_hook(flight: Flight, raw: Any) -> Callable[[], None]:
    """urllib3 gives the connection back when the body has been read, and when it is closed."""
    known = weakref.ref(raw)  # no cycle: what the caller drops must close at once

    def release_conn() -> None:
        found = known()
        try:
            if found is not None:
                found.__dict__.pop("release_conn", None)
                found.release_conn()
        finally:
            flight.end()

    return release_conn
