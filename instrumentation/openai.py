"""OpenAI, Azure OpenAI and everything else that the openai SDK is pointed at.

All calls of the SDK go through one method of its client:
https://github.com/openai/openai-python/blob/main/src/openai/_base_client.py
"""

from __future__ import annotations

from typing import Any

from ._audio import SPEECH, TRANSCRIPTION, TRANSLATION
from ._batches import BATCH
from ._chat_completions import CHAT
from ._completions import COMPLETIONS
from ._embeddings import EMBEDDINGS
from ._images import IMAGES
from ._moderations import MODERATIONS
from ._realtime import REALTIME, RESPONSES_SOCKET, socket_url
from ._responses import FETCHED_RESPONSE, RESPONSES
from ._spec import Patch, Provider

__all__ = ["PROVIDER"]


def _named(client: Any) -> str | None:
    """Azure behind a host of the user's own is still Azure."""
    kinds = {kind.__name__ for kind in type(client).__mro__}
    return "azure.ai.openai" if "BaseAzureClient" in kinds else None


_SOCKETS = tuple(
    Patch(f"openai.resources.{module}", f"{kind}.parse_event", surface, optional=True)
    for module, kinds, surface in (
        ("realtime.realtime", "RealtimeConnection", REALTIME),
        ("beta.realtime.realtime", "RealtimeConnection", REALTIME),
        ("responses.responses", "ResponsesConnection", RESPONSES_SOCKET),
        ("beta.responses.responses", "ResponsesConnection", RESPONSES_SOCKET),
    )
    for kind in (kinds, f"Async{kinds}")
)
"""What reads the events of a websocket, whether they come through `recv`, a loop or handlers."""

PROVIDER = Provider(
    name="openai",
    patches=(
        Patch("openai._base_client", "SyncAPIClient.request"),
        Patch("openai._base_client", "AsyncAPIClient.request"),
        *_SOCKETS,
    ),
    paths={
        "/chat/completions": CHAT,
        "/completions": COMPLETIONS,
        "/embeddings": EMBEDDINGS,
        "/responses": RESPONSES,
        "/responses/compact": RESPONSES,
        "/images/generations": IMAGES,
        "/images/edits": IMAGES,
        "/images/variations": IMAGES,
        "/audio/speech": SPEECH,
        "/audio/transcriptions": TRANSCRIPTION,
        "/audio/translations": TRANSLATION,
        "/moderations": MODERATIONS,
    },
    fetched=(
        (r"GET \S*/responses/(?P<id>[^/]+)", FETCHED_RESPONSE),
        (r"POST \S*/responses/(?P<id>[^/]+)/cancel", FETCHED_RESPONSE),
        (r"GET stream \S*/responses/[^/]+", RESPONSES),
        (r"GET \S*/batches/(?P<id>[^/]+)", BATCH),
        (r"POST \S*/batches/(?P<id>[^/]+)/cancel", BATCH),
    ),
    named=_named,
    base_url=socket_url,
)


def __getattr__(name: str) -> Any:
    """`Instrumentor`, for the entry point, made when it is asked for."""
    if name != "Instrumentor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._instrumentor import instrumentor

    return instrumentor(__name__)
