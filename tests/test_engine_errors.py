"""What fails is an error of its class, and none of its words leave the process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import openai
import pytest
import sdks
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tollspan import semconv


@pytest.fixture(autouse=True)
def watched(provider: TracerProvider) -> Iterator[None]:
    with sdks.watched(provider):
        yield


SECRET = "the provider repeats sk-secret and a question that no span may carry"


@pytest.mark.parametrize("api", sdks.APIS)
def test_an_http_error_is_an_error_of_its_class_without_its_message(
    api: str, exporter: InMemorySpanExporter
) -> None:
    server = sdks.server_for(api, status=429, body={"error": {"message": SECRET, "type": "x"}})
    with pytest.raises((openai.RateLimitError, anthropic.RateLimitError)) as caught:
        sdks.plain(sdks.client_for(api, server), api)

    span = sdks.ended(exporter)
    assert span.attributes is not None
    assert span.attributes[semconv.STATUS] == "error"
    assert span.attributes[semconv.ERROR_TYPE] == "RateLimitError"
    assert span.status.description == "RateLimitError 429"
    assert not span.events
    assert "no span may carry" in str(caught.value)
    assert "no span may carry" not in span.to_json()


@pytest.mark.parametrize("api", sdks.APIS)
async def test_async_http_error(api: str, exporter: InMemorySpanExporter) -> None:
    server = sdks.server_for(api, status=500, body={"error": {"message": SECRET}})
    with pytest.raises((openai.InternalServerError, anthropic.InternalServerError)):
        await sdks.plain_async(sdks.async_client_for(api, server), api)

    assert sdks.status(exporter) == "error"
    assert sdks.ended(exporter).status.description == "InternalServerError 500"


def test_retries_are_one_call_with_one_request_id(exporter: InMemorySpanExporter) -> None:
    server = sdks.server_for("chat", status=429, headers={"retry-after-ms": "1"})
    with pytest.raises(openai.RateLimitError):
        sdks.plain(sdks.openai_client(server, max_retries=2), "chat")

    assert (sdks.ended(exporter).attributes or {})[semconv.APP_ATTEMPTS] == 3


@pytest.mark.parametrize("api", sdks.STREAMS)
def test_a_stream_that_breaks_off_is_an_error(api: str, exporter: InMemorySpanExporter) -> None:
    server = sdks.server_for(api, breaks=httpx2.ReadError("gone"))
    server.events = server.events[:2]
    stream = sdks.opened(api, events=server.events, breaks=server.breaks)
    assert [next(stream), next(stream)]
    with pytest.raises((openai.APIConnectionError, httpx2.ReadError)):
        next(stream)

    assert sdks.status(exporter) == "error"


@pytest.mark.parametrize("api", ["chat", "messages"])
def test_an_error_event_inside_a_stream_is_an_error(
    api: str, exporter: InMemorySpanExporter
) -> None:
    _, events = sdks.BODIES[api]
    failure = {"type": "error", "error": {"type": "overloaded_error", "message": SECRET}}
    with pytest.raises((openai.APIError, anthropic.APIError)):
        list(sdks.opened(api, events=[*events[:2], failure]))

    span = sdks.ended(exporter)
    assert sdks.status(exporter) == "error"
    assert span.status.status_code is trace.StatusCode.ERROR
    assert "no span may carry" not in span.to_json()


def test_a_failed_response_inside_a_stream_is_an_error_though_nothing_is_raised(
    exporter: InMemorySpanExporter,
) -> None:
    failed = {**sdks.RESPONSE_BODY, "status": "failed", "error": {"code": "server_error"}}
    event = {"type": "response.failed", "sequence_number": 1, "response": failed}
    assert len(list(sdks.opened("responses", events=[sdks.RESPONSE_EVENTS[0], event]))) == 2

    assert sdks.status(exporter) == "error"
    assert (sdks.ended(exporter).attributes or {})[semconv.ERROR_TYPE] == "server_error"


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": SECRET, "code": "content_filter", "status": 400}},
        {"error": {"message": SECRET, "code": "content_policy_violation"}},
        {"error": {"message": SECRET, "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
    ],
)
def test_a_prompt_that_a_filter_refuses_is_blocked(
    body: Any, exporter: InMemorySpanExporter
) -> None:
    with pytest.raises(openai.BadRequestError):
        sdks.plain(sdks.openai_client(sdks.server_for("chat", status=400, body=body)), "chat")

    assert sdks.status(exporter) == "blocked"
    assert sdks.ended(exporter).status.status_code is trace.StatusCode.ERROR


def test_another_bad_request_is_an_error(exporter: InMemorySpanExporter) -> None:
    body = {"error": {"message": SECRET, "code": "context_length_exceeded"}}
    with pytest.raises(openai.BadRequestError):
        sdks.plain(sdks.openai_client(sdks.server_for("chat", status=400, body=body)), "chat")

    assert sdks.status(exporter) == "error"


def test_an_answer_that_a_filter_stops_is_blocked(exporter: InMemorySpanExporter) -> None:
    choice = {**sdks.CHAT_BODY["choices"][0], "finish_reason": "content_filter"}
    body = {**sdks.CHAT_BODY, "choices": [choice]}
    sdks.plain(sdks.openai_client(sdks.server_for("chat", body=body)), "chat")

    assert sdks.status(exporter) == "blocked"
    assert sdks.ended(exporter).status.status_code is trace.StatusCode.UNSET
