"""Spans opened: which are calls that nobody has priced, and what settling these says.

Of a span of a new shape everything is read, as the ledger reads it. Of one of a known shape hardly
anything is: see `shapes` and `bill`. Where many are alike, one look is enough: see `moulds`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from tollspan import semconv
from tollspan.processors.foreign import operation

from .bill import appendix
from .clean import cleaned, without
from .foreign import normalised, settled
from .known import Part, part_of
from .memory import Judged, Memory
from .moulds import LOOKED_AT
from .opened import Scope, opened, view
from .pairs import attributes
from .shapes import MOST_BYTES, Shape
from .span import Reading, Span, fault

__all__ = ["Settling", "Verdict"]

_ROLE = semconv.COST_ROLE.encode()


class Verdict:
    """What came of the spans of one scope."""

    def __init__(self, spans: int) -> None:
        self.appended = [b""] * spans
        """By place: fields to append to the span."""
        self.cleaned: dict[int, bytes] = {}
        """By place: spans that something was taken out of, as they are now."""
        self.relevant = bytearray(b"\1") * spans
        """By place: 1 for a span that is part of a call's story."""
        self.priced: Counter[str] = Counter()
        """Spans that something was appended to, by grade."""


class Settling:
    """Settles spans one by one, and remembers how. Safe for several threads."""

    def __init__(self) -> None:
        self._memory = Memory()

    def take(self, scope: Scope, raws: Sequence[bytes]) -> Verdict:
        """Judge the spans of one scope.

        Raises:
            Malformed: one is no OTLP, or a part of it.
        """
        verdict = Verdict(len(raws))
        known, shapes, moulds = self._memory.shapes(scope.name)
        appended = verdict.appended
        grades: list[str] = []
        to_learn = LOOKED_AT
        for place in moulds.settle(raws, appended, grades):
            raw = raws[place]
            span = view(raw)
            said = span.attributes[:]
            for shape in shapes(tuple(map(known, said)), ()):
                if len(raw) <= MOST_BYTES:
                    more = shape.appended(span, said, grades)
                    if more is not None:
                        appended[place] = more
                        if not shape.is_usual:
                            self._unusual(verdict, place, shape, raw)
                        elif to_learn:
                            to_learn -= 1
                            self._memory.cast(moulds, raw, said, shape)
                        break
            else:
                self._from_the_beginning(verdict, place, scope, span, raw)
        verdict.priced.update(grades)
        return verdict

    def _unusual(self, verdict: Verdict, place: int, shape: Shape, raw: bytes) -> None:
        """Note of a span that it is no part of a call, or that something is taken out of it."""
        verdict.relevant[place] = shape.is_relevant
        if shape.hidden:
            verdict.cleaned[place] = without(raw, shape.hidden)

    def _from_the_beginning(
        self, verdict: Verdict, place: int, scope: Scope, viewed: Any, raw: bytes
    ) -> None:
        said = viewed.attributes[:]
        span = opened(raw, viewed, said, {}, scope)
        judged = _judged(span)
        if _ROLE in raw and semconv.COST_ROLE in attributes(said):  # an earlier stage's work
            judged = judged._replace(settled=None)
        kept = cleaned(raw, viewed, said, makes_room=judged.settled is not None)
        if judged.settled is not None:
            own = judged.settled.attributes
            verdict.appended[place] = appendix(own)
            verdict.priced[own.get(semconv.COST_GRADE, "")] += 1
        if kept is not raw:
            verdict.cleaned[place] = kept
        verdict.relevant[place] = judged.is_relevant
        if not fault(span):
            self._memory.learn(scope.name, raw, viewed, said, judged)

    def reading(self, scope: Scope) -> Callable[[Span, bytes, Any, Sequence[bytes]], None]:
        """A function that notes on a span of `scope` how it reads, given its bytes, its view and
        its attributes. Only on those of a known shape that others have not settled."""
        known, shapes, _ = self._memory.shapes(scope.name)

        def read(span: Span, raw: bytes, viewed: Any, raws: Sequence[bytes]) -> None:
            said = span.attributes
            if semconv.COST_ROLE in said or not span.stored_version or operation(said) is None:
                return
            for shape in shapes(tuple(map(known, raws)), ()):
                if shape.fits(viewed, raws):
                    span.reading = shape.reading(raws, said)
                    if span.reading is not None:
                        return
            judged = _judged(span)
            found = judged.settled
            span.reading = (
                Reading(judged.call)
                if found is None
                else Reading(judged.call, found.attributes, found.hops)
            )
            self._memory.learn(scope.name, raw, viewed, raws, judged)

        return read


def _judged(span: Span) -> Judged:
    call = None if fault(span) else normalised(span)
    found = part_of(span, call)
    told = settled(call, (), span.start_ns) if call is not None and found == Part.FOREIGN else None
    return Judged(span, call, told, bool(found))
