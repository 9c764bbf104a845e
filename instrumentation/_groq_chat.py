"""Chat completions of Groq: models that a compound one used, tools that it ran, time in the queue.

Shapes: https://github.com/groq/groq-python/blob/main/src/groq/types/chat/chat_completion.py,
.../chat_completion_chunk.py, .../chat_completion_message.py (`executed_tools`)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan import semconv

from . import _chat_completions as chat
from ._estimate import estimating
from ._read import Rule, count, items, members, number, take, text
from ._spec import Attributes

__all__ = ["CHAT"]

_USAGE: tuple[Rule, ...] = (("queue_time", semconv.QUEUE_TIME, number),)

_SEARCHES = frozenset({"search", "web_search", "browser_search"})
_CODE = frozenset({"python", "code_interpreter", "code_execution"})
"""Types of `executed_tools`: https://console.groq.com/docs/compound/built-in-tools"""


def _note_beside(found: dict[str, Any], usage: Any, breakdown: Any) -> None:
    """What stands beside the counts. A compound model states the sum over the models it used."""
    take(found, members(usage), _USAGE)
    used = {
        name
        for each in items(members(breakdown).get("models"))[:128]
        if (name := text(members(each).get("model"))) is not None
    }
    if used:
        found[semconv.MODELS_USED] = sorted(used)


def _note_tools(found: dict[str, Any], ran: list[Any]) -> None:
    kinds = [text(members(each).get("type")) for each in ran]
    for name, those in ((semconv.WEB_SEARCHES, _SEARCHES), (semconv.CODE_RUNS, _CODE)):
        if number_of := sum(kind in those for kind in kinds):
            found[name] = number_of


def _response(answer: Any) -> Attributes:
    found = dict(chat.response(answer))
    body = members(answer)
    _note_beside(found, body.get("usage"), body.get("usage_breakdown"))
    ran: list[Any] = []
    for choice in items(body.get("choices"))[:128]:
        message = members(members(choice).get("message"))
        ran.extend(items(message.get("executed_tools")))
    _note_tools(found, ran)
    return found


class _Fold(chat.ChoicesFold):
    """Chunks whose last one states usage, or why the stream was stopped, under `x_groq`."""

    __slots__ = ("_beside", "_ran")

    def __init__(self) -> None:
        super().__init__()
        self._beside: dict[str, Any] = {}
        self._ran: dict[int, Any] = {}

    def add(self, chunk: Any, /) -> None:
        super().add(chunk)
        try:  # nearly every chunk is one piece of text
            if chunk.x_groq is None:
                (choice,) = chunk.choices
                if choice.delta.executed_tools is None:
                    return
        except (AttributeError, TypeError, ValueError):
            pass
        self._read_more(members(chunk))

    def _read_more(self, chunk: Mapping[str, Any]) -> None:
        if (more := chunk.get("x_groq")) is not None:
            parts = members(more)
            _note_beside(self._beside, parts.get("usage"), parts.get("usage_breakdown"))
            if parts.get("error"):  # a sentence, which may repeat what was asked
                self.error = "stream_error"
        for choice in items(chunk.get("choices"))[:128]:
            delta = members(members(choice).get("delta"))
            for place, tool in enumerate(items(delta.get("executed_tools"))[:128]):
                # A tool is told of again when its output is there.
                index = count(members(tool).get("index"))
                if index in self._ran or len(self._ran) < 128:
                    self._ran[place if index is None else index] = tool

    def attributes(self) -> Attributes:
        found = {**super().attributes(), **self._beside}
        _note_tools(found, list(self._ran.values()))
        return found


CHAT = chat.CHAT._replace(
    response=_response, fold=estimating(_Fold), tells_usage_asked=False, glance=None
)
