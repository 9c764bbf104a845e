"""Azure AI inference (`azure-ai-inference`): any model behind one wire, which is chat completions.

https://github.com/Azure/azure-sdk-for-python/blob/azure-ai-inference_1.0.0b9/sdk/ai/azure-ai-inference/azure/ai/inference/_patch.py
Its models are mappings that keep the JSON they were made from in `_data`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tollspan import semconv

from ._chat_completions import CHAT as PLAIN_CHAT
from ._embeddings import EMBEDDINGS as PLAIN_EMBEDDINGS
from ._read import get, text
from ._spec import Asked, Attributes, Chunks, Fold, Patch, Provider, Sent, Surface

__all__ = ["PROVIDER"]


def _data(value: Any, depth: int = 5) -> Any:
    """The JSON of a model, in which others stand as models; anything else as it is."""
    if isinstance(value, list):
        several = depth > 0 and value and hasattr(value[0], "_data")
        return [_data(each, depth - 1) for each in value[:_MOST]] if several else value
    held = getattr(value, "_data", None)
    if not isinstance(held, dict) or depth == 0:
        return value
    return {name: _data(each, depth - 1) for name, each in held.items()}


_MOST = 128
"""Choices and tool calls that are read of one answer."""


def _json_format(value: Any) -> Any:
    """A schema is given by itself; on the wire it says that it is one."""
    return value if value is None or isinstance(value, (str, dict)) else {"type": "json_schema"}


_KEPT = ("model", "max_tokens", "temperature", "top_p", "frequency_penalty", "presence_penalty",
         "seed", "stop", "tools", "encoding_format", "response_format")  # fmt: skip
"""What a client can be made with, for all its calls."""


def _asked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The body that will be sent: given whole, or made of arguments and of what the client keeps."""
    body = _data(given.get("body"))
    if isinstance(body, Mapping):
        return dict(body)
    client = given.get("self")
    made = {name: getattr(client, f"_{name}", None) for name in _KEPT}
    made |= {name: value for name, value in given.items() if value is not None}
    made["tools"] = _data(made["tools"])
    made["response_format"] = _json_format(_data(made["response_format"]))
    return made


class _Fold:
    """As that of chat completions, of the SDK's models."""

    __slots__ = ("_inner",)

    def __init__(self) -> None:
        assert PLAIN_CHAT.fold is not None
        self._inner: Fold = PLAIN_CHAT.fold()

    def add(self, chunk: Any, /) -> None:
        self._inner.add(_data(chunk))

    def attributes(self) -> Attributes:
        return self._inner.attributes()


def _surface(plain: Surface, api: str) -> Surface:
    """`plain`, for the SDK's models."""

    def request(body: Mapping[str, Any]) -> Attributes:
        return {**plain.request(body), semconv.OPENAI_API: api}

    def response(answer: Any) -> Attributes:
        return plain.response(_data(answer))

    fold = _Fold if plain.fold is not None else None
    return Surface(
        plain.operation, request=request, response=response, fold=fold, dials=plain.dials
    )


def _sends(surface: Surface) -> Callable[[Mapping[str, Any]], Sent]:
    def sends(given: Mapping[str, Any]) -> Sent:
        endpoint = text(get(given.get("self"), "_config", "endpoint"))
        return Sent(surface, _asked(given), "", endpoint or "")

    return sends


def _again(given: Mapping[str, Any], sent: Sent) -> Asked:
    body = {name: each for name, each in sent.body.items() if name != "self" and each is not None}

    def instead(another: Mapping[str, Any]) -> Mapping[str, Any]:
        if given.get("body") is not None:
            return {"body": dict(another)}
        changed = {name: each for name, each in another.items() if each is not body.get(name)}
        return {**changed, **dict.fromkeys(body.keys() - another.keys())}

    return Asked(body, sent.surface.dials, instead)


_ROWS = (
    ("ChatCompletionsClient.complete", _sends(_surface(PLAIN_CHAT, "chat_completions"))),
    ("EmbeddingsClient.embed", _sends(_surface(PLAIN_EMBEDDINGS, "embeddings"))),
    ("ImageEmbeddingsClient.embed", _sends(_surface(PLAIN_EMBEDDINGS, "images_embeddings"))),
)

PROVIDER = Provider(
    name="azure.ai.inference",
    patches=tuple(
        Patch(f"azure.ai.inference.{module}", name, sends=sends)
        for module in ("_patch", "aio._patch")
        for name, sends in _ROWS
    ),
    chunks=(
        Chunks("azure.ai.inference.models._patch", "StreamingChatCompletions"),
        Chunks("azure.ai.inference.models._patch", "AsyncStreamingChatCompletions"),
    ),
    asked=_again,
)


def __getattr__(name: str) -> Any:
    """`Instrumentor`, for the entry point, made when it is asked for."""
    if name != "Instrumentor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._instrumentor import instrumentor

    return instrumentor(__name__)
