"""What the cohere SDK has besides the calls that its driver makes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import cohere
import httpx
import pytest
from drivers import KEY, json_body
from drivers.cohere import CHAT, CHAT_BODY, EMBED, QUESTION, RERANK, RERANK_BODY
from drivers.server import HttpServed, http
from needs import missing
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sdks import call_spans

from tollspan import attribute, instrumentation, semconv

if not hasattr(cohere, "BedrockClientV2"):
    missing("sdk-cohere", "a version with clients for other clouds")

FLOATS: dict[str, Any] = {
    "id": "e-1",
    "response_type": "embeddings_floats",
    "embeddings": [[0.5, 0.25]],
    "texts": ["a"],
    "meta": {"api_version": {"version": "1"}, "billed_units": {"input_tokens": 11}},
}


@pytest.fixture
def served() -> Iterator[HttpServed]:
    with http() as running:
        yield running


@pytest.fixture(autouse=True)
def watched(provider: TracerProvider) -> Iterator[None]:
    instrumentation.instrument(provider, ["cohere"])
    yield
    instrumentation.uninstrument()


def the_call(exporter: InMemorySpanExporter) -> dict[str, Any]:
    (span,) = call_spans(exporter)
    return dict(span.attributes or {})


def test_batches_of_texts_in_threads_are_one_call_with_their_sum(
    served: HttpServed, exporter: InMemorySpanExporter
) -> None:
    served.answer = json_body(FLOATS)
    with cohere.Client(api_key=KEY, base_url=served.url) as client, attribute(tenant="acme"):
        client.embed(**{**EMBED, "texts": [QUESTION] * 200})

    assert served.asked == 3
    found = the_call(exporter)
    assert found[semconv.OPERATION] == "embeddings"
    assert found[semconv.TENANT] == "acme"
    assert found[semconv.INPUT_TOKENS] == found[semconv.BILLED_INPUT_TOKENS] == 33


def test_async_batches_are_one_call_and_each_request_is_seen(
    served: HttpServed, exporter: InMemorySpanExporter
) -> None:
    served.answer = json_body(FLOATS)

    async def ask() -> None:
        async with cohere.AsyncClient(api_key=KEY, base_url=served.url) as client:
            await client.embed(**{**EMBED, "texts": [QUESTION] * 200})

    asyncio.run(ask())

    found = the_call(exporter)
    assert found[semconv.INPUT_TOKENS] == 33
    assert found[semconv.APP_ATTEMPTS] == 3


def test_the_second_version_inside_the_first_client(
    served: HttpServed, exporter: InMemorySpanExporter
) -> None:
    served.answer = json_body(CHAT_BODY)
    with cohere.Client(api_key=KEY, base_url=served.url) as client:
        client.v2.chat(**CHAT)

    assert the_call(exporter)[semconv.INPUT_TOKENS] == 211


CLOUDS = [
    ("aws.bedrock", cohere.BedrockClientV2),
    ("aws.sagemaker", cohere.SagemakerClientV2),
]


@pytest.mark.parametrize(("name", "kind"), CLOUDS, ids=[name for name, _ in CLOUDS])
def test_clients_for_other_clouds_are_asked_there(
    name: str, kind: Any, exporter: InMemorySpanExporter
) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(
            200, headers={"content-type": "application/json"}, content=json.dumps(RERANK_BODY)
        )

    client = kind(aws_region="us-east-1", aws_access_key="a", aws_secret_key="b")
    client._client_wrapper.httpx_client.httpx_client._transport = httpx.MockTransport(answer)
    client.rerank(**RERANK)

    assert asked[0].endswith(".amazonaws.com")
    found = the_call(exporter)
    assert found[semconv.PROVIDER] == name
    assert found.get(semconv.SERVER_ADDRESS) != "api.cohere.com"
    assert found[semconv.OPERATION] == "rerank"
