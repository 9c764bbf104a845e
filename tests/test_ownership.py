"""One owner per answer: whoever describes it besides keeps the numbers where nobody sums them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tollspan import semconv
from tollspan.processors.ownership import owned, restated
from tollspan.processors.spans import adopt_provider

STANDARD = {
    semconv.OPERATION: "chat",
    semconv.PROVIDER: "openai",
    semconv.REQUEST_MODEL: "gpt-4o",
    semconv.INPUT_TOKENS: 1_000,
    semconv.OUTPUT_TOKENS: 100,
}
OPENINFERENCE = {
    "openinference.span.kind": "LLM",
    "llm.provider": "openai",
    "llm.model_name": "gpt-4o",
    "llm.token_count.prompt": 1_000,
    "llm.token_count.completion": 100,
    "llm.cost.total": 0.9,
}
OPENLLMETRY = {
    "gen_ai.system": "openai",
    "llm.request.type": "chat",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.prompt_tokens": 1_000,
    "gen_ai.usage.completion_tokens": 100,
    "gen_ai.usage.cost": 0.9,
}
DIALECTS: dict[str, dict[str, Any]] = {
    "standard": STANDARD,
    "openinference": OPENINFERENCE,
    "openllmetry": OPENLLMETRY,
}


def summed(attributes: Any) -> list[str]:
    """Names on a span that somebody would add up."""
    return [
        name
        for name in attributes
        if name.startswith(("gen_ai.usage.", "llm.token_count.", "llm.cost.", "llm.usage."))
    ]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_foreign_span_that_owns_is_normalised_and_priced(dialect: str) -> None:
    own = owned(DIALECTS[dialect], {semconv.TENANT: "acme"})
    assert own[semconv.INPUT_TOKENS] == 1_000
    assert own[semconv.OUTPUT_TOKENS] == 100
    assert own[semconv.COST_AMOUNT] == 0.0035
    assert own[semconv.COST_GRADE] == "derived"
    assert own[semconv.TENANT] == "acme"
    assert own[semconv.ROUTE] == "openai/gpt-4o"
    assert own[semconv.OPERATION] == "chat"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_restated_span_has_nothing_to_sum(dialect: str) -> None:
    own = restated({**DIALECTS[dialect], semconv.COST_AMOUNT: 0.4}, 0xABC)
    assert summed(own) == []
    assert own[semconv.RESTATED_INPUT_TOKENS] == 1_000
    assert own[semconv.RESTATED_OUTPUT_TOKENS] == 100
    assert own[semconv.RESTATED_COST] == 0.4
    assert own[semconv.COST_ROLE] == "restated"
    assert own[semconv.OWNER_SPAN_ID] == "0000000000000abc"


def test_what_another_derived_is_an_estimate_and_only_without_a_price_of_ours() -> None:
    own = owned({**OPENLLMETRY, "gen_ai.request.model": "house-model"}, {})
    assert (own[semconv.COST_AMOUNT], own[semconv.COST_GRADE]) == (0.9, "estimated")
    own = owned(OPENLLMETRY, {})
    assert (own[semconv.COST_AMOUNT], own[semconv.RESTATED_COST]) == (0.0035, 0.9)


def test_what_a_provider_billed_stays_billed() -> None:
    own = owned({**STANDARD, semconv.COST_AMOUNT: 0.5, semconv.COST_SOURCE: "provider"}, {})
    assert (own[semconv.COST_AMOUNT], own[semconv.COST_GRADE]) == (0.5, "billed")


def test_input_that_leaves_the_cached_tokens_out_is_completed() -> None:
    own = owned({**STANDARD, semconv.CACHE_READ_TOKENS: 5_000}, {})
    assert own[semconv.INPUT_TOKENS] == 6_000
    assert own[semconv.COST_GRADE] == "estimated"


NAMES = sorted({name for each in DIALECTS.values() for name in each} | semconv.ATTRIBUTES.keys())
VALUES = st.one_of(
    st.integers(), st.floats(), st.text(max_size=9), st.booleans(), st.lists(st.text())
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=20))
def test_whatever_it_carries_restated_never_has_an_amount(attributes: dict[str, Any]) -> None:
    own = restated(attributes, 1)
    assert summed(own) == []
    assert own[semconv.COST_ROLE] == "restated"
    owned(attributes, {})  # and the reader of foreign spans takes anything


# --- whole traces ---------------------------------------------------------------------------------

TREE = st.recursive(
    st.just(()), lambda children: st.lists(children, max_size=3).map(tuple), max_leaves=8
)


@settings(max_examples=60, deadline=None)
@given(tree=TREE, data=st.data())
def test_nested_spans_of_others_pay_each_leaf_once(tree: Any, data: st.DataObject) -> None:
    """Every span of a random tree may state the usage; what is innermost and states it owns."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    undo = adopt_provider(provider)
    bills = []
    try:
        tracers = [provider.get_tracer(name) for name in ("openinference.instrumentation.x", "any")]

        def run(node: Any) -> bool:
            """Make the span of `node` and those inside; whether any of them stated usage."""
            tracer = data.draw(st.sampled_from(tracers))
            states = data.draw(st.booleans())
            dialect = data.draw(st.sampled_from(list(DIALECTS.values())))
            with tracer.start_as_current_span("span") as span:
                inside = [run(child) for child in node]
                if states:
                    span.set_attributes(dialect)
                    if not any(inside):
                        bills.append(Decimal("0.0035"))
            return states or any(inside)

        run(tree)
    finally:
        undo()
        provider.shutdown()
    spans = exporter.get_finished_spans()
    amounts = [
        s.attributes[semconv.COST_AMOUNT] for s in spans if semconv.COST_AMOUNT in s.attributes
    ]
    assert sum((Decimal(repr(each)) for each in amounts), Decimal(0)) == sum(bills, Decimal(0))
    ids = {f"{s.context.span_id:016x}" for s in spans if semconv.COST_AMOUNT in s.attributes}
    for span in spans:
        if span.attributes.get(semconv.COST_ROLE) == "restated":
            assert summed(span.attributes) == []
            assert span.attributes[semconv.OWNER_SPAN_ID] in ids


def test_a_child_that_ends_after_its_owner_is_restated_all_the_same(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    undo = adopt_provider(provider)
    tracer = provider.get_tracer("openlit")
    outer = tracer.start_span("outer")
    late = tracer.start_span("late", context=trace.set_span_in_context(outer))
    outer.set_attributes(STANDARD)
    outer.end()
    late.set_attributes(STANDARD)
    late.end()
    undo()
    first, second = exporter.get_finished_spans()
    assert first.attributes is not None and second.attributes is not None
    assert first.attributes[semconv.COST_AMOUNT] == 0.0035
    assert second.attributes[semconv.COST_ROLE] == "restated"
