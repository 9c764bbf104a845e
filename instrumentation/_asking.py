"""What a call is: the arguments of a watched function to the call that they ask for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from opentelemetry import trace

from tollspan import calls, contexts, semconv
from tollspan.config import settings
from tollspan.guard import quietly

from ._adoption import foreign_span
from ._call import Call
from ._context import SUPPRESSED, SUPPRESSED_PLAINLY
from ._hosts import named, server, servers
from ._paths import fetches, places
from ._spec import Provider, Sent, Surface

__all__ = ["Opener", "Sends", "client_calls", "function_calls", "of_arguments"]

Opener = Callable[[tuple[Any, ...], dict[str, Any]], Call | None]
"""Arguments of a watched function to its call; None for what is not inference."""

Sends = Callable[[Mapping[str, Any]], Sent | None]
"""Arguments of a watched function, by name, to what it sends."""


def client_calls(
    provider: Provider, tracer: trace.Tracer, tracer_provider: trace.TracerProvider | None
) -> Opener:
    """Calls of a client's `request(cast_to, options, *, stream, stream_cls)`."""
    name, fetched = provider.name, provider.fetched
    place_of = places(provider)
    fetch_of = fetches(provider)
    server_of = servers(provider)

    def opened(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        client = args[0]
        options = kwargs["options"] if "options" in kwargs else args[2]
        url = options.url if type(options.url) is str else str(options.url)
        place = place_of(url)
        method = options.method
        if place is None or (method != "post" and method.upper() != "POST"):
            stream = bool(kwargs.get("stream"))
            fetch = fetch_of(method.upper(), url, stream) if fetched else None
            if fetch is None:
                return None
            if fetch.surface.heard:
                from ._heard import Heard  # answers that somebody asked for before, which are few

                asked_of = partial(_fetched, provider, server_of, client, url)
                return Heard(tracer, fetch.surface, asked_of, fetch.identity)
            place = fetch.surface, "responses", None
        context = contexts.current()
        if context.get(SUPPRESSED) or context.get(SUPPRESSED_PLAINLY):
            return None
        surface, api, model = place
        asked: dict[str, Any] = {semconv.PROVIDER: name, semconv.OPENAI_API: api}
        adopted = None
        with quietly:
            adopted = foreign_span(client, options, tracer_provider)
            asked |= server_of(client, url)  # dearer by its method
            request = surface.request
            asked |= request(_body(options))
            if model and semconv.REQUEST_MODEL not in asked:
                asked[semconv.REQUEST_MODEL] = model
            if kwargs.get("stream"):
                asked[semconv.REQUEST_STREAM] = True
            if settings().hash_key:
                _add_key(asked, client, {})
        call = Call.start(tracer, surface, asked, adopted=adopted)
        if calls.before:
            with quietly:
                from ._sending import of_client  # rules for calls are few

                call.sending = of_client(call, args, kwargs)
        if kwargs.get("stream") and surface.tells_usage_asked and settings().stream_usage:
            with quietly:
                from ._usage_asked import ask  # off unless the setting is on

                ask(call, args, kwargs, options)
        return call

    return opened


def _fetched(
    provider: Provider, server_of: Callable[[Any, str], Mapping[str, Any]], client: Any, url: str
) -> dict[str, Any]:
    """What is known of a request that fetches the answer of an earlier one."""
    asked: dict[str, Any] = {semconv.PROVIDER: provider.name}
    with quietly:
        asked.update(server_of(client, url))
    return asked


def _body(options: Any) -> Mapping[str, Any]:
    """The JSON body that the SDK will send, `extra_body` included; empty for anything else."""
    body = options.json_data
    if type(body) is not dict and not isinstance(body, Mapping):
        body = {}
    extra = getattr(options, "extra_json", None)
    return {**body, **extra} if extra and isinstance(extra, Mapping) else body


def _add_key(asked: dict[str, Any], client: Any, given: Mapping[str, Any]) -> None:
    from ._keys import fingerprint  # off unless there is a hash key

    fingerprint(asked, client, given)


def function_calls(
    original: Callable[..., Any],
    provider: Provider,
    sends: Sends,
    tracer: trace.Tracer,
    tracer_provider: trace.TracerProvider | None,
) -> Opener:
    """Calls of a function of whose arguments `sends` makes the request."""
    names, rest = _positional(original)

    def opened(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        given = {**dict(zip(names, args, strict=False)), **kwargs} if args else kwargs
        if rest is not None and len(args) > len(names):
            given = {**given, rest: args[len(names) :]}
        sent = sends(given)
        if sent is None:  # first of all: most calls of AWS clients go to other services
            return None
        context = contexts.current()
        if context.get(SUPPRESSED) or context.get(SUPPRESSED_PLAINLY):
            return None
        if sent.surface.heard:
            from ._heard import Heard

            return Heard(tracer, sent.surface, partial(_sent, provider, given, sent))
        asked = _sent(provider, given, sent)
        adopted = None
        with quietly:
            adopted = foreign_span(given.get("self"), None, tracer_provider)
        call = Call.start(tracer, sent.surface, asked, adopted=adopted)
        if calls.before:
            with quietly:
                from ._sending import of_function

                whole = names, args, kwargs
                call.sending = of_function(call, provider, sends, given, sent, *whole)
        return call

    return opened


def _sent(provider: Provider, given: Mapping[str, Any], sent: Sent) -> dict[str, Any]:
    """What is known of a request that a function was told to send."""
    asked: dict[str, Any] = {semconv.PROVIDER: provider.name}
    with quietly:
        address = server(sent.base_url, sent.url)
        asked.update(named(provider, given.get("self"), *address))
        asked.update(sent.surface.request(sent.body))
        if settings().hash_key:
            _add_key(asked, given.get("self"), given)
    return asked


def of_arguments(provider: Provider, surface: Surface) -> Sends:
    """Calls of a function whose arguments are the request."""

    def sends(given: Mapping[str, Any]) -> Sent:
        url = None
        with quietly:
            url = provider.base_url(given)
        return Sent(surface, given, "", url or "")

    return sends


def _positional(function: Callable[..., Any]) -> tuple[tuple[str, ...], str | None]:
    """Names of the positional arguments, and of the rest of them."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # no signature: a builtin
        return (), None
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = tuple(each.name for each in parameters if each.kind in kinds)
    rest = (each.name for each in parameters if each.kind is inspect.Parameter.VAR_POSITIONAL)
    return names, next(rest, None)
