"""What the spans of gateways prove about a call: how often models were really asked. (foreign names)

LiteLLM tells every request that it sends on: V2 by an event on the span of the request that it
serves, V1 by a span named `self` beside that of the call. Both are undocumented; checked against
what the models received in every capture, versions 1.106 to 1.109.
TensorZero makes a span for each request: https://www.tensorzero.com/docs/operations/export-opentelemetry-traces
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tollspan import semconv
from tollspan.processors.dialect_gateways import LITELLM_CALL

from .span import Span

__all__ = ["Proof", "is_evidence", "is_sent_on", "proof", "requests_of"]

_SELECTED = "litellm.request.deployment_selected"
_SENT = {("litellm", "self"), ("tensorzero", "model_provider_inference")}
_LITELLM_MODEL = "litellm.provider.model"


def is_evidence(span: Span) -> bool:
    """Whether `span` counts requests of a gateway without being a call itself."""
    if span.events and any(event.name == _SELECTED for event in span.events):
        return True
    return (span.scope.partition("-")[0], span.name) in _SENT


def requests_of(spans: Iterable[Span]) -> int:
    """How many requests the evidence in `spans`, all of one served request, counts."""
    selected = sent = 0
    for span in spans:
        if is_evidence(span):
            here = sum(event.name == _SELECTED for event in span.events)
            selected += here
            sent += not here
    return selected or sent


def is_sent_on(said: Mapping[str, Any]) -> bool:
    """Whether a gateway's call went to another gateway of its kind."""
    return str(said.get(_LITELLM_MODEL) or "").startswith("litellm_proxy/")


def _asked_on(
    hops: Sequence[Mapping[str, Any]], served: Iterable[Mapping[str, Any]]
) -> frozenset[str]:
    """What LiteLLMs asked that have another gateway behind them, by the receipts of `hops`.

    A second LiteLLM is as often configured as `openai/ALIAS` at its address.
    """
    way = sorted(hops, key=lambda hop: hop.get(semconv.HOP_INDEX) or 0)
    before = {
        one.get(semconv.GATEWAY_REQUEST_ID)
        for one, behind in itertools.pairwise(way)
        if semconv.GATEWAY_NAME in behind
    } - {None}
    asked = (said.get(_LITELLM_MODEL) for said in served if said.get(LITELLM_CALL) in before)
    return frozenset(each for each in asked if isinstance(each, str))


@dataclass(frozen=True, slots=True)
class Proof:
    """Requests that reached models: `exact` where every gateway on the way was seen."""

    attempts: int
    exact: bool
    gateways: frozenset[str]


def proof(
    call: Mapping[str, Any],
    hops: Sequence[Mapping[str, Any]],
    served: Mapping[str, tuple[int, Mapping[str, Any]]],
) -> Proof | None:
    """What is proven about `call`.

    Args:
        call: its attributes.
        hops: attributes of its hop spans.
        served: by each request that a gateway served for it: the requests that it made of that,
            and attributes of its span of the call in standard names.
    """
    if not served:
        return None
    expected = call.get(semconv.APP_ATTEMPTS)
    expected = expected if isinstance(expected, int) and expected > 0 else 1
    reached, names = 0, set()
    asked_on = _asked_on(hops, [said for _, said in served.values()])
    for count, said in served.values():
        names.add(str(said.get(semconv.GATEWAY_NAME) or ""))
        if is_sent_on(said) or said.get(_LITELLM_MODEL) in asked_on:
            expected += count
        else:
            reached += count
    passed = {hop.get(semconv.GATEWAY_NAME) for hop in hops} - {None}
    # Two of a kind have one name: of those that gave their request an id, each was seen.
    ids = {hop.get(semconv.GATEWAY_REQUEST_ID) for hop in hops if _is_litellm(hop)} - {None}
    seen = ids <= {said.get(LITELLM_CALL) for _, said in served.values()}
    exact = expected == len(served) and passed <= names and seen
    return Proof(reached, exact, frozenset(names - {""}))


def _is_litellm(hop: Mapping[str, Any]) -> bool:
    return hop.get(semconv.GATEWAY_NAME) == "litellm"
