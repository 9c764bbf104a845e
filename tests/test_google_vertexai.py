"""Vertex AI's older SDK over gRPC, sync and async: its own wire, where no HTTP attempt is seen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import pytest
from needs import missing
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sdks import call_spans

from tollspan import instrumentation, semconv

QUESTION = "a question that no span may carry"
SERVICE = "google.cloud.aiplatform.v1.PredictionService"


@pytest.fixture(autouse=True)
def instrumented(provider: TracerProvider) -> Iterator[None]:
    if find_spec("vertexai") is None:
        missing("sdk-vertexai", "google-cloud-aiplatform is not installed")
    assert instrumentation.instrument(provider, ["vertexai"]) == ["vertexai"]
    yield
    instrumentation.uninstrument()


def answer(text: str, **more: Any) -> bytes:
    from google.cloud.aiplatform_v1.types import GenerateContentResponse

    document = {
        "candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, **more}],
        "usage_metadata": {
            "prompt_token_count": 11,
            "candidates_token_count": 4,
            "cached_content_token_count": 6,
            "total_token_count": 15,
        },
        "model_version": "gemini-2.5-flash-001",
    }
    made: bytes = GenerateContentResponse.serialize(GenerateContentResponse(document))
    return made


@contextmanager
def server() -> Iterator[str]:
    import grpc

    whole = grpc.unary_unary_rpc_method_handler(
        lambda request, context: answer("a", finish_reason=1)
    )
    parts = grpc.unary_stream_rpc_method_handler(
        lambda request, context: iter([answer("a"), answer("b", finish_reason=1)])
    )
    running = grpc.server(ThreadPoolExecutor(2))
    handlers = {"GenerateContent": whole, "StreamGenerateContent": parts}
    running.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = running.add_insecure_port("127.0.0.1:0")
    running.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        running.stop(None)


def model(address: str) -> Any:
    """A model whose client goes to `address` without TLS, as the SDK itself never does."""
    import grpc
    import vertexai
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.aiplatform_v1.services import prediction_service
    from google.cloud.aiplatform_v1.services.prediction_service import transports
    from vertexai.generative_models import GenerativeModel

    vertexai.init(
        project="a-project",
        location="us-central1",
        api_endpoint=address,
        credentials=AnonymousCredentials(),
    )
    made = GenerativeModel("gemini-2.5-flash")
    channel = grpc.insecure_channel(address)
    transport = transports.PredictionServiceGrpcTransport(channel=channel)
    made.__dict__["_prediction_client"] = prediction_service.PredictionServiceClient(
        transport=transport
    )
    return made


def async_model(address: str) -> Any:
    import grpc
    from google.cloud.aiplatform_v1.services import prediction_service
    from google.cloud.aiplatform_v1.services.prediction_service import transports

    made = model(address)
    transport = transports.PredictionServiceGrpcAsyncIOTransport(
        channel=grpc.aio.insecure_channel(address)
    )
    made.__dict__["_prediction_async_client"] = prediction_service.PredictionServiceAsyncClient(
        transport=transport
    )
    return made


def check(exporter: InMemorySpanExporter, *, streamed: bool) -> None:
    (span,) = call_spans(exporter)
    attributes = dict(span.attributes or {})
    assert attributes[semconv.PROVIDER] == "gcp.vertex_ai"
    assert attributes[semconv.REQUEST_MODEL] == "gemini-2.5-flash"
    assert attributes[semconv.RESPONSE_MODEL] == "gemini-2.5-flash-001"
    assert attributes[semconv.FINISH_REASONS] == ("stop",)
    assert attributes[semconv.SERVER_ADDRESS] == "127.0.0.1"
    counts = (semconv.INPUT_TOKENS, semconv.OUTPUT_TOKENS, semconv.CACHE_READ_TOKENS)
    assert tuple(attributes[name] for name in counts) == (11, 4, 6)
    assert attributes.get(semconv.REQUEST_STREAM, False) is streamed
    assert (semconv.TIME_TO_FIRST_CHUNK in attributes) is streamed
    assert attributes[semconv.STATUS] == "success"
    assert "no span may carry" not in span.to_json()


def test_an_answer(exporter: InMemorySpanExporter) -> None:
    with server() as address:
        assert model(address).generate_content(QUESTION).text == "a"

    check(exporter, streamed=False)


def test_a_stream(exporter: InMemorySpanExporter) -> None:
    with server() as address:
        chunks = model(address).generate_content(QUESTION, stream=True)
        assert [chunk.text for chunk in chunks] == ["a", "b"]

    check(exporter, streamed=True)


def test_an_async_answer(exporter: InMemorySpanExporter) -> None:
    async def ask(address: str) -> Any:
        return await async_model(address).generate_content_async(QUESTION)

    with server() as address:
        assert asyncio.run(ask(address)).text == "a"

    check(exporter, streamed=False)


def test_an_async_stream(exporter: InMemorySpanExporter) -> None:
    async def ask(address: str) -> list[str]:
        stream = await async_model(address).generate_content_async(QUESTION, stream=True)
        return [chunk.text async for chunk in stream]

    with server() as address:
        assert asyncio.run(ask(address)) == ["a", "b"]

    check(exporter, streamed=True)


def test_nobody_answers(exporter: InMemorySpanExporter) -> None:
    from google.api_core.exceptions import GoogleAPICallError

    with server() as address:
        asked = model(address)
    with pytest.raises(GoogleAPICallError):
        asked.generate_content(QUESTION)

    (span,) = call_spans(exporter)
    assert (span.attributes or {})[semconv.STATUS] == "error"
    assert (span.attributes or {})[semconv.ERROR_TYPE] == "ServiceUnavailable"
