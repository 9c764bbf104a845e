"""Who sends calls to a stage, through which instrumentation, and what became of them there.

Counted when a trace's window has passed: until then the span of a proxy, or of a second tracer, may
own the answer that another one states, and a counter takes nothing back. What comes after the window,
and what is told while hops are shed, is not counted: the ledger counts exactly. Names are data of
others, so that only so many are kept apart, and those beyond are `other`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, NamedTuple

from tollspan import semconv

from .across import Trace
from .known import RESTATED, Known, Part
from .seen_through import through
from .span import Span
from .values import MOST_MONEY, count, text

__all__ = ["METRICS", "Sender", "Senders", "Tally"]

MOST_SENDERS = 1_000
LONGEST_NAME = 100
OTHER = "other"
STEPS = 10**12
"""Of a US dollar: amounts are counted in whole ones, so that their sum is exact."""

STATUSES = ("success", "error", "cancelled", "abandoned", "blocked")
REASONS = ("unknown_model", "no_usage", "unknown_unit", "inconsistent_usage")

_MODELS = (semconv.MODEL_SERVED, semconv.RESPONSE_MODEL, semconv.REQUEST_MODEL)
"""Where a call's model stands, the best that is known of it first."""

METRICS = {
    "calls": "Calls that own an answer, when the window of their trace has passed",
    "restated_calls": "Calls that another call tells, too; not among the others",
    "unpriced_calls": "Calls whose cost is not known",
    "cost_usd": "Cost of the calls whose cost is known",
    "tokens": "Tokens of the calls that state them",
}
"""By name, without `tollspan_stage_` in front and `_total` behind: meaning."""


class Sender(NamedTuple):
    """A service and the instrumentation that tells of its calls to a model."""

    service: str
    scope: str
    provider: str
    model: str


@dataclass(slots=True)
class Tally:
    """What came of the calls of a `Sender`."""

    statuses: Counter[str] = field(default_factory=Counter)
    unpriced: Counter[str] = field(default_factory=Counter)
    """By `tollspan.unpriced_reason`."""
    restated: int = 0
    cost_steps: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    last_s: float = 0.0
    """When one was counted last, since 1970."""

    @property
    def calls(self) -> int:
        return self.statuses.total()

    @property
    def cost_usd(self) -> str:
        """As a decimal number."""
        whole, rest = divmod(self.cost_steps, STEPS)
        return f"{whole}.{rest:012d}"


class Senders:
    """Counts on the step's thread; is read on any."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = Lock()
        self._tallies: dict[Sender, Tally] = {}
        self._known: dict[tuple[str, str, str, str], Tally] = {}
        """By names as they came, so that nobody looks at them again."""

    def count(self, trace: Trace, but: Collection[str] = ()) -> None:
        """Count the calls of a trace, but for those with these span ids, which were counted before."""
        decided, now_s = trace.decided or {}, self._clock()
        with self._lock:
            for span_id in trace.calls:
                known = trace.spans[span_id]
                if known.span is None or span_id in but:
                    continue
                owns = decided.get(span_id, span_id) == span_id
                said = _said(known, owns)
                if lender := trace.lent.get(span_id):
                    said = through(said, lender)
                tally = self._tally(known.span, said)
                tally.last_s = now_s
                if owns:
                    _add(tally, said, "error" if known.span.status == "error" else "success")
                else:
                    tally.restated += 1

    def all(self) -> list[tuple[Sender, Tally]]:
        """Those who sent something, the most expensive first."""
        with self._lock:
            found = list(self._tallies.items())
        return sorted(found, key=lambda each: (-each[1].cost_steps, -each[1].calls, each[0]))

    def lines(self) -> Iterator[str]:
        """All of it in Prometheus' text format."""
        everybody = self.all()
        for name, meaning in METRICS.items():
            full = f"tollspan_stage_{name}_total"
            yield f"# HELP {full} {meaning}."
            yield f"# TYPE {full} counter"
            for sender, tally in everybody:
                labels = _labels(sender._asdict())
                for more, value in _values(name, tally):
                    yield f"{full}{{{labels}{more}}} {value}"

    def _tally(self, span: Span, said: Any) -> Tally:
        model = next((said[each] for each in _MODELS if said.get(each)), "")
        names = (span.service, span.scope, text(said.get(semconv.PROVIDER)), text(model))
        tally = self._known.get(names)
        if tally is None:
            sender = Sender(*map(_name, names))
            if sender not in self._tallies and len(self._tallies) >= MOST_SENDERS:
                sender = Sender(OTHER, OTHER, OTHER, OTHER)
            tally = self._tallies.setdefault(sender, Tally())
            if len(self._known) < MOST_SENDERS:
                self._known[names] = tally
        return tally


def _said(known: Known, owns: bool) -> Any:
    """The attributes that the call's record is made from: see `call.made`."""
    span = known.span
    assert span is not None
    says_restated = span.attributes.get(semconv.COST_ROLE) == RESTATED
    ours = known.part == Part.OURS and not (says_restated and owns)
    return span.attributes if ours else known.settled


def _add(tally: Tally, said: Any, otherwise: str) -> None:
    """`otherwise`: the status of a call that does not say its own."""
    status = text(said.get(semconv.STATUS)) or otherwise
    tally.statuses[status if status in STATUSES else OTHER] += 1
    if said.get(semconv.COST_GRADE) == "unpriced":
        reason = text(said.get(semconv.UNPRICED_REASON))
        tally.unpriced[reason if reason in REASONS else OTHER] += 1
    amount = said.get(semconv.COST_AMOUNT)
    if isinstance(amount, float) and 0 <= amount < MOST_MONEY:
        tally.cost_steps += round(amount * STEPS)
    tally.input_tokens += count(said.get(semconv.INPUT_TOKENS), 2**63) or 0
    tally.output_tokens += count(said.get(semconv.OUTPUT_TOKENS), 2**63) or 0


def _values(name: str, tally: Tally) -> Iterator[tuple[str, str]]:
    """The series of one metric: what its label adds, and its value. What never was is no series."""
    if name == "calls":
        for status, number in sorted(tally.statuses.items()):
            yield f',status="{status}"', str(number)
    elif name == "unpriced_calls":
        for reason, number in sorted(tally.unpriced.items()):
            yield f',reason="{reason}"', str(number)
    elif name == "restated_calls" and tally.restated:
        yield "", str(tally.restated)
    elif name == "cost_usd" and tally.cost_steps:
        yield "", tally.cost_usd
    elif name == "tokens":
        if tally.input_tokens:
            yield ',kind="input"', str(tally.input_tokens)
        if tally.output_tokens:
            yield ',kind="output"', str(tally.output_tokens)


def _name(said: str) -> str:
    said = said[:LONGEST_NAME]
    return said if said.isprintable() else "".join(c if c.isprintable() else "?" for c in said)


def _labels(names: dict[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in names.items())


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"")
