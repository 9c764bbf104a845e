"""The fold with bounded memory: traces held for a window, remembered in short, and told again.

What a request changed is told at once. What the collector behind did not take is kept and told with
the next request of the same trace: the sender sends again what was not acknowledged.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from threading import Lock

from tollspan.guard import quietly

from .across import Trace
from .bystanders import Bystanders
from .counters import Counters
from .foreign import normalised, settled
from .past import Past
from .senders import Senders
from .span import Span
from .stage import Call, Remembered, Stage
from .torn import has_lost_its_call, is_torn
from .windows import Windows

__all__ = ["Holding", "Told"]

PAST_WINDOWS = 10
"""How many windows long a released trace is remembered."""

PAST_SHARE = 0.25
"""Of the memory bound that is for released traces."""

BYSTANDERS_SHARE = 0.1
"""And for spans of traces that have no call yet."""

MOST_SUSPECTS = 100_000
UNTOLD_BYTES = 50_000
"""Of the memory bound for each trace with calls that the ledger was not told of."""

PLACE_BYTES = 400
SPAN_BYTES = 2_700
ATTRIBUTE_BYTES = 150
"""What a span takes in memory: its place; where it is part of a call, itself and each attribute.
Measured with tracemalloc: a call of ours with 29 attributes 4.1 kB, a foreign one with 19, which is
held priced as well, 5.5 kB."""


@dataclass(slots=True)
class Told:
    """Calls that a request changes."""

    calls: list[Call] = field(default_factory=list)
    torn: list[Call] = field(default_factory=list)
    """Told while a span above them is missing, which may say that another call owns the answer."""
    alone: list[Call] = field(default_factory=list)
    """Told from the spans of the request alone."""

    @property
    def all(self) -> list[Call]:
        return [*self.calls, *self.torn, *self.alone]


class Holding:
    """Not for several threads: the step owns it.

    Args:
        window_s: how long a trace is held, from its first span.
        most_bytes: the bound on what is held and remembered.
        spans_per_trace: spans of one trace that are held; others are told without the trace.
        counters: what happens is counted there.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        counters: Counters,
        *,
        window_s: float,
        most_bytes: int,
        spans_per_trace: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._counters = counters
        self._spans_per_trace = spans_per_trace
        rest = 1 - PAST_SHARE - BYSTANDERS_SHARE
        self.windows = Windows(window_s, int(most_bytes * rest), clock)
        self.bystanders = Bystanders(int(most_bytes * BYSTANDERS_SHARE))
        self.past = Past(PAST_WINDOWS * window_s, int(most_bytes * PAST_SHARE), clock)
        self.senders = Senders()
        self._counted: dict[str, frozenset[str] | None] = {}
        """By trace that was released before: calls that `senders` has; None where nobody knows."""
        self._stage = Stage(settled, normalised, self._recall, remembered_spans=2**62)
        self._untold: OrderedDict[str, dict[str, Call]] = OrderedDict()
        self._most_untold = max(100, most_bytes // UNTOLD_BYTES)
        self._torn: dict[str, dict[str, Call]] = {}
        self._suspects: OrderedDict[str, float] = OrderedDict()
        self._suspecting = Lock()
        self._clock = clock

    def take(self, spans: Sequence[Span], *, alone: bool = False) -> Told:
        """What `spans` add or change; with `alone` from nothing but themselves."""
        self.release_passed()
        by_trace: dict[str, list[Span]] = {}
        for span in spans:
            by_trace.setdefault(span.trace_id, []).append(span)
        told = Told()
        if alone:
            self._counters.add("shed_spans", len(spans), "hops")
            told.alone = self._taken_alone(by_trace)
        else:
            too_many = self._over_limit(by_trace)
            if too_many:
                count = sum(map(len, too_many.values()))
                self._counters.add("shed_spans", count, "span_limit")
                told.alone = self._taken_alone(too_many)
            told.calls = self._taken([span for each in by_trace.values() for span in each])
            self._account(by_trace)
        told.calls = self._told_again(by_trace, told.calls)
        self._part(by_trace, told)
        return told

    def untold(self, calls: Sequence[Call]) -> None:
        """The ledger was not told of `calls`: tell it with what comes next of their traces."""
        for call in calls:
            kept = self._untold.setdefault(call.span.trace_id, {})
            older = kept.get(call.call_id)
            kept[call.call_id] = call if older is None else _both(older, call)
        while len(self._untold) > self._most_untold:
            self.suspect(self._untold.popitem(last=False)[0])

    def suspect(self, trace_id: str) -> None:
        """Have a trace mended."""
        with self._suspecting:
            self._suspects[trace_id] = self._clock()
            while len(self._suspects) > MOST_SUSPECTS:
                self._suspects.popitem(last=False)

    def take_suspects(self, older_than_s: float, most: int = 10_000) -> list[str]:
        """Traces of which more may be known in the ledger than here, suspected for so long. Safe on
        any thread."""
        until = self._clock() - older_than_s
        with self._suspecting:
            found = [each for each, since in self._suspects.items() if since <= until][:most]
            for trace_id in found:
                del self._suspects[trace_id]
        return found

    @property
    def suspects(self) -> int:
        return len(self._suspects)

    def __contains__(self, trace_id: object) -> bool:
        """Whether something is known of a trace, so that all its spans matter."""
        return isinstance(trace_id, str) and (
            self._stage.held(trace_id) is not None or self.past.knows(trace_id)
        )

    def forget(self, trace_ids: Iterable[str]) -> None:
        """A fault struck while these traces were folded: begin them anew, and have them mended."""
        for trace_id in trace_ids:
            self.windows.take_out(trace_id)
            self._counted.pop(trace_id, None)
            self._stage.forget([trace_id])
            self.suspect(trace_id)

    def release_passed(self) -> None:
        """Let go of the traces whose window has passed."""
        for trace_id in self.windows.passed():
            self._release(trace_id, "window")

    def _taken(self, spans: Sequence[Span]) -> list[Call]:
        late = sum(self.past.knows(span.trace_id) for span in spans)
        if late:
            self._counters.add("late_spans", late)
        new = {span.trace_id for span in spans if self._stage.held(span.trace_id) is None}
        before = [place for trace_id in new for place in self.bystanders.take_out(trace_id)]
        return self._stage.take([*before, *spans]) if spans else []

    def _taken_alone(self, by_trace: dict[str, list[Span]]) -> list[Call]:
        """Calls as the spans of one request tell them; the ledger's mend puts them together."""
        for trace_id in by_trace:
            self.suspect(trace_id)
        found: list[Call] = []
        for spans in by_trace.values():
            # A trace too big to be held is too big to be joined, too.
            for start in range(0, len(spans), self._spans_per_trace):
                part = spans[start : start + self._spans_per_trace]
                stage = Stage(settled, normalised, _nothing)
                found += stage.take(part)
        return found

    def _over_limit(self, by_trace: dict[str, list[Span]]) -> dict[str, list[Span]]:
        """Take out of `by_trace` the new spans that traces have beyond the limit."""
        over: dict[str, list[Span]] = {}
        for trace_id, spans in by_trace.items():
            trace = self._stage.held(trace_id)
            known = trace.spans if trace else {}
            room = self._spans_per_trace - len(known)
            if len(spans) <= room:
                continue
            new = [span for span in spans if span.span_id not in known]
            if len(new) > room:
                over[trace_id] = new[max(room, 0) :]
        for trace_id, spans in over.items():
            beyond = set(map(id, spans))
            by_trace[trace_id] = [span for span in by_trace[trace_id] if id(span) not in beyond]
        return over

    def _account(self, by_trace: dict[str, list[Span]]) -> None:
        for trace_id, spans in by_trace.items():
            trace = self._stage.held(trace_id)
            if trace is None or not spans:
                continue
            # Spans that came again are known already and take no more room.
            new = max(0, len(trace.spans) - self.windows.spans(trace_id))
            weight = sum(map(_weight, spans)) * new // len(spans)
            self.windows.add(trace_id, new, weight)
        for trace_id in self.windows.too_heavy():
            self._release(trace_id, "memory")

    def _recall(self, trace_ids: Sequence[str]) -> Remembered:
        spans: list[Span] = []
        hops: dict[str, Iterable[int]] = {}
        for trace_id in trace_ids:
            if not self.past.knows(trace_id):
                continue
            found = self.past.take_out(trace_id)
            if found is None:
                self._counted[trace_id] = None
                self.suspect(trace_id)
                continue
            self._counted[trace_id] = frozenset(each.span_id for each in found.spans)
            spans += found.spans
            hops |= found.hops
        return Remembered(spans, hops)

    def _release(self, trace_id: str, reason: str) -> None:
        self._counters.add("released_traces", label=reason)
        trace = self._stage.held(trace_id)
        if trace is None:
            return
        self._count(trace_id, trace)
        self.past.put(trace_id, trace)
        self._torn.pop(trace_id, None)
        if has_lost_its_call(trace):
            self.suspect(trace_id)
        self._stage.forget([trace_id])

    def _count(self, trace_id: str, trace: Trace) -> None:
        counted = self._counted.pop(trace_id, frozenset[str]())
        if counted is not None and trace.calls:
            with quietly:
                self.senders.count(trace, counted)

    def _told_again(self, trace_ids: Iterable[str], calls: list[Call]) -> list[Call]:
        """`calls`, and what the ledger was not told of these traces before."""
        if not self._untold:
            return calls
        found = {call.call_id: call for call in calls}
        for trace_id in trace_ids:
            for key, call in self._untold.pop(trace_id, {}).items():
                found[key] = _both(call, found[key]) if key in found else call
        return list(found.values())

    def _part(self, trace_ids: Iterable[str], told: Told) -> None:
        """Put the torn ones of `told.calls` apart, and add those that no longer are."""
        several: dict[str, dict[str, Call]] = {
            trace_id: {} for trace_id in trace_ids if trace_id in self._torn
        }
        for call in told.calls:
            trace = self._stage.held(call.span.trace_id)
            if trace is not None and len(trace.calls) > 1:
                several.setdefault(call.span.trace_id, {})[call.call_id] = call
        apart: set[int] = set()
        for trace_id, now in several.items():
            trace = self._stage.held(trace_id)
            before = self._torn.pop(trace_id, {})
            calls = (before | now).items() if trace is not None else ()
            torn = {key: call for key, call in calls if trace and is_torn(trace, call)}
            if torn:
                self._torn[trace_id] = torn
                told.torn += [call for key, call in now.items() if key in torn]
                apart.update(id(call) for call in told.torn)
            told.calls += [c for key, c in before.items() if key not in torn and key not in now]
        if apart:
            told.calls = [call for call in told.calls if id(call) not in apart]


def _nothing(trace_ids: Sequence[str]) -> Remembered:
    return Remembered()


def _both(one: Call, other: Call) -> Call:
    """The later version of a call, with the places of hops that both say are empty now."""
    call = other if other.version >= one.version else one
    call.hops_gone = {*one.hops_gone, *other.hops_gone} - {hop.index for hop in call.hops}
    return call


def _weight(span: Span) -> int:
    """Bytes; of any span as if it were part of a call, which is known only later."""
    if not span.attributes:
        return PLACE_BYTES
    return SPAN_BYTES + ATTRIBUTE_BYTES * len(span.attributes)
