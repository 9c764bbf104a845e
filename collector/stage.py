"""The step between receiver and ledger: spans in, the call rows that they change out.

Emit, then correct: a call is told at once with what is known, and again with a higher version when
later spans of its trace say more. The version is a function of the spans known, not of the clock:
any order, any batching, any redelivery ends in the same rows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from tollspan import semconv
from tollspan.processors.settle import Settled

from .ownership import OWNER, RESTATED, Known, Part, owners, part_of
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


Recall = Callable[[Sequence[str]], Remembered]


@dataclass(slots=True)
class Hop:
    """One station of a call's path; `span_id` is empty where no span stands for it."""

    index: int
    attributes: Mapping[str, Any]
    span_id: str = ""
    status: str = "unset"


@dataclass(slots=True)
class Call:
    """One call as far as it is known.

    `role`: `owner`, `restated`, or `gone` where a better copy of the span took its place under
    another key.
    """

    call_id: str
    span: Span
    attributes: Mapping[str, Any]
    role: str
    owner_span_id: str
    hops: list[Hop]
    version: int
    hops_gone: Iterable[int] = ()
    """Places where a hop was told before and is no more."""


@dataclass(slots=True)
class _Trace:
    spans: dict[str, Known] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    rank: int = 0
    told: dict[str, int] = field(default_factory=dict)
    """By span id: hash of what was told last."""
    hops: dict[str, set[int]] = field(default_factory=dict)
    """By call id: places of the hops told last."""
    gone: dict[str, Known] = field(default_factory=dict)
    """By call id: copies that stand no more, still to be told."""


def call_id(trace_id: str, span_id: str, start_ns: int) -> str:
    """The key of a call: 32 hex digits, the first 16 its start, so that keys sort by time."""
    digest = blake2b(f"{trace_id}{span_id}".encode(), digest_size=8).hexdigest()
    return f"{start_ns:016x}{digest}"


class Stage:
    """Keeps a small state per trace and says which call rows a batch of spans changes.

    Not for several threads: the ledger's writer owns it.
    """

    def __init__(self, settle: Settle, normalise: Normalise, recall: Recall) -> None:
        self._settle = settle
        self._normalise = normalise
        self._recall = recall
        self._traces: OrderedDict[str, _Trace] = OrderedDict()
        self._remembered = 0

    def take(self, spans: Sequence[Span]) -> list[Call]:
        """The calls that `spans` add or change, each with everything known of it."""
        touched = dict.fromkeys(span.trace_id for span in spans)
        strange = [trace_id for trace_id in touched if trace_id not in self._traces]
        for trace_id in strange:
            self._traces[trace_id] = _Trace()
        remembered = self._recall(strange) if strange else Remembered()
        for span in remembered.spans:
            self._learn(span, remembered.hops)
        for span in spans:
            self._learn(span)
        changed = [call for trace_id in touched for call in self._told(trace_id)]
        for trace_id in touched:
            self._traces.move_to_end(trace_id)
        self._forget_oldest()
        return changed

    def forget(self, trace_ids: Iterable[str]) -> None:
        """What was taken of these traces did not reach the ledger: ask the ledger next time."""
        for trace_id in trace_ids:
            trace = self._traces.pop(trace_id, None)
            self._remembered -= len(trace.spans) if trace is not None else 0

    def _forget_oldest(self) -> None:
        while self._remembered > REMEMBERED_SPANS and len(self._traces) > 1:
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
        trace.rank += _evidence(version) - (_evidence(known.version) if known else 0)
        trace.spans[span.span_id] = new
        self._remembered += known is None
        key = call_id(span.trace_id, span.span_id, span.start_ns)
        if is_call and key in hops_told:
            trace.hops[key] = set(hops_told[key])
        before = known.span if known is not None and known.is_call else None
        if is_call and before is None:
            trace.calls.append(span.span_id)
        elif before is not None and not is_call:
            trace.calls.remove(span.span_id)
        if known is not None and before is not None:
            old_key = call_id(before.trace_id, before.span_id, before.start_ns)
            if not is_call or old_key != key:
                trace.gone[old_key] = known

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
            known = trace.spans[span_id]
            if known.part == Part.FOREIGN:
                self._settle_foreign(known, attempts.get(span_id, ()))
        for span_id, owner in sorted(owners(trace.spans, trace.calls).items()):
            known = trace.spans[span_id]
            if known.span is None:
                continue
            now = _content(known, owner, hops.get(span_id, ()))
            if now == trace.told.get(span_id):
                continue
            call = _call(known, known.span, owner, hops.get(span_id, ()))
            call.version = trace.rank << 18 | now & 0x3FFFF
            places = {hop.index for hop in call.hops}
            call.hops_gone = trace.hops.get(call.call_id, set()) - places
            trace.hops[call.call_id] = places
            trace.told[span_id] = now
            yield call

    def _settle_foreign(self, known: Known, attempts: Sequence[Known]) -> None:
        from_versions = (known.version, *(each.version for each in attempts))
        if known.span is None or known.settled_from == from_versions:
            return
        said = [each.span.attributes for each in attempts if each.span is not None]
        settled = self._settle(known.normalised, said, known.span.start_ns)
        known.settled = {**known.normalised, **settled.attributes}
        known.hops = settled.hops
        known.settled_from = from_versions


def _evidence(version: int) -> int:
    """What one span adds to the rank of its trace: always something, more for a better copy."""
    return (1 << 24) + (version >> 40)


def _below(trace: _Trace) -> tuple[dict[str, list[Known]], dict[str, list[Known]]]:
    """Attempts and hops by the id of the call they belong to, each in its order."""
    attempts: dict[str, list[Known]] = {}
    hops: dict[str, list[Known]] = {}
    for known in trace.spans.values():
        if known.part == Part.ATTEMPT:
            attempts.setdefault(known.parent_id, []).append(known)
        elif known.part == Part.HOP:
            hops.setdefault(known.parent_id, []).append(known)
    for group in (*attempts.values(), *hops.values()):
        group.sort(key=lambda known: (known.span.start_ns if known.span else 0, known.version))
    return attempts, hops


def _gone(key: str, span: Span, trace: _Trace) -> Call:
    places = trace.hops.pop(key, set())
    return Call(key, span, {}, "gone", "", [], trace.rank << 18 | 0x3FFFF, hops_gone=places)


def _content(known: Known, owner: str, hop_spans: Sequence[Known]) -> int:
    """A hash of all that a call's row is made from: versions stand for the spans' content."""
    made_of = (known.version, owner, known.settled_from, [hop.version for hop in hop_spans])
    return int.from_bytes(blake2b(repr(made_of).encode(), digest_size=8).digest())


def _call(known: Known, span: Span, owner: str, hop_spans: Sequence[Known]) -> Call:
    ours = known.part == Part.OURS
    attributes = span.attributes if ours else known.settled
    hops = _observed(hop_spans) or [Hop(index, each) for index, each in enumerate(known.hops)]
    if not hops and attributes.get(semconv.HOP_COUNT) in (None, 1):
        hops = [Hop(0, _model_of(attributes))]
    return Call(
        call_id=call_id(span.trace_id, span.span_id, span.start_ns),
        span=span,
        attributes=attributes,
        role=OWNER if owner == span.span_id else RESTATED,
        owner_span_id=owner,
        hops=hops,
        version=0,
    )


def _observed(hop_spans: Sequence[Known]) -> list[Hop]:
    """Hops as their spans tell them; two that claim one place stand behind each other."""
    hops: dict[int, Hop] = {}
    for position, known in enumerate(hop_spans):
        if known.span is None:
            continue
        index = known.span.attributes.get(semconv.HOP_INDEX)
        if not isinstance(index, int) or not 0 <= index < 65_536 or index in hops:
            index = position if position not in hops else max(hops) + 1
        span = known.span
        hops[index] = Hop(index, span.attributes, span.span_id, span.status)
    return [hops[index] for index in sorted(hops)]


def _model_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The one station of a direct call; no span stands for it, the call span says it all."""
    model = next(
        (
            attributes[name]
            for name in (semconv.MODEL_SERVED, semconv.RESPONSE_MODEL, semconv.REQUEST_MODEL)
            if attributes.get(name)
        ),
        "",
    )
    return {
        semconv.HOP_ROLE: "model",
        semconv.HOP_NAME: attributes.get(semconv.PROVIDER, ""),
        semconv.PROVIDER: attributes.get(semconv.PROVIDER, ""),
        semconv.RESPONSE_MODEL: model,
        semconv.HOP_EVIDENCE: "observed",
    }
