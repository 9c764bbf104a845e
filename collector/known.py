"""What is known of a span: what it is to a call, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tollspan import semconv

from .evidence import is_evidence
from .span import Span

__all__ = ["OWNER", "RESTATED", "Known", "Part", "part_of"]

INFERENCE = frozenset(
    {"chat", "text_completion", "generate_content", "embeddings", "rerank", "image_generation"}
)
"""Operations that a model is paid for. https://opentelemetry.io/docs/specs/semconv/gen-ai/"""

OWNER, RESTATED = "owner", "restated"


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
