"""`tollspan.instrument()`: two lines are enough, whichever provider there is or will be."""

from __future__ import annotations

import os
from collections.abc import Iterator

import openai
import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util._once import Once
from otlp import Receiver

import tollspan
from tollspan import config
from tollspan.chaos import Chaos, ok
from tollspan.launcher import deliveries, exporters, installation, own_provider, standin
from tollspan.processors import callspan


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        yield receiver


@pytest.fixture(autouse=True)
def nothing_global(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No tracer provider is set, and none stays set."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    yield
    tollspan.uninstrument()


@pytest.fixture
def client(chaos: Chaos) -> Iterator[openai.OpenAI]:
    chaos.script(*[ok(input_tokens=1000, output_tokens=100)] * 9)
    with openai.OpenAI(base_url=chaos.openai_base_url, api_key="test", max_retries=0) as client:
        yield client


def ask(client: openai.OpenAI) -> None:
    client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": "hello"}]
    )


def flush() -> None:
    trace.get_tracer_provider().force_flush()  # type: ignore[attr-defined]


def owners(exporter: InMemorySpanExporter) -> list[str]:
    """Names of the call spans that own money."""
    return [
        span.name
        for span in exporter.get_finished_spans()
        if (span.attributes or {}).get("tollspan.cost.role") == "owner"
    ]


def test_two_lines_are_enough(receiver: Receiver, client: openai.OpenAI) -> None:
    tollspan.instrument()
    ask(client)
    flush()

    (call,) = receiver.calls()
    assert call.name == "chat gpt-4o-mini"
    assert call.attributes["gen_ai.usage.cost.amount"] == pytest.approx(0.00021)
    assert call.attributes["tollspan.route"] == "openai/gpt-4o-mini"


def test_twice_is_once(receiver: Receiver, client: openai.OpenAI) -> None:
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    tollspan.instrument(meter_provider=meters)
    tollspan.instrument(meter_provider=meters)
    tollspan.instrument()
    ask(client)
    flush()

    assert len(receiver.calls()) == 1
    data = reader.get_metrics_data()
    assert data is not None
    (cost,) = [
        point.value
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "tollspan.cost"
        for point in metric.data.data_points
    ]
    assert cost == pytest.approx(0.00021)


def test_a_streamed_call_is_measured_from_its_start_to_its_last_chunk(
    provider: TracerProvider, client: openai.OpenAI
) -> None:
    reader = InMemoryMetricReader()
    tollspan.instrument(provider, MeterProvider([reader], shutdown_on_exit=False))
    with client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": "hello"}],
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        assert list(stream)

    data = reader.get_metrics_data()
    assert data is not None
    sums = {
        (metric.name, point.attributes.get("gen_ai.token.type")): point.sum
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name.startswith("gen_ai.")
        for point in metric.data.data_points
    }
    first = sums["gen_ai.client.operation.time_to_first_chunk", None]
    assert 0 < first <= sums["gen_ai.client.operation.duration", None] < 60
    assert sums["gen_ai.client.token.usage", "input"] == 1000
    assert sums["gen_ai.client.token.usage", "output"] == 100


def test_a_given_provider_gets_the_spans_and_the_global_place_stays_free(
    exporter: InMemorySpanExporter, provider: TracerProvider, client: openai.OpenAI
) -> None:
    tollspan.instrument(tracer_provider=provider)
    ask(client)

    assert owners(exporter) == ["chat gpt-4o-mini"]
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def test_the_global_provider_that_is_there_is_used(
    exporter: InMemorySpanExporter, provider: TracerProvider, client: openai.OpenAI
) -> None:
    trace.set_tracer_provider(provider)
    tollspan.instrument()
    ask(client)

    assert owners(exporter) == ["chat gpt-4o-mini"]
    assert trace.get_tracer_provider() is provider


def test_a_provider_that_is_set_later_takes_over(
    receiver: Receiver,
    exporter: InMemorySpanExporter,
    provider: TracerProvider,
    client: openai.OpenAI,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tollspan.instrument()
    early = trace.get_tracer("application")
    ask(client)
    flush()

    trace.set_tracer_provider(provider)
    with early.start_as_current_span("the application's own"):
        ask(client)

    assert trace.get_tracer_provider() is provider
    assert len(receiver.calls()) == 1
    assert owners(exporter) == ["chat gpt-4o-mini"]
    spans = {span.name: span for span in exporter.get_finished_spans()}
    call, own = spans["chat gpt-4o-mini"], spans["the application's own"]
    assert call.parent is not None
    assert call.parent.span_id == own.context.span_id
    assert not [record for record in caplog.records if "Overriding" in record.message]


def test_a_second_set_is_still_refused_by_opentelemetry(
    receiver: Receiver, provider: TracerProvider, caplog: pytest.LogCaptureFixture
) -> None:
    tollspan.instrument()
    trace.set_tracer_provider(provider)
    trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))

    assert trace.get_tracer_provider() is provider
    assert "Overriding of current TracerProvider is not allowed" in caplog.text


def test_a_processor_added_to_the_stand_in_sees_the_calls(
    receiver: Receiver, exporter: InMemorySpanExporter, client: openai.OpenAI
) -> None:
    tollspan.instrument()
    trace.get_tracer_provider().add_span_processor(  # type: ignore[attr-defined]
        SimpleSpanProcessor(exporter)
    )
    ask(client)

    assert owners(exporter) == ["chat gpt-4o-mini"]


def test_no_exporter_is_made_where_none_is_asked_for(
    client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    tollspan.instrument()
    ask(client)

    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    assert installation.current is not None
    assert installation.current.counting is not None
    assert installation.current.counting.released == 1


def test_disabled_is_disabled(
    client: openai.OpenAI, chaos: Chaos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLLSPAN_DISABLED", "true")
    config.reload()
    before = openai.OpenAI.request
    tollspan.instrument()

    assert openai.OpenAI.request is before
    assert installation.current is None


def test_an_unknown_provider_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="'opnai'.*did you mean 'openai'"):
        tollspan.instrument(providers=["opnai"])
    assert installation.current is None


def test_a_bare_string_is_no_list_of_providers() -> None:
    with pytest.raises(TypeError, match=r"\['openai'\]"):
        tollspan.instrument(providers="openai")
    with pytest.raises(TypeError, match=r"tracer_provider='openai' .* providers=\[\"openai\"\]"):
        tollspan.instrument("openai")  # type: ignore[arg-type]


def test_only_the_named_providers_are_patched(
    exporter: InMemorySpanExporter, provider: TracerProvider, client: openai.OpenAI
) -> None:
    tollspan.instrument(tracer_provider=provider, providers=["anthropic"])
    ask(client)

    assert owners(exporter) == []


def test_uninstrument_leaves_everything_as_it_was(
    receiver: Receiver, exporter: InMemorySpanExporter, client: openai.OpenAI
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    behind = SimpleSpanProcessor(exporter)
    provider.add_span_processor(behind)
    processors = provider._active_span_processor._span_processors
    before = (vars(openai.OpenAI), trace._set_tracer_provider)
    method = openai.OpenAI.request

    tollspan.instrument()
    tollspan.instrument(tracer_provider=provider)
    ask(client)
    tollspan.uninstrument()
    tollspan.uninstrument()

    assert (vars(openai.OpenAI), trace._set_tracer_provider) == before
    assert openai.OpenAI.request is method
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    assert provider._active_span_processor._span_processors == processors
    assert "export" not in vars(exporter)
    assert deliveries.deliveries == []
    seen = len(exporter.get_finished_spans())
    ask(client)
    assert len(exporter.get_finished_spans()) == seen
    provider.shutdown()


def test_again_after_uninstrument(receiver: Receiver, client: openai.OpenAI) -> None:
    tollspan.instrument()
    early = trace.get_tracer("application")
    tollspan.uninstrument()
    tollspan.instrument()
    with early.start_as_current_span("the application's own"):
        ask(client)
    flush()

    assert len(receiver.calls()) == 1
    assert "the application's own" in {span.name for span in receiver.spans}


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_exports_its_own_spans(receiver: Receiver, client: openai.OpenAI) -> None:
    tollspan.instrument()
    ask(client)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with openai.OpenAI(base_url=client.base_url, api_key="test") as own:
                ask(own)
            flush()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    flush()

    calls = receiver.calls()
    assert len(calls) == 2
    assert len({call.span_id for call in calls}) == 2
    assert len({call.attributes["tollspan.request_id"] for call in calls}) == 2


@pytest.mark.quiet
def test_a_fault_of_our_own_does_not_stop_the_application(
    client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError("a fault of ours")

    monkeypatch.setattr(standin, "notice", broken)
    tollspan.instrument()
    ask(client)


def test_an_exporter_that_is_not_installed_is_said_once(
    client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    tollspan.instrument()
    for _ in range(3):
        ask(client)
        flush()

    assert caplog.text.count("no exporter 'zipkin' is installed") == 1


def test_the_stand_in_waits_at_most_five_seconds_at_exit(receiver: Receiver) -> None:
    tollspan.instrument()
    assert installation.current is not None
    assert installation.current.stand_in is not None
    flush()
    (delivery,) = deliveries.deliveries
    assert delivery.exporter == "otlp_proto_http"
    assert delivery.endpoint == receiver.url
    assert isinstance(trace.get_tracer_provider(), TracerProvider)
    assert issubclass(own_provider.Batched, BatchSpanProcessor)
    assert exporters.EXIT_MS == 5000


def test_two_lines_start_spans_as_quickly_as_a_provider_of_ones_own() -> None:
    stand_in = standin.StandIn(lambda: setattr(stand_in, "made", own_provider.made([])))
    tracer = stand_in.get_tracer("t")

    assert isinstance(callspan.start_span(tracer, "chat", {}, 1), callspan.CallSpan)

    other = TracerProvider()
    stand_in.give_way(other)
    given = callspan.start_span(tracer, "chat", {}, 1)
    assert isinstance(given, callspan.CallSpan)
    assert given.resource is other.resource
    stand_in.shutdown()
    other.shutdown()
