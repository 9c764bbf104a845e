"""Answers that come to somebody who did not ask for them there and then.

A background response is fetched when it is done, a batch's results days later; a realtime session
tells of each answer in an event. Of most such requests and events nothing is to be told; where an
answer stands in one, a span is made of it when it has come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import time_ns
from typing import Any

from opentelemetry import trace

from tollspan import contexts, semconv

from ._call import Call
from ._context import SUPPRESSED, SUPPRESSED_PLAINLY
from ._once import first
from ._spec import Attributes, Surface

__all__ = ["Heard"]


class Heard(Call):
    """In place of a call, until it is known whether there is one."""

    __slots__ = ("_asked", "_identity", "_tracer")

    def __init__(
        self,
        tracer: trace.Tracer,
        surface: Surface,
        asked: Callable[[], Attributes],
        identity: str | None = None,
    ) -> None:
        """Of the answers with one `identity` only the first that come are told of. What an answer
        says to be None is not known, whatever `asked` gives."""
        super().__init__(surface, trace.INVALID_SPAN, time_ns(), None)
        self._tracer = tracer
        self._asked = asked
        self._identity = identity

    def enter(self) -> None:
        """Nothing is current: the request is no part of a call."""

    def leave(self) -> None:
        """Nothing was."""

    def answered(self, response: Any) -> None:
        self._tell([self.surface.response(response)])

    def complete(self) -> None:
        if self._fold is not None and (answers := getattr(self._fold, "answers", None)) is not None:
            self._tell(answers())

    def abandon(self) -> None:
        """What was read in part is told of when it is read whole."""

    def fail(self, error: BaseException) -> None:
        """There was no answer."""

    def end(self, status: str, found: Attributes, failure: str | None = None) -> None:
        """There is no span to end."""

    def _tell(self, answers: Iterable[Attributes]) -> None:
        stated = [each for each in answers if each]
        if not stated or _is_suppressed():
            return
        if self._identity is not None and not first(self._identity):
            return
        asked = self._asked()
        for found in stated:
            own = {
                name: value for name, value in asked.items() if found.get(name, value) is not None
            }
            surface = self.surface
            if (operation := found.get(semconv.OPERATION)) is not None:
                surface = surface._replace(operation=str(operation))
            if found.get(semconv.BACKGROUND):  # known to be the first, so nothing to look up again
                own[semconv.BACKGROUND] = True
                found = {name: found[name] for name in found if name != semconv.BACKGROUND}
            Call.start(self._tracer, surface, own, start_ns=self.start_ns).told(found)


def _is_suppressed() -> bool:
    context = contexts.current()
    return bool(context.get(SUPPRESSED) or context.get(SUPPRESSED_PLAINLY))
