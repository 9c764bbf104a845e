"""Message batches: each succeeded line is an answer at the batch price, counted once a batch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import anthropic
import httpx2
import pytest
import sdks
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tollspan import semconv
from tollspan.processors.settle import settle

_ids = count()


def line(model: str, tokens: int, kind: str = "succeeded", **usage: Any) -> dict[str, Any]:
    stated = {"input_tokens": tokens, "output_tokens": 10, "service_tier": "batch", **usage}
    message = {
        "id": f"msg_{next(_ids)}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": "an answer that no span may carry"}],
        "stop_reason": "end_turn",
        "usage": stated,
    }
    result = {"type": kind, **({"message": message} if kind == "succeeded" else {})}
    return {"custom_id": f"c_{next(_ids)}", "result": result}


SONNET, HAIKU = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"
LINES = [
    line(SONNET, 100),
    line(HAIKU, 70),
    line(SONNET, 1000, cache_read_input_tokens=900),
    line(SONNET, 0, "errored"),
    line(SONNET, 0, "expired"),
]


class Provider:
    """One batch, ended, whose results come in pieces of `cut` bytes."""

    def __init__(self, lines: list[Any], cut: int = 33) -> None:
        self.id = f"msgbatch_{next(_ids)}"
        self.body = "".join(json.dumps(each) + "\n" for each in lines).encode()
        self.cut = cut

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/results"):
            pieces = [self.body[at : at + self.cut] for at in range(0, len(self.body), self.cut)]
            kind = {"content-type": "application/x-jsonl"}
            return httpx2.Response(200, headers=kind, stream=sdks.Pieces(pieces))
        batch = {"id": self.id, "type": "message_batch", "processing_status": "ended"}
        url = f"https://api.anthropic.com/v1/messages/batches/{self.id}/results"
        return httpx2.Response(200, json={**batch, "results_url": url, "request_counts": {}})

    async def answer(self, request: httpx2.Request) -> httpx2.Response:
        return self(request)

    @property
    def client(self) -> anthropic.Anthropic:
        http = httpx2.Client(transport=httpx2.MockTransport(self))
        return anthropic.Anthropic(api_key="sk-secret", http_client=http, max_retries=0)

    @property
    def async_client(self) -> anthropic.AsyncAnthropic:
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(self.answer))
        return anthropic.AsyncAnthropic(api_key="sk-secret", http_client=http, max_retries=0)


@pytest.fixture(autouse=True)
def watched(provider: TracerProvider) -> Iterator[None]:
    with sdks.watched(provider):
        yield


def check(exporter: InMemorySpanExporter) -> None:
    """One span for each model, with the sums and the price of a batch."""
    sonnet, haiku = (dict(span.attributes or {}) for span in sdks.call_spans(exporter))
    for each, model, counts in (
        (sonnet, SONNET, (2, 2000, 20, 900)),
        (haiku, HAIKU, (1, 70, 10, None)),
    ):
        assert each[semconv.OPERATION] == "batch"
        assert each[semconv.PROVIDER] == "anthropic"
        assert each[semconv.SERVER_ADDRESS] == "api.anthropic.com"
        assert each[semconv.RESPONSE_MODEL] == model
        assert each[semconv.SERVICE_TIER] == "batch"
        assert "no span may carry" not in repr(each)
        names = (semconv.ANSWERS_SUMMED, semconv.INPUT_TOKENS, semconv.OUTPUT_TOKENS)
        assert tuple(map(each.get, (*names, semconv.CACHE_READ_TOKENS))) == counts
    settled = settle(haiku).attributes
    assert settled[semconv.COST_AMOUNT] == pytest.approx((70 * 1 + 10 * 5) / 2 / 1e6)
    assert settled[semconv.COST_GRADE] == "derived"


@pytest.mark.parametrize("beta", [False, True])
def test_the_results_of_a_batch_are_counted_once(
    beta: bool, exporter: InMemorySpanExporter
) -> None:
    server = Provider(LINES)
    batches = server.client.beta.messages.batches if beta else server.client.messages.batches
    requests = [{"custom_id": "c", "params": {}}]
    batches.create(requests=requests)  # type: ignore[arg-type]
    batches.retrieve(server.id)
    assert sdks.call_spans(exporter) == []
    for _ in range(2):
        got = list(batches.results(server.id))
        assert [each.custom_id for each in got] == [each["custom_id"] for each in LINES]
        check(exporter)


async def test_those_of_an_async_client_too(exporter: InMemorySpanExporter) -> None:
    server = Provider(LINES)
    results = await server.async_client.messages.batches.results(server.id)
    assert [each.custom_id async for each in results] == [each["custom_id"] for each in LINES]
    check(exporter)


def test_what_was_read_in_part_is_counted_when_it_is_read_whole(
    exporter: InMemorySpanExporter,
) -> None:
    server = Provider(LINES)
    next(server.client.messages.batches.results(server.id))
    sdks.settle()
    assert sdks.call_spans(exporter) == []
    for _ in server.client.messages.batches.results(server.id):
        pass
    check(exporter)


def test_results_read_raw_are_counted_too(exporter: InMemorySpanExporter) -> None:
    server = Provider(LINES)
    raw = server.client.messages.batches.with_streaming_response
    with raw.results(server.id) as response:
        assert len(list(response.parse())) == len(LINES)
    check(exporter)


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"result": None},
        {"result": {"type": "succeeded"}},
        {"result": {"type": "succeeded", "message": {"usage": {"input_tokens": -1}}}},
        {"result": {"type": "succeeded", "message": {"model": [], "usage": "x"}}},
        {"result": {"type": ["succeeded"]}},
        None,
        7,
    ],
    ids=repr,
)
def test_odd_lines_change_nothing(odd: Any, exporter: InMemorySpanExporter) -> None:
    server = Provider([*LINES, odd])
    assert len(list(server.client.messages.batches.results(server.id))) == len(LINES) + 1
    assert len(sdks.call_spans(exporter)) >= 2


def test_long_requests_are_summed_apart(exporter: InMemorySpanExporter) -> None:
    server = Provider([line(SONNET, 1000), line(SONNET, 250_000), line(SONNET, 5)])
    list(server.client.messages.batches.results(server.id))
    sums = [(s.attributes or {})[semconv.INPUT_TOKENS] for s in sdks.call_spans(exporter)]
    assert sums == [1005, 250_000]
