"""Who pays within one trace: one owner per answer, whatever the order the spans came in.

A pure function of the set of spans known of the trace. tollspan's own call spans say what they are;
among them the outermost owns. GenAI spans of other instrumentations own what no span of ours covers
above or below them, those that state usage before those that do not, the outermost first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tollspan import semconv

from .span import Span

__all__ = ["Known", "Part", "ancestors", "owners", "part_of"]

INFERENCE = frozenset(
    {"chat", "text_completion", "generate_content", "embeddings", "rerank", "image_generation"}
)
"""Operations that a model is paid for. https://opentelemetry.io/docs/specs/semconv/gen-ai/"""

OWNER, RESTATED = "owner", "restated"
DEEPEST = 512
"""Parents followed upwards; a longer chain, or a circle, ends there."""


class Part:
    """What a span is to a call."""

    OURS = "ours"
    FOREIGN = "foreign"
    ATTEMPT = "attempt"
    HOP = "hop"
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
    if semconv.ATTEMPT in attributes or (
        span.kind == "client" and semconv.HTTP_METHOD in attributes and not normalised
    ):
        return Part.ATTEMPT
    if normalised is not None and span.kind in ("client", "internal", "unspecified"):
        billable = normalised.get(semconv.OPERATION) in INFERENCE
        named = normalised.get(semconv.REQUEST_MODEL) or normalised.get(semconv.RESPONSE_MODEL)
        if billable and named:
            return Part.FOREIGN
    return Part.OTHER


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


def owners(spans: Mapping[str, Known], calls: Sequence[str]) -> dict[str, str]:
    """For each id in `calls` the id of the span that owns its answer; an owner owns itself."""
    above = {call: ancestors(spans, call) for call in calls}
    decided: dict[str, str] = {}
    owning: list[str] = []
    order = sorted(calls, key=lambda call: (_rank(spans[call]), len(above[call]), call))
    for call in order:
        known = spans[call]
        owner = next((each for each in reversed(above[call]) if decided.get(each) == each), None)
        if owner is None and known.part == Part.FOREIGN:
            owner = next((each for each in owning if call in above[each]), None)
            owner = owner or _same_answer(spans, owning, known)
        if owner is None and _says_restated(known):
            owner = _named_owner(known)
        decided[call] = owner if owner is not None else call
        if owner is None:
            owning.append(call)
    return decided


def _rank(known: Known) -> int:
    if known.part == Part.OURS:
        return 1 if _says_restated(known) else 0
    told = known.settled
    return 2 if semconv.INPUT_TOKENS in told or semconv.OUTPUT_TOKENS in told else 3


def _says_restated(known: Known) -> bool:
    span = known.span
    return span is not None and span.attributes.get(semconv.COST_ROLE) == RESTATED


def _named_owner(known: Known) -> str:
    named = known.span.attributes.get(semconv.OWNER_SPAN_ID) if known.span else None
    return named if isinstance(named, str) and len(named) == 16 else ""


def _same_answer(spans: Mapping[str, Known], owning: Sequence[str], known: Known) -> str | None:
    """The call of ours with the same response id at the same time: a sibling that logs it again.

    A response id alone is not enough: a gateway's cache repeats it in a later call.
    """
    span, told = known.span, known.settled
    response_id = told.get(semconv.RESPONSE_ID)
    if span is None or not response_id or span.status == "error":
        return None
    for each in owning:
        other = spans[each].span
        if (
            other is not None
            and spans[each].part == Part.OURS
            and other.attributes.get(semconv.RESPONSE_ID) == response_id
            and other.start_ns <= max(span.end_ns, span.start_ns)
            and span.start_ns <= max(other.end_ns, other.start_ns)
        ):
            return each
    return None
