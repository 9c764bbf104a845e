"""Live sessions of Gemini: messages over a websocket, and of each turn of the model one call.

Usage comes with a turn's last message or after it, as a running total of the turn. A turn ends when
it is complete, or when the model waits for the results of functions.
https://ai.google.dev/api/live#bidigeneratecontentservermessage and google-genai's `live.py`
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

from tollspan import semconv

from ._google_usage import add_searches, known, read_usage
from ._read import get, items, members, text
from ._spec import Attributes, Sent, Surface
from ._tools import add_called, name_of

__all__ = ["connects", "opens", "receives"]

# --- which model a session is with: only who opens one is told ------------------------------------

_opening: ContextVar[tuple[str, ...]] = ContextVar("tollspan-live-opening", default=())
"""Models of the sessions that are about to be opened here."""
_models: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def connects(given: Mapping[str, Any]) -> None:
    """Of `AsyncLive.connect`: no call of a model, but the last that says which one."""
    if (model := text(given.get("model"))) is not None:
        _opening.set((*_opening.get()[-7:], model.rpartition("/")[2]))


def opens(given: Mapping[str, Any]) -> None:
    """Of `AsyncSession.__init__`. Of two models that are being opened at once neither is known."""
    if len(models := set(_opening.get())) == 1:
        _models[given["self"]] = models.pop()
    _opening.set(())


# --- turns ----------------------------------------------------------------------------------------


class _Turn:
    """What is known of the turn that a session is in."""

    __slots__ = ("_called", "_queries", "_reason", "_said", "_usage")

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._said = False
        self._reason: str | None = None
        """Why it ended, once it has."""
        self._usage: dict[str, Any] = {}
        self._called: list[str] = []
        self._queries = 0

    def heard(self, message: Any) -> Attributes:
        """What the message completes: the turn, or a turn before that stated no usage."""
        parts = members(message)
        content = members(parts.get("server_content"))
        calls = items(members(parts.get("tool_call")).get("function_calls"))
        says = bool(calls) or any(content.get(name) is not None for name in _SAID)
        missed: Attributes = {}
        if says and self._reason is not None:
            missed = self._told()
        self._said = self._said or says
        self._usage.update(known(parts.get("usage_metadata")))
        self._called += map(name_of, calls)
        queries = items(members(content.get("grounding_metadata")).get("web_search_queries"))
        self._queries = max(self._queries, sum(bool(each) for each in queries))
        if content.get("interrupted") is True and self._said:
            self._reason = "interrupted"
        elif calls:
            self._reason = "tool_calls"
        elif content.get("turn_complete") is True and self._said:
            self._reason = self._reason or "stop"
        if self._reason is None or missed or semconv.INPUT_TOKENS not in self._counted():
            return missed
        return self._told()

    def _counted(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        read_usage(found, self._usage)
        return found

    def _told(self) -> Attributes:
        found = self._counted()
        found[semconv.FINISH_REASONS] = [self._reason or "stop"]
        add_searches(found, self._queries)
        add_called(found, self._called)
        self._begin()
        return found


_SAID = ("model_turn", "output_transcription", "generation_complete")
"""What the model itself does; the rest of a message is about the user or the session."""

_turns: WeakKeyDictionary[Any, _Turn] = WeakKeyDictionary()


def receives(given: Mapping[str, Any]) -> Sent:
    """Of `AsyncSession._receive`, which reads one message."""
    session = given["self"]
    turn = _turns.get(session)
    if turn is None:
        turn = _turns[session] = _Turn()
    return Sent(LIVE._replace(response=turn.heard), given, "", _address(session))


def _address(session: Any) -> str:
    """Where the session goes: what the handshake of its websocket said."""
    headers = get(session, "_ws", "request", "headers")
    host = headers.get("Host") if hasattr(headers, "get") else None
    return f"https://{host}" if isinstance(host, str) and host else ""


def _request(given: Mapping[str, Any]) -> Attributes:
    return {semconv.REQUEST_MODEL: _models.get(given["self"])}


def _response(message: Any) -> Attributes:
    return _Turn().heard(message)


LIVE = Surface("generate_content", request=_request, response=_response, heard=True)
