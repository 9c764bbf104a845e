"""LiteLLM used as a library: its functions and its Router, each as one call around those it makes.

What the answer does not state, LiteLLM keeps beside it in `_hidden_params`:
https://github.com/BerriAI/litellm/blob/main/litellm/types/utils.py
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from tollspan import semconv

from ._chat_completions import CHAT, ChoicesFold
from ._embeddings import EMBEDDINGS as PLAIN_EMBEDDINGS
from ._read import Rule, count, get, members, take, text
from ._spec import Attributes, Chunks, Fold, Patch, Provider, Surface

__all__ = ["PROVIDER"]

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


def _chat_request(body: Mapping[str, Any]) -> Attributes:
    return _asked(body, CHAT)


def _chat_response(answer: Any) -> Attributes:
    found = dict(CHAT.response(answer))
    _beside(found, get(answer, "_hidden_params"))
    return _trusted(found)


def _embeddings_request(body: Mapping[str, Any]) -> Attributes:
    return _asked(body, PLAIN_EMBEDDINGS)


def _embeddings_response(answer: Any) -> Attributes:
    found = dict(_chat_response(answer))
    if not found.get(semconv.OUTPUT_TOKENS):
        found.pop(semconv.OUTPUT_TOKENS, None)
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
                and chunk.__pydantic_extra__.get("usage") is None
            ):
                return
        except (AttributeError, TypeError, ValueError):
            pass
        _beside(self._beside, get(chunk, "_hidden_params"))
        super().add(chunk)

    def attributes(self) -> Attributes:
        found = {**super().attributes(), **self._beside}
        if self._stream is not None and (stream := self._stream()) is not None:
            _beside(found, get(stream, "_hidden_params"))
        return _trusted(found)


def _fold() -> Fold:
    return _Fold()


COMPLETION = Surface("chat", request=_chat_request, response=_chat_response, fold=_fold)
TEXT_COMPLETION = Surface(
    "text_completion", request=_chat_request, response=_chat_response, fold=_fold
)
EMBEDDING = Surface("embeddings", request=_embeddings_request, response=_embeddings_response)

PROVIDER = Provider(
    name="litellm",
    # The package's own names, through which users and the Router call. Inside `litellm.main` the
    # functions call one another by other names, so one call is not seen twice.
    patches=(
        Patch("litellm", "completion", COMPLETION),
        Patch("litellm", "acompletion", COMPLETION),
        Patch("litellm", "text_completion", TEXT_COMPLETION),
        Patch("litellm", "atext_completion", TEXT_COMPLETION),
        Patch("litellm", "embedding", EMBEDDING),
        Patch("litellm", "aembedding", EMBEDDING),
        Patch("litellm.router", "Router.completion", COMPLETION),
        Patch("litellm.router", "Router.acompletion", COMPLETION),
        Patch("litellm.router", "Router.text_completion", TEXT_COMPLETION),
        Patch("litellm.router", "Router.atext_completion", TEXT_COMPLETION),
        Patch("litellm.router", "Router.embedding", EMBEDDING),
        Patch("litellm.router", "Router.aembedding", EMBEDDING),
    ),
    chunks=(
        Chunks("litellm.litellm_core_utils.streaming_handler", "CustomStreamWrapper"),
        Chunks("litellm.utils", "TextCompletionStreamWrapper"),
    ),
)


def __getattr__(name: str) -> Any:
    """`Instrumentor`, for the entry point, made when it is asked for."""
    if name != "Instrumentor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._instrumentor import instrumentor

    return instrumentor(__name__)
