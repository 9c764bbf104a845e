"""Attempts through botocore, at the one method of an endpoint that sends one signed request.

Retries (legacy, standard and adaptive) happen above it, in `Endpoint._send_request`. Only endpoints
of models are watched: what fetches credentials for a call is none of its attempts. aiobotocore sends
through aiohttp or httpx, which are watched themselves.
https://github.com/boto/botocore/blob/1.40.61/botocore/endpoint.py
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from tollspan import calls
from tollspan.calls import current_call
from tollspan.guard import quietly

from ._attempts import open_call
from ._flight import Flight
from ._repeats import may_repeat
from ._requests import release_hook

__all__ = ["patches", "patches_async"]

_OF_MODELS = frozenset({"bedrock-runtime", "runtime.sagemaker"})
"""Endpoint prefixes, as the service models state them."""

_DEFAULT_PORTS = {"https": 443, "http": 80}
_OTEL = "opentelemetry.instrumentation.urllib3"


def patches(module: ModuleType) -> Iterator[tuple[type, str, Callable[..., Any]]]:
    yield module.Endpoint, "_send", _send
    yield module.Endpoint, "_needs_retry", _needs_retry


def patches_async(module: ModuleType) -> Iterator[tuple[type, str, Callable[..., Any]]]:
    yield module.AioEndpoint, "_send", _send_async
    yield module.AioEndpoint, "_needs_retry", _needs_retry_async


def _send(wrapped: Callable[..., Any], endpoint: Any, args: Any, kwargs: Any) -> Any:
    call = open_call()
    if call is None or endpoint._endpoint_prefix not in _OF_MODELS:
        return wrapped(*args, **kwargs)
    flight = Flight(call)
    with quietly:
        _depart(flight, *args, **kwargs)
    try:
        response = wrapped(*args, **kwargs)
    except BaseException as error:
        with quietly:
            flight.land()
            flight.failed(error)
        raise
    with quietly:
        flight.land()
        _answered(flight, response, *args, **kwargs)
    return response


def _depart(flight: Flight, request: Any) -> None:
    url = urlsplit(request.url)
    port = url.port or _DEFAULT_PORTS.get(url.scheme)
    below = _OTEL in sys.modules and _is_instrumented()
    flight.depart(request, request.method, url.hostname or "", port, below=below)


def _is_instrumented() -> bool:
    """Whether urllib3's instrumentation will make a span for the request."""
    from opentelemetry.instrumentation.utils import is_http_instrumentation_enabled

    pool = getattr(sys.modules.get("urllib3.connectionpool"), "HTTPConnectionPool", None)
    wrapper = getattr(getattr(pool, "urlopen", None), "_self_wrapper", None)
    made_by = str(getattr(wrapper, "__module__", ""))
    return made_by.startswith(_OTEL) and is_http_instrumentation_enabled()


def _answered(flight: Flight, response: Any, request: Any) -> None:
    if flight.attempt is None:
        return
    flight.answered(response.status_code, response.headers.items())
    raw = response.raw
    if not request.stream_output or not hasattr(raw, "release_conn"):
        flight.end()
    else:
        raw.release_conn = release_hook(flight, raw)
    if flight.wire is not None:
        flight.wire.watch(response)


def _needs_retry(wrapped: Callable[..., Any], endpoint: Any, args: Any, kwargs: Any) -> Any:
    """botocore's own answer to whether it tries again, unless that is to be no more: then it raises
    what the last attempt ended with."""
    again = wrapped(*args, **kwargs)
    return again and _may_repeat(endpoint)


def _needs_retry_async(wrapped: Callable[..., Any], endpoint: Any, args: Any, kwargs: Any) -> Any:
    if calls.retry is None:
        return wrapped(*args, **kwargs)
    return _again(wrapped(*args, **kwargs), endpoint)


async def _again(needed: Awaitable[Any], endpoint: Any) -> Any:
    again = await needed
    return again and _may_repeat(endpoint)


def _may_repeat(endpoint: Any) -> bool:
    if calls.retry is None or endpoint._endpoint_prefix not in _OF_MODELS:
        return True
    call = open_call()
    return call is None or may_repeat(call)


def _send_async(wrapped: Callable[..., Any], endpoint: Any, args: Any, kwargs: Any) -> Any:
    if open_call() is None or endpoint._endpoint_prefix in _OF_MODELS:
        return wrapped(*args, **kwargs)
    return _apart(wrapped, args, kwargs)


async def _apart(wrapped: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """A request of another service, while a call is open: fetching credentials for it."""
    call = current_call.get()
    current_call.set(None)
    try:
        return await wrapped(*args, **kwargs)
    finally:
        if current_call.get() is None:
            current_call.set(call)
