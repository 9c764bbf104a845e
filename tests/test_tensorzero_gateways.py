"""TensorZero's gateways for real: embedded, and the one that the openai SDK is pointed at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import tensorzero
from drivers import QUESTION, sse
from drivers.server import Answer, HttpServed, http
from drivers.tensorzero import ANSWERED, ASKED, CHUNKS
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from outcomes import call_spans, settle
from sdk_answers import CHAT_BODY, CHAT_EVENTS

from tollspan import instrumentation, semconv
from tollspan.instrumentation import _native, _open_calls
from tollspan.processors.spans import adopt_provider

MESSAGES: Any = [{"role": "user", "content": QUESTION}]
INPUT: Any = {"messages": MESSAGES}


@pytest.fixture
def upstream() -> Iterator[HttpServed]:
    with http() as running:
        running.answer = Answer((json.dumps(CHAT_BODY).encode(),))
        yield running


@pytest.fixture
def config(upstream: HttpServed, tmp_path: Path) -> str:
    file = tmp_path / "tensorzero.toml"
    file.write_text(
        f"""
        [gateway.observability]
        enabled = false
        [models.mini]
        routing = ["a"]
        [models.mini.providers.a]
        type = "openai"
        model_name = "gpt-4o-mini"
        api_base = "{upstream.url}/v1"
        api_key_location = "none"
        [functions.f]
        type = "chat"
        [functions.f.variants.v]
        type = "chat_completion"
        model = "mini"
        """
    )
    return str(file)


@pytest.fixture(autouse=True)
def watched(provider: TracerProvider) -> Iterator[None]:
    undo = adopt_provider(provider)
    instrumentation.instrument(provider, ["openai", "tensorzero"])
    yield
    instrumentation.uninstrument()
    undo()
    assert _open_calls.live == {}


@pytest.fixture
def gateway(config: str) -> Iterator[Any]:
    made = tensorzero.TensorZeroGateway.build_embedded(config_file=config)
    yield made
    made.close()


def said(exporter: InMemorySpanExporter) -> dict[str, Any]:
    (span,) = call_spans(exporter)
    return dict(span.attributes or {})


def test_an_embedded_gateway_answers(gateway: Any, exporter: InMemorySpanExporter) -> None:
    answer = gateway.inference(function_name="f", input=INPUT, include_raw_usage=True)
    found = said(exporter)
    assert found[semconv.RESPONSE_ID] == str(answer.inference_id)
    assert found[semconv.MODEL_DEPLOYMENT] == "v"
    assert found[semconv.RESPONSE_PROVIDER] == "openai"
    assert found[semconv.INPUT_TOKENS] == 11
    assert found[semconv.ROUTE] == "tensorzero"
    assert semconv.COST_AMOUNT not in found


def test_an_embedded_gateway_streams(
    gateway: Any, upstream: HttpServed, exporter: InMemorySpanExporter
) -> None:
    upstream.answer = sse(CHAT_EVENTS)
    chunks = list(gateway.inference(model_name="mini", input=INPUT, stream=True))
    found = said(exporter)
    assert chunks[-1].usage.output_tokens == found[semconv.OUTPUT_TOKENS] == 7
    assert semconv.TIME_TO_FIRST_CHUNK in found


def test_a_failure_names_what_the_gateway_asked(
    gateway: Any, upstream: HttpServed, exporter: InMemorySpanExporter
) -> None:
    upstream.answer = Answer((b'{"error": {"message": "m"}}',)).failing(429)
    with pytest.raises(tensorzero.TensorZeroError):
        gateway.inference(model_name="mini", input=INPUT)
    found = said(exporter)
    assert found[semconv.STATUS] == "error"
    assert found[semconv.GATEWAY_ATTEMPTS] == 1
    assert found[semconv.GATEWAY_UPSTREAM_STATUS] == 429


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_patched_openai_client_is_one_call_through_the_gateway(
    config: str, exporter: InMemorySpanExporter
) -> None:
    client = openai.OpenAI(api_key="k", max_retries=0)
    patched: Any = tensorzero.patch_openai_client(client, config_file=config, async_setup=False)
    patched.chat.completions.create(model="tensorzero::function_name::f", messages=MESSAGES)
    found = said(exporter)
    assert found[semconv.RESPONSE_MODEL] == "tensorzero::function_name::f::variant_name::v"
    assert found[semconv.MODEL_ROUTED] == "f/v"
    assert found[semconv.ROUTE] == "tensorzero"
    assert found[semconv.SERVER_ADDRESS] == "127.0.0.1"
    tensorzero.close_patched_openai_client_gateway(patched)
    client.close()


# --- streams on which nothing can be kept ---------------------------------------------------------


@pytest.fixture
def over_http() -> Iterator[tuple[Any, HttpServed]]:
    with http() as running:
        made = tensorzero.TensorZeroGateway.build_http(gateway_url=running.url)
        running.answer = sse(CHUNKS)
        yield made, running
        made.close()


def test_a_stream_that_nobody_holds_any_more_is_let_go(
    over_http: tuple[Any, HttpServed], exporter: InMemorySpanExporter
) -> None:
    gateway, _ = over_http
    for _ in range(10):
        stream = gateway.inference(**ASKED, stream=True)
        next(stream)
        _native.let_go()
        assert len(_native._open) == 1
        del stream
        _native.let_go()
        assert _native._open == {}
    settle()
    statuses = {(span.attributes or {})[semconv.STATUS] for span in call_spans(exporter)}
    assert statuses == {"abandoned"}


def test_and_that_without_being_asked(
    over_http: tuple[Any, HttpServed], exporter: InMemorySpanExporter
) -> None:
    gateway, _ = over_http
    for chunk in gateway.inference(**ASKED, stream=True):
        assert chunk.variant_name == "cheap"
        break
    looking = _native._looking
    assert looking is not None
    looking.join(10)
    assert not looking.is_alive()
    settle()
    assert said(exporter)[semconv.STATUS] == "abandoned"


def test_several_streams_at_once_are_told_apart(
    over_http: tuple[Any, HttpServed], exporter: InMemorySpanExporter
) -> None:
    gateway, served = over_http
    first = gateway.inference(**ASKED, stream=True)
    served.answer = sse([*CHUNKS[:-1], {**CHUNKS[-1], "usage": {**ANSWERED["usage"], "cost": 1}}])
    second = gateway.inference(**ASKED, stream=True)
    list(zip(first, second, strict=True))
    costs = [(span.attributes or {})[semconv.COST_REPORTED] for span in call_spans(exporter)]
    assert sorted(costs) == [0.00012, 1.0]
    assert _native._open == {}


def test_unwatched_a_stream_goes_on_as_it_was(
    over_http: tuple[Any, HttpServed], exporter: InMemorySpanExporter
) -> None:
    gateway, _ = over_http
    stream = gateway.inference(**ASKED, stream=True)
    step = type(stream).__next__
    next(stream)
    instrumentation.uninstrument()
    assert type(stream).__next__ is not step
    assert len(list(stream)) == len(CHUNKS) - 1
    assert said(exporter)[semconv.STATUS] == "abandoned"
