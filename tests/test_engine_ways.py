"""Every way of asking gives one call span with the same facts, and the same result as without us."""

from __future__ import annotations

from typing import Any

import pytest
import sdks
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tollspan import semconv

EXPECTED: dict[str, dict[str, Any]] = {
    "chat": {
        semconv.OPERATION: "chat",
        semconv.PROVIDER: "openai",
        semconv.REQUEST_MODEL: "gpt-4o-mini",
        semconv.RESPONSE_MODEL: "gpt-4o-mini-2024-07-18",
        semconv.RESPONSE_ID: "chatcmpl-1",
        semconv.FINISH_REASONS: ("stop",),
        semconv.INPUT_TOKENS: 11,
        semconv.OUTPUT_TOKENS: 7,
        semconv.SERVER_ADDRESS: "api.openai.com",
        semconv.SERVER_PORT: 443,
        semconv.OPENAI_API: "chat_completions",
    },
    "messages": {
        semconv.OPERATION: "chat",
        semconv.PROVIDER: "anthropic",
        semconv.REQUEST_MODEL: "claude-sonnet-5",
        semconv.RESPONSE_MODEL: "claude-sonnet-5-20260601",
        semconv.RESPONSE_ID: "msg_1",
        semconv.INPUT_TOKENS: 11,
        semconv.OUTPUT_TOKENS: 7,
        semconv.SERVER_ADDRESS: "api.anthropic.com",
        semconv.SERVER_PORT: 443,
        semconv.OPENAI_API: "messages",
    },
    "embeddings": {
        semconv.OPERATION: "embeddings",
        semconv.PROVIDER: "openai",
        semconv.INPUT_TOKENS: 11,
        semconv.SERVER_ADDRESS: "api.openai.com",
    },
}
EXPECTED["responses"] = {
    **EXPECTED["chat"],
    semconv.RESPONSE_ID: "resp_1",
    semconv.OPENAI_API: "responses",
}
EXPECTED["beta"] = EXPECTED["messages"]


def check(exporter: InMemorySpanExporter, api: str, way: str) -> None:
    (span,) = sdks.call_spans(exporter)
    assert span.attributes is not None
    expected = {**EXPECTED[api], semconv.STATUS: "success", semconv.APP_ATTEMPTS: 1}

    assert {name: span.attributes.get(name) for name in expected} == expected
    assert span.name == f"{expected[semconv.OPERATION]} {span.attributes[semconv.REQUEST_MODEL]}"
    assert span.attributes.get(semconv.REQUEST_STREAM, False) is sdks.asks_for_stream(way)
    assert (semconv.TIME_TO_FIRST_CHUNK in span.attributes) is sdks.asks_for_stream(way)
    assert "no span may carry" not in span.to_json()
    assert "sk-secret" not in span.to_json()


@pytest.mark.parametrize(("api", "way"), sdks.WAYS)
def test_sync(api: str, way: str, provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    ask = sdks.ALL[way][0]
    bare = sdks.outcome(lambda: ask(sdks.client_for(api, sdks.server_for(api)), api))
    with sdks.watched(provider):
        got = sdks.outcome(lambda: ask(sdks.client_for(api, sdks.server_for(api)), api))

    assert got == bare
    assert got[0] == "returned"
    check(exporter, api, way)


@pytest.mark.parametrize(("api", "way"), sdks.WAYS)
async def test_async(
    api: str, way: str, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    ask = sdks.ALL[way][1]

    async def asked() -> Any:
        client = sdks.async_client_for(api, sdks.server_for(api))
        return await sdks.outcome_async(lambda: ask(client, api))

    bare = await asked()
    with sdks.watched(provider):
        got = await asked()

    assert got == bare
    assert got[0] == "returned"
    check(exporter, api, way)
