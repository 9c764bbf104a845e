"""Where an HTTP instrumentation makes the span of a request, that span is the attempt's: never two."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import pytest
from mirror import CLIENTS, Mirror, Reply, context_of, ids_of, open_call, watching
from needs import missing
from opentelemetry.instrumentation.utils import suppress_http_instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

INSTRUMENTATION = pytest.importorskip("opentelemetry.instrumentation.httpx")

SCOPES = {
    "httpx": "opentelemetry.instrumentation.httpx",
    "httpx async": "opentelemetry.instrumentation.httpx",
    "httpx2": "opentelemetry.instrumentation.httpx",
    "httpx2 async": "opentelemetry.instrumentation.httpx",
}
ABOVE = {
    "requests": ("opentelemetry.instrumentation.requests", "RequestsInstrumentor"),
    "aiohttp": ("opentelemetry.instrumentation.aiohttp_client", "AioHttpClientInstrumentor"),
}


def instrumentors() -> list[Any]:
    return [
        INSTRUMENTATION.HTTPXClientInstrumentor(),
        *(
            [INSTRUMENTATION.HTTPX2ClientInstrumentor()]
            if hasattr(INSTRUMENTATION, "HTTPX2ClientInstrumentor")
            else []
        ),
    ]


@pytest.fixture
def instrumented(provider: TracerProvider) -> Iterator[None]:
    for each in instrumentors():
        each.instrument(tracer_provider=provider)
    yield
    for each in instrumentors():
        each.uninstrument()


def spans(exporter: InMemorySpanExporter) -> list[Any]:
    return [span for span in exporter.get_finished_spans() if span.name == "POST"]


@pytest.mark.parametrize("name", SCOPES)
@pytest.mark.usefixtures("instrumented")
def test_the_span_of_the_httpx_instrumentation_is_the_only_one(
    name: str, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    with (
        watching(provider),
        Mirror(Reply(429, {"x-request-id": "r"})) as mirror,
        open_call(provider) as call,
    ):
        CLIENTS[name](mirror.url)
    (span,) = spans(exporter)
    assert span.instrumentation_scope.name == SCOPES[name]
    assert span.parent.span_id == call.span_id
    (attempt,) = call.attempts
    assert attempt.span is None
    assert attempt.attributes["http.response.status_code"] == 429
    assert attempt.attributes["http.response.header.x-request-id"] == "r"
    assert attempt.end_ns
    assert context_of(mirror.received[0]) == ids_of(span)


@pytest.mark.usefixtures("instrumented")
def test_the_attempt_is_there_before_the_instrumentations_span_starts(
    provider: TracerProvider,
) -> None:
    from opentelemetry.sdk.trace import SpanProcessor

    from tollspan.calls import current_call

    seen: list[int] = []

    class Watch(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            call = current_call.get()
            if call is not None:
                seen.append(call.attempts[-1].attributes["tollspan.attempt"])

    provider.add_span_processor(Watch())
    with watching(provider), Mirror() as mirror, open_call(provider):
        for _ in range(3):
            CLIENTS["httpx2"](mirror.url)
    assert seen == [1, 2, 3]


@pytest.mark.parametrize("module", [httpx, httpx2])
def test_one_instrumented_client_among_others(
    module: Any, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    with (
        watching(provider),
        Mirror() as mirror,
        open_call(provider),
        module.Client() as client,
        module.Client() as other,
    ):
        kind = instrumentors()[-1 if module is httpx2 else 0]
        kind.instrument_client(client, tracer_provider=provider)
        client.post(mirror.url)
        other.post(mirror.url)
    first, second = spans(exporter)
    assert first.instrumentation_scope.name == "opentelemetry.instrumentation.httpx"
    assert second.instrumentation_scope.name == "tollspan"


def test_an_instrumenting_transport_around_another(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    inner = httpx.MockTransport(lambda request: httpx.Response(200, json={}))
    transport = INSTRUMENTATION.SyncOpenTelemetryTransport(inner, tracer_provider=provider)
    with watching(provider), open_call(provider) as call, httpx.Client(transport=transport) as c:
        c.post("http://127.0.0.1:9/")
    (span,) = spans(exporter)
    assert span.instrumentation_scope.name == "opentelemetry.instrumentation.httpx"
    assert len(call.attempts) == 1


@pytest.mark.usefixtures("instrumented")
def test_a_users_transport_around_the_instrumented_one(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    class Retrying(httpx2.BaseTransport):
        def __init__(self) -> None:
            self.inner = httpx2.HTTPTransport()

        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            return self.inner.handle_request(request)

        def close(self) -> None:
            self.inner.close()

    with (
        watching(provider),
        Mirror() as mirror,
        open_call(provider),
        httpx2.Client(transport=Retrying()) as client,
    ):
        client.post(mirror.url)
    assert [s.instrumentation_scope.name for s in spans(exporter)] == [
        "opentelemetry.instrumentation.httpx"
    ]


@pytest.mark.usefixtures("instrumented")
def test_a_mock_transport_is_not_instrumented_and_gets_our_span(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json={}))
    with watching(provider), open_call(provider), httpx2.Client(transport=transport) as client:
        client.post("http://127.0.0.1:9/")
    assert [s.instrumentation_scope.name for s in spans(exporter)] == ["tollspan"]


@pytest.mark.usefixtures("instrumented")
def test_a_suppressed_instrumentation_makes_no_span_so_ours_is_made(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    with (
        watching(provider),
        Mirror() as mirror,
        open_call(provider),
        suppress_http_instrumentation(),
    ):
        CLIENTS["httpx2"](mirror.url)
    assert [s.instrumentation_scope.name for s in spans(exporter)] == ["tollspan"]


def test_a_url_that_the_instrumentation_excludes_gets_our_span(
    provider: TracerProvider,
    exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_PYTHON_HTTPX_EXCLUDED_URLS", "chat/completions")
    for each in instrumentors():
        each.instrument(tracer_provider=provider)
    try:
        with watching(provider), Mirror() as mirror, open_call(provider):
            CLIENTS["httpx2"](mirror.url)
    finally:
        for each in instrumentors():
            each.uninstrument()
    assert [s.instrumentation_scope.name for s in spans(exporter)] == ["tollspan"]


@pytest.mark.parametrize("first", ["tollspan", "theirs"])
@pytest.mark.parametrize("name", ABOVE)
def test_a_span_that_is_open_around_the_request_is_the_attempts(
    name: str, first: str, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    scope, kind = ABOVE[name]
    try:
        instrumentor = getattr(importlib.import_module(scope), kind)()
    except ImportError:
        missing(name + "-instrumentation", f"{scope} is not installed")
    if first == "theirs":
        instrumentor.instrument(tracer_provider=provider)
    with watching(provider):
        if first == "tollspan":
            instrumentor.instrument(tracer_provider=provider)
        try:
            with Mirror(Reply(429, {"x-request-id": "r"})) as mirror, open_call(provider) as call:
                CLIENTS[name](mirror.url)
                CLIENTS[name](mirror.url)
        finally:
            instrumentor.uninstrument()
    one, two = spans(exporter)
    assert {one.instrumentation_scope.name, two.instrumentation_scope.name} == {scope}
    assert {one.parent.span_id, two.parent.span_id} == {call.span_id}
    assert one.attributes["tollspan.attempt"] == 1
    assert one.attributes["http.response.header.x-request-id"] == "r"
    assert two.attributes["tollspan.attempt"] == 2
    assert [attempt.span for attempt in call.attempts] == [None, None]
    assert all(attempt.end_ns for attempt in call.attempts)
    assert context_of(mirror.received[1]) == ids_of(two)
