"""The audio wires: speech, transcriptions, translations.

Shapes: https://github.com/openai/openai-python/blob/main/src/openai/types/audio/transcription.py,
.../transcription_verbose.py, .../transcription_text_done_event.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tollspan import semconv

from ._last_usage import last_usage
from ._read import Rule, count, get, members, number, some, take, text, true
from ._spec import Attributes, Surface


def _seconds(value: Any) -> float | None:
    """A duration; `verbose_json` has spelled it as a string."""
    if isinstance(value, str) and len(value) < 32 and value.replace(".", "", 1).isdecimal():
        value = float(value)
    seconds = number(value)
    return seconds if seconds is not None and seconds >= 0 else None


_REQUEST: tuple[Rule, ...] = (
    ("model", semconv.REQUEST_MODEL, text),
    ("temperature", semconv.REQUEST_TEMPERATURE, number),
    ("stream", semconv.REQUEST_STREAM, true),
)

_USAGE: tuple[Rule, ...] = (
    ("input_tokens", semconv.INPUT_TOKENS, count),
    ("output_tokens", semconv.OUTPUT_TOKENS, count),
    ("seconds", semconv.AUDIO_INPUT_SECONDS, _seconds),
)

_INPUT: tuple[Rule, ...] = (
    ("audio_tokens", semconv.AUDIO_INPUT_TOKENS, some),
    ("text_tokens", semconv.TEXT_INPUT_TOKENS, some),
)

_DURATION: tuple[Rule, ...] = (("duration", semconv.AUDIO_INPUT_SECONDS, _seconds),)


def _request(body: Mapping[str, Any]) -> Attributes:
    found: dict[str, Any] = {}
    take(found, members(body), _REQUEST)
    return found


def _speech_request(body: Mapping[str, Any]) -> Attributes:
    return {**_request(body), semconv.OUTPUT_TYPE: "speech"}


def _speech_response(audio: Any) -> Attributes:
    """The answer is sound, and states neither model nor usage; older models are paid by the character
    of what they read, which stands in the request that was answered."""
    asked = get(audio, "response", "request", "content")
    if not isinstance(asked, bytes) or len(asked) > _LONGEST:
        return {}
    try:
        spoken = members(json.loads(asked)).get("input")
    except (ValueError, RecursionError):
        return {}
    return {semconv.INPUT_CHARACTERS: len(spoken)} if isinstance(spoken, str) and spoken else {}


_LONGEST = 1 << 16
"""Bytes of a request that are looked at; a text to be spoken has 4096 characters at most."""


def _response(answer: Any) -> Attributes:
    found: dict[str, Any] = {}
    body = members(answer)
    take(found, body, _DURATION)
    if (usage := body.get("usage")) is not None:
        stated = members(usage)
        take(found, stated, _USAGE)
        if (details := stated.get("input_token_details")) is not None:
            take(found, members(details), _INPUT)
    if semconv.INPUT_TOKENS in found:  # billed by tokens, so the duration is no unit of the bill
        found.pop(semconv.AUDIO_INPUT_SECONDS, None)
    return found


SPEECH = Surface("speech", request=_speech_request, response=_speech_response)
TRANSCRIPTION = Surface(
    "transcription",
    request=_request,
    response=_response,
    fold=last_usage(_response),  # `transcript.text.done` states it
)
TRANSLATION = Surface("translation", request=_request, response=_response)
