"""Portkey's SDK: the openai SDK that it brings with it, and its own calls for saved prompts.

https://github.com/Portkey-AI/portkey-python-sdk/blob/main/portkey_ai/api_resources/base_client.py
Which provider answered, the gateway's response headers say; the request's are never recorded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tollspan import semconv

from ._chat_completions import CHAT
from ._paths import places
from ._read import get, members, text
from ._spec import Asked, Attributes, Patch, Provider, Sent, Surface
from .openai import PROVIDER as OPENAI

__all__ = ["PROVIDER"]

_PROMPT = re.compile(r"/(?:v1/)?prompts/([^/]+)/(?:completions|generate)")


def _named(surface: Surface) -> Surface:
    """As `surface`, but that the SDK's `portkey-default` is no model: the gateway's config has it."""

    def request(body: Mapping[str, Any]) -> Attributes:
        found = dict(surface.request(body))
        if found.get(semconv.REQUEST_MODEL) == "portkey-default":
            del found[semconv.REQUEST_MODEL]
        return found

    return surface._replace(request=request)


def _prompt_request(body: Mapping[str, Any]) -> Attributes:
    return {**CHAT.request(body), semconv.PROMPT_NAME: text(body.get("prompt_id"))}


PROMPT = CHAT._replace(request=_prompt_request, tells_usage_asked=False)
"""A prompt that the gateway keeps, with its model; `prompt_id` is added to the body."""

_PATHS = {path: _named(surface) for path, surface in OPENAI.paths.items()}


def _sends(given: Mapping[str, Any]) -> Sent | None:
    """`_post(path, *, body, ...)`: saved prompts, and whatever the user posts by hand."""
    path = text(given.get("path")) or ""
    body = members(given.get("body"))
    base_url = get(given.get("self"), "base_url")
    base_url = base_url if isinstance(base_url, str) else str(base_url or "")
    if (prompt := _PROMPT.fullmatch(path)) is not None:
        return Sent(PROMPT, {**body, "prompt_id": prompt[1]}, path, base_url)
    place = _place(path)
    return Sent(place[0], body, path, base_url) if place is not None else None


def _asked(given: Mapping[str, Any], sent: Sent) -> Asked:
    return Asked(members(given.get("body")), sent.surface.dials, lambda body: {"body": dict(body)})


PROVIDER = Provider(
    name="portkey",
    patches=(
        Patch("portkey_ai._vendor.openai._base_client", "SyncAPIClient.request"),
        Patch("portkey_ai._vendor.openai._base_client", "AsyncAPIClient.request"),
        Patch("portkey_ai.api_resources.base_client", "APIClient._post", sends=_sends),
        Patch("portkey_ai.api_resources.base_client", "AsyncAPIClient._post", sends=_sends),
    ),
    paths=_PATHS,
    fetched=OPENAI.fetched,
    asked=_asked,
)

_place = places(PROVIDER)


def __getattr__(name: str) -> Any:
    """`Instrumentor`, for the entry point, made when it is asked for."""
    if name != "Instrumentor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._instrumentor import instrumentor

    return instrumentor(__name__)
