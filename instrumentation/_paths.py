"""Which surface a request has, by the path it is sent to."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from ._spec import Provider, Surface

__all__ = ["Place", "places"]


class Place(NamedTuple):
    """Where a request goes: its surface, the wire's name, and the model if the path carries it."""

    surface: Surface
    api: str
    """Value of `tollspan.api`, such as `chat_completions`."""
    model: str | None = None


def places(provider: Provider) -> Callable[[str], Place | None]:
    """A look-up from URL or path to place, for `provider`; None where there is no inference."""
    patterns = [(re.compile(pattern), surface) for pattern, surface in provider.rewritten]

    # Bounded: paths with ids in them (`/responses/resp_1/cancel`) are as many as there are ids.
    @lru_cache(maxsize=512)
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
                return Place(surface, end[1:].removeprefix("v1/").replace("/", "_"))
        for pattern, surface in patterns:
            if (found := pattern.fullmatch(path)) is not None:
                return Place(surface, "messages", unquote(found["model"])[:512])
        return None

    return place
