"""Calls of one trace that tell of one answer: by its id, its request, its numbers and its times."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from tollspan import semconv
from tollspan.processors.beside import say_the_same
from tollspan.processors.dialect_gateways import is_extra
from tollspan.processors.logfire import is_note
from tollspan.processors.models import split, undated

from .known import Known, Part
from .links import REQUEST
from .span import Span

__all__ = ["DEEPEST", "Alike", "is_cut", "states_usage", "tells_again"]

MOST_ALIKE = 64
"""Calls that one call is compared with, of those that state the same."""
MOST_PASSED = 512
"""Calls that are passed over because they have been told already."""

DEEPEST = 512
"""Parents followed upwards; a longer chain, or a circle, ends there."""

NOTED_WITHIN_NS = 10**9
"""A record of a stream that has ended is written within a second."""

CALLED_WITHIN_NS = 10**8
"""Callbacks for one event are called one after the other, within a tenth of a second."""


def tells_again(known: Known, other: Known) -> bool:
    """Whether two calls of other instrumentations that share an id are about one answer.

    Of one instrumentation in one process they are two calls, answered from a gateway's cache.
    """
    one, two = known.span, other.span
    if one is None or two is None or not states_usage(other.normalised):
        return False
    return one.scope != two.scope or one.resource != two.resource


class Alike:
    """The calls of one trace whose owner is known, in that order, and which of them a further one is.

    A trace may have thousands of calls: each is compared with those that can be the same, and of
    these with the first `MOST_ALIKE`, or the last.
    """

    def __init__(self, spans: Mapping[str, Known]) -> None:
        self._spans = spans
        self._owners: dict[str, str] = {}
        self._places: dict[str, int] = {}
        self._by: dict[tuple[Any, ...], list[str]] = {}
        self._scopes: set[str] = set()
        self._told: set[tuple[str, str]] = set()
        """Owners, and scopes that have told their answers: each tells one once."""

    def add(self, call: str, owner: str) -> None:
        known = self._spans[call]
        self._owners[call] = owner
        self._places[call] = len(self._places)
        said = _said(known)
        usage = _usage(said)
        keys: list[tuple[Any, ...]] = [*_requests(known), usage]
        if answer := _text(said):
            keys.append(("answer", answer))
        if is_cut(self._spans, known):
            keys.append(("cut", *usage))
        if known.span is not None:
            scope = known.span.scope
            keys.append((scope, *_tokens(usage)))
            self._scopes.add(scope)
            if owner == call:
                self._told.add((owner, scope))
        for key in keys:
            self._by.setdefault(key, []).append(call)

    def owner_of(self, known: Known) -> str | None:
        """The owner of the same request or answer: of a sibling that logs it, too.

        By the id that a gateway gave the request: of its attempts those that state no usage are part
        of the one that answered. By response id at the same time, told by two instrumentations: an
        id alone is not enough, a gateway's cache repeats it in a later call. By its numbers and its
        times, see `_stand_beside`.
        """
        span = known.span
        if span is None:
            return None
        stated = states_usage(known.settled)
        for each in self._to(known, stated):
            other, owner = self._spans[each], self._owners[each]
            if other.span is None:
                continue
            if not stated and not _requests(known).isdisjoint(_requests(other)):
                return owner
            if _answer_alike(known, other):
                return owner
            if stated and _are_cut_off(self._spans, known, other) and _enclose(span, other.span):
                return owner
        return self._told_beside(known, span.scope) if stated else None

    def _told_beside(self, known: Known, scope: str) -> str | None:
        """The owner of an answer that `known` tells again, and that nothing of its `scope` has told yet.

        Of several it is the one that ends last: calls come here by their starts, the last first, so
        that each of as many as can be finds one.
        """
        near = self._near(known, scope)
        for each in sorted(near, key=lambda each: (-_ends(self._spans[each]), each)):
            if _stand_beside(known, self._spans[each]):
                self._told.add((self._owners[each], scope))
                return self._owners[each]
        return None

    def _to(self, known: Known, stated: bool) -> list[str]:
        """Calls that may tell of the answer that `known` tells of."""
        said = known.settled
        keys: list[tuple[Any, ...]] = []
        if answer := _text(said):
            keys.append(("answer", answer))
        if not stated:
            keys += _requests(known)
        else:
            usage = _usage(said)
            keys.append(usage if is_cut(self._spans, known) else ("cut", *usage))
        found = {call for key in keys for call in self._by.get(key, ())[:MOST_ALIKE]}
        return sorted(found, key=self._places.__getitem__)

    def _near(self, known: Known, scope: str) -> set[str]:
        """Calls with as many tokens that other scopes tell of and `scope` has not yet. What a span
        encloses began soon after it, and so came here shortly before it."""
        tokens = _tokens(_usage(known.settled))
        found: set[str] = set()
        for other in self._scopes - {scope}:
            last = reversed(self._by.get((other, *tokens), ())[-MOST_PASSED:])
            untold = (each for each in last if (self._owners[each], scope) not in self._told)
            found.update(islice(untold, MOST_ALIKE))
        return found


def _usage(said: Mapping[str, Any]) -> tuple[Any, ...]:
    told = (said.get(semconv.INPUT_TOKENS), said.get(semconv.OUTPUT_TOKENS))
    return tuple(each if isinstance(each, int | float) else None for each in told)


def _tokens(usage: tuple[Any, ...]) -> tuple[Any, ...]:
    """What two that tell of one answer state alike: some count cached tokens as input, some do not."""
    return usage[1:] if usage[1] else usage


def _text(said: Mapping[str, Any]) -> str:
    found = said.get(semconv.RESPONSE_ID)
    return found if isinstance(found, str) else ""


def _answer_alike(known: Known, other: Known) -> bool:
    """Whether two instrumentations tell of answers of one id at one time."""
    one, two = known.span, other.span
    said = known.settled.get(semconv.RESPONSE_ID)
    return bool(
        said
        and one is not None
        and two is not None
        and one.status != "error"
        and two.scope != one.scope
        and _said(other).get(semconv.RESPONSE_ID) == said
        and two.start_ns <= max(one.end_ns, one.start_ns)
        and one.start_ns <= max(two.end_ns, two.start_ns)
    )


def _stand_beside(known: Known, other: Known) -> bool:
    """Whether two instrumentations of one service tell of the same numbers at one time.

    Callbacks (LangChain) and wrappers that do not make their span the current one leave no
    parentage, and of a stream no id: their span is a sibling of the SDK's, around it in time.
    """
    one, two = known.span, other.span
    if one is None or two is None or one.scope == two.scope:
        return False
    if is_note(one.attributes):
        if not _notes_end(one, two):
            return False
    elif not (_enclose(one, two) or _run_alike(one, two)):
        return False
    if one.service != two.service or is_extra(one.attributes) or is_extra(two.attributes):
        return False
    said = _said(other)
    ids = _text(known.settled), _text(said)
    return not (all(ids) and ids[0] != ids[1]) and say_the_same(known.settled, said)


def _ends(known: Known) -> int:
    return known.span.end_ns if known.span is not None else 0


def _notes_end(note: Span, span: Span) -> bool:
    """Whether `note` was taken as `span` ended."""
    return span.start_ns <= note.start_ns <= span.end_ns + NOTED_WITHIN_NS


def _are_cut_off(spans: Mapping[str, Known], known: Known, other: Known) -> bool:
    """Whether two calls state the same of one model, and a span between them may be missing: the
    way up from one of them ends at one that has not come."""
    one, two = known.settled, _said(other)
    return (
        all(
            one.get(name) == two.get(name) for name in (semconv.INPUT_TOKENS, semconv.OUTPUT_TOKENS)
        )
        and not _models(one).isdisjoint(_models(two))
        and (other.part == Part.OURS or tells_again(known, other))
        and (is_cut(spans, known) or is_cut(spans, other))
    )


def _models(told: Mapping[str, Any]) -> set[str]:
    names = (semconv.REQUEST_MODEL, semconv.RESPONSE_MODEL, semconv.MODEL_SERVED)
    stated = (told.get(name) for name in names)
    return {undated(split(each)[1]) for each in stated if isinstance(each, str) and each}


def _enclose(one: Span, other: Span) -> bool:
    """Whether one of two spans lies within the other in time."""
    first, second = (one, other) if one.start_ns <= other.start_ns else (other, one)
    return second.end_ns <= first.end_ns or one.start_ns == other.start_ns


def _run_alike(one: Span, other: Span) -> bool:
    """Whether two spans began and ended together, as those of two callbacks do: who is told first of the
    beginning is told first of the end."""
    return (
        abs(one.start_ns - other.start_ns) <= CALLED_WITHIN_NS
        and abs(one.end_ns - other.end_ns) <= CALLED_WITHIN_NS
    )


def is_cut(spans: Mapping[str, Known], known: Known) -> bool:
    seen: set[str] = set()
    above: Known | None = known
    while above is not None and above.parent_id not in seen and len(seen) < DEEPEST:
        if not above.parent_id:
            return False
        seen.add(above.parent_id)
        above = spans.get(above.parent_id)
    return above is None


def _requests(known: Known) -> set[tuple[str, ...]]:
    return {("request", key) for key in known.bears if key.startswith(REQUEST)}


def _said(known: Known) -> Mapping[str, Any]:
    if known.part == Part.OURS and known.span is not None and not known.settled:
        return known.span.attributes
    return known.settled


def states_usage(told: Mapping[str, Any]) -> bool:
    return bool(told.get(semconv.INPUT_TOKENS) or told.get(semconv.OUTPUT_TOKENS))
