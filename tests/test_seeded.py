"""A program that seeds `random` gets its own numbers, and its calls are new ones in every run."""

from __future__ import annotations

import random
from collections.abc import Iterator

import openai
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import tollspan
from tollspan.chaos import Chaos


@pytest.fixture
def client(chaos: Chaos, provider: TracerProvider) -> Iterator[openai.OpenAI]:
    tollspan.instrument(tracer_provider=provider)
    with openai.OpenAI(base_url=chaos.openai_base_url, api_key="k") as client:
        yield client
    tollspan.uninstrument()


def test_two_runs_with_one_seed_are_two_runs(
    client: openai.OpenAI, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    for _ in range(2):
        random.seed(42)
        client.chat.completions.create(model="gpt-4o-mini", messages=[])
    provider.force_flush()
    contexts = [span.get_span_context() for span in exporter.get_finished_spans()]
    ids = [context.span_id for context in contexts if context is not None]
    traces = {context.trace_id for context in contexts if context is not None}
    assert len(ids) == len(set(ids)) > 2
    assert len(traces) == 2


def test_a_call_takes_none_of_the_programs_numbers(client: openai.OpenAI) -> None:
    random.seed(42)
    without = random.random()
    random.seed(42)
    client.chat.completions.create(model="gpt-4o-mini", messages=[])
    assert random.random() == without


def test_records_are_no_repeats_either(
    client: openai.OpenAI, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    for _ in range(2):
        random.seed(42)
        tollspan.record(provider="openai", model="gpt-4o", input_tokens=1, output_tokens=1)
    provider.force_flush()
    spans = [span.get_span_context() for span in exporter.get_finished_spans()]
    assert len({span.span_id for span in spans if span is not None}) == 2
