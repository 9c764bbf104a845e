"""A gateway that is instrumented itself knows from baggage that its caller's call owns the money."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai
import pytest
from mirror import carried
from opentelemetry import baggage, context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import tollspan
from tollspan import config, semconv
from tollspan.chaos import Chaos, ok

OWNER = "35fbe9e9e373a587"


@contextmanager
def arrived(**members: str) -> Iterator[None]:
    """A request came in with this baggage, `_` in names for `.`."""
    inside = context.get_current()
    for name, value in members.items():
        inside = baggage.set_baggage(name.replace("__", "."), value, inside)
    token = context.attach(inside)
    try:
        yield
    finally:
        context.detach(token)


@pytest.fixture
def client(chaos: Chaos, provider: TracerProvider) -> Iterator[openai.OpenAI]:
    chaos.script(*[ok(input_tokens=1000, output_tokens=100)] * 3)
    tollspan.instrument(provider, providers=["openai"])
    with openai.OpenAI(base_url=chaos.openai_base_url, api_key="k", max_retries=0) as made:
        yield made
    tollspan.uninstrument()


def told(client: openai.OpenAI, exporter: InMemorySpanExporter) -> dict[str, Any]:
    """Attributes of the span of one call."""
    client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": "hello"}]
    )
    (span,) = (s for s in exporter.get_finished_spans() if s.name.startswith("chat"))
    return dict(span.attributes or {})


def test_a_call_for_somebody_elses_call_restates_it(
    client: openai.OpenAI, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    with arrived(tollspan__owner_span_id=OWNER, tollspan__request_id="r1", tollspan__tenant="acme"):
        call = told(client, exporter)
    assert call[semconv.COST_ROLE] == "restated"
    assert call[semconv.OWNER_SPAN_ID] == OWNER
    assert call[semconv.REQUEST_ID] == "r1"
    assert call[semconv.TENANT] == "acme"
    assert call[semconv.RESTATED_INPUT_TOKENS] == 1000
    assert semconv.COST_AMOUNT not in call
    assert semconv.INPUT_TOKENS not in call
    # and a gateway behind this one learns of the first caller, not of this process
    assert carried(chaos.log[0].headers)["tollspan.owner_span_id"] == OWNER


def test_without_a_caller_a_call_owns_itself(
    client: openai.OpenAI, exporter: InMemorySpanExporter
) -> None:
    with arrived(tollspan__request_id="r1"):
        call = told(client, exporter)
    assert call[semconv.COST_ROLE] == "owner"
    assert call[semconv.COST_AMOUNT] == pytest.approx(0.00021)


def test_a_gateway_with_books_of_its_own_does_not_join(
    client: openai.OpenAI, exporter: InMemorySpanExporter
) -> None:
    config.reload({"TOLLSPAN_JOIN_CALLERS": "0", "TOLLSPAN_RAISE": "1"})
    with arrived(tollspan__owner_span_id=OWNER):
        call = told(client, exporter)
    assert call[semconv.COST_ROLE] == "owner"
    assert call[semconv.COST_AMOUNT] == pytest.approx(0.00021)


@pytest.mark.parametrize(
    "named", ["", "0" * 16, OWNER[:15], OWNER + "0", OWNER.upper(), "x" * 16, "a\nb", "é" * 16]
)
def test_nonsense_in_baggage_names_no_owner(
    client: openai.OpenAI, exporter: InMemorySpanExporter, named: str
) -> None:
    with arrived(tollspan__owner_span_id=named):
        assert told(client, exporter)[semconv.COST_ROLE] == "owner"
