"""Groq.

All calls of the SDK go through one method of its client:
https://github.com/groq/groq-python/blob/main/src/groq/_base_client.py
"""

from __future__ import annotations

from typing import Any

from ._audio import SPEECH, TRANSCRIPTION, TRANSLATION
from ._embeddings import EMBEDDINGS
from ._groq_chat import CHAT
from ._spec import Patch, Provider

__all__ = ["PROVIDER"]

PROVIDER = Provider(
    name="groq",
    patches=(
        Patch("groq._base_client", "SyncAPIClient.request"),
        Patch("groq._base_client", "AsyncAPIClient.request"),
    ),
    paths={
        "/chat/completions": CHAT,
        "/embeddings": EMBEDDINGS,
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
