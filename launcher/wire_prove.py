"""Whether a proxy sent on what should be masked: `tollspan wire prove`.

Captures of the application say what was sent to the proxy, captures behind it what the upstream
received. Both were masked before they were written, and with the same `TOLLSPAN_HASH_KEY` each mask
carries the fingerprint of its value: a fingerprint on both sides is a value that went through.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tollspan import semconv
from tollspan.redaction import MARK
from tollspan.wirefile import Exchange

from .wire_joined import Behind, behind

__all__ = ["LEAKED", "PROVED", "UNKNOWN", "Fate", "Proof", "prove", "tell"]

PROVED, LEAKED, UNKNOWN = "proved", "leaked", "unknown"


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of the values that one rule found in what was sent."""

    rule: str
    sent: int
    """Different values."""
    there: int
    """Of them, those that the upstream received; without fingerprints, values of the same rule."""
    where: str
    """`absent`, `masked` (other text stands in its place), `there`, or `unsure`."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What is known of one exchange. `state`: `proved`, `leaked` or `unknown`, and why."""

    sent: Exchange
    received: tuple[str, ...]
    """Ids of the exchanges behind the proxy that belong to it."""
    state: str
    fates: tuple[Fate, ...] = ()
    why: str = ""
    joined: str = ""
    """How those requests were found: by `request_id`, `trace` or `time`."""

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.sent.id,
            "trace_id": self.sent.head.get("trace_id"),
            "received": list(self.received),
            "joined": self.joined or None,
            "redaction": self.state,
            "why": self.why or None,
            "rules": [
                {"rule": fate.rule, "sent": fate.sent, "there": fate.there, "fate": fate.where}
                for fate in self.fates
            ],
        }

    def sentence(self) -> str:
        found = ", ".join(f"{fate.sent} {fate.rule} {fate.where}" for fate in self.fates)
        by_time = "joined by time" if self.joined == "time" else ""
        said = "; ".join(filter(None, (found, self.why, by_time)))
        return f"{self.sent.id}  {self.state}: {said}"


def prove(sent: Sequence[Exchange], received: Sequence[Exchange]) -> list[Proof]:
    """One proof for each exchange of the application, in their order."""
    found = behind(sent, received)
    return [_proof(each, one) for each, one in zip(sent, found, strict=True)]


def _proof(sent: Exchange, found: Behind) -> Proof:
    behind = found.exchanges
    made = partial(Proof, sent, tuple(each.id for each in behind), joined=found.by)

    def unknown(why: str) -> Proof:
        return made(UNKNOWN, why=why)

    if not behind:
        return unknown(found.why)
    values = _values(sent)
    if not values:
        return unknown("nothing in it was to be masked")
    fates = tuple(_fate(rule, found, sent, behind) for rule, found in sorted(values.items()))
    if any(fate.where == "there" for fate in fates):
        return made(LEAKED, fates)
    if any(each.head.get("rules_id") != sent.head.get("rules_id") for each in behind):
        return unknown(
            "the two sides were captured with other rules: give both one TOLLSPAN_REDACT"
        )
    if any(not _is_readable(each) for each in (sent, *behind)):
        return unknown("a request was not kept whole: raise TOLLSPAN_WIRE_EXCHANGE_KB")
    if any(fate.where == "unsure" for fate in fates):
        why = "values of that kind went further: give both sides one TOLLSPAN_HASH_KEY to compare them"
        return made(UNKNOWN, fates, why)
    return made(PROVED, fates)


def _is_readable(exchange: Exchange) -> bool:
    return not exchange.request.get("truncated") and exchange.request.get("body") is not None


def _texts(exchange: Exchange) -> str:
    return f"{exchange.request.get('url')}\n{exchange.request.get('body') or ''}"


def _values(exchange: Exchange) -> dict[str, set[str]]:
    """Fingerprints by rule; '' for a value without one."""
    found: dict[str, set[str]] = {}
    for rule, fingerprint in MARK.findall(_texts(exchange)):
        found.setdefault(rule, set()).add(fingerprint)
    return found


def _fate(rule: str, values: set[str], sent: Exchange, behind: Sequence[Exchange]) -> Fate:
    seen: dict[str, set[str]] = {}
    for each in behind:
        for name, found in _values(each).items():
            seen.setdefault(name, set()).update(found)
    comparable = bool(sent.head.get("key_id")) and all(
        each.head.get("key_id") == sent.head.get("key_id") for each in behind
    )
    if comparable:
        # A value may match another rule where it stands in other words.
        through = values & set().union(*seen.values()) if seen else set()
        if through:
            return Fate(rule, len(values), len(through), "there")
    elif rule in seen:
        return Fate(rule, len(values), len(seen[rule]), "unsure")
    place = _has_other_text(rule, sent, behind)
    return Fate(rule, len(values), 0, "masked" if place else "absent")


def _has_other_text(rule: str, sent: Exchange, behind: Sequence[Exchange]) -> bool:
    """Whether a text stands behind the proxy where one with the value stood before it."""
    places = [
        path
        for path, text in _leaves(sent)
        if any(found == rule for found, _ in MARK.findall(text))
    ]
    return any(path in places for each in behind for path, _ in _leaves(each))


def _leaves(exchange: Exchange) -> Iterator[tuple[tuple[Any, ...], str]]:
    try:
        waiting: list[tuple[tuple[Any, ...], Any]] = [
            ((), json.loads(str(exchange.request.get("body") or "")))
        ]
    except (ValueError, RecursionError):
        return
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, str):
            yield path, value
        elif isinstance(value, dict):
            waiting += [((*path, key), each) for key, each in value.items()]
        elif isinstance(value, list):
            waiting += [((*path, place), each) for place, each in enumerate(value)]


def tell(proofs: Sequence[Proof]) -> None:
    """Send a span for each proof to where spans go, below the call that it is about: the page then
    shows it on the hop. The same proof makes the same span."""
    from hashlib import sha256

    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    from . import exporters

    class Ids(RandomIdGenerator):
        """Ids that follow from the proof."""

        proof: Proof

        def generate_span_id(self) -> int:
            told = json.dumps([self.proof.sent.id, self.proof.received])
            return int.from_bytes(sha256(told.encode()).digest()[:8]) or 1

    ids = Ids()
    provider = TracerProvider(id_generator=ids)
    for name in exporters.names("traces", default="otlp"):
        exporter = exporters.load("opentelemetry_traces_exporter", name)(**exporters.place(name))
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer(semconv.SCOPE)
    for ids.proof in proofs:
        head = ids.proof.sent.head
        above = trace.SpanContext(
            _number(head.get("trace_id")),
            _number(head.get("span_id")),
            is_remote=True,
            trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
        )
        if not above.is_valid:
            continue
        context = trace.set_span_in_context(trace.NonRecordingSpan(above))
        said = {semconv.HOP_REDACTION: ids.proof.state, semconv.WIRE_ID: ids.proof.sent.id}
        tracer.start_span("wire proof", context, attributes=said).end()
    provider.shutdown()


def _number(told: object) -> int:
    """What an id says in hex digits; 0, which no span has, where it is none."""
    try:
        return int(str(told or 0), 16)
    except ValueError:
        return 0
