"""What LiteLLM's functions are asked and answer: the wires of others, and what it keeps beside them.

What an answer does not state, LiteLLM keeps in its `_hidden_params`:
https://github.com/BerriAI/litellm/blob/main/litellm/types/utils.py
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from tollspan import semconv

from ._audio import SPEECH as PLAIN_SPEECH
from ._audio import TRANSCRIPTION as PLAIN_TRANSCRIPTION
from ._chat_completions import CHAT, ChoicesFold
from ._embeddings import EMBEDDINGS as PLAIN_EMBEDDINGS
from ._images import IMAGES as PLAIN_IMAGES
from ._messages import MESSAGES as PLAIN_MESSAGES
from ._moderations import MODERATIONS as PLAIN_MODERATIONS
from ._read import Rule, count, get, members, some, take, text
from ._rerank import RERANK as PLAIN_RERANK
from ._responses import RESPONSES as PLAIN_RESPONSES
from ._spec import Attributes, Fold, Surface

__all__ = [
    "COMPLETION",
    "EMBEDDING",
    "IMAGE",
    "MESSAGES",
    "MODERATION",
    "RERANK",
    "RESPONSES",
    "SPEECH",
    "TEXT_COMPLETION",
    "TRANSCRIPTION",
]

_NAMES = {
    "anthropic_text": "anthropic",
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "azure_text": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "cohere_chat": "cohere",
    "fireworks_ai": "fireworks",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "nvidia_nim": "nvidia",
    "sagemaker": "aws.sagemaker",
    "text-completion-openai": "openai",
    "vertex_ai": "gcp.vertex_ai",
    "vertex_ai_beta": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
"""LiteLLM's names of providers, where the conventions have others."""

_PREFIXES = (
    frozenset(
        {"openai", "anthropic", "openrouter", "deepseek", "groq", "together_ai", "ollama", "cohere"}
    )
    | _NAMES.keys()
)
"""What a model may begin with, up to its first `/`; other beginnings may be parts of its name."""

_STATED_COSTS = frozenset({"openrouter"})
"""Providers whose answers state a cost. Elsewhere `usage.cost` is LiteLLM's own reckoning, which
is no more than ours."""


def _provider(name: Any) -> str | None:
    stated = text(name)
    return _NAMES.get(stated, stated) if stated is not None else None


_ANSWER: tuple[Rule, ...] = (
    ("custom_llm_provider", semconv.PROVIDER, _provider),
    ("provider_response_model", semconv.RESPONSE_MODEL, text),
    ("model_id", semconv.MODEL_DEPLOYMENT, text),
)


def _asked(body: Mapping[str, Any], surface: Surface) -> Attributes:
    found = dict(surface.request(body))
    if (purpose := text(body, "metadata", "internal_call_origin")) is not None:
        found[semconv.CALL_PURPOSE] = purpose  # the proxy asks for itself: a judge, a classifier
    chosen = text(body, "custom_llm_provider")
    prefix, slash, _ = (text(body, "model") or "").partition("/")
    if chosen is not None:
        found[semconv.PROVIDER] = _provider(chosen)
    elif slash and prefix in _PREFIXES:
        found[semconv.PROVIDER] = _provider(prefix)
    return found


def _beside(found: dict[str, Any], hidden: Any) -> None:
    """What `_hidden_params` says of the deployment that answered."""
    parts = members(hidden)
    take(found, parts, _ANSWER)
    if get(parts, "cache_hit") is True:
        found[semconv.CACHE_HIT] = True
    headers = members(parts.get("additional_headers"))
    if (group := text(headers.get("x-litellm-model-group"))) is not None:
        found[semconv.MODEL_ROUTED] = group
    if (fallbacks := count(headers.get("x-litellm-attempted-fallbacks"))) is not None:
        found[semconv.FALLBACK] = fallbacks > 0
    if (base := text(parts.get("api_base"))) is not None:
        found.update(_server(base))


def _server(base: str) -> dict[str, Any]:
    try:
        parts = urlsplit(base)
        host, port = parts.hostname, parts.port
    except ValueError:  # a port that is no number, an address in half a bracket
        return {}
    if not host:
        return {}
    return {
        semconv.SERVER_ADDRESS: host,
        semconv.SERVER_PORT: port or (80 if parts.scheme == "http" else 443),
    }


def _trusted(found: dict[str, Any]) -> dict[str, Any]:
    """Without what LiteLLM reckons: zeros for unknown counts, text as the rest, its own costs."""
    found.pop(semconv.TEXT_OUTPUT_TOKENS, None)
    if not found.get(semconv.INPUT_TOKENS) and not found.get(semconv.OUTPUT_TOKENS):
        found.pop(semconv.INPUT_TOKENS, None)
        found.pop(semconv.OUTPUT_TOKENS, None)
    if found.get(semconv.PROVIDER) not in _STATED_COSTS:
        found.pop(semconv.COST_REPORTED, None)
    return found


class _Fold(ChoicesFold):
    """Chunks of choices, and what stands beside them and beside the stream."""

    __slots__ = ("_beside", "_stream")

    def __init__(self) -> None:
        super().__init__()
        self._beside: dict[str, Any] = {}
        self._stream: weakref.ref[Any] | None = None

    def opened(self, stream: Any, /) -> None:
        """The stream itself; what it says of the deployment may change until it ends."""
        self._stream = weakref.ref(stream)

    def add(self, chunk: Any, /) -> None:
        # A chunk without usage has no such attribute, and asking for one is dear.
        try:
            (choice,) = chunk.choices
            if (
                self._named
                and choice.finish_reason is None
                and getattr(choice.delta, "tool_calls", None) is None
                and chunk.__pydantic_extra__.get("usage") is None
            ):
                return
        except (AttributeError, TypeError, ValueError):
            pass
        hidden = get(chunk, "_hidden_params")
        self._follow(chunk, text(hidden, "model_id"))
        _beside(self._beside, hidden)
        super().add(chunk)

    def _follow(self, chunk: Any, deployment: str | None) -> None:
        """The Router may fall back in the middle of a stream: another model then goes on."""
        before = self._beside.get(semconv.MODEL_DEPLOYMENT)
        if deployment is None or before is None or before == deployment:
            return
        self._beside.pop(semconv.RESPONSE_MODEL, None)
        for name, key in ((semconv.RESPONSE_MODEL, "model"), (semconv.RESPONSE_ID, "id")):
            if (stated := text(chunk, key)) is not None:
                self._found[name] = stated

    def attributes(self) -> Attributes:
        found = {**super().attributes(), **self._beside}
        if self._stream is not None and (stream := self._stream()) is not None:
            _beside(found, get(stream, "_hidden_params"))
        return _trusted(found)


def _fold() -> Fold:
    return _Fold()


class _Around:
    """The fold of a wire, and what stands beside its stream."""

    __slots__ = ("_fold", "_stream")

    def __init__(self, fold: Fold) -> None:
        self._fold = fold
        self._stream: weakref.ref[Any] | None = None

    def opened(self, stream: Any, /) -> None:
        """The stream itself."""
        self._stream = weakref.ref(stream)

    def add(self, chunk: Any, /) -> None:
        self._fold.add(chunk)

    def attributes(self) -> Attributes:
        found = dict(self._fold.attributes())
        if self._stream is not None and (stream := self._stream()) is not None:
            _beside(found, get(stream, "_hidden_params"))
        return _trusted(found)


class _Events(_Around):
    """Pieces of server-sent events, as bytes or text: a stream of messages comes as it is sent."""

    __slots__ = ("_kept",)

    def __init__(self, fold: Fold) -> None:
        super().__init__(fold)
        self._kept = b""

    def add(self, chunk: Any, /) -> None:
        if isinstance(chunk, str):
            chunk = chunk.encode("utf-8", "replace")
        if not isinstance(chunk, (bytes, bytearray)):
            self._fold.add(chunk)
            return
        *lines, self._kept = (self._kept + bytes(chunk)).split(b"\n")
        if len(self._kept) > _LONGEST_LINE:
            self._kept = b""
        for line in lines:
            if not line.startswith(b"data:") or b"content_block_delta" in line:
                continue
            try:
                self._fold.add(json.loads(line[5:]))
            except (ValueError, RecursionError):
                continue


_LONGEST_LINE = 2**20
"""Bytes kept of a line that does not end: no event that states usage is longer."""


def _called(
    plain: Surface, around: Callable[[Fold], Fold] = _Around, operation: str | None = None
) -> Surface:
    """The surface of a function of LiteLLM that speaks the wire of `plain`."""
    made = plain.fold

    def request(body: Mapping[str, Any]) -> Attributes:
        return _asked(body, plain)

    def response(answer: Any) -> Attributes:
        found = dict(plain.response(answer))
        _beside(found, get(answer, "_hidden_params"))
        return _trusted(found)

    fold = None if made is None else lambda: around(made())
    asked = operation or plain.operation
    return Surface(asked, request, response, fold, around=True, dials=plain.dials)


_BILLED: tuple[Rule, ...] = (("search_units", semconv.SEARCH_UNITS, some),)


def _rerank_response(answer: Any) -> Attributes:
    """As Cohere states it, whoever was asked."""
    found = dict(_RERANKED.response(answer))
    take(found, members(get(answer, "meta", "billed_units")), _BILLED)
    return found


def _embedding_response(answer: Any) -> Attributes:
    found = dict(_EMBEDDED.response(answer))
    if not found.get(semconv.OUTPUT_TOKENS):
        found.pop(semconv.OUTPUT_TOKENS, None)
    return found


_EMBEDDED, _RERANKED = _called(PLAIN_EMBEDDINGS), _called(PLAIN_RERANK)

COMPLETION = _called(CHAT, lambda _: _Fold())
TEXT_COMPLETION = _called(CHAT, lambda _: _Fold(), "text_completion")
EMBEDDING = _EMBEDDED._replace(response=_embedding_response)
RESPONSES = _called(PLAIN_RESPONSES)
MESSAGES = _called(PLAIN_MESSAGES, _Events)
IMAGE = _called(PLAIN_IMAGES)
TRANSCRIPTION = _called(PLAIN_TRANSCRIPTION)
SPEECH = _called(PLAIN_SPEECH)
MODERATION = _called(PLAIN_MODERATIONS)
RERANK = _RERANKED._replace(response=_rerank_response)
