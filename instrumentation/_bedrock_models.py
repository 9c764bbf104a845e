"""What a `modelId` of Bedrock names: a model, a profile in front of one, or something of the user's.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#bedrock-runtime_Converse-request-modelId
"""

from __future__ import annotations

import re
from typing import Any

from tollspan import semconv
from tollspan.config import settings

from ._read import text
from ._spec import Attributes

__all__ = ["asked_model", "named_model"]

_ARN = re.compile(r"arn:[a-z0-9-]*:bedrock:[a-z0-9-]*:\d*:(?P<kind>[a-z-]+)/(?P<id>.+)")
_NAMES_MODEL = frozenset({"foundation-model", "inference-profile"})
"""Resources whose own id is a model's, with the region group of a cross-region profile before it.
What stands behind any other (an application's profile, provisioned throughput, an imported model, a
prompt, a router) is known to AWS alone."""


def named_model(name: str) -> str | None:
    """The model that an id or ARN names by itself; None for one that is another name for it."""
    found = _ARN.fullmatch(name)
    if found is None:
        return None if name.startswith("arn:") else name
    return found["id"] if found["kind"] in _NAMES_MODEL else None


def asked_model(model_id: Any) -> Attributes:
    """The model that a request is for: what the settings say of an id of the user's own, the model
    that the id names, or the id as it is."""
    asked = text(model_id)
    if asked is None:
        return {}
    own = asked.rpartition("/")[2]
    chosen = dict(settings().bedrock_models)
    meant = chosen.get(asked) or chosen.get(own)
    if meant is not None:
        return {semconv.REQUEST_MODEL: meant, semconv.MODEL_DEPLOYMENT: own}
    return {semconv.REQUEST_MODEL: named_model(asked) or asked}
