"""Which surface a request has, by the path it is sent to."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from tollspan.remembered import Remembered

from ._spec import Provider, Surface

__all__ = ["Fetch", "Place", "fetches", "places"]


Place = tuple[Surface, str, "str | None"]
"""Where a request goes: its surface, the wire's name (`tollspan.api`, such as `chat_completions`), and
the model if the path carries it. Plain, as every call takes it apart."""


class Fetch(NamedTuple):
    """Which answer of an earlier request one fetches."""

    surface: Surface
    identity: str | None


def fetches(provider: Provider) -> Callable[[str, str, bool], Fetch | None]:
    """A look-up from method, URL or path, and whether a stream is asked for, to what is fetched."""

    @lru_cache(maxsize=512)
    def fetch(method: str, url: str, stream: bool) -> Fetch | None:
        try:
            path = urlsplit(url).path.rstrip("/")
        except ValueError:
            return None
        asked = f"{method} {'stream ' if stream else ''}{path if path[:1] == '/' else '/' + path}"
        for pattern, surface in provider.fetched:
            if (found := re.fullmatch(pattern, asked)) is not None:
                identity = found.groupdict().get("id")
                return Fetch(surface, unquote(identity)[:512] if identity else None)
        return None

    return fetch


def places(provider: Provider) -> Callable[[str], Place | None]:
    """A look-up from URL or path to place, for `provider`; None where there is no inference."""
    patterns = [(re.compile(pattern), surface) for pattern, surface in provider.rewritten]

    def place(url: str) -> Place | None:
        try:
            path = urlsplit(url).path.rstrip("/")
        except ValueError:
            return None
        path = path if path.startswith("/") else f"/{path}"
        parts = path.split("/")
        for length in (2, 1):
            end = "/" + "/".join(parts[-length:])
            if (surface := provider.paths.get(end)) is not None:
                return surface, end[1:].removeprefix("v1/").replace("/", "_"), None
        for pattern, surface in patterns:
            if (found := pattern.fullmatch(path)) is not None:
                return surface, "messages", unquote(found["model"])[:512]
        return None

    # Bounded: paths with ids in them (`/responses/resp_1/cancel`) are as many as there are ids.
    return Remembered(place, 512).__getitem__
