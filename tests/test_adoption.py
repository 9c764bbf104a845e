"""One call, one client span: spans that others make for it are adopted, not doubled.

The anthropic SDK makes spans of its own; OpenTelemetry's GenAI instrumentations mark theirs in the
context. With our span processor the facts go on those; without it nothing of theirs is touched but
an open inference.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
import sdks
from opentelemetry import trace
from opentelemetry.instrumentation.genai.anthropic import AnthropicInstrumentor
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tollspan import attribute, calls, semconv
from tollspan.processors.spans import adopt_provider

NATIVE = "com.anthropic.sdk.python"
WAYS = [way for api, way in sdks.WAYS if api == "messages"]


@pytest.fixture
def adopting(provider: TracerProvider) -> Iterator[None]:
    undo = adopt_provider(provider)
    yield
    undo()


@pytest.fixture(autouse=True)
def watched(request: pytest.FixtureRequest, provider: TracerProvider) -> Iterator[None]:
    with sdks.watched(provider):
        yield


def client_spans(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    """Client spans of calls: neither attempts nor hops."""
    return [
        span
        for span in exporter.get_finished_spans()
        if semconv.ATTEMPT not in (span.attributes or {})
        and semconv.HOP_INDEX not in (span.attributes or {})
        and span.kind is SpanKind.CLIENT
    ]


def native(server: sdks.Server, provider: TracerProvider, **kwargs: Any) -> anthropic.Anthropic:
    return sdks.anthropic_client(server, open_telemetry={"tracer_provider": provider}, **kwargs)


def the_call(exporter: InMemorySpanExporter) -> tuple[str, dict[str, Any]]:
    (span,) = client_spans(exporter)
    assert span.instrumentation_scope is not None
    return span.instrumentation_scope.name, dict(span.attributes or {})


# --- the anthropic SDK's own spans ----------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_a_native_span_is_the_span_of_the_call(
    way: str, provider: TracerProvider, exporter: InMemorySpanExporter, adopting: None
) -> None:
    with attribute(tenant="acme", endpoint="checkout"):
        sdks.ALL[way][0](native(sdks.server_for("messages"), provider), "messages")
    sdks.settle()

    scope, found = the_call(exporter)
    assert scope == NATIVE
    assert found[semconv.STATUS] == "success"
    assert found[semconv.TENANT] == "acme"
    assert found[semconv.INPUT_TOKENS] == 11
    assert found[semconv.OUTPUT_TOKENS] == 7
    assert found[semconv.APP_ATTEMPTS] == 1
    assert found[semconv.COST_ROLE] == "owner"


@pytest.mark.parametrize("way", WAYS)
async def test_async_native_span(
    way: str, provider: TracerProvider, exporter: InMemorySpanExporter, adopting: None
) -> None:
    server = sdks.server_for("messages")
    client = sdks.async_anthropic_client(server, open_telemetry={"tracer_provider": provider})
    await sdks.ALL[way][1](client, "messages")

    scope, found = the_call(exporter)
    assert scope == NATIVE
    assert found[semconv.STATUS] == "success"
    assert found[semconv.OUTPUT_TOKENS] == 7


def test_attempts_are_children_of_the_native_span(
    provider: TracerProvider, exporter: InMemorySpanExporter, adopting: None
) -> None:
    sdks.plain(native(sdks.server_for("messages"), provider), "messages")

    (call,) = client_spans(exporter)
    (attempt,) = [span for span in exporter.get_finished_spans() if span.name == "POST"]
    assert attempt.parent is not None and call.context is not None
    assert attempt.parent.span_id == call.context.span_id


@pytest.mark.parametrize("read", [0, 1, 2])
def test_a_native_stream_that_is_dropped_is_one_abandoned_call(
    read: int, provider: TracerProvider, exporter: InMemorySpanExporter, adopting: None
) -> None:
    client = native(sdks.server_for("messages"), provider)
    stream = client.messages.create(**sdks.MESSAGE, stream=True)
    for _ in range(read):
        next(stream)
    del stream
    gc.collect()
    sdks.settle()

    scope, found = the_call(exporter)
    assert scope == NATIVE
    assert found[semconv.STATUS] == "abandoned"


def test_a_native_error_keeps_its_own_status(
    provider: TracerProvider, exporter: InMemorySpanExporter, adopting: None
) -> None:
    server = sdks.server_for("messages", status=429, body={"error": {"message": "no"}})
    with pytest.raises(anthropic.RateLimitError):
        sdks.plain(native(server, provider), "messages")

    (span,) = client_spans(exporter)
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})[semconv.STATUS] == "error"


@pytest.mark.parametrize("option", [False, {"traces": False}])
def test_a_client_that_does_not_trace_has_a_span_of_ours(
    option: Any, exporter: InMemorySpanExporter, adopting: None
) -> None:
    sdks.plain(
        sdks.anthropic_client(sdks.server_for("messages"), open_telemetry=option), "messages"
    )

    assert the_call(exporter)[0] == semconv.SCOPE


def test_a_client_that_traces_to_another_provider_has_a_span_of_ours_too(
    exporter: InMemorySpanExporter, adopting: None
) -> None:
    elsewhere, other = InMemorySpanExporter(), TracerProvider()
    other.add_span_processor(SimpleSpanProcessor(elsewhere))
    sdks.plain(native(sdks.server_for("messages"), other), "messages")

    assert the_call(exporter)[0] == semconv.SCOPE
    assert len(client_spans(elsewhere)) == 1


def test_a_request_of_the_callers_own_making_has_no_native_span(
    provider: TracerProvider, exporter: InMemorySpanExporter, adopting: None
) -> None:
    client = native(sdks.server_for("messages"), provider)
    client.post("/v1/messages", body=sdks.MESSAGE, cast_to=anthropic.types.Message)

    assert the_call(exporter)[0] == semconv.SCOPE


def test_without_our_span_processor_there_is_a_span_of_ours_and_theirs_is_left_alone(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    assert calls.adopts is False
    sdks.plain(native(sdks.server_for("messages"), provider), "messages")

    spans = {
        span.instrumentation_scope.name: span
        for span in client_spans(exporter)
        if span.instrumentation_scope is not None
    }
    assert set(spans) == {semconv.SCOPE, NATIVE}
    assert semconv.REQUEST_ID not in (spans[NATIVE].attributes or {})


def test_a_native_span_that_never_starts_loses_no_facts(
    monkeypatch: pytest.MonkeyPatch, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    """Not sampled, or lost by a fault of the SDK: the call is settled all the same."""
    settled: list[calls.OpenCall] = []

    class Settling:
        def settle(self, call: calls.OpenCall) -> dict[str, Any]:
            settled.append(call)
            return {}

        def release(self, call: calls.OpenCall) -> None: ...

    monkeypatch.setattr(calls, "settler", Settling())
    monkeypatch.setattr(calls, "adopts", True)
    sdks.plain(native(sdks.server_for("messages"), provider), "messages")

    (call,) = settled
    assert call.adopted
    assert call.span is trace.INVALID_SPAN
    assert call.attributes[semconv.OUTPUT_TOKENS] == 7
    assert calls.open_calls == {}


# --- opentelemetry-util-genai ---------------------------------------------------------------------


@pytest.fixture(params=["openai", "anthropic"])
def official(request: pytest.FixtureRequest, provider: TracerProvider) -> Iterator[str]:
    kind = OpenAIInstrumentor if request.param == "openai" else AnthropicInstrumentor
    kind().instrument(tracer_provider=provider, skip_dep_check=True)
    yield request.param
    kind().uninstrument()


def ask(official: str, way: str, provider: TracerProvider) -> Any:
    api = "chat" if official == "openai" else "messages"
    options = {} if official == "openai" else {"open_telemetry": False}
    return sdks.ALL[way][0](sdks.client_for(api, sdks.server_for(api), **options), api)


@pytest.mark.parametrize("way", ["create", "stream"])
@pytest.mark.parametrize("with_processor", [False, True])
def test_an_open_inference_is_the_span_of_the_call(
    way: str,
    with_processor: bool,
    official: str,
    provider: TracerProvider,
    exporter: InMemorySpanExporter,
    request: pytest.FixtureRequest,
) -> None:
    if with_processor:
        request.getfixturevalue("adopting")
    with attribute(tenant="acme"):
        ask(official, way, provider)
    sdks.settle()

    scope, found = the_call(exporter)
    assert scope.startswith("opentelemetry.")
    assert found[semconv.STATUS] == "success"
    assert found[semconv.TENANT] == "acme"
    assert found[semconv.REQUEST_ID]
    assert found[semconv.OUTPUT_TOKENS] == 7
    assert (found.get(semconv.COST_ROLE) == "owner") is with_processor


def test_of_two_calls_inside_one_inference_the_second_has_a_span_of_its_own(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    from opentelemetry.util.genai.handler import TelemetryHandler

    client = sdks.openai_client(sdks.server_for("chat"))
    with TelemetryHandler(tracer_provider=provider).inference("openai", request_model="m"):
        sdks.plain(client, "chat")
        sdks.plain(client, "chat")

    spans = client_spans(exporter)
    ids = {(span.attributes or {})[semconv.REQUEST_ID] for span in spans}
    assert len(spans) == len(ids) == 2
    assert len(sdks.call_spans(exporter)) == 1
