"""Together AI.

All calls of the SDK, since its version 2, go through one method of its client:
https://github.com/togethercomputer/together-py/blob/main/src/together/_base_client.py
"""

from __future__ import annotations

from typing import Any

from ._audio import SPEECH, TRANSCRIPTION, TRANSLATION
from ._embeddings import EMBEDDINGS
from ._images import IMAGES
from ._rerank import RERANK
from ._spec import Patch, Provider
from ._together_chat import CHAT, COMPLETIONS

__all__ = ["PROVIDER"]

PROVIDER = Provider(
    name="together_ai",
    patches=(
        Patch("together._base_client", "SyncAPIClient.request"),
        Patch("together._base_client", "AsyncAPIClient.request"),
    ),
    paths={
        "/chat/completions": CHAT,
        "/completions": COMPLETIONS,
        "/embeddings": EMBEDDINGS,
        "/rerank": RERANK,
        "/images/generations": IMAGES,
        "/audio/speech": SPEECH,
        "/audio/transcriptions": TRANSCRIPTION,
        "/audio/translations": TRANSLATION,
    },
)


def __getattr__(name: str) -> Any:
    """`Instrumentor`, for the entry point, made when it is asked for."""
    if name != "Instrumentor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._instrumentor import instrumentor

    return instrumentor(__name__)
