"""Anthropic: its own API, Bedrock, Vertex and Foundry clients.

All calls of the SDK go through one method of its client:
https://github.com/anthropics/anthropic-sdk-python/blob/main/src/anthropic/_base_client.py
"""

from __future__ import annotations

from typing import Any

from ._batch_results import MESSAGE_RESULTS
from ._messages import COUNT_TOKENS, MESSAGES, TEXT
from ._read import text
from ._spec import Patch, Provider

__all__ = ["PROVIDER"]


def _named(client: Any) -> str | None:
    """The platform that a client is for; older SDKs tell only by the class."""
    stated = text(getattr(type(client), "_gen_ai_provider_name", None))
    if stated is not None and stated != "anthropic":
        return stated
    kinds = " ".join(kind.__name__ for kind in type(client).__mro__)
    if "Bedrock" in kinds:
        return "aws.bedrock"
    if "Foundry" in kinds:
        return "azure.ai.inference"
    return "gcp.vertex_ai" if "Vertex" in kinds else None


PROVIDER = Provider(
    name="anthropic",
    patches=(
        Patch("anthropic._base_client", "SyncAPIClient.request"),
        Patch("anthropic._base_client", "AsyncAPIClient.request"),
    ),
    paths={
        "/v1/messages": MESSAGES,
        "/messages/count_tokens": COUNT_TOKENS,
        "/v1/complete": TEXT,
    },
    # What Bedrock and Vertex clients make of `/v1/messages`, for those who post it themselves.
    rewritten=(
        (r".*/model/(?P<model>[^/]+)/invoke(-with-response-stream)?", MESSAGES),
        (r".*/publishers/anthropic/models/count-tokens:rawPredict(?P<model>)", COUNT_TOKENS),
        (r".*/models/(?P<model>[^/]+):(rawPredict|streamRawPredict)", MESSAGES),
    ),
    fetched=((r"GET stream \S*/messages/batches/(?P<id>[^/]+)/results", MESSAGE_RESULTS),),
    named=_named,
)


def __getattr__(name: str) -> Any:
    """`Instrumentor`, for the entry point, made when it is asked for."""
    if name != "Instrumentor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._instrumentor import instrumentor

    return instrumentor(__name__)
