"""Cohere: both versions of its API, and its clients for Bedrock, SageMaker and Oracle's cloud.

Each method builds its request itself, so it is the methods that are watched. Of texts to embed the
first client makes batches, and asks for each in a thread of its own: there it is the whole that is
one call. https://github.com/cohere-ai/cohere-python/blob/main/src/cohere/client.py
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tollspan import semconv

from ._audio import TRANSCRIPTION
from ._cohere_chat import CHAT, CHAT_STREAM, GENERATE, GENERATE_STREAM, response
from ._read import Rule, get, members, take, text, texts
from ._rerank import request
from ._spec import Attributes, Patch, Provider, Surface

__all__ = ["PROVIDER"]

_EMBEDDINGS: tuple[Rule, ...] = (
    ("model", semconv.REQUEST_MODEL, text),
    ("embedding_types", semconv.REQUEST_ENCODING_FORMATS, texts),
)


def _embeddings_request(body: Mapping[str, Any]) -> Attributes:
    found: dict[str, Any] = {}
    take(found, members(body), _EMBEDDINGS)
    return found


_EMBED = Surface("embeddings", request=_embeddings_request, response=response)
_RERANK = Surface("rerank", request=request, response=response)
_CLASSIFY = Surface("classification", request=request, response=response)
_PARSE = Surface("ocr", request=request, response=response)

_FIRST = {
    "chat": CHAT,
    "chat_stream": CHAT_STREAM,
    "generate": GENERATE,
    "generate_stream": GENERATE_STREAM,
    "summarize": GENERATE,
    "rerank": _RERANK,
    "classify": _CLASSIFY,
}
_SECOND = {
    "chat": CHAT,
    "chat_stream": CHAT_STREAM,
    "embed": _EMBED,
    "rerank": _RERANK,
    "parse": _PARSE,
}
_METHODS: tuple[tuple[str, str, Mapping[str, Surface]], ...] = (
    ("cohere.base_client", "BaseCohere", _FIRST),
    ("cohere.client", "Client", {"embed": _EMBED}),
    ("cohere.v2.client", "V2Client", _SECOND),
    ("cohere.audio.transcriptions.client", "TranscriptionsClient", {"create": TRANSCRIPTION}),
)
_LATER = frozenset({"parse", "create", "generate", "generate_stream", "summarize", "classify"})
"""Methods that some supported versions do not have, or may lose: what is deprecated goes."""

_HOSTED = (("Bedrock", "aws.bedrock"), ("Sagemaker", "aws.sagemaker"), ("Oci", "oci"))
"""Parts of the names of clients for other people's clouds, whose base URL nobody asks."""


def _patches() -> Iterator[Patch]:
    for module, name, methods in _METHODS:
        for method, surface in methods.items():
            for each in (name, f"Async{name}"):
                yield Patch(module, f"{each}.{method}", surface, optional=method in _LATER)


def _named(client: Any) -> str | None:
    kinds = " ".join(kind.__name__ for kind in type(client).__mro__)
    return next((name for part, name in _HOSTED if part in kinds), None)


def _base_url(given: Mapping[str, Any]) -> str | None:
    client = given.get("self")
    return None if _named(client) else text(get(client, "_client_wrapper", "_base_url"))


PROVIDER = Provider(name="cohere", patches=tuple(_patches()), named=_named, base_url=_base_url)


def __getattr__(name: str) -> Any:
    """`Instrumentor`, for the entry point, made when it is asked for."""
    if name != "Instrumentor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._instrumentor import instrumentor

    return instrumentor(__name__)
