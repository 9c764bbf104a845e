"""Amazon Bedrock through boto3, botocore, aioboto3 and aiobotocore: the `bedrock-runtime` client.

Clients of AWS services are classes made at run time; all their calls go through one method:
https://github.com/boto/botocore/blob/1.40.61/botocore/client.py. Calls of other services, and those
of this one that ask no model (ApplyGuardrail, asynchronous jobs), pass by after one look at a dict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ._converse import CONVERSE, CONVERSE_STREAM, COUNT_TOKENS
from ._invoke_model import asked_body, operation, surfaces
from ._read import get, text
from ._spec import Patch, Provider, Sent, Surface

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


PROVIDER = Provider(
    name="aws.bedrock",
    patches=(
        Patch("botocore.client", "BaseClient._make_api_call", sends=_sends),
        Patch("aiobotocore.client", "AioBaseClient._make_api_call", sends=_sends),
    ),
)


def __getattr__(name: str) -> Any:
    """`Instrumentor`, for the entry point, made when it is asked for."""
    if name != "Instrumentor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._instrumentor import instrumentor

    return instrumentor(__name__)
