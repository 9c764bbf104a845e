"""Who pays within one trace: one owner per answer, whatever the order the spans came in.

A pure function of the set of spans known of the trace, and of the owners that the ids of gateways
name in other traces. tollspan's own call spans say what they are; among them the outermost owns.
GenAI spans of other instrumentations own what no span of ours covers above or below them, those
that state usage before those that do not, the outermost first. What a gateway asked a model for
itself (a judge, an embedding) restates nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tollspan import semconv
from tollspan.processors.dialect_gateways import is_extra
from tollspan.processors.logfire import is_note

from .known import RESTATED, Known, Part
from .same_answer import DEEPEST, Alike, is_cut, states_usage

__all__ = ["ancestors", "owners", "says_restated", "states_restated"]


def ancestors(spans: Mapping[str, Known], span_id: str) -> list[str]:
    """Ids of the calls above `span_id` that are known, nearest first."""
    found: list[str] = []
    seen = {span_id}
    known = spans.get(span_id)
    while known is not None and known.parent_id not in seen and len(seen) < DEEPEST:
        seen.add(known.parent_id)
        above = spans.get(known.parent_id)
        if above is not None and above.is_call:
            found.append(known.parent_id)
        known = above
    return found


def owners(
    spans: Mapping[str, Known], calls: Sequence[str], elsewhere: Mapping[str, str] | None = None
) -> dict[str, str]:
    """For each id in `calls` the id of the span that owns its answer; an owner owns itself.

    `elsewhere`: of calls whose keys another trace has heard, the owner there.
    """
    elsewhere = elsewhere or {}
    above = {call: ancestors(spans, call) for call in calls}
    decided: dict[str, str] = {}
    alike = Alike(spans)
    inside: dict[str, str] = {}
    """By the id of a call above: the owner of the first answer that is told below it."""
    order = sorted(calls, key=lambda call: (*_rank(spans[call], len(above[call])), call))
    for call in order:
        known, beside = spans[call], None
        owner = next((each for each in reversed(above[call]) if decided.get(each) == each), None)
        if owner is not None and _is_besides(known, spans[owner]):
            owner = None
        elif owner is None:
            extra = known.span is not None and is_extra(known.span.attributes)
            owner = None if extra else elsewhere.get(call)
            if owner is None and known.part == Part.FOREIGN:
                beside = None if call in inside else alike.owner_of(known)
                owner = inside.get(call, beside)
            if owner is None and says_restated(known) and not _lost_its_owner(spans, known):
                owner = _named_owner(known)
        decided[call] = owner if owner is not None else call
        alike.add(call, decided[call])
        if owner is None or owner == beside:
            for each in above[call]:
                inside.setdefault(each, decided[call])
    return decided


def _is_besides(known: Known, owner: Known) -> bool:
    """Whether a gateway made the call for itself, besides the one that it carried."""
    if known.span is None or owner.span is None:
        return False
    if known.part == Part.OURS:
        return semconv.CALL_PURPOSE in known.span.attributes and not says_restated(known)
    return is_extra(known.span.attributes)


def _lost_its_owner(spans: Mapping[str, Known], known: Known) -> bool:
    """Whether the owner that a span of ours names should be above it and has not come (yet).

    Until it does, what is known of the answer is what the span restates.
    """
    if _named_owner(known) in spans or not states_restated(known):
        return False
    # Where the trace is whole, the owner is in another one.
    return is_cut(spans, known)


def states_restated(known: Known) -> bool:
    """Whether a restated span of ours kept enough to be priced by."""
    said = known.span.attributes if known.span is not None else {}
    return semconv.RESTATED_INPUT_TOKENS in said or semconv.RESTATED_OUTPUT_TOKENS in said


def _rank(known: Known, depth: int) -> tuple[int, int, int]:
    """Who is asked first, below whom it stands, and when it began.

    Of two that tell of one answer side by side the one that began later owns it: the SDK's, inside
    the framework's, knows more of it.
    """
    span = known.span
    return _weight(known), depth, -span.start_ns if span is not None else 0


def _weight(known: Known) -> int:
    if known.part == Part.OURS:
        return 1 if says_restated(known) else 0
    told = known.settled
    if states_usage(told):
        return 3 if known.span is not None and is_note(known.span.attributes) else 2
    return 4 if semconv.INPUT_TOKENS in told or semconv.OUTPUT_TOKENS in told else 5


def says_restated(known: Known) -> bool:
    span = known.span
    return span is not None and span.attributes.get(semconv.COST_ROLE) == RESTATED


def _named_owner(known: Known) -> str:
    named = known.span.attributes.get(semconv.OWNER_SPAN_ID) if known.span else None
    return named if isinstance(named, str) and len(named) == 16 else ""
