"""Vertex AI's older SDK (google-cloud-aiplatform), over gRPC and REST.

Models answer through four methods, whatever is called above them:
https://github.com/googleapis/python-aiplatform/blob/v1.91.0/vertexai/generative_models/_generative_models.py
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from copy import copy
from functools import partial
from typing import Any

from tollspan import semconv

from ._generate_content import GENERATE_CONTENT
from ._read import count, get, items, text
from ._spec import Asked, Attributes, Fold, Patch, Provider, Sent, Surface
from ._vertex_messages import camel, definitions, first, plain

__all__ = ["PROVIDER"]

_MODELS = "vertexai.generative_models._generative_models"
_EMBEDDERS = "vertexai.language_models._language_models"


def _document(answer: Any) -> Any:
    """The JSON of an answer, with the thoughts that the SDK drops, as its messages have no field for
    them: they are what the total has more than its parts."""
    found = plain(answer)
    usage = get(found, "usageMetadata")
    if isinstance(usage, dict) and "thoughtsTokenCount" not in usage:
        total = count(usage.get("totalTokenCount")) or 0
        parts = ("promptTokenCount", "candidatesTokenCount", "toolUsePromptTokenCount")
        rest = total - sum(count(usage.get(part)) or 0 for part in parts)
        if rest > 0:
            usage["thoughtsTokenCount"] = rest
    return found


class _Fold:
    """The fold of the wire, shown its JSON."""

    __slots__ = ("_fold",)

    def __init__(self) -> None:
        assert GENERATE_CONTENT.fold is not None
        self._fold: Fold = GENERATE_CONTENT.fold()

    def add(self, chunk: Any, /) -> None:
        self._fold.add(_document(chunk))

    def attributes(self) -> Attributes:
        return self._fold.attributes()


_CHAT = GENERATE_CONTENT._replace(
    response=lambda answer: GENERATE_CONTENT.response(_document(answer)),
    fold=_Fold,
)


def _sends(given: Mapping[str, Any], stream: bool = False) -> Sent:
    resource = text(get(given.get("self"), "_prediction_resource_name")) or ""
    body = {
        "model": _model(resource),
        "stream": stream,
        "generationConfig": camel(first(given, "generation_config")),
        "tools": definitions(first(given, "tools")),
    }
    return Sent(_CHAT, body, "", _address(resource))


def _model(resource: str) -> str:
    """The name at the end of a resource's; an endpoint's keeps its kind."""
    kind, _, name = resource.rpartition("/")
    return f"endpoints/{name}" if kind.endswith("/endpoints") else name


def _address(resource: str) -> str:
    """Where the SDK goes: to what `vertexai.init(api_endpoint=...)` said, or the location's host."""
    settings = get(sys.modules.get("google.cloud.aiplatform.initializer"), "global_config")
    stated = text(get(settings, "_api_endpoint"))
    if stated is None:
        _, _, rest = resource.partition("/locations/")
        location = rest.partition("/")[0].lower()
        default = "aiplatform.googleapis.com"
        stated = f"{location}-{default}" if location not in ("", "global") else default
    return stated if "://" in stated else f"https://{stated}"


def _asked_of(given: Mapping[str, Any], sent: Sent) -> Asked | None:
    """A model of the SDK is half of its request: another one is asked for by a copy of it."""
    model: Any = given.get("self")
    if sent.surface.dials is None:
        return None
    contents = given.get("contents")
    parts = items(contents) or [contents]
    body = {**sent.body, "contents": [_json(each) for each in parts]}
    body["generationConfig"] = dict(body["generationConfig"] or {})

    def instead(another: Mapping[str, Any]) -> Mapping[str, Any]:
        made = copy(model)
        changed: dict[str, Any] = {"self": made}
        if another["model"] != body["model"]:
            resource = str(get(model, "_prediction_resource_name")).rpartition("/")[0]
            made._prediction_resource_name = f"{resource}/{another['model']}"
        if "tools" not in another:
            made._tools = made._tool_config = None
            changed |= {"tools": None, "tool_config": None}
        most = get(another, "generationConfig", "maxOutputTokens")
        if most != get(body, "generationConfig", "maxOutputTokens"):
            config = first(given, "generation_config")
            own = config.to_dict() if hasattr(config, "to_dict") else dict(config or {})
            changed["generation_config"] = {**own, "max_output_tokens": most}
        return changed

    dials = sent.surface.dials
    if not str(get(model, "_prediction_resource_name")).rpartition("/")[0].endswith("/models"):
        dials = dials._replace(model="")
    return Asked(body, dials, instead)


def _json(part: Any) -> Any:
    return part.to_dict() if hasattr(part, "to_dict") else part


# --- embeddings -----------------------------------------------------------------------------------


def _embeds(given: Mapping[str, Any]) -> Sent:
    resource = text(get(given.get("self"), "_endpoint_name")) or ""
    return Sent(_EMBEDDINGS, given, "", _address(resource))


def _asked(given: Mapping[str, Any]) -> Attributes:
    name = text(get(given.get("self"), "_model_id"))
    return {semconv.REQUEST_MODEL: name.rpartition("/")[2] if name else None}


def _embedded(answer: Any) -> Attributes:
    counts = [_tokens(get(each, "statistics", "token_count")) for each in items(answer)]
    known = [each for each in counts if each is not None]
    return {semconv.INPUT_TOKENS: count(sum(known))} if known else {}


def _tokens(value: Any) -> int | None:
    """It comes as a float, as every number of a prediction does."""
    return count(int(value) if isinstance(value, float) and value.is_integer() else value)


_EMBEDDINGS = Surface("embeddings", request=_asked, response=_embedded)

PROVIDER = Provider(
    name="gcp.vertex_ai",
    patches=(
        *(
            Patch(_MODELS, f"_GenerativeModel._generate_content{kind}", sends=sends)
            for kind, sends in (
                ("", _sends),
                ("_async", _sends),
                ("_streaming", partial(_sends, stream=True)),
                ("_streaming_async", partial(_sends, stream=True)),
            )
        ),
        *(
            Patch(_EMBEDDERS, f"_TextEmbeddingModel.get_embeddings{kind}", sends=_embeds)
            for kind in ("", "_async")
        ),
    ),
    asked=_asked_of,
)


def __getattr__(name: str) -> Any:
    """`Instrumentor`, for the entry point, made when it is asked for."""
    if name != "Instrumentor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._instrumentor import instrumentor

    return instrumentor(__name__)
