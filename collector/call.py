"""One call as the ledger is told of it: its key, its row, and the stations of its path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from tollspan import semconv
from tollspan.processors.logfire import is_note, noted_s
from tollspan.processors.ownership import restated_usage

from .evidence import Proof
from .known import OWNER, RESTATED, Known, Part
from .span import Span
from .values import text

__all__ = ["Call", "Hop", "call_id", "content", "made"]


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

    @property
    def lasted_s(self) -> float | None:
        """None where nobody says."""
        span = self.span
        if span.end_ns == span.start_ns and is_note(span.attributes):
            return noted_s(span.attributes)
        duration_ns = span.duration_ns
        return duration_ns / 1e9 if duration_ns is not None else None


def call_id(trace_id: str, span_id: str, start_ns: int) -> str:
    """The key of a call: 32 hex digits, the first 16 its start, so that keys sort by time."""
    digest = blake2b(f"{trace_id}{span_id}".encode(), digest_size=8).hexdigest()
    return f"{start_ns:016x}{digest}"


def content(
    known: Known,
    owner: str,
    hop_spans: Sequence[Known],
    proven: Proof | None,
    lender: Known | None = None,
) -> int:
    """A hash of all that a call's row is made from: versions stand for the spans' content.

    Of a call that nothing else says anything about it is the version of its span.
    """
    alone = known.span is not None and owner == known.span.span_id
    alone = alone and not hop_spans and proven is None and lender is None
    if alone and known.settled_from in ((), (known.version,)):
        return known.version
    versions = [hop.version for hop in hop_spans]
    told = (proven.attempts, proven.exact, sorted(proven.gateways)) if proven else None
    made_of: tuple[object, ...] = (known.version, owner, known.settled_from, versions, told)
    if lender is not None:
        made_of = (*made_of, lender.version, lender.settled_from)
    return int.from_bytes(blake2b(repr(made_of).encode(), digest_size=8).digest())


def made(
    known: Known, span: Span, owner: str, hop_spans: Sequence[Known], proven: Proof | None
) -> Call:
    said_restated = span.attributes.get(semconv.COST_ROLE) == RESTATED
    ours = known.part == Part.OURS and not (said_restated and owner == span.span_id)
    attributes: Mapping[str, Any] = span.attributes if ours else known.settled
    if ours and said_restated:
        # What it restates stands in its row, which nobody sums, to be compared with the owner's.
        attributes = {**restated_usage(attributes), **attributes}
    observed = [each for each in hop_spans if each.part == Part.HOP]
    hops = _observed(observed) or [Hop(index, each) for index, each in enumerate(known.hops)]
    if not hops and attributes.get(semconv.HOP_COUNT) in (None, 1):
        hops = [Hop(0, _model_of(attributes))]
    if proven is not None:
        attributes = _proven(attributes, hops, proven)
    if len(observed) < len(hop_spans):
        _note_redaction(hops, hop_spans)
    return Call(
        call_id=call_id(span.trace_id, span.span_id, span.start_ns),
        span=span,
        attributes=attributes,
        role=OWNER if owner == span.span_id else RESTATED,
        owner_span_id=owner,
        hops=hops,
        version=0,
    )


def _proven(attributes: Mapping[str, Any], hops: Sequence[Hop], proven: Proof) -> dict[str, Any]:
    """`attributes` with what gateways' own spans prove; hops that they prove were observed."""
    found = dict(attributes)
    known = found.get(semconv.UPSTREAM_ATTEMPTS)
    known = known if isinstance(known, int) else 0
    if proven.exact:
        found[semconv.UPSTREAM_ATTEMPTS] = proven.attempts
        found[semconv.UPSTREAM_CONFIDENCE] = "exact"
    elif proven.attempts > known:
        found[semconv.UPSTREAM_ATTEMPTS] = proven.attempts
        found[semconv.UPSTREAM_CONFIDENCE] = "at_least"
    for hop in hops:
        if text(hop.attributes.get(semconv.HOP_NAME)) in proven.gateways:
            hop.attributes = {**hop.attributes, semconv.HOP_EVIDENCE: "observed"}
    return found


REDACTION = ("leaked", "unknown", "proved")
"""What `tollspan wire prove` tells of an exchange; of several about one call the first of these stands."""


def _note_redaction(hops: Sequence[Hop], proofs: Iterable[Known]) -> None:
    """What was proved of a call's redaction stands on its first hop that is no model."""
    told = [each.span.attributes.get(semconv.HOP_REDACTION) for each in proofs if each.span]
    state = next((each for each in REDACTION if each in told), None)
    for hop in hops:
        if state is not None and hop.attributes.get(semconv.HOP_ROLE) not in (None, "", "model"):
            hop.attributes = {**hop.attributes, semconv.HOP_REDACTION: state}
            return


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
