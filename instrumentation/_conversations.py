"""Mistral's conversations: a model or an agent that answers, with the tools it runs on the way.

Shapes: https://github.com/mistralai/client-python/blob/main/src/mistralai/client/models/conversationresponse.py,
.../conversationusageinfo.py, .../conversationevents.py, .../completionargs.py
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan import semconv

from . import _chat_completions as chat
from . import _chat_usage
from ._events import inside
from ._mistral_chat import stated, streamed
from ._read import Rule, count, items, members, some, take, text
from ._spec import Attributes, Surface
from ._tools import add_called, add_sent, name_of

__all__ = ["CONVERSATION", "CONVERSATION_STREAM"]

_REQUEST: tuple[Rule, ...] = (
    ("model", semconv.REQUEST_MODEL, text),
    ("agent_id", semconv.AGENT_ID, text),
    ("conversation_id", semconv.CONVERSATION_ID, text),
)
_ANSWER: tuple[Rule, ...] = (("conversation_id", semconv.CONVERSATION_ID, text),)
_ENTRY: tuple[Rule, ...] = (
    ("model", semconv.RESPONSE_MODEL, text),
    ("agent_id", semconv.AGENT_ID, text),
)

_FEES = {
    "web_search": semconv.WEB_SEARCHES,
    "web_search_premium": semconv.WEB_SEARCHES,
    "document_library": semconv.FILE_SEARCHES,
    "code_interpreter": semconv.CODE_RUNS,
}
"""Connectors, whose use is paid by the call: https://docs.mistral.ai/agents/connectors/connectors"""


def _request(body: Mapping[str, Any]) -> Attributes:
    asked = members(body)
    found = dict(chat.request(members(asked.get("completion_args"))))
    found.pop(semconv.REQUEST_MODEL, None)
    take(found, asked, _REQUEST)
    if asked.get("stream") is True:
        found[semconv.REQUEST_STREAM] = True
    add_sent(found, asked.get("tools"))
    return found


def _response(answer: Any) -> Attributes:
    found: dict[str, Any] = {}
    body = members(answer)
    take(found, body, _ANSWER)
    called = []
    for each in items(body.get("outputs")):
        entry = members(each)
        if entry.get("type") == "message.output":
            take(found, entry, _ENTRY)
        elif entry.get("type") == "function.call":
            called.append(name_of(entry))
    add_called(found, called)
    _read_usage(found, body.get("usage"))
    return found


def _read_usage(found: dict[str, Any], usage: Any) -> None:
    """Token counts. What connectors brought in is input that `prompt_tokens` may leave out: where
    it does, the total says so."""
    parts = stated(usage)
    _chat_usage.read_usage(found, parts)
    asked, answered = found.get(semconv.INPUT_TOKENS), found.get(semconv.OUTPUT_TOKENS)
    if (brought := some(parts.get("connector_tokens"))) is not None:
        found[semconv.CONNECTOR_TOKENS] = brought
        if asked is not None and answered is not None:
            total = asked + answered + brought
            if count(parts.get("total_tokens")) == total:
                found[semconv.INPUT_TOKENS] = asked + brought
    for connector, name in _FEES.items():
        if (used := some(members(parts.get("connectors")).get(connector))) is not None:
            found[name] = min(found.get(name, 0) + used, 2**63 - 1)


class _Fold:
    """Events: the first names the conversation, deltas the model, the last states usage."""

    __slots__ = ("_called", "_found", "_usage", "error")

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}
        self._called: dict[str, str] = {}
        self._usage: Any = None
        self.error: str | None = None
        """What failed inside the stream, as `error.type`."""

    def add(self, event: Any, /) -> None:
        parts = members(event)
        kind = parts.get("type")
        if kind == "message.output.delta":
            if semconv.RESPONSE_MODEL not in self._found:
                take(self._found, parts, _ENTRY)
        elif kind == "conversation.response.started":
            take(self._found, parts, _ANSWER)
        elif kind == "function.call.delta":
            which = text(parts.get("tool_call_id")) or text(parts.get("id")) or ""
            if len(self._called) < 128:
                self._called.setdefault(which, name_of(parts))
        elif kind == "conversation.response.done":
            self._usage = parts.get("usage")
        elif kind == "conversation.response.error":
            self.error = str(count(parts.get("code")) or "error")

    def attributes(self) -> Attributes:
        found = dict(self._found)
        add_called(found, self._called.values())
        _read_usage(found, self._usage)
        if self.error is not None:
            found[semconv.ERROR_TYPE] = self.error
        return found


CONVERSATION = Surface("invoke_agent", request=_request, response=_response, fold=inside(_Fold))
CONVERSATION_STREAM = Surface(
    "invoke_agent", request=streamed(_request), response=_response, fold=inside(_Fold)
)
