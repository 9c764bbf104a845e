"""Hosts, platforms and requests of other shapes."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import httpx2
import openai
import pytest
import sdks
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tollspan import semconv


@pytest.fixture(autouse=True)
def watched(provider: TracerProvider) -> Iterator[None]:
    with sdks.watched(provider):
        yield


@pytest.mark.parametrize(
    ("base_url", "name", "port"),
    [
        ("https://api.openai.com/v1", "openai", 443),
        ("https://openrouter.ai/api/v1", "openrouter", 443),
        ("https://api.deepseek.com", "deepseek", 443),
        ("https://api.groq.com/openai/v1", "groq", 443),
        ("https://api.x.ai/v1", "x_ai", 443),
        ("https://api.mistral.ai/v1", "mistral_ai", 443),
        ("https://me.openai.azure.com/openai/v1", "azure.ai.openai", 443),
        ("http://127.0.0.1:4000/v1", "openai", 4000),
        ("http://[::1]/", "openai", 80),
    ],
)
def test_the_host_names_the_provider(
    base_url: str, name: str, port: int, exporter: InMemorySpanExporter
) -> None:
    sdks.plain(sdks.openai_client(sdks.server_for("chat"), base_url=base_url), "chat")

    attributes = sdks.ended(exporter).attributes or {}
    assert attributes[semconv.PROVIDER] == name
    assert attributes[semconv.SERVER_ADDRESS] in base_url
    assert attributes[semconv.SERVER_PORT] == port


def test_azure_with_a_deployment_and_a_host_of_its_own(exporter: InMemorySpanExporter) -> None:
    http = httpx2.Client(transport=httpx2.MockTransport(server := sdks.server_for("chat")))
    client = openai.AzureOpenAI(
        api_key="sk-secret",
        api_version="2024-10-21",
        azure_endpoint="https://gateway.example",
        http_client=http,
    )
    client.chat.completions.create(**sdks.CHAT)

    attributes = sdks.ended(exporter).attributes or {}
    assert "/deployments/gpt-4o-mini/" in str(server.requests[0].url)
    assert attributes[semconv.PROVIDER] == "azure.ai.openai"
    assert attributes[semconv.REQUEST_MODEL] == "gpt-4o-mini"


def test_bedrock_takes_the_model_out_of_the_body_and_we_still_know_it(
    exporter: InMemorySpanExporter,
) -> None:
    http = httpx2.Client(transport=httpx2.MockTransport(server := sdks.server_for("messages")))
    client = anthropic.AnthropicBedrock(
        aws_region="us-east-1", api_key="key", http_client=http, max_retries=0
    )
    client.messages.create(**sdks.MESSAGE)

    attributes = sdks.ended(exporter).attributes or {}
    assert "/model/claude-sonnet-5/invoke" in str(server.requests[0].url)
    assert attributes[semconv.PROVIDER] == "aws.bedrock"
    assert attributes[semconv.REQUEST_MODEL] == "claude-sonnet-5"
    assert attributes[semconv.INPUT_TOKENS] == 11


def test_vertex(exporter: InMemorySpanExporter) -> None:
    http = httpx2.Client(transport=httpx2.MockTransport(sdks.server_for("messages")))
    client = anthropic.AnthropicVertex(
        region="us-east5", project_id="p", access_token="t", http_client=http
    )
    client.messages.create(**sdks.MESSAGE)

    attributes = sdks.ended(exporter).attributes or {}
    assert attributes[semconv.PROVIDER] == "gcp.vertex_ai"
    assert attributes[semconv.REQUEST_MODEL] == "claude-sonnet-5"


@pytest.mark.parametrize(
    "path",
    [
        "/model/anthropic.claude-v9%3A0/invoke",
        "/projects/p/locations/l/publishers/anthropic/models/anthropic.claude-v9:0:rawPredict",
    ],
)
def test_a_path_that_carries_the_model(path: str, exporter: InMemorySpanExporter) -> None:
    client = sdks.anthropic_client(sdks.server_for("messages"))
    client.post(path, body={"messages": sdks.MESSAGES}, cast_to=anthropic.types.Message)

    attributes = sdks.ended(exporter).attributes or {}
    assert attributes[semconv.REQUEST_MODEL] == "anthropic.claude-v9:0"


def test_counting_tokens_is_its_own_operation_without_usage(
    exporter: InMemorySpanExporter,
) -> None:
    client = sdks.anthropic_client(sdks.Server(body={"input_tokens": 11}))
    client.messages.count_tokens(model="claude-sonnet-5", messages=sdks.MESSAGES)  # type: ignore[arg-type]

    span = sdks.ended(exporter)
    assert span.name == "count_tokens claude-sonnet-5"
    assert semconv.INPUT_TOKENS not in (span.attributes or {})


def test_extra_body_is_a_part_of_the_request(exporter: InMemorySpanExporter) -> None:
    client = sdks.openai_client(sdks.server_for("chat"))
    client.chat.completions.create(**sdks.CHAT, extra_body={"model": "other", "top_k": 3})

    assert (sdks.ended(exporter).attributes or {})[semconv.REQUEST_MODEL] == "other"


def test_an_absolute_url_names_the_server(exporter: InMemorySpanExporter) -> None:
    client = sdks.openai_client(sdks.server_for("chat"))
    client.post(
        "https://api.groq.com:8443/openai/v1/chat/completions",
        body=sdks.CHAT,
        cast_to=openai.types.chat.ChatCompletion,
    )

    attributes = sdks.ended(exporter).attributes or {}
    assert attributes[semconv.PROVIDER] == "groq"
    assert attributes[semconv.SERVER_PORT] == 8443


def test_the_api_key_leaves_a_keyed_fingerprint_only_where_asked(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tollspan import config

    sdks.plain(sdks.openai_client(sdks.server_for("chat")), "chat")
    assert semconv.API_KEY_FINGERPRINT not in (sdks.ended(exporter).attributes or {})
    exporter.clear()
    monkeypatch.setenv("TOLLSPAN_HASH_KEY", "k")
    config.reload()
    sdks.plain(sdks.openai_client(sdks.server_for("chat"), api_key="h:looks-hashed"), "chat")

    found = str((sdks.ended(exporter).attributes or {})[semconv.API_KEY_FINGERPRINT])
    assert found.startswith("h:")
    assert "looks-hashed" not in found
