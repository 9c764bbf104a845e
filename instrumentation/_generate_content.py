"""The generateContent wire of the Gemini API and Vertex AI, plain and streamed.

Shapes: https://github.com/googleapis/python-genai/blob/v1.75.0/google/genai/types.py
(`GenerateContentResponse`, `GenerateContentConfig`, `Tool`) and
https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tollspan import semconv

from ._chat_completions import several
from ._google_usage import add_searches, filtered, known, read_usage, reason
from ._read import Rule, count, get, items, members, number, take, text, texts, true, whole
from ._spec import Attributes, Dials, Surface
from ._tools import add_called, add_sent

__all__ = ["COUNT_TOKENS", "GENERATE_CONTENT", "error_of", "output_of", "output_type"]

_LARGEST_BODY = 32 * 2**20
"""Characters; images come inside, and what is larger would take long to parse once more."""


def _document(answer: Any) -> Any:
    """The JSON of an answer: the SDK hands on its text (`body`), its oldest versions what it says."""
    body = get(answer, "body")
    if not isinstance(body, str):
        return answer
    try:
        return json.loads(body) if 0 < len(body) <= _LARGEST_BODY else None
    except (ValueError, RecursionError):
        return None


# --- request --------------------------------------------------------------------------------------


def output_type(mime: Any) -> str | None:
    kind = text(mime)
    return {"application/json": "json", "text/plain": "text"}.get(kind or "")


def output_of(modalities: Any) -> str | None:
    """What is asked for beside text."""
    asked = {each.upper() for each in texts(modalities) or ()}
    return "image" if "IMAGE" in asked else "speech" if "AUDIO" in asked else None


def _level(thinking: Any) -> str | None:
    level = text(members(thinking).get("thinkingLevel"))
    return level.lower() if level else None


_CONFIG: tuple[Rule, ...] = (
    ("temperature", semconv.REQUEST_TEMPERATURE, number),
    ("topP", semconv.REQUEST_TOP_P, number),
    ("topK", semconv.REQUEST_TOP_K, number),
    ("candidateCount", semconv.REQUEST_CHOICE_COUNT, several),
    ("maxOutputTokens", semconv.REQUEST_MAX_TOKENS, count),
    ("stopSequences", semconv.REQUEST_STOP_SEQUENCES, texts),
    ("presencePenalty", semconv.REQUEST_PRESENCE_PENALTY, number),
    ("frequencyPenalty", semconv.REQUEST_FREQUENCY_PENALTY, number),
    ("seed", semconv.REQUEST_SEED, whole),
    ("responseMimeType", semconv.OUTPUT_TYPE, output_type),
    ("responseModalities", semconv.OUTPUT_TYPE, output_of),
    ("thinkingConfig", semconv.REQUEST_REASONING_LEVEL, _level),
)
_MODEL: tuple[Rule, ...] = (
    ("model", semconv.REQUEST_MODEL, text),
    ("stream", semconv.REQUEST_STREAM, true),
)
"""Both stand in the path of the request."""


def read_config(found: dict[str, Any], body: Mapping[str, Any]) -> None:
    """Add to `found` what a request asks for besides its contents."""
    take(found, members(body.get("generationConfig")), _CONFIG)
    if (tools := body.get("tools")) is not None:
        add_sent(found, list(_definitions(tools)))


def _definitions(tools: Any) -> Iterator[Mapping[str, str]]:
    """Each function, and each tool of the server's own, by its name."""
    for tool in items(tools):
        for kind, held in members(tool).items():
            if kind in ("functionDeclarations", "function_declarations"):
                for function in items(held):
                    yield {"name": text(members(function).get("name")) or "unknown"}
            elif held is not None and isinstance(kind, str):
                yield {"name": re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind[:64]).lower()}


def _request(body: Mapping[str, Any]) -> Attributes:
    found: dict[str, Any] = {}
    asked = members(body)
    take(found, asked, _MODEL)
    read_config(found, asked)
    return found


# --- answer ---------------------------------------------------------------------------------------

_ANSWER: tuple[Rule, ...] = (
    ("responseId", semconv.RESPONSE_ID, text),
    ("modelVersion", semconv.RESPONSE_MODEL, text),
)


def error_of(failure: Any) -> str:
    """`error.type` of an error inside an answer: its status, as `RESOURCE_EXHAUSTED`, or its code."""
    stated = members(failure)
    code = stated.get("code")
    return text(stated.get("status")) or text(code) or str(count(code) or "error")


class _Answer:
    """An answer, put together from as many chunks as it came in: each field's last wins.

    `usageMetadata` is a running total.
    """

    __slots__ = ("_blocked", "_called", "_error", "_found", "_reasons", "_searches", "_usage")

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._reasons: dict[int, str] = {}
        self._searches: dict[int, int] = {}
        self._called: list[str] = []
        self._blocked = False
        self._error: str | None = None

    def add(self, chunk: Any, /) -> None:
        body = members(_document(chunk))
        take(self._found, body, _ANSWER)
        self._usage.update(known(body.get("usageMetadata")))
        for at, each in enumerate(items(body.get("candidates"))[:128]):
            self._candidate(at, members(each))
        if text(members(body.get("promptFeedback")).get("blockReason")) is not None:
            self._blocked = True
        if failure := body.get("error"):
            self._error = error_of(failure)

    def _candidate(self, at: int, candidate: Mapping[str, Any]) -> None:
        stated = count(candidate.get("index"))
        at = at if stated is None else stated
        if (ended := reason(candidate.get("finishReason"))) is not None:
            self._reasons[at] = ended
        if queries := items(members(candidate.get("groundingMetadata")).get("webSearchQueries")):
            self._searches[at] = sum(isinstance(query, str) and bool(query) for query in queries)
        for part in items(members(candidate.get("content")).get("parts")):
            if (call := members(part).get("functionCall")) is not None:
                self._called.append(text(members(call).get("name")) or "unknown")

    def attributes(self) -> Attributes:
        found = dict(self._found)
        reasons = [self._reasons[at] for at in sorted(self._reasons)[:128]]
        if reasons:
            found[semconv.FINISH_REASONS] = reasons
        read_usage(found, self._usage)
        add_searches(found, sum(self._searches.values()))
        add_called(found, self._called)
        if self._blocked or filtered(reasons):
            found[semconv.BLOCKED_BY] = "model"
        if self._error is not None:
            found[semconv.ERROR_TYPE] = self._error
        return found


def _response(answer: Any) -> Attributes:
    read = _Answer()
    read.add(answer)
    return read.attributes()


def _counted(answer: Any) -> Attributes:
    """Nothing: what was counted was not used, and counting is free."""
    return {}


DIALS = Dials(
    limits=(("generationConfig", "maxOutputTokens"),),
    tools=("tools", "toolConfig"),
    unused={"toolConfig": {"functionCallingConfig": {"mode": "NONE"}}},
    talk=("contents",),
)

GENERATE_CONTENT = Surface(
    "generate_content", request=_request, response=_response, fold=_Answer, dials=DIALS
)
COUNT_TOKENS = Surface("count_tokens", request=_request, response=_counted)
