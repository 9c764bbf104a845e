"""Which span is current when, and what makes no call at all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import sdks
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

from tollspan import attribute, calls, semconv


@pytest.fixture(autouse=True)
def watched(provider: TracerProvider) -> Iterator[None]:
    with sdks.watched(provider):
        yield


def test_the_call_is_current_while_the_sdk_works_and_never_after(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    seen: list[Any] = []
    server = sdks.server_for("chat")

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append((calls.current_call.get(), trace.get_current_span()))
        return server(request)

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    client = sdks.openai_client(server, http_client=http)
    with provider.get_tracer("app").start_as_current_span("app") as app:
        for chunk in client.chat.completions.create(**sdks.CHAT, stream=True):
            assert trace.get_current_span() is app
            assert calls.current_call.get() is None
            assert chunk
        assert trace.get_current_span() is app

    ((call, _),) = seen
    span = sdks.ended(exporter)
    assert span.parent is not None
    assert span.parent.span_id == app.get_span_context().span_id
    assert call.span_id == span.context.span_id


async def test_concurrent_calls_keep_their_own_attribution(
    exporter: InMemorySpanExporter,
) -> None:
    client = sdks.async_openai_client(sdks.server_for("chat"))

    async def one(tenant: str) -> None:
        with attribute(tenant=tenant):
            await client.chat.completions.create(**sdks.CHAT)
        assert trace.get_current_span() is trace.INVALID_SPAN

    await asyncio.gather(*(one(f"t{number}") for number in range(20)))

    tenants = {(span.attributes or {})[semconv.TENANT] for span in sdks.call_spans(exporter)}
    ids = {(span.attributes or {})[semconv.REQUEST_ID] for span in sdks.call_spans(exporter)}
    assert tenants == {f"t{number}" for number in range(20)}
    assert len(ids) == 20


def test_suppressed_instrumentation_makes_nothing(exporter: InMemorySpanExporter) -> None:
    with suppress_instrumentation():
        sdks.plain(sdks.openai_client(sdks.server_for("chat")), "chat")
        sdks.stream(sdks.openai_client(sdks.server_for("chat")), "chat")

    assert exporter.get_finished_spans() == ()


def test_what_is_no_inference_makes_nothing(exporter: InMemorySpanExporter) -> None:
    server = sdks.Server(body={"id": "resp_1", "object": "response", "data": [], "status": "x"})
    client = sdks.openai_client(server)
    client.models.list()
    client.responses.retrieve("resp_1")
    client.responses.cancel("resp_1")
    client.files.list()
    sdks.anthropic_client(server).models.list()

    assert len(server.requests) == 5
    assert exporter.get_finished_spans() == ()


def test_samplers_see_the_request(exporter: InMemorySpanExporter) -> None:
    seen: dict[str, Any] = {}

    class Looking(Sampler):
        def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
            if semconv.OPERATION in (given := dict(kwargs.get("attributes") or args[4] or {})):
                seen.update(given)
            return SamplingResult(Decision.DROP)

        def get_description(self) -> str:
            return "looking"

    released: list[calls.OpenCall] = []

    class Settling:
        def settle(self, call: calls.OpenCall) -> dict[str, Any]:
            return {semconv.COST_GRADE: "derived"}

        def release(self, call: calls.OpenCall) -> None:
            released.append(call)

    other = TracerProvider(sampler=Looking())
    other.add_span_processor(SimpleSpanProcessor(exporter))
    calls.install(Settling())
    try:
        from tollspan import instrumentation

        instrumentation.uninstrument()
        instrumentation.instrument(other, ["openai"])
        with attribute(tenant="acme"):
            sdks.plain(sdks.openai_client(sdks.server_for("chat")), "chat")
    finally:
        calls.install(None)

    assert seen[semconv.REQUEST_MODEL] == "gpt-4o-mini"
    assert seen[semconv.TENANT] == "acme"
    assert seen[semconv.DATA_MODE] == "real"
    assert exporter.get_finished_spans() == ()
    (call,) = released
    assert call.attributes[semconv.OUTPUT_TOKENS] == 7
    assert call.attributes[semconv.COST_GRADE] == "derived"
