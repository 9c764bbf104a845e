"""Hugging Face: `InferenceClient`, to its router, to the providers behind it, to own endpoints.

Every task of both clients sends its request by one method:
https://github.com/huggingface/huggingface_hub/blob/v1.0.0/src/huggingface_hub/inference/_client.py
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass, replace
from typing import Any

from ._huggingface_tasks import TASKS
from ._read import members, text
from ._spec import Asked, Patch, Provider, Sent

__all__ = ["PROVIDER"]


def _sends(given: Mapping[str, Any]) -> Sent | None:
    """`_inner_post(request_parameters, *, stream)`."""
    parameters = members(given.get("request_parameters"))
    surface = TASKS.get(text(parameters.get("task")) or "")
    if surface is None:
        return None
    return Sent(surface, parameters, text(parameters.get("url")) or "")


def _asked(given: Mapping[str, Any], sent: Sent) -> Asked | None:
    parameters = given.get("request_parameters")
    body, dials = members(sent.body.get("json")), sent.surface.dials
    if not body or not is_dataclass(parameters) or isinstance(parameters, type):
        return None
    if dials is not None and str(body.get("model", "dummy")) in (
        "dummy",
        *sent.url.split("/models/"),
    ):
        dials = dials._replace(model="")  # a server of one model, or one that its address names
    return Asked(
        body, dials, lambda own: {"request_parameters": replace(parameters, json=dict(own))}
    )


PROVIDER = Provider(
    name="huggingface",
    patches=(
        Patch("huggingface_hub.inference._client", "InferenceClient._inner_post", sends=_sends),
        Patch(
            "huggingface_hub.inference._generated._async_client",
            "AsyncInferenceClient._inner_post",
            sends=_sends,
        ),
    ),
    asked=_asked,
)


def __getattr__(name: str) -> Any:
    """`Instrumentor`, for the entry point, made when it is asked for."""
    if name != "Instrumentor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._instrumentor import instrumentor

    return instrumentor(__name__)
