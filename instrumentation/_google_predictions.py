"""Google's wires besides generateContent: embeddings, Imagen's images, videos that are yet to come.

The Gemini API has a method for each; on Vertex AI one `predict` serves many kinds of models.
Shapes: https://ai.google.dev/api/embeddings and
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tollspan import semconv

from ._chat_completions import several
from ._google_usage import known, read_usage
from ._read import Rule, count, get, items, members, take, text, whole
from ._spec import Attributes, Surface

__all__ = ["EMBEDDINGS", "IMAGES", "VIDEOS", "predicts"]

_MODEL: tuple[Rule, ...] = (("model", semconv.REQUEST_MODEL, text),)
_PARAMETERS: tuple[Rule, ...] = (
    ("sampleCount", semconv.REQUEST_CHOICE_COUNT, several),
    ("seed", semconv.REQUEST_SEED, whole),
)


def predicts(body: Mapping[str, Any]) -> Surface:
    """What a `predict` asks for: embeddings of contents, or images."""
    first = next(iter(items(body.get("instances"))), None)
    return EMBEDDINGS if "content" in members(first) else IMAGES


# --- embeddings -----------------------------------------------------------------------------------


def _asked(body: Mapping[str, Any]) -> Attributes:
    found: dict[str, Any] = {}
    take(found, members(body), _MODEL)
    return found


_USAGE = re.compile(r'"usageMetadata"\s*:\s*(?={)')
_COUNTED = re.compile(r'"token_count"\s*:\s*(\d{1,15})(?!\d)')


def _embedded(answer: Any) -> Attributes:
    """The tokens that an answer states. Its text is searched, not parsed: it is mostly numbers, of
    which there may be a million."""
    body = get(answer, "body")
    if isinstance(body, str):
        usage, counted = _usage_in(body), [int(each) for each in _COUNTED.findall(body)]
    else:
        said = members(answer)
        usage, counted = said.get("usageMetadata"), list(_counted(said))
    found: dict[str, Any] = {}
    read_usage(found, known(usage))
    found.pop(semconv.OUTPUT_TOKENS, None)
    if semconv.INPUT_TOKENS not in found and counted:
        found[semconv.INPUT_TOKENS] = count(sum(counted))
    return found


def _usage_in(body: str) -> Any:
    place = _USAGE.search(body)
    if place is None:
        return None
    try:
        return json.JSONDecoder().raw_decode(body, place.end())[0]
    except (ValueError, RecursionError):
        return None


def _counted(said: Mapping[str, Any]) -> Iterator[int]:
    """The tokens of each text, as `predict` states them."""
    for each in items(said.get("predictions")):
        statistics = members(members(members(each).get("embeddings")).get("statistics"))
        if (tokens := count(statistics.get("token_count"))) is not None:
            yield tokens


# --- images and videos ----------------------------------------------------------------------------


def _pictured(body: Mapping[str, Any]) -> Attributes:
    found: dict[str, Any] = {semconv.OUTPUT_TYPE: "image"}
    asked = members(body)
    take(found, asked, _MODEL)
    take(found, members(asked.get("parameters")), _PARAMETERS)
    return found


def _filmed(body: Mapping[str, Any]) -> Attributes:
    found: dict[str, Any] = {semconv.BACKGROUND: True}
    asked = members(body)
    take(found, asked, _MODEL)
    take(found, members(asked.get("parameters")), _PARAMETERS)
    return found


def _unstated(answer: Any) -> Attributes:
    """Nothing: such answers state no usage, and what they hold is content."""
    return {}


EMBEDDINGS = Surface("embeddings", request=_asked, response=_embedded)
IMAGES = Surface("image_generation", request=_pictured, response=_unstated)
VIDEOS = Surface("video_generation", request=_filmed, response=_unstated)
"""A video is begun here and billed by the seconds that come out of it: nothing is known of that."""
