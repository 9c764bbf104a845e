"""Mistral AI: its own API, and its clients for Azure and Google Cloud.

Each method of the SDK builds its request itself, so it is the methods that are watched; `parse` and
`run` call those. Streams are objects of a class whose own iteration is watched:
https://github.com/mistralai/client-python/blob/main/src/mistralai/client/utils/eventstreaming.py
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ._audio import SPEECH
from ._conversations import CONVERSATION, CONVERSATION_STREAM
from ._events import inside
from ._mistral_audio import TRANSCRIPTION, TRANSCRIPTION_STREAM
from ._mistral_chat import (
    AGENT,
    AGENT_STREAM,
    CHAT,
    CHAT_STREAM,
    EMBEDDINGS,
    FIM,
    FIM_STREAM,
)
from ._moderations import MODERATIONS
from ._ocr import OCR
from ._read import get, text
from ._responses import RESPONSES
from ._spec import Chunks, Patch, Provider, Surface

__all__ = ["PROVIDER"]

_CLASSIFICATION = MODERATIONS._replace(operation="classification")
_RESPONSES = RESPONSES._replace(fold=inside(RESPONSES.fold)) if RESPONSES.fold else RESPONSES

_METHODS: tuple[tuple[str, str, Mapping[str, Surface]], ...] = (
    ("chat", "Chat", {"complete": CHAT, "stream": CHAT_STREAM}),
    ("fim", "Fim", {"complete": FIM, "stream": FIM_STREAM}),
    ("agents", "Agents", {"complete": AGENT, "stream": AGENT_STREAM}),
    ("embeddings", "Embeddings", {"create": EMBEDDINGS}),
    ("ocr", "Ocr", {"process": OCR}),
    ("responses", "Responses", {"create": _RESPONSES}),
    (
        "conversations",
        "Conversations",
        {
            "start": CONVERSATION,
            "append": CONVERSATION,
            "restart": CONVERSATION,
            "start_stream": CONVERSATION_STREAM,
            "append_stream": CONVERSATION_STREAM,
            "restart_stream": CONVERSATION_STREAM,
        },
    ),
    (
        "transcriptions",
        "Transcriptions",
        {"complete": TRANSCRIPTION, "stream": TRANSCRIPTION_STREAM},
    ),
    ("speech", "Speech", {"complete": SPEECH}),
    (
        "classifiers",
        "Classifiers",
        {
            "moderate": MODERATIONS,
            "moderate_chat": MODERATIONS,
            "classify": _CLASSIFICATION,
            "classify_chat": _CLASSIFICATION,
        },
    ),
)

_ALWAYS = frozenset({"chat", "fim", "agents", "embeddings"})
"""Modules that have had all their methods since 1.0."""

_PACKAGES = {
    "mistralai.client": "mistral_ai",
    "mistralai.azure.client": "azure.ai.inference",
    "mistralai.gcp.client": "gcp.vertex_ai",
    # Before 2.0 the SDK was three packages, and its own stood one level higher.
    "mistralai": "mistral_ai",
    "mistralai_azure": "azure.ai.inference",
    "mistralai_gcp": "gcp.vertex_ai",
}
"""Where classes of the same names stand, and who answers them."""


def _patches() -> Iterator[Patch]:
    for package in _PACKAGES:
        for module, name, methods in _METHODS:
            for method, surface in methods.items():
                for each in (method, f"{method}_async"):
                    place = f"{package}.{module}", f"{name}.{each}"
                    yield Patch(*place, surface, optional=module not in _ALWAYS)


def _chunks() -> Iterator[Chunks]:
    for package in _PACKAGES:
        for name in ("EventStream", "EventStreamAsync"):
            module = f"{package}.utils.eventstreaming"
            yield Chunks(module, name, optional=not package.endswith(".client"))


def _named(resource: Any) -> str | None:
    package = type(resource).__module__.rpartition(".")[0]
    name = _PACKAGES.get(package)
    return name if name != PROVIDER.name else None


def _base_url(given: Mapping[str, Any]) -> str | None:
    if (chosen := text(given.get("server_url"))) is not None:
        return chosen
    address, _ = get(given, "self", "sdk_configuration").get_server_details()
    return text(address)


PROVIDER = Provider(
    name="mistral_ai",
    patches=tuple(_patches()),
    chunks=tuple(_chunks()),
    named=_named,
    base_url=_base_url,
)


def __getattr__(name: str) -> Any:
    """`Instrumentor`, for the entry point, made when it is asked for."""
    if name != "Instrumentor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._instrumentor import instrumentor

    return instrumentor(__name__)
