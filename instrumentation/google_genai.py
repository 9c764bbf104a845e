"""Google's Gen AI SDK, on the Gemini API and on Vertex AI.

All calls but Interactions and Live sessions go through four methods of one client, with the path
and the JSON of each request; chats, and each turn of automatic function calling, too:
https://github.com/googleapis/python-genai/blob/v1.75.0/google/genai/_api_client.py
Interactions have a client of their own, since 2.9 with one method that sends every request:
`google/genai/_gaos/basesdk.py`, before that like openai's: `google/genai/_interactions/_base_client.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from ._generate_content import COUNT_TOKENS, GENERATE_CONTENT
from ._google_predictions import EMBEDDINGS, IMAGES, VIDEOS, predicts
from ._interactions import FETCHED_INTERACTION, INTERACTIONS, is_begun
from ._live import connects, opens, receives
from ._read import get, members
from ._spec import Asked, Patch, Provider, Sent, Surface

__all__ = ["PROVIDER"]

_VERBS: Mapping[str, Surface] = {
    "generateContent": GENERATE_CONTENT,
    "streamGenerateContent": GENERATE_CONTENT,
    "embedContent": EMBEDDINGS,
    "batchEmbedContents": EMBEDDINGS,
    "predict": IMAGES,
    "predictLongRunning": VIDEOS,
    "countTokens": COUNT_TOKENS,
    "computeTokens": COUNT_TOKENS,
}
"""What stands behind the model in a path. `batchGenerateContent` begins a batch: no answer yet."""


def _sends(given: Mapping[str, Any]) -> Sent | None:
    path, method = given.get("path"), given.get("http_method")
    if not isinstance(path, str) or not isinstance(method, str) or method.lower() != "post":
        return None
    path = path.partition("?")[0]
    resource, _, verb = path.rpartition(":")
    surface = _VERBS.get(verb)
    if surface is None:
        return None
    body = dict(members(given.get("request_dict")))
    if verb == "predict":
        surface = predicts(body)
    body["model"] = _model(resource)
    body["stream"] = verb.startswith("stream")
    return Sent(surface, body, path, _base_url(given))


def _model(resource: str) -> str:
    """The name of a model at the end of a resource's; what is no model of Google's keeps its kind
    (`tunedModels/…`, `endpoints/…`)."""
    *_, kind, name = ("", *resource.split("/"))
    return name if kind in ("models", "") else f"{kind}/{name}"


def _base_url(given: Mapping[str, Any]) -> Any:
    """The request's own address goes before the client's."""
    for options in (given.get("http_options"), get(given.get("self"), "_http_options")):
        if url := members(options).get("base_url"):
            return url
    return ""


def _sends_interaction(given: Mapping[str, Any]) -> Sent | None:
    """Of a request of httpx: an interaction or decision to be made, or one that is fetched."""
    request = given.get("request")
    url, method = str(get(request, "url")), get(request, "method")
    *_, kind, name = ("", "", *urlsplit(url).path.rstrip("/").split("/"))
    if method == "POST" and name in ("interactions", "decisions"):
        return Sent(INTERACTIONS, _json(get(request, "_content")), url)
    if method == "GET" and kind == "interactions" and is_begun(unquote(name)):
        return Sent(FETCHED_INTERACTION, {}, url)
    return None


_LARGEST_BODY = 8 * 2**20
"""Bytes; a larger request is not read for its model: the caller would wait for that."""


def _json(content: Any) -> Mapping[str, Any]:
    try:
        return members(json.loads(content) if len(content) <= _LARGEST_BODY else None)
    except (ValueError, RecursionError, TypeError):
        return {}


def _asked(given: Mapping[str, Any], sent: Sent) -> Asked | None:
    """The body beside a path that names the model, or all of a request of httpx."""
    if (request := given.get("request")) is not None:
        return _asked_interaction(request, sent)
    held, path = members(given.get("request_dict")), str(given.get("path"))
    resource, _, verb = path.rpartition(":")
    collection, _, name = resource.rpartition("/")
    dials = sent.surface.dials
    if dials is not None and not collection.endswith("models"):
        dials = dials._replace(model="")  # an endpoint's or a tuned one

    def instead(body: Mapping[str, Any]) -> Mapping[str, Any]:
        model = str(body["model"]).removeprefix("models/")
        own = {each: value for each, value in body.items() if each != "model"}
        return {"request_dict": own, "path": f"{collection}/{model}:{verb}"}

    return Asked({**held, "model": name}, dials, instead)


def _asked_interaction(request: Any, sent: Sent) -> Asked | None:
    if not sent.body:
        return None

    def instead(body: Mapping[str, Any]) -> Mapping[str, Any]:
        skipped = ("content-length", "transfer-encoding")
        headers = [pair for pair in request.headers.multi_items() if pair[0].lower() not in skipped]
        another = type(request)(
            request.method,
            request.url,
            headers=headers,
            content=json.dumps(dict(body)).encode(),
            extensions=request.extensions,
        )
        return {"request": another}

    return Asked(sent.body, sent.surface.dials, instead)


def _named(client: Any) -> str | None:
    """Vertex AI behind a host of the user's own is still Vertex AI."""
    for owner in (client, get(client, "_api_client")):
        if get(owner, "vertexai") is True:
            return "gcp.vertex_ai"
    return None


PROVIDER = Provider(
    name="gcp.gemini",
    patches=(
        *(
            Patch("google.genai._api_client", f"BaseApiClient.{name}", sends=_sends)
            for name in ("request", "request_streamed", "async_request", "async_request_streamed")
        ),
        *(
            Patch("google.genai._gaos.basesdk", name, sends=_sends_interaction)
            for name in ("BaseSDK.do_request", "AsyncBaseSDK.do_request_async")
        ),
        Patch("google.genai.live", "AsyncLive.connect", sends=connects),
        Patch("google.genai.live", "AsyncSession.__init__", sends=opens),
        Patch("google.genai.live", "AsyncSession._receive", sends=receives),
        *(
            Patch("google.genai._interactions._base_client", f"{kind}APIClient.request")
            for kind in ("Sync", "Async")
        ),
    ),
    paths={"/interactions": INTERACTIONS},
    named=_named,
    asked=_asked,
)


def __getattr__(name: str) -> Any:
    """`Instrumentor`, for the entry point, made when it is asked for."""
    if name != "Instrumentor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._instrumentor import instrumentor

    return instrumentor(__name__)
