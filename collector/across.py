"""What joins calls across traces: who owns what another trace tells, and what that proves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from tollspan import semconv

from .evidence import Proof, is_sent_on, proof, requests_of
from .known import Known, Part
from .links import PASSING, Links, Place
from .ownership import ancestors, owners
from .same_answer import tells_again
from .seen_through import fits, is_of_gateway, lenders, states_usage
from .span import Span

__all__ = ["ROUNDS", "Across", "Trace"]

WORN_RANK = 1 << 43
"""More than any evidence counts for: what a worn key joined is told apart again."""

ROUNDS = 8
"""How far ids are followed from trace to trace: a chain of proxies is short."""


@dataclass(slots=True)
class Trace:
    """What is held of one trace."""

    spans: dict[str, Known] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    rank: int = 0
    told: dict[str, int] = field(default_factory=dict)
    """By span id: hash of what was told last."""
    hops: dict[str, set[int]] = field(default_factory=dict)
    """By call id: places of the hops told last."""
    gone: dict[str, Known] = field(default_factory=dict)
    """By call id: copies that stand no more, still to be told."""
    decided: dict[str, str] | None = None
    """By span id of each call: the owner's; None where spans have come since."""
    joined: dict[str, Place] = field(default_factory=dict)
    """By span id of each call whose owner is in another trace: where that is."""
    lent: dict[str, Known] = field(default_factory=dict)
    """By span id of each call that a gateway's span sees through: that span."""


class Across:
    """Answers about a trace that need the others that `links` join to it."""

    def __init__(self, traces: MutableMapping[str, Trace], links: Links) -> None:
        self._traces = traces
        self._links = links

    def undecided(self, trace_id: str) -> Mapping[str, str]:
        """Forget who owns what in a trace; what was decided."""
        trace = self._traces[trace_id]
        was, trace.decided = trace.decided, None
        return was or {}

    def reached(self, trace_id: str, moved: AbstractSet[str]) -> list[str]:
        """Other traces with spans that share a key with calls whose owner has changed."""
        spans = self._traces[trace_id].spans
        keys: set[str] = set()
        for span_id, known in spans.items():
            if known.bears and span_id in moved:
                keys.update(known.bears)
            if known.hears and (
                span_id in moved or not moved.isdisjoint(ancestors(spans, span_id))
            ):
                keys.update(known.hears)
        places = [*self._links.bearing(sorted(keys)), *self._links.hearing(sorted(keys))]
        return [each for each in dict.fromkeys(place[0] for place in places) if each != trace_id]

    def decided(self, trace_id: str, path: tuple[str, ...] = ()) -> Mapping[str, str]:
        """The owner of each call of a trace; those in other traces as far as `path` lets."""
        trace = self._traces[trace_id]
        if trace.decided is not None:
            return trace.decided
        joined: dict[str, Place] = {}
        if len(path) < ROUNDS:
            for span_id in trace.calls:
                if keys := trace.spans[span_id].bears:
                    place = self._owner_elsewhere(trace_id, span_id, keys, (*path, trace_id))
                    if place is not None:
                        joined[span_id] = place
        decided = owners(trace.spans, trace.calls, {one: at[1] for one, at in joined.items()})
        if not path:
            trace.decided, trace.joined = decided, joined
        return decided

    def _owner_elsewhere(
        self, trace_id: str, span_id: str, keys: Sequence[str], path: tuple[str, ...]
    ) -> Place | None:
        """Where the call is that has heard one of `keys`, and its owner."""
        told = self._traces[trace_id].spans[span_id].span
        passing = [key for key in keys if key.startswith(PASSING)]
        lasting = [key for key in keys if not key.startswith(PASSING)]
        heard = [(place, False) for place in self._links.hearing(lasting)]
        heard += [(place, True) for place in self._links.hearing(passing)]
        for (other_id, heard_by), only_then in heard:
            if other_id in path:
                continue
            spans = self._traces[other_id].spans
            above = [heard_by] if spans[heard_by].is_call else ancestors(spans, heard_by)
            calls = [each for each in above if spans[each].part == Part.OURS]
            if not calls:
                continue
            own = spans[calls[0]].span
            if only_then and not (told is not None and own is not None and _meet(told, own)):
                continue
            owner = self.decided(other_id, path).get(calls[0], calls[0])
            return (other_id, owner)
        known = self._traces[trace_id].spans[span_id]
        return self._told_elsewhere((trace_id, span_id), known, path)

    def _told_elsewhere(self, place: Place, known: Known, path: tuple[str, ...]) -> Place | None:
        """Where another instrumentation tells the same answer, if that one is to own it: who states
        usage before who does not, who asked before a gateway, else the first by its ids."""
        rank = (not states_usage(known), is_of_gateway(known), *place)
        if known.part != Part.FOREIGN or known.span is None:
            return None
        for other_id, other_span in self._links.bearing(known.bears):
            other = self._traces[other_id].spans[other_span]
            if (
                other_id not in path
                and (False, is_of_gateway(other), other_id, other_span) < rank
                and other.part == Part.FOREIGN
                and other.span is not None
                and tells_again(known, other)
                and _meet(known.span, other.span)
            ):
                owner = self.decided(other_id, path).get(other_span, other_span)
                return (other_id, owner)
        return None

    def lent(self, trace_id: str, decided: Mapping[str, str]) -> dict[str, Known]:
        """By the id of a call of this trace: the gateway's call, here or in another trace, that sees
        through it."""
        trace = self._traces[trace_id]
        found = lenders(trace.spans, decided) if len(decided) > 1 else {}
        for span_id, owner in decided.items():
            known = trace.spans[span_id]
            if owner != span_id or span_id in found or not known.bears:
                continue
            if known.part == Part.FOREIGN and not is_of_gateway(known):
                for place in sorted(self._links.bearing(known.bears)):
                    if self._lends(place, (trace_id, span_id)):
                        found[span_id] = self._traces[place[0]].spans[place[1]]
                        break
        trace.lent = found
        return found

    def _lends(self, place: Place, to: Place) -> bool:
        """Whether the call at `place`, in another trace than `to`, restates that one and tells its
        path."""
        other_id, other_span = place
        if other_id == to[0]:
            return False
        self.decided(other_id)
        other = self._traces[other_id]
        borrower = self._traces[to[0]].spans[to[1]]
        return other.joined.get(other_span) == to and fits(other.spans[other_span], borrower)

    def borne(self, trace_id: str) -> list[str]:
        trace = self._traces[trace_id]
        return [key for span_id in trace.calls for key in trace.spans[span_id].bears]

    def rank(self, trace_id: str, seen: set[str]) -> int:
        """The evidence in a trace and in those that its calls' keys lead to."""
        if trace_id in seen:
            return 0
        seen.add(trace_id)
        trace = self._traces[trace_id]
        keys = self.borne(trace_id)
        if not keys:
            return trace.rank
        if self._links.worn(keys) and len(seen) == 1:
            return trace.rank + WORN_RANK
        above = {place[0] for place in self._links.hearing(keys)}
        above |= {place[0] for place in self._links.bearing(keys)}
        return trace.rank + sum(self.rank(each, seen) for each in above)

    def rank_below(self, trace_id: str) -> int:
        """The evidence in traces whose calls bear what spans of this one have heard."""
        keys = self._heard(trace_id)
        if self._links.worn(keys):
            return WORN_RANK
        below = {place[0] for place in self._links.bearing(keys)} if keys else set()
        return sum(self._traces[each].rank for each in below - {trace_id})

    def _heard(self, trace_id: str) -> list[str]:
        spans = self._traces[trace_id].spans.values()
        return sorted({key for known in spans for key in known.hears})

    def proofs(
        self, trace_id: str, decided: Mapping[str, str], hops: Mapping[str, Sequence[Known]]
    ) -> dict[str, Proof]:
        """What spans of gateways, here and in other traces, prove about each owner of ours."""
        trace = self._traces[trace_id]
        served: dict[str, dict[str, tuple[int, Mapping[str, Any]]]] = {
            each: {}
            for each, owner in decided.items()
            if each == owner and trace.spans[each].part == Part.OURS
        }
        if not served:
            return {}
        for place, owner in self._told_again(trace_id, decided):
            other = self._traces[place[0]]
            if owner in served and (request := _served(other, place[1])) is not None:
                name, said = f"{place[0]} {request[0]}", other.spans[place[1]].normalised
                if name not in served[owner] or is_sent_on(said):
                    served[owner][name] = request[1], said
        proofs: dict[str, Proof] = {}
        for owner, requests in served.items():
            span = trace.spans[owner].span
            receipts = [
                hop.span.attributes
                for hop in hops.get(owner, ())
                if hop.span is not None and hop.part == Part.HOP
            ]
            if span is not None and (found := proof(span.attributes, receipts, requests)):
                proofs[owner] = found
        return proofs

    def _told_again(self, trace_id: str, decided: Mapping[str, str]) -> Iterable[tuple[Place, str]]:
        """Calls of gateways that owners in this trace own, here and in other traces."""
        trace = self._traces[trace_id]
        for span_id, owner in decided.items():
            if trace.spans[span_id].part == Part.FOREIGN:
                yield (trace_id, span_id), owner
        keys = self._heard(trace_id)
        for other_id, span_id in dict.fromkeys(self._links.bearing(keys)) if keys else ():
            other = self._traces[other_id]
            if other_id != trace_id and other.spans[span_id].part == Part.FOREIGN:
                owner = self.decided(other_id).get(span_id, "")
                if other.joined.get(span_id, ("", ""))[0] == trace_id:
                    yield (other_id, span_id), owner


def _meet(one: Span, other: Span) -> bool:
    """Whether two spans overlap in time."""
    return one.start_ns <= max(other.end_ns, other.start_ns) and other.start_ns <= max(
        one.end_ns, one.start_ns
    )


def _served(trace: Trace, span_id: str) -> tuple[str, int] | None:
    """The request that a gateway served with the call `span_id`: its key, and the requests that it
    made of it. None where nothing counts them."""
    parent = trace.spans[span_id].parent_id
    evidence = [
        known.span
        for each, known in trace.spans.items()
        if known.part == Part.EVIDENCE
        and known.span is not None
        and (each == parent or known.parent_id == parent)
    ]
    span = trace.spans[span_id].span
    if not parent or span is None or not (evidence or span.scope == "litellm"):
        return None
    count = requests_of(evidence)
    if not count and span.attributes.get(semconv.PROVIDER) is not None:
        return None  # V2 without its events: they have not come
    return parent, count
