"""Hugging Face's tasks: chat and text generation as they go over the wire, and what has no usage.

The client asks and answers in bytes and lines; what it makes of them comes later:
https://github.com/huggingface/huggingface_hub/blob/v1.0.0/src/huggingface_hub/inference/_common.py
Shapes of text generation: https://huggingface.github.io/text-generation-inference/
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from tollspan import semconv

from . import _chat_completions as chat
from ._estimate import estimating
from ._read import Rule, count, items, members, number, take, text, texts, true, whole
from ._spec import Attributes, Dials, Fold, Surface

__all__ = ["TASKS"]

ROUTER = "router.huggingface.co"

_PARAMETERS: tuple[Rule, ...] = (
    ("max_new_tokens", semconv.REQUEST_MAX_TOKENS, count),
    ("max_tokens", semconv.REQUEST_MAX_TOKENS, count),
    ("temperature", semconv.REQUEST_TEMPERATURE, number),
    ("top_p", semconv.REQUEST_TOP_P, number),
    ("top_k", semconv.REQUEST_TOP_K, number),
    ("frequency_penalty", semconv.REQUEST_FREQUENCY_PENALTY, number),
    ("seed", semconv.REQUEST_SEED, whole),
    ("stop", semconv.REQUEST_STOP_SEQUENCES, texts),
)

_DETAILS: tuple[Rule, ...] = (
    ("finish_reason", semconv.FINISH_REASONS, texts),
    ("generated_tokens", semconv.OUTPUT_TOKENS, count),
    ("input_length", semconv.INPUT_TOKENS, count),
)


def _model(value: Any) -> str | None:
    """A server of one model is asked for `dummy`."""
    stated = text(value)
    return None if stated in (None, "dummy") or str(stated).startswith("http") else stated


def _to(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Model, whom the router was told to ask, and who pays, of a `RequestParameters`."""
    found: dict[str, Any] = {}
    if (model := _model(parameters.get("model"))) is not None:
        found[semconv.REQUEST_MODEL] = model
    if (payer := text(members(parameters.get("headers")).get("x-hf-bill-to"))) is not None:
        found[semconv.BILL_TO] = payer
    try:
        url = urlsplit(text(parameters.get("url")) or "")
        host = url.hostname
    except ValueError:  # an address in half a bracket
        return found
    first = url.path.strip("/").partition("/")[0]
    if host == ROUTER and first not in ("", "v1"):
        found[semconv.RESPONSE_PROVIDER] = first
    return found


def _asked(parameters: Mapping[str, Any]) -> Attributes:
    return _to(members(parameters))


def _chat_request(parameters: Mapping[str, Any]) -> Attributes:
    given = members(parameters)
    found = dict(chat.request(members(given.get("json"))))
    if _model(found.get(semconv.REQUEST_MODEL)) is None:
        found.pop(semconv.REQUEST_MODEL, None)
    return {**_to(given), **found}


def _text_request(parameters: Mapping[str, Any]) -> Attributes:
    given = members(parameters)
    body = members(given.get("json"))
    found = _to(given)
    take(found, body, _PARAMETERS)  # those of other providers stand in the body itself
    take(found, members(body.get("parameters")), _PARAMETERS)
    take(found, body, (("stream", semconv.REQUEST_STREAM, true),))
    return found


def _document(answer: Any) -> Any:
    """The body as JSON; None for what is none."""
    if not isinstance(answer, (str, bytes)):
        return None
    try:
        return json.loads(answer)
    except (ValueError, RecursionError):
        return None


def _chat_response(answer: Any) -> Attributes:
    return chat.response(_document(answer))


def _text_response(answer: Any) -> Attributes:
    document = _document(answer)
    first = items(document)[0] if items(document) else document
    if members(first).get("choices") is not None:
        return chat.response(first)
    found: dict[str, Any] = {}
    details = members(members(first).get("details"))
    take(found, details, _DETAILS)
    if prefill := items(details.get("prefill")):  # the prompt's tokens, for those who ask for them
        found[semconv.INPUT_TOKENS] = len(prefill)
    return found


def _unread(answer: Any) -> Attributes:
    """Nothing: such answers state no usage, and may be megabytes."""
    return {}


class _Lines:
    """Lines of server-sent events; each document goes to a fold."""

    __slots__ = ("_fold",)

    def __init__(self, fold: Fold) -> None:
        self._fold = fold

    def add(self, line: Any, /) -> None:
        if isinstance(line, bytes):
            line = line.decode("utf-8", "replace")
        if not isinstance(line, str) or not line.startswith("data:"):
            return
        if members(document := _document(line[5:])):
            self._fold.add(document)

    def attributes(self) -> Attributes:
        return self._fold.attributes()


class _Tokens:
    """Tokens of text generation; the last one states everything."""

    __slots__ = ("_choices", "_found")

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}
        self._choices = chat.ChoicesFold()

    def add(self, chunk: Any, /) -> None:
        if chunk.get("choices") is not None:
            self._choices.add(chunk)
        take(self._found, members(chunk.get("details")), _DETAILS)
        if failure := chunk.get("error"):
            kind = text(chunk.get("error_type"))
            self._found[semconv.ERROR_TYPE] = kind or chat.error_type(failure)

    def attributes(self) -> Attributes:
        return {**self._choices.attributes(), **self._found}


def _chat_lines() -> Fold:
    return _Lines(estimating(chat.ChoicesFold)())


def _text_lines() -> Fold:
    return _Lines(_Tokens())


def _without_usage(operation: str) -> Surface:
    return Surface(operation, request=_asked, response=_unread)


TASKS: Mapping[str, Surface] = {
    "conversational": Surface(
        "chat",
        request=_chat_request,
        response=_chat_response,
        fold=_chat_lines,
        dials=chat.DIALS,
    ),
    "text-generation": Surface(
        "text_completion",
        request=_text_request,
        response=_text_response,
        fold=_text_lines,
        dials=Dials(limits=(("parameters", "max_new_tokens"),)),
    ),
    "feature-extraction": _without_usage("embeddings"),
    "sentence-similarity": _without_usage("embeddings"),
    "text-to-image": _without_usage("image_generation"),
    "image-to-image": _without_usage("image_generation"),
    "text-to-video": _without_usage("video_generation"),
    "image-to-video": _without_usage("video_generation"),
    "text-to-speech": _without_usage("speech"),
    "automatic-speech-recognition": _without_usage("transcription"),
    "summarization": _without_usage("text_completion"),
    "translation": _without_usage("text_completion"),
    "question-answering": _without_usage("text_completion"),
    "image-to-text": _without_usage("text_completion"),
}
"""By the task that the client names; others (classification, segmentation) are no generation."""
