"""Chat, fill-in-the-middle and agent completions of Mistral: the usual wire, inside events.

Shapes: https://github.com/mistralai/client-python/blob/main/src/mistralai/client/models/usageinfo.py,
.../chatcompletionresponse.py, .../completionevent.py
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tollspan import semconv

from . import _chat_completions as chat
from . import _chat_usage
from ._embeddings import EMBEDDINGS as PLAIN
from ._estimate import estimating
from ._events import inside
from ._read import Rule, count, members, number, take, text, whole
from ._spec import Attributes, Dials, Surface

__all__ = [
    "AGENT",
    "AGENT_STREAM",
    "CHAT",
    "CHAT_STREAM",
    "EMBEDDINGS",
    "FIM",
    "FIM_STREAM",
    "read_usage",
    "stated",
    "streamed",
]

Request = Callable[[Mapping[str, Any]], Attributes]

_REQUEST: tuple[Rule, ...] = (
    ("random_seed", semconv.REQUEST_SEED, whole),
    ("agent_id", semconv.AGENT_ID, text),
)


def stated(value: Any) -> Mapping[str, Any]:
    """What the provider sent of a JSON object: the SDK's models put 0 for counts that it did not."""
    held = members(value)
    sent = getattr(value, "__pydantic_fields_set__", None)
    if not isinstance(sent, set):
        return held
    extra = getattr(value, "__pydantic_extra__", None) or ()
    return {name: each for name, each in held.items() if name in sent or name in extra}


def read_usage(found: dict[str, Any], usage: Any) -> None:
    """Token counts, and seconds of sound, which are billed beside the tokens of the text."""
    parts = stated(usage)
    _chat_usage.read_usage(found, parts)
    take(found, parts, _USAGE)


def _seconds(value: Any) -> float | None:
    """Seconds of sound, where there was any."""
    seconds = number(value)
    return seconds if seconds is not None and seconds > 0 else None


_USAGE: tuple[Rule, ...] = (
    ("service_tier", semconv.SERVICE_TIER, text),
    ("prompt_audio_seconds", semconv.AUDIO_INPUT_SECONDS, _seconds),
    ("num_cached_tokens", semconv.CACHE_READ_TOKENS, count),
)


def _request(body: Mapping[str, Any]) -> Attributes:
    found = dict(chat.request(body))
    take(found, members(body), _REQUEST)
    return found


def streamed(request: Request) -> Request:
    """`request` of a method that streams, of which only its name says so."""

    def asked(body: Mapping[str, Any]) -> Attributes:
        return request({**members(body), "stream": True})

    return asked


def _response(answer: Any) -> Attributes:
    body = members(answer)
    found = dict(chat.response({**body, "usage": None}))
    if (usage := body.get("usage")) is not None:
        read_usage(found, usage)
    return found


class _Fold(chat.ChoicesFold):
    __slots__ = ()

    def _read(self, chunk: Mapping[str, Any]) -> None:
        super()._read({**chunk, "usage": stated(chunk.get("usage"))})

    def attributes(self) -> Attributes:
        found = dict(super().attributes())
        take(found, members(self._usage), _USAGE)
        return found


_DIALS = Dials(
    limits=(("max_tokens",),),
    tools=("tools", "tool_choice", "parallel_tool_calls"),
    unused={"tool_choice": "none"},
)


def _completion(operation: str) -> tuple[Surface, Surface]:
    """The surface of a method, and of the one that streams."""
    fold = inside(estimating(_Fold))
    plain = Surface(operation, request=_request, response=_response, fold=fold, dials=_DIALS)
    return plain, plain._replace(request=streamed(_request))


CHAT, CHAT_STREAM = _completion("chat")
FIM, FIM_STREAM = _completion("text_completion")
AGENT, AGENT_STREAM = _completion("invoke_agent")
EMBEDDINGS = Surface("embeddings", request=PLAIN.request, response=_response)
