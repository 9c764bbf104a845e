"""Answers that come later: background responses, batches. Each is counted once, and never twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx2
import openai
import pytest
import sdks
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sdk_answers import RESPONSE_BODY

from tollspan import semconv
from tollspan.processors.settle import settle

_ids = count()
MODEL = "gpt-4o-mini"
ASKED: dict[str, Any] = {"model": MODEL, "input": "q", "background": True}


class Provider:
    """Responses and batches by id, in the state that the test puts them in."""

    def __init__(self) -> None:
        self.id = f"resp_{next(_ids)}"
        self.status = "queued"
        self.requests: list[str] = []
        self.background: bool | None = True
        self.batch: dict[str, Any] = {}

    @property
    def response(self) -> dict[str, Any]:
        usage = RESPONSE_BODY["usage"] if self.status == "completed" else None
        own = {"id": self.id, "status": self.status, "usage": usage, "background": self.background}
        return {**RESPONSE_BODY, **own}

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        self.requests.append(f"{request.method} {path}")
        asked = json.loads(request.content) if request.content[:1] == b"{" else {}
        if asked.get("stream") or request.url.params.get("stream"):
            kind = f"response.{self.status}"
            event = {"type": kind, "sequence_number": 1, "response": self.response}
            body = f"event: {kind}\ndata: {json.dumps(event)}\n\n".encode()
            kinds = {"content-type": "text/event-stream"}
            return httpx2.Response(200, headers=kinds, stream=sdks.Pieces([body]))
        if path.endswith(("/input_items", "/items")):
            return httpx2.Response(200, json={"object": "list", "data": [], "has_more": False})
        if path.endswith("/input_tokens"):
            told = {"object": "response.input_tokens", "input_tokens": 5}
            return httpx2.Response(200, json=told)
        if path.endswith("/compact"):
            told = {"id": "cmp_1", "object": "response.compaction", "created_at": 1, "output": []}
            return httpx2.Response(200, json={**told, "usage": RESPONSE_BODY["usage"]})
        if "/batches" in path:
            return httpx2.Response(200, json=self.batch)
        if "/responses" in path:
            return httpx2.Response(200, json=self.response)
        return httpx2.Response(200, json={"id": "x_1", "object": "x", "usage": {"input_tokens": 9}})

    async def answer(self, request: httpx2.Request) -> httpx2.Response:
        return self(request)

    @property
    def client(self) -> openai.OpenAI:
        http = httpx2.Client(transport=httpx2.MockTransport(self))
        return openai.OpenAI(api_key="sk-secret", http_client=http, max_retries=0)

    @property
    def async_client(self) -> openai.AsyncOpenAI:
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(self.answer))
        return openai.AsyncOpenAI(api_key="sk-secret", http_client=http, max_retries=0)


@pytest.fixture
def server() -> Provider:
    return Provider()


@pytest.fixture(autouse=True)
def watched(provider: TracerProvider) -> Iterator[None]:
    with sdks.watched(provider):
        yield


def usages(exporter: InMemorySpanExporter) -> list[Any]:
    """Input tokens of each call, in order of their ends."""
    return [(s.attributes or {}).get(semconv.INPUT_TOKENS) for s in sdks.call_spans(exporter)]


USED = RESPONSE_BODY["usage"]["input_tokens"]


def test_a_background_response_is_counted_when_it_is_there(
    server: Provider, exporter: InMemorySpanExporter
) -> None:
    client = server.client
    client.responses.create(**ASKED)
    created = dict(sdks.ended(exporter).attributes or {})
    assert created[semconv.BACKGROUND] is True
    settled = settle(created).attributes
    assert semconv.COST_AMOUNT not in settled
    assert semconv.UNPRICED_REASON not in settled

    client.responses.retrieve(server.id)
    server.status = "in_progress"
    client.responses.retrieve(server.id)
    assert usages(exporter) == [None]

    server.status = "completed"
    for _ in range(3):
        assert client.responses.retrieve(server.id).usage is not None
    assert usages(exporter) == [None, USED]
    fetched = dict(sdks.call_spans(exporter)[1].attributes or {})
    assert fetched[semconv.RESPONSE_ID] == server.id
    assert fetched[semconv.SERVER_ADDRESS] == "api.openai.com"
    assert settle(fetched).attributes[semconv.COST_AMOUNT] > 0


async def test_an_async_one_too(server: Provider, exporter: InMemorySpanExporter) -> None:
    client = server.async_client
    await client.responses.create(**ASKED)
    await client.responses.retrieve(server.id)
    server.status = "completed"
    await client.responses.retrieve(server.id)
    await client.responses.retrieve(server.id)
    assert usages(exporter) == [None, USED]


@pytest.mark.parametrize("way", ["raw", "streaming", "streaming bytes", "cancel"])
def test_whatever_way_it_is_fetched(
    way: str, server: Provider, exporter: InMemorySpanExporter
) -> None:
    responses = server.client.responses
    for server.status in ("queued", "completed", "completed"):
        if way == "raw":
            assert responses.with_raw_response.retrieve(server.id).parse().id == server.id
        elif way == "cancel":
            assert responses.cancel(server.id).id == server.id
        else:
            with responses.with_streaming_response.retrieve(server.id) as response:
                if way == "streaming":
                    assert response.parse().id == server.id
                else:
                    assert json.loads(response.read())["id"] == server.id
    assert usages(exporter) == [USED]


def test_a_stream_that_is_taken_up_again_is_counted_once(
    server: Provider, exporter: InMemorySpanExporter
) -> None:
    responses = server.client.responses
    server.status = "in_progress"
    list(responses.create(**ASKED, stream=True))
    server.status = "completed"
    for _ in range(2):
        list(responses.retrieve(server.id, stream=True, starting_after=1))
    responses.retrieve(server.id)

    assert usages(exporter) == [None, USED, None]
    again = sdks.call_spans(exporter)[2].attributes or {}
    assert again[semconv.COST_ROLE] == "restated"
    assert again[semconv.RESTATED_INPUT_TOKENS] == USED


def test_what_create_had_already_is_not_counted_again(
    server: Provider, exporter: InMemorySpanExporter
) -> None:
    server.status = "completed"
    responses = server.client.responses
    list(responses.create(**ASKED, stream=True))
    responses.retrieve(server.id)
    list(responses.retrieve(server.id, stream=True))
    responses.cancel(server.id)
    assert usages(exporter) == [USED, None]


def test_a_stored_response_was_counted_when_it_was_made(
    server: Provider, exporter: InMemorySpanExporter
) -> None:
    server.status, server.background = "completed", False
    server.client.responses.retrieve(server.id)
    assert sdks.call_spans(exporter) == []


def test_what_is_no_inference_is_not_billed_as_such(
    server: Provider, exporter: InMemorySpanExporter
) -> None:
    client = server.client
    server.batch = {"id": "batch_x", "status": "validating", "object": "batch"}
    client.responses.input_items.list(server.id)
    client.responses.input_tokens.count(model=MODEL, input="q")
    client.responses.delete(server.id)
    client.conversations.create()
    client.vector_stores.create(name="a")
    client.vector_stores.search("vs_1", query="q")
    client.files.retrieve("file_1")
    client.fine_tuning.jobs.create(model=MODEL, training_file="f")
    client.containers.create(name="a")
    client.batches.create(
        completion_window="24h", endpoint="/v1/chat/completions", input_file_id="f"
    )
    client.batches.retrieve("batch_x")
    assert len(server.requests) == 11
    assert sdks.call_spans(exporter) == []


def test_compacting_is_a_call_of_its_own(server: Provider, exporter: InMemorySpanExporter) -> None:
    server.client.responses.compact(model=MODEL, input="q")
    attributes = dict(sdks.ended(exporter).attributes or {})
    assert attributes[semconv.INPUT_TOKENS] == USED
    assert settle(attributes).attributes[semconv.COST_AMOUNT] > 0


def batch(status: str, **more: Any) -> dict[str, Any]:
    details = {"input_tokens_details": {"cached_tokens": 0}}
    usage = {"input_tokens": 2_000_000, "output_tokens": 1_000_000, "total_tokens": 3, **details}
    return {
        "id": "batch_1",
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "status": status,
        "model": "gpt-4o-mini-2024-07-18",
        "request_counts": {"completed": 500, "failed": 1, "total": 501},
        "usage": {**usage, "output_tokens_details": {"reasoning_tokens": 0}},
        **more,
    }


@pytest.mark.parametrize("status", ["completed", "expired", "cancelled"])
def test_a_batch_is_counted_once_at_its_price_when_it_has_ended(
    status: str, server: Provider, exporter: InMemorySpanExporter
) -> None:
    identity = f"batch_{next(_ids)}"
    for state in ("in_progress", status, status):
        server.batch = batch(state, id=identity)
        server.client.batches.retrieve(identity)

    attributes = dict(sdks.ended(exporter).attributes or {})
    assert attributes[semconv.OPERATION] == "batch"
    assert attributes[semconv.SERVICE_TIER] == "batch"
    assert attributes[semconv.ANSWERS_SUMMED] == 500
    settled = settle(attributes).attributes
    assert settled[semconv.COST_AMOUNT] == pytest.approx(2 * 0.075 + 0.3)
    assert settled[semconv.COST_GRADE] == "derived"


@pytest.mark.parametrize("more", [{"usage": None}, {"usage": {"input_tokens": 0}}, {"usage": "x"}])
def test_a_batch_that_states_no_usage_is_unknown(
    more: dict[str, Any], server: Provider, exporter: InMemorySpanExporter
) -> None:
    server.batch = batch("completed", id=f"batch_{next(_ids)}", **more)
    server.client.batches.retrieve(server.batch["id"])
    assert sdks.call_spans(exporter) == []


def test_a_sum_whose_price_depends_on_each_request_is_an_estimate() -> None:
    call = {
        semconv.PROVIDER: "openai",
        semconv.OPERATION: "batch",
        semconv.STATUS: "success",
        semconv.SERVICE_TIER: "batch",
        semconv.RESPONSE_MODEL: "gpt-5.4",
        semconv.INPUT_TOKENS: 10_000_000,
        semconv.OUTPUT_TOKENS: 1,
    }
    alone = settle(call).attributes
    summed = settle({**call, semconv.ANSWERS_SUMMED: 1000}).attributes
    assert summed[semconv.COST_GRADE] == "estimated"
    assert summed[semconv.GRADE_REASON] == "summed_usage"
    assert summed[semconv.COST_AMOUNT] < alone[semconv.COST_AMOUNT]
