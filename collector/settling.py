"""Spans opened: which are calls that nobody has priced, and what settling these says.

Of a span of a new shape everything is read, as the ledger reads it. Of one of a known shape hardly
anything is: see `shapes` and `bill`.
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
from .memory import Judged, Memory
from .opened import Scope, opened
from .ownership import Part, part_of
from .pairs import attributes
from .shapes import MOST_BYTES, Shape
from .span import Reading, Span, fault

__all__ = ["Settling", "Verdict"]


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

    def take(self, scope: Scope, viewed: Sequence[Any], raws: Sequence[bytes]) -> Verdict:
        """Judge the spans of one scope: `viewed` are views of `raws`.

        Raises:
            Malformed: a part of one is no OTLP.
        """
        verdict = Verdict(len(raws))
        known, shapes = self._memory.shapes(scope.name)
        appended, are_short = verdict.appended, max(map(len, raws)) <= MOST_BYTES
        grades: list[str] = []
        for place, span in enumerate(viewed):
            said = span.attributes[:]
            for shape in shapes(tuple(map(known, said)), ()):
                if are_short or len(raws[place]) <= MOST_BYTES:
                    more = shape.appended(span, said, grades)
                    if more is not None:
                        appended[place] = more
                        if not shape.is_usual:
                            self._unusual(verdict, place, shape, raws[place])
                        break
            else:
                self._from_the_beginning(verdict, place, scope, span, raws[place])
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
        if semconv.COST_ROLE in attributes(said):  # an earlier stage's work
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
        known, shapes = self._memory.shapes(scope.name)

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
