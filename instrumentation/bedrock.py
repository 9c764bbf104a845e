"""Amazon Bedrock through boto3, botocore, aioboto3 and aiobotocore: the `bedrock-runtime` client.

Clients of AWS services are classes made at run time; all their calls go through one method:
https://github.com/boto/botocore/blob/1.40.61/botocore/client.py. Calls of other services, and those
of this one that ask no model (ApplyGuardrail, asynchronous jobs), pass by after one look at a dict.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ._bedrock_bodies import dials_of
from ._converse import CONVERSE, CONVERSE_STREAM, COUNT_TOKENS
from ._invoke_model import asked_body, operation, surfaces
from ._read import get, members, text
from ._spec import Asked, Patch, Provider, Sent, Surface

__all__ = ["PROVIDER"]

_SERVICE = "bedrock-runtime"

_INVOKED: Mapping[str, tuple[Surface, Surface]] = {
    kind: surfaces(kind)
    for kind in ("chat", "text_completion", "embeddings", "rerank", "image_generation")
}


def _plain(surface: Surface) -> Callable[[Mapping[str, Any]], tuple[Surface, Mapping[str, Any]]]:
    return lambda given: (surface, given)


def _invoked(which: int) -> Callable[[Mapping[str, Any]], tuple[Surface, Mapping[str, Any]]]:
    def chosen(given: Mapping[str, Any]) -> tuple[Surface, Mapping[str, Any]]:
        body = asked_body(given.get("api_params"))
        kind = operation(get(given.get("api_params"), "modelId"), body)
        return _INVOKED[kind][which], {**given, "body": body}

    return chosen


_OPERATIONS = {
    "Converse": _plain(CONVERSE),
    "ConverseStream": _plain(CONVERSE_STREAM),
    "CountTokens": _plain(COUNT_TOKENS),
    "InvokeModel": _invoked(0),
    "InvokeModelWithResponseStream": _invoked(1),
}


def _sends(given: Mapping[str, Any]) -> Sent | None:
    chosen = _OPERATIONS.get(given["operation_name"])
    if chosen is None:
        return None
    meta = given["self"].meta
    if meta.service_model.service_name != _SERVICE:
        return None
    surface, body = chosen(given)
    return Sent(surface, body, "", text(meta.endpoint_url) or "")


def _asked(given: Mapping[str, Any], sent: Sent) -> Asked | None:
    params = members(given.get("api_params"))
    if given["operation_name"].startswith("Converse"):
        return Asked(params, sent.surface.dials, lambda body: {"api_params": dict(body)})
    held = asked_body(params, most=2**20)
    if not held:
        return None

    def instead(body: Mapping[str, Any]) -> Mapping[str, Any]:
        own = {name: value for name, value in body.items() if name != "modelId"}
        another = {**params, "modelId": body["modelId"], "body": json.dumps(own).encode()}
        return {"api_params": another}

    body = {**held, "modelId": params.get("modelId")}
    return Asked(body, dials_of(sent.surface.operation, body), instead)


PROVIDER = Provider(
    name="aws.bedrock",
    patches=(
        Patch("botocore.client", "BaseClient._make_api_call", sends=_sends),
        Patch("aiobotocore.client", "AioBaseClient._make_api_call", sends=_sends),
    ),
    asked=_asked,
)


def __getattr__(name: str) -> Any:
    """`Instrumentor`, for the entry point, made when it is asked for."""
    if name != "Instrumentor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._instrumentor import instrumentor

    return instrumentor(__name__)
