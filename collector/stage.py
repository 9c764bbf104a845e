"""The step between receiver and ledger: spans in, the call rows that they change out.

Emit, then correct: a call is told at once with what is known, and again with a higher version when
later spans of its trace say more, or of a trace that an id of a gateway joins to it. The version is
a function of the spans known, not of the clock: any order, any batching, any redelivery ends in the
same rows.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tollspan import semconv
from tollspan.processors.ownership import unrestated
from tollspan.processors.settle import Settled

from .across import ROUNDS, Across, Trace
from .call import Call, Hop, call_id, content, made
from .evidence import Proof
from .known import RESTATED, Known, Part, part_of
from .links import Links, borne, heard
from .ownership import says_restated, states_restated
from .seen_through import through
from .span import Span

__all__ = ["Call", "Hop", "Remembered", "Stage", "call_id"]

REMEMBERED_SPANS = 50_000
"""Over all traces; beyond, the traces that were silent longest are recalled from the ledger."""

REMEMBERED_PER_TRACE = 20_000
"""Spans of one trace whose place is remembered; calls are remembered always."""


NONE_TOLD: Mapping[str, Iterable[int]] = {}
Settle = Callable[[Mapping[str, Any], Sequence[Mapping[str, Any]], int], Settled]
Normalise = Callable[[Span], Mapping[str, Any] | None]


@dataclass(slots=True)
class Remembered:
    """What the ledger has of some traces: spans, and the places of hops by call id."""

    spans: Iterable[Span] = ()
    hops: Mapping[str, Iterable[int]] = field(default_factory=dict)
    told: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """By trace and span id: `content` of calls as they were told last, where that is known."""


Recall = Callable[[Sequence[str]], Remembered]
Linked = Callable[[Sequence[str]], Iterable[str]]
"""Keys of spans to the ids of the traces in which the ledger has them."""


def _nowhere(keys: Sequence[str]) -> Iterable[str]:
    return ()


class Stage:
    """Keeps a small state per trace and says which call rows a batch of spans changes.

    Not for several threads: the ledger's writer owns it.
    """

    def __init__(
        self,
        settle: Settle,
        normalise: Normalise,
        recall: Recall,
        linked: Linked = _nowhere,
        remembered_spans: int | None = None,
    ) -> None:
        self._settle = settle
        self._normalise = normalise
        self._recall = recall
        self._linked = linked
        self._most = REMEMBERED_SPANS if remembered_spans is None else remembered_spans
        self._traces: OrderedDict[str, Trace] = OrderedDict()
        self._remembered = 0
        self._links = Links()
        self._across = Across(self._traces, self._links)
        self._worn: set[str] = set()
        self._new_keys: dict[str, None] = {}
        self.keys: dict[tuple[str, str], None] = {}
        """Pairs of a key and a trace id that the last `take` added, for the ledger."""

    def take(self, spans: Sequence[Span]) -> list[Call]:
        """The calls that `spans` add or change, each with everything known of it."""
        touched = dict.fromkeys(span.trace_id for span in spans)
        self.keys = {}
        self._remember([trace_id for trace_id in touched if trace_id not in self._traces])
        for span in spans:
            self._learn(span)
        joined = self._followed()
        alone, others = self._alone(touched)
        for each in others:
            joined += [place[0] for place in self._links.hearing(self._across.borne(each))]
        changed = [*filter(None, map(self._told_alone, alone)), *self._all_told([*joined, *others])]
        for trace_id in touched:
            self._traces.move_to_end(trace_id)
        self._forget_oldest()
        return changed

    def _remember(self, trace_ids: Sequence[str]) -> None:
        """Traces that are not held, with what the ledger has of them."""
        if not trace_ids:
            return
        for trace_id in trace_ids:
            self._traces[trace_id] = Trace()
        remembered = self._recall(trace_ids)
        for span in remembered.spans:
            if span.trace_id in self._traces:
                self._learn(span, remembered.hops)
        for (trace_id, span_id), content_told in remembered.told.items():
            self._traces[trace_id].told[span_id] = content_told

    def _followed(self) -> list[str]:
        """Traces that new keys join to what came, from here or from the ledger."""
        found: dict[str, None] = {}
        for _ in range(ROUNDS):
            keys, self._new_keys = list(self._new_keys), {}
            if not keys:
                break
            worn = self._links.worn(keys) - self._worn
            self._worn |= worn
            new = [key for key in keys if key in worn or key not in self._worn]
            shared = [key for key in new if self._links.are_shared((key,))]
            found |= dict.fromkeys(trace_id for trace_id, _ in self._links.everywhere(shared))
            told = dict.fromkeys(self._linked(new))
            strange = [each for each in told if each not in self._traces]
            self._remember(strange)
            found |= dict.fromkeys(strange)
        self._new_keys = {}
        return list(found)

    def _alone(self, trace_ids: Iterable[str]) -> tuple[list[str], list[str]]:
        """Traces of one call and nothing else, which no key joins to another; and the others."""
        alone: list[str] = []
        others: list[str] = []
        for trace_id in trace_ids:
            trace = self._traces[trace_id]
            is_alone = len(trace.spans) == 1 and len(trace.calls) == 1 and not trace.gone
            if is_alone:
                (span_id,) = trace.calls
                known = trace.spans[span_id]
                is_alone = not says_restated(known) and not self._links.are_shared(
                    (*known.bears, *known.hears)
                )
            (alone if is_alone else others).append(trace_id)
        return alone, others

    def _told_alone(self, trace_id: str) -> Call | None:
        """What `_told` tells of such a trace, with nothing around it to be asked."""
        trace = self._traces[trace_id]
        (span_id,) = trace.calls
        known = trace.spans[span_id]
        self._settle_call(known, ())
        trace.decided, trace.joined = {span_id: span_id}, {}
        return self._call(trace, span_id, span_id, (), None, trace.rank)

    def _all_told(self, trace_ids: Iterable[str]) -> list[Call]:
        """What changes in these traces, and in those that a change of owners reaches."""
        waiting = deque(dict.fromkeys(trace_ids))
        before = {each: self._across.undecided(each) for each in waiting}
        changed: dict[str, Call] = {}
        rounds: dict[str, int] = {}
        while waiting:
            trace_id = waiting.popleft()
            rounds[trace_id] = rounds.get(trace_id, 0) + 1
            for call in self._told(trace_id):
                changed[call.call_id] = call
            was, now = before[trace_id], self._traces[trace_id].decided or {}
            moved = {each for each in now.keys() | was.keys() if now.get(each) != was.get(each)}
            before[trace_id] = now
            if not moved or rounds[trace_id] > ROUNDS:
                continue
            for other in self._across.reached(trace_id, moved):
                if other not in waiting:
                    before[other] = self._across.undecided(other)
                    waiting.append(other)
        return list(changed.values())

    def held(self, trace_id: str) -> Trace | None:
        """What is held of a trace, to be read; None where nothing is."""
        return self._traces.get(trace_id)

    def forget(self, trace_ids: Iterable[str]) -> None:
        """What was taken of these traces did not reach the ledger: ask the ledger next time."""
        for trace_id in trace_ids:
            trace = self._traces.pop(trace_id, None)
            if trace is None:
                continue
            self._remembered -= len(trace.spans)
            for span_id, known in trace.spans.items():
                if known.bears or known.hears:
                    self._links.take_away((trace_id, span_id), known.bears, known.hears)

    def _forget_oldest(self) -> None:
        while self._remembered > self._most and len(self._traces) > 1:
            self.forget([next(iter(self._traces))])

    def _learn(self, span: Span, hops_told: Mapping[str, Iterable[int]] = NONE_TOLD) -> None:
        trace = self._traces[span.trace_id]
        version = span.version
        known = trace.spans.get(span.span_id)
        if known is not None and known.version >= version:
            return
        normalised = self._normalise(span)
        part = part_of(span, normalised)
        new = Known(span.parent_id, version, part, span if part else None)
        is_call = new.is_call
        if known is None and not is_call and len(trace.spans) >= REMEMBERED_PER_TRACE:
            return
        if part == Part.FOREIGN and normalised is not None:
            new.normalised = normalised
        if part:
            self._join(span, known, new, normalised)
        trace.rank += _evidence(version) - (_evidence(known.version) if known else 0)
        trace.spans[span.span_id] = new
        self._remembered += known is None
        before = known.span if known is not None and known.is_call else None
        if not hops_told and before is None:
            if is_call:
                trace.calls.append(span.span_id)
            return
        key = call_id(span.trace_id, span.span_id, span.start_ns)
        if is_call and key in hops_told:
            trace.hops[key] = set(hops_told[key])
        if is_call and before is None:
            trace.calls.append(span.span_id)
        elif before is not None and not is_call:
            trace.calls.remove(span.span_id)
        if known is not None and before is not None:
            old_key = call_id(before.trace_id, before.span_id, before.start_ns)
            if not is_call or old_key != key:
                trace.gone[old_key] = known

    def _join(
        self, span: Span, known: Known | None, new: Known, normalised: Mapping[str, Any] | None
    ) -> None:
        place = (span.trace_id, span.span_id)
        if known is not None and (known.bears or known.hears):
            self._links.take_away(place, known.bears, known.hears)
        if new.is_call:
            new.bears = borne(span, normalised if new.part == Part.FOREIGN else None)
        if new.part != Part.FOREIGN:
            new.hears = heard(span)
        if new.bears or new.hears:
            self._links.put(place, new.bears, new.hears)
            for key in (*new.bears, *new.hears):
                self._new_keys[key] = None
                self.keys[key, span.trace_id] = None

    def _told(self, trace_id: str) -> Iterable[Call]:
        trace = self._traces[trace_id]
        while trace.gone:
            key, known = trace.gone.popitem()
            if known.span is not None:
                yield _gone(key, known.span, trace)
        if not trace.calls:
            return
        attempts, hops = _below(trace)
        for span_id in trace.calls:
            self._settle_call(trace.spans[span_id], attempts.get(span_id, ()))
        decided = self._across.decided(trace_id)
        proofs = self._across.proofs(trace_id, decided, hops)
        rank = self._across.rank(trace_id, set()) + self._across.rank_below(trace_id)
        lent = self._across.lent(trace_id, decided)
        for span_id, owner in sorted(decided.items()):
            proven = proofs.get(span_id)
            call = self._call(
                trace, span_id, owner, hops.get(span_id, ()), proven, rank, lent.get(span_id)
            )
            if call is not None:
                yield call

    def _call(
        self,
        trace: Trace,
        span_id: str,
        owner: str,
        hops: Sequence[Known],
        proven: Proof | None,
        rank: int,
        lender: Known | None = None,
    ) -> Call | None:
        """One call as it is to be told; None where that was told before."""
        known = trace.spans[span_id]
        if known.span is None:
            return None
        now = content(known, owner, hops, proven, lender)
        if now == trace.told.get(span_id):
            return None
        call = made(known, known.span, owner, hops, proven)
        if lender is not None:
            call.attributes = through(call.attributes, lender)
            call.hops = [Hop(index, each) for index, each in enumerate(lender.hops)]
        call.version = rank << 18 | now & 0x3FFFF
        places = {hop.index for hop in call.hops}
        call.hops_gone = trace.hops.get(call.call_id, set()) - places
        trace.hops[call.call_id] = places
        trace.told[span_id] = now
        return call

    def _settle_call(self, known: Known, attempts: Sequence[Known]) -> None:
        span = known.span
        if span is None:
            return
        normalised = known.normalised
        if known.part == Part.OURS:
            if span.attributes.get(semconv.COST_ROLE) != RESTATED or not states_restated(known):
                return
            if not normalised:
                normalised = known.normalised = unrestated(span.attributes)
        from_versions = (known.version, *(each.version for each in attempts))
        if known.settled_from == from_versions:
            return
        reading = span.reading
        if not attempts and reading is not None and reading.settled is not None:
            settled = Settled(dict(reading.settled), tuple(reading.hops))
        else:
            said = [each.span.attributes for each in attempts if each.span is not None]
            settled = self._settle(normalised, said, span.start_ns)
        known.settled = {**normalised, **settled.attributes}
        known.hops = settled.hops
        known.settled_from = from_versions


def _evidence(version: int) -> int:
    """What one span adds to the rank of its trace: always something, more for a better copy."""
    return (1 << 24) + (version >> 40)


def _below(trace: Trace) -> tuple[dict[str, list[Known]], dict[str, list[Known]]]:
    """Attempts, and hops with what was proved of them, by the id of the call they belong to, each in
    its order."""
    attempts: dict[str, list[Known]] = {}
    hops: dict[str, list[Known]] = {}
    for known in trace.spans.values():
        if known.part == Part.ATTEMPT:
            attempts.setdefault(known.parent_id, []).append(known)
        elif known.part in (Part.HOP, Part.PROOF):
            hops.setdefault(known.parent_id, []).append(known)
    for group in (*attempts.values(), *hops.values()):
        group.sort(key=lambda known: (known.span.start_ns if known.span else 0, known.version))
    return attempts, hops


def _gone(key: str, span: Span, trace: Trace) -> Call:
    places = trace.hops.pop(key, set())
    return Call(key, span, {}, "gone", "", [], trace.rank << 18 | 0x3FFFF, hops_gone=places)
