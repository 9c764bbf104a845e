"""Who pays within one trace: one owner per answer, whatever the order the spans came in.

A pure function of the set of spans known of the trace, and of the owners that the ids of gateways
name in other traces. tollspan's own call spans say what they are; among them the outermost owns.
GenAI spans of other instrumentations own what no span of ours covers above or below them, those
that state usage before those that do not, the outermost first. What a gateway asked a model for
itself (a judge, an embedding) restates nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tollspan import semconv
from tollspan.processors.dialect_gateways import is_extra
from tollspan.processors.models import split, undated

from .evidence import is_evidence
from .links import REQUEST
from .span import Span

__all__ = [
    "Known",
    "Part",
    "ancestors",
    "owners",
    "part_of",
    "says_restated",
    "states_restated",
    "tells_again",
]

INFERENCE = frozenset(
    {"chat", "text_completion", "generate_content", "embeddings", "rerank", "image_generation"}
)
"""Operations that a model is paid for. https://opentelemetry.io/docs/specs/semconv/gen-ai/"""

OWNER, RESTATED = "owner", "restated"
MOST_ALIKE = 64
"""Calls that one call is compared with, of those that state the same."""

DEEPEST = 512
"""Parents followed upwards; a longer chain, or a circle, ends there."""


class Part:
    """What a span is to a call."""

    OURS = "ours"
    FOREIGN = "foreign"
    ATTEMPT = "attempt"
    HOP = "hop"
    EVIDENCE = "evidence"
    PROOF = "proof"
    """Of what `tollspan wire prove` found about a hop of the call above it."""
    OTHER = ""


@dataclass(slots=True)
class Known:
    """What is remembered of one span: all of it for calls, attempts and hops, else its place."""

    parent_id: str
    version: int
    part: str
    span: Span | None
    normalised: Mapping[str, Any] = field(default_factory=dict)
    """Of a foreign call: its attributes in standard names."""
    settled: Mapping[str, Any] = field(default_factory=dict)
    """These with cost and path."""
    hops: Sequence[Mapping[str, Any]] = ()
    settled_from: tuple[int, ...] = ()
    """Versions of the attempts that `settled` was derived from."""
    bears: tuple[str, ...] = ()
    """Keys of its own request or answer, which join it to a call in another trace."""
    hears: tuple[str, ...] = ()
    """Keys that the answer to it brought."""

    @property
    def is_call(self) -> bool:
        return self.part in (Part.OURS, Part.FOREIGN)


def part_of(span: Span, normalised: Mapping[str, Any] | None) -> str:
    """What `span` is. `normalised`: its attributes in standard names where it speaks GenAI."""
    attributes = span.attributes
    if attributes.get(semconv.HOP_ROLE):
        return Part.HOP
    if attributes.get(semconv.COST_ROLE) in (OWNER, RESTATED):
        return Part.OURS
    if semconv.HOP_REDACTION in attributes:
        return Part.PROOF
    if semconv.ATTEMPT in attributes or (
        span.kind == "client" and semconv.HTTP_METHOD in attributes and not normalised
    ):
        return Part.ATTEMPT
    if normalised is not None and (
        span.kind in ("client", "internal", "unspecified") or _is_of_gateway(span, normalised)
    ):
        billable = normalised.get(semconv.OPERATION) in INFERENCE or semconv.TOLD_FROM in attributes
        named = normalised.get(semconv.REQUEST_MODEL) or normalised.get(semconv.RESPONSE_MODEL)
        if billable and named:
            return Part.FOREIGN
    return Part.EVIDENCE if is_evidence(span) else Part.OTHER


def _is_of_gateway(span: Span, normalised: Mapping[str, Any]) -> bool:
    """Traefik writes what it knows of the call on the span of the request that it serves."""
    states = semconv.INPUT_TOKENS in normalised or semconv.OUTPUT_TOKENS in normalised
    return span.kind == "server" and states and not is_evidence(span)


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
    alike = _Alike(spans)
    inside: dict[str, str] = {}
    """By the id of a call above: the first owner that stands below it."""
    order = sorted(calls, key=lambda call: (_rank(spans[call]), len(above[call]), call))
    for call in order:
        known = spans[call]
        owner = next((each for each in reversed(above[call]) if decided.get(each) == each), None)
        if owner is not None and _is_besides(known, spans[owner]):
            owner = None
        elif owner is None:
            extra = known.span is not None and is_extra(known.span.attributes)
            owner = None if extra else elsewhere.get(call)
            if owner is None and known.part == Part.FOREIGN:
                owner = inside.get(call) or _same_answer(spans, decided, known, alike.to(known))
            if owner is None and says_restated(known) and not _lost_its_owner(spans, known):
                owner = _named_owner(known)
        decided[call] = owner if owner is not None else call
        alike.add(call)
        if owner is None:
            for each in above[call]:
                inside.setdefault(each, call)
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
    return _is_cut(spans, known)


def states_restated(known: Known) -> bool:
    """Whether a restated span of ours kept enough to be priced by."""
    said = known.span.attributes if known.span is not None else {}
    return semconv.RESTATED_INPUT_TOKENS in said or semconv.RESTATED_OUTPUT_TOKENS in said


def _rank(known: Known) -> int:
    if known.part == Part.OURS:
        return 1 if says_restated(known) else 0
    told = known.settled
    if _states_usage(told):
        return 2
    return 3 if semconv.INPUT_TOKENS in told or semconv.OUTPUT_TOKENS in told else 4


def says_restated(known: Known) -> bool:
    span = known.span
    return span is not None and span.attributes.get(semconv.COST_ROLE) == RESTATED


def _named_owner(known: Known) -> str:
    named = known.span.attributes.get(semconv.OWNER_SPAN_ID) if known.span else None
    return named if isinstance(named, str) and len(named) == 16 else ""


def tells_again(known: Known, other: Known) -> bool:
    """Whether two calls of other instrumentations that share an id are about one answer.

    Of one instrumentation in one process they are two calls, answered from a gateway's cache.
    """
    one, two = known.span, other.span
    if one is None or two is None or not _states_usage(other.normalised):
        return False
    return one.scope != two.scope or one.resource != two.resource


class _Alike:
    """Calls by what two that tell of one answer have in common, in the order in which they came.

    A trace may have thousands of calls: each is compared with those that can be the same, and of
    these with the first `MOST_ALIKE`.
    """

    def __init__(self, spans: Mapping[str, Known]) -> None:
        self._spans = spans
        self._places: dict[str, int] = {}
        self._by: dict[tuple[Any, ...], list[str]] = {}

    def add(self, call: str) -> None:
        known = self._spans[call]
        self._places[call] = len(self._places)
        said = _said(known)
        usage = _usage(said)
        keys: list[tuple[Any, ...]] = [*_requests(known), usage]
        if answer := _text(said):
            keys.append(("answer", answer))
        if _is_cut(self._spans, known):
            keys.append(("cut", *usage))
        for key in keys:
            self._by.setdefault(key, []).append(call)

    def to(self, known: Known) -> list[str]:
        """Calls that may tell of the answer that `known` tells of."""
        said = known.settled
        keys: list[tuple[Any, ...]] = []
        if answer := _text(said):
            keys.append(("answer", answer))
        if _states_usage(said):
            usage = _usage(said)
            keys.append(usage if _is_cut(self._spans, known) else ("cut", *usage))
        else:
            keys += _requests(known)
        found = {call for key in keys for call in self._by.get(key, ())[:MOST_ALIKE]}
        return sorted(found, key=self._places.__getitem__)


def _usage(said: Mapping[str, Any]) -> tuple[Any, ...]:
    told = (said.get(semconv.INPUT_TOKENS), said.get(semconv.OUTPUT_TOKENS))
    return tuple(each if isinstance(each, int | float) else None for each in told)


def _text(said: Mapping[str, Any]) -> str:
    found = said.get(semconv.RESPONSE_ID)
    return found if isinstance(found, str) else ""


def _same_answer(
    spans: Mapping[str, Known], decided: Mapping[str, str], known: Known, alike: Iterable[str]
) -> str | None:
    """The owner of the same request or answer: of a sibling that logs it, too.

    By the id that a gateway gave the request: of its attempts those that state no usage are part of
    the one that answered. By response id at the same time, told by two instrumentations: an id
    alone is not enough, a gateway's cache repeats it in a later call.
    """
    span, told = known.span, known.settled
    if span is None:
        return None
    stated = _states_usage(told)
    response_id = told.get(semconv.RESPONSE_ID)
    for each in alike:
        other, owner = spans[each], decided[each]
        if other.span is None:
            continue
        if not stated and not _requests(known).isdisjoint(_requests(other)):
            return owner
        if (
            response_id
            and span.status != "error"
            and other.span.scope != span.scope
            and _said(other).get(semconv.RESPONSE_ID) == response_id
            and other.span.start_ns <= max(span.end_ns, span.start_ns)
            and span.start_ns <= max(other.span.end_ns, other.span.start_ns)
        ):
            return owner
        if stated and _are_cut_off(spans, known, other) and _enclose(span, other.span):
            return owner
    return None


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
        and (_is_cut(spans, known) or _is_cut(spans, other))
    )


def _models(told: Mapping[str, Any]) -> set[str]:
    names = (semconv.REQUEST_MODEL, semconv.RESPONSE_MODEL, semconv.MODEL_SERVED)
    stated = (told.get(name) for name in names)
    return {undated(split(each)[1]) for each in stated if isinstance(each, str) and each}


def _enclose(one: Span, other: Span) -> bool:
    """Whether one of two spans lies within the other in time."""
    first, second = (one, other) if one.start_ns <= other.start_ns else (other, one)
    return second.end_ns <= first.end_ns or one.start_ns == other.start_ns


def _is_cut(spans: Mapping[str, Known], known: Known) -> bool:
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


def _states_usage(told: Mapping[str, Any]) -> bool:
    return bool(told.get(semconv.INPUT_TOKENS) or told.get(semconv.OUTPUT_TOKENS))
