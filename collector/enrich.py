"""The stage's inner step: an OTLP request in, the same request with cost and path appended out.

Only spans that may be about GenAI are opened. To a call that another instrumentation tells of, and
that nobody has priced, what settling it alone says is appended (see `unjoined`); message content and
secrets are taken out of every span that is opened. All else leaves as the bytes that came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from tollspan import semconv

from .assembled import Changed, assembled
from .foreign import normalised
from .known import part_of
from .markers import MARKERS, marked, of_a_call, present, speaks
from .opened import opened, resource_of, scope_of, view
from .ordered import bundled
from .receiver import Malformed
from .settling import Settling, Verdict
from .span import Reading, Span, fault

__all__ = ["Enriched", "enrich", "trace_of"]

_ROLE = semconv.COST_ROLE.encode()

UNREAD, RELEVANT, OTHER = 0, 1, 2
"""What is known of a span: nothing, that it is part of a call's story, that it is not."""


_MARKS = bytes.maketrans(b"\0\1", bytes((OTHER, RELEVANT)))


@dataclass(slots=True)
class _Group:
    """Spans of one scope of one resource."""

    resource: bytes
    scope: bytes
    spans: list[bytes]
    place: tuple[int, int]
    """Of the resource in the request, and of the scope in that."""
    marks: bytearray


@dataclass(slots=True)
class Enriched:
    """What `enrich` made of a request."""

    body: bytes
    """The request to send on: the bytes that came, where nothing was added, taken out or reordered."""
    spans: int = 0
    priced: Counter[str] = field(default_factory=Counter)
    """Spans that cost and path were appended to, by `tollspan.cost.grade`."""
    unusable: int = 0
    """Spans that `relevant` has left out."""
    _groups: list[_Group] = field(default_factory=list, repr=False)

    def relevant(
        self, held: Container[str] = (), aside: Callable[[str, bytes], object] | None = None
    ) -> list[Span]:
        """The spans that calls are made of, as they came: calls of ours and of others, hops,
        attempts, evidence of gateways; of their traces, and of those that the caller has `held` (by
        id, as hex), the others too, which lead from one to the next. Spans that the ledger could
        not keep are left out. `aside` gets all others, each with its trace's id.

        Raises:
            Malformed: a part of one of them is no OTLP. Nothing should be sent on then.
        """
        found: list[Span] = []
        rest: list[tuple[_Group, bytes]] = []
        for group in self._groups:
            for mark, raw in zip(group.marks, group.spans, strict=True):
                if mark == RELEVANT or (mark == UNREAD and of_a_call(raw)):
                    span = _span(raw, group)
                    if span.reading is None:
                        span.reading = Reading(normalised(span))
                    if part_of(span, span.reading.call):
                        found.append(span)
                        continue
                rest.append((group, raw))
        traces = {span.trace_id for span in found}
        for group, raw in rest if traces or held else ():
            trace_id = trace_of(raw)
            if trace_id in traces or trace_id in held:
                found.append(_span(raw, group))
            elif aside is not None:
                aside(trace_id, raw)
        usable = [span for span in found if not fault(span)]
        self.unusable = len(found) - len(usable)
        return usable


def _span(raw: bytes, group: _Group) -> Span:
    viewed = view(raw)
    resource, scope = resource_of(group.resource), scope_of(group.scope)
    raws = viewed.attributes[:]
    span = opened(raw, viewed, raws, resource, scope)
    settling.reading(scope)(span, raw, viewed, raws)
    return span


def trace_of(raw: bytes) -> str:
    """The trace id of a span as hex; every encoder writes it first."""
    return (raw[2:18] if raw[:2] == b"\x0a\x10" else bytes(view(raw).trace_id)).hex()


settling = Settling()
"""Of this process: everything that comes in is read by it."""


def enrich(body: bytes) -> Enriched:
    """One ExportTraceServiceRequest, enriched. Safe for several threads.

    Raises:
        Malformed: `body` is none. A part that is not opened is not looked at, and sent on.
    """
    try:
        body, bundle = bundled(body)
    except DecodeError as error:
        raise Malformed("the body is not an OTLP protobuf message") from error
    groups = list(_groups(bundle))
    made = Enriched(body, sum(len(group.spans) for group in groups), _groups=groups)
    changed: dict[tuple[int, int], Changed] = {}
    for group, places in _to_open(body, groups):
        every = len(places) == len(group.spans)
        raws = group.spans if every else [group.spans[at] for at in places]
        verdict = settling.take(scope_of(group.scope), raws)
        marks = verdict.relevant.translate(_MARKS)
        if every:
            group.marks[:] = marks
        else:
            for place, mark in zip(places, marks, strict=True):
                group.marks[place] = mark
        if verdict.cleaned or any(verdict.appended):
            changed[group.place] = _changed(group, places, verdict)
        made.priced.update(verdict.priced)
    if changed:
        made.body = assembled(bundle, changed)
    return made


def _changed(group: _Group, places: Sequence[int], verdict: Verdict) -> Changed:
    """The spans of a group as they are to be sent on."""
    spans = group.spans
    if not verdict.cleaned and len(places) == len(spans):
        return spans, verdict.appended
    spans = list(spans)
    for place, raw in verdict.cleaned.items():
        spans[places[place]] = raw
    appended = [b""] * len(spans)
    for place, each in zip(places, verdict.appended, strict=True):
        appended[place] = each
    return spans, appended


def _groups(bundle: Any) -> Iterator[_Group]:
    for at, of_resource in enumerate(bundle.resource_spans):
        resource = b"".join(of_resource.resource)
        for place, of_scope in enumerate(of_resource.scope_spans):
            spans = of_scope.spans[:]
            if spans:
                scope = b"".join(of_scope.scope)
                yield _Group(resource, scope, spans, (at, place), bytearray(len(spans)))


def _to_open(body: bytes, groups: Sequence[_Group]) -> Iterator[tuple[_Group, Sequence[int]]]:
    """Groups with the places of the spans in them that have to be read."""
    others: list[_Group] = []
    for group in groups:
        scope = scope_of(group.scope)
        if scope.name == semconv.SCOPE:
            # Ours: they say themselves that they are settled, nearly always.
            places = [at for at, raw in enumerate(group.spans) if _ROLE not in raw]
            group.marks[:] = bytes((RELEVANT,)) * len(group.spans)
            if places:
                yield group, places
        elif speaks(scope.name) or any(each in group.spans[0] for each in MARKERS):
            yield group, range(len(group.spans))
        else:
            others.append(group)
    at = 0
    markers = present(body) if others else []
    found = marked([raw for group in others for raw in group.spans], markers) if markers else []
    for group in others:
        end = at + len(group.spans)
        places = [each - at for each in found if at <= each < end]
        if places:
            yield group, places
        at = end
