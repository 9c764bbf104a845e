"""Calls in traces that the sampler drops: every one told once, so that sums are whole."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import sdks
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider, sampling
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from test_span_processor import CHAT_ANSWER, LITELLM

import tollspan
from tollspan import config, semconv
from tollspan.launcher import checkup
from tollspan.processors import unsampled
from tollspan.processors.spans import adopt_provider
from tollspan.processors.unsampled import Drivers

DROP = sampling.ALWAYS_OFF
TENTH = sampling.ParentBased(sampling.TraceIdRatioBased(0.1))


@pytest.fixture(autouse=True)
def every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsampled.drivers, "_spent", {})
    monkeypatch.setattr(unsampled.drivers, "_top", frozenset())
    config.reload({"TOLLSPAN_EVERY_CALL": "1", "TOLLSPAN_TOP_DRIVERS": "0", "TOLLSPAN_RAISE": "1"})


@pytest.fixture(params=[SimpleSpanProcessor, BatchSpanProcessor])
def processor(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def sampler() -> sampling.Sampler:
    return DROP


@pytest.fixture
def provider(
    sampler: sampling.Sampler, exporter: InMemorySpanExporter, processor: Any
) -> Iterator[TracerProvider]:
    made = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    made.add_span_processor(processor(exporter))
    undo = adopt_provider(made)
    yield made
    undo()
    made.shutdown()


def ask(provider: TracerProvider, calls: int = 1, headers: dict[str, str] | None = None) -> Any:
    server = sdks.Server(CHAT_ANSWER, headers=headers or {})
    with sdks.watched(provider):
        client = sdks.openai_client(server)
        for _ in range(calls):
            with provider.get_tracer("app").start_as_current_span("request"):
                client.chat.completions.create(**sdks.CHAT)
        provider.force_flush()
    return server


def spent(spans: tuple[ReadableSpan, ...]) -> tuple[int, Decimal, int]:
    """Calls, US dollars, input tokens of the owners among `spans`."""
    said = [dict(span.attributes or {}) for span in spans]
    owners = [each for each in said if each.get(semconv.COST_ROLE) == "owner"]
    usd = sum((Decimal(repr(each[semconv.COST_AMOUNT])) for each in owners), Decimal(0))
    return len(owners), usd, sum(each[semconv.INPUT_TOKENS] for each in owners)


def test_a_dropped_call_is_told_by_its_span_alone(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    with tollspan.attribute(endpoint="checkout", tenant="acme"):
        server = ask(provider, headers=LITELLM)
    (call,) = exporter.get_finished_spans()
    said = dict(call.attributes or {})
    assert said[semconv.COST_AMOUNT] == 0.00021
    assert (said[semconv.ENDPOINT_TAG], said[semconv.TENANT]) == ("checkout", "acme")
    assert said[semconv.ROUTE] == "litellm > openai/gpt-4o-mini"
    assert said[semconv.UNSAMPLED] is True
    assert call.context is not None and call.context.trace_flags.sampled
    assert call.parent is not None and not call.parent.trace_flags.sampled
    carried = [request.headers.get("traceparent", "-00") for request in server.requests]
    assert all(each.endswith("-00") for each in carried), "what is behind stays unsampled"


@pytest.mark.parametrize("sampler", [TENTH])
def test_sums_are_those_of_all_calls_whatever_the_ratio(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    ask(provider, calls=60)
    spans = exporter.get_finished_spans()
    assert spent(spans) == (60, Decimal("0.0126"), 60_000)
    whole = [span for span in spans if span.name == "request"]
    slim = [span for span in spans if semconv.UNSAMPLED in (span.attributes or {})]
    assert len(whole) + len(slim) == 60 and len(whole) < 40
    ids = [span.context.span_id for span in spans if span.context]
    assert len(set(ids)) == len(ids)


def test_an_inner_call_adds_nothing(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    from tollspan.instrumentation import _patching

    _patching.use(provider)
    tollspan.record(provider="openai", model="gpt-4o-mini", input_tokens=1000, output_tokens=100)
    _patching.use(None)
    provider.force_flush()
    assert spent(exporter.get_finished_spans()) == (1, Decimal("0.00021"), 1000)


def test_those_who_spend_most_are_told_whole(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    config.reload({"TOLLSPAN_EVERY_CALL": "1", "TOLLSPAN_TOP_DRIVERS": "1", "TOLLSPAN_RAISE": "1"})
    with tollspan.attribute(tenant="big"):
        ask(provider, calls=3, headers=LITELLM)
    with tollspan.attribute(tenant="small"):
        ask(provider, headers=LITELLM)
    spans = exporter.get_finished_spans()
    hops = [span for span in spans if span.name.startswith("hop ")]
    owners = {
        span.context.span_id: dict(span.attributes or {}).get(semconv.TENANT)
        for span in spans
        if span.context
    }
    assert {owners[span.parent.span_id] for span in hops if span.parent} == {"big"}
    assert len(hops) == 6 and all(span.context.trace_flags.sampled for span in hops if span.context)


def test_without_the_setting_the_sampler_has_its_way(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    config.reload({})
    ask(provider)
    assert exporter.get_finished_spans() == ()


def test_the_doctor_is_content_then() -> None:
    assert checkup.sampler("parentbased_traceidratio", "0.1").state == checkup.OK
    config.reload({})
    found = checkup.sampler("parentbased_traceidratio", "0.1")
    assert found.state == checkup.WARN and "TOLLSPAN_EVERY_CALL" in found.text


def test_a_restated_span_of_a_dropped_trace_stays_dropped() -> None:
    context = trace.SpanContext(1, 1, is_remote=False)
    inner = ReadableSpan("chat", context, attributes={semconv.COST_ROLE: "restated"})
    assert unsampled.told(inner) is inner


def test_drivers_are_bounded_and_forget(monkeypatch: pytest.MonkeyPatch) -> None:
    config.reload({"TOLLSPAN_TOP_DRIVERS": "2"})
    now = [0.0]
    monkeypatch.setattr(unsampled, "monotonic", lambda: now[0])
    drivers = Drivers()

    def is_top(tenant: str, usd: float | None) -> bool:
        now[0] += 2.0
        return drivers.is_top({semconv.TENANT: tenant, semconv.COST_AMOUNT: usd})

    assert is_top("a", 5.0) and is_top("b", 3.0)
    assert not is_top("c", 1.0) and not is_top("d", None)
    for number in range(3_000):
        is_top(f"t{number}", 0.001)
    assert len(drivers._spent) <= unsampled.MOST_DRIVERS + 1
    assert is_top("a", 0.0)
    now[0] += 10 * unsampled.HALF_LIFE_S
    for _ in range(20):
        now[0] += unsampled.HALF_LIFE_S
        is_top("c", 1.0)
    assert is_top("c", 1.0) and not is_top("z", 0.0)
