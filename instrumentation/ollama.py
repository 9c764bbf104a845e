"""Ollama: local servers and its cloud. Local models cost nothing that anybody states: no price.

Every function of the module and of both clients goes through one method of the client:
https://github.com/ollama/ollama-python/blob/v0.6.1/ollama/_client.py
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._ollama_chat import CHAT, EMBEDDINGS, GENERATE, SYSTEM_ONE
from ._read import get, items, text
from ._spec import Asked, Patch, Provider, Sent

__all__ = ["PROVIDER"]

_SURFACES = {
    "/api/chat": CHAT,
    "/api/generate": GENERATE,
    "/api/embed": EMBEDDINGS,
    "/api/embeddings": EMBEDDINGS,
    "/v1/systemone": SYSTEM_ONE,
}


def _sends(given: Mapping[str, Any]) -> Sent | None:
    """`_request(cls, method, path, *, json, stream)`; pulls, pushes and lists are no inference."""
    path = (*map(text, items(given, "args")[:2]), None, None)[1]
    surface = _SURFACES.get(path or "")
    if surface is None or path is None:
        return None
    return Sent(surface, given.get("json") or {}, path, get(given, "self", "_client", "base_url"))


def _asked(given: Mapping[str, Any], sent: Sent) -> Asked:
    return Asked(sent.body, sent.surface.dials, lambda body: {"json": dict(body)})


PROVIDER = Provider(
    name="ollama",
    patches=(
        Patch("ollama._client", "Client._request", sends=_sends),
        Patch("ollama._client", "AsyncClient._request", sends=_sends),
    ),
    asked=_asked,
)


def __getattr__(name: str) -> Any:
    """`Instrumentor`, for the entry point, made when it is asked for."""
    if name != "Instrumentor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._instrumentor import instrumentor

    return instrumentor(__name__)
