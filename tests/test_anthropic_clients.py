"""The anthropic SDK's other clients and helpers: who is named, and how many calls there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import pytest
import sdks
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sdk_answers import MESSAGE_BODY

from tollspan import semconv
from tollspan.processors.settle import settle

ASKED: dict[str, Any] = {"model": "claude-sonnet-5", "max_tokens": 9, "messages": sdks.MESSAGES}


@pytest.fixture(autouse=True)
def watched(provider: TracerProvider) -> Iterator[None]:
    with sdks.watched(provider):
        yield


def over(server: Any) -> httpx2.Client:
    return httpx2.Client(transport=httpx2.MockTransport(server))


CLIENTS = {
    "foundry": (
        lambda http: anthropic.AnthropicFoundry(resource="acme", api_key="k", http_client=http),
        "azure.ai.inference",
        "acme.services.ai.azure.com",
    ),
    "foundry elsewhere": (
        lambda http: anthropic.AnthropicFoundry(
            base_url="https://llm.corp/anthropic", api_key="k", http_client=http
        ),
        "azure.ai.inference",
        "llm.corp",
    ),
    "mantle": (
        lambda http: anthropic.AnthropicBedrockMantle(
            aws_region="us-east-1", api_key="k", http_client=http
        ),
        "aws.bedrock",
        "bedrock-mantle.us-east-1.api.aws",
    ),
    "compatible": (
        lambda http: anthropic.Anthropic(
            base_url="https://api.z.ai/api/anthropic", api_key="k", http_client=http
        ),
        "zai",
        "api.z.ai",
    ),
}


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_client_names_its_platform(kind: str, exporter: InMemorySpanExporter) -> None:
    make, name, host = CLIENTS[kind]
    make(over(sdks.server_for("messages"))).messages.create(**ASKED)  # type: ignore[no-untyped-call]
    attributes = sdks.ended(exporter).attributes or {}
    assert attributes[semconv.PROVIDER] == name
    assert attributes[semconv.SERVER_ADDRESS] == host
    assert attributes[semconv.INPUT_TOKENS] == 11


def test_a_tool_runner_makes_several_calls(exporter: InMemorySpanExporter) -> None:
    """One for each turn; the tool itself is the application's."""
    called = {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"what": "secret"}}
    turns = [
        {**MESSAGE_BODY, "id": "msg_a", "content": [called], "stop_reason": "tool_use"},
        {**MESSAGE_BODY, "id": "msg_b"},
    ]

    @anthropic.beta_tool
    def look_up(what: str) -> str:
        """Look something up."""
        return f"found {what}"

    http = over(lambda _: httpx2.Response(200, json=turns.pop(0)))
    client = anthropic.Anthropic(api_key="k", http_client=http)
    runner = client.beta.messages.tool_runner(**ASKED, tools=[look_up])
    assert runner.until_done().id == "msg_b"

    first, second = (dict(span.attributes or {}) for span in sdks.call_spans(exporter))
    assert (first[semconv.RESPONSE_ID], second[semconv.RESPONSE_ID]) == ("msg_a", "msg_b")
    assert first[semconv.FINISH_REASONS] == ("tool_use",)
    assert first[semconv.TOOLS_SENT_NAMES] == first[semconv.TOOLS_CALLED_NAMES] == ("look_up",)
    assert semconv.TOOLS_CALLED not in second
    assert all(each[semconv.INPUT_TOKENS] == 11 for each in (first, second))


def test_a_paused_turn_is_a_call_of_its_own(exporter: InMemorySpanExporter) -> None:
    """The next request goes on where it stopped, and is paid for by itself."""
    paused = {**MESSAGE_BODY, "stop_reason": "pause_turn"}
    client = sdks.anthropic_client(sdks.server_for("messages", body=paused))
    client.messages.create(**ASKED)
    client.messages.create(**ASKED)
    spans = [dict(span.attributes or {}) for span in sdks.call_spans(exporter)]
    assert [each[semconv.FINISH_REASONS] for each in spans] == [("pause_turn",)] * 2
    assert [each[semconv.STATUS] for each in spans] == ["success"] * 2


def test_the_older_text_completions_state_no_usage(exporter: InMemorySpanExporter) -> None:
    told = {
        "id": "compl_1",
        "model": "claude-2.1",
        "stop_reason": "stop_sequence",
        "completion": "x",
    }
    client = anthropic.Anthropic(
        api_key="k", http_client=over(lambda _: httpx2.Response(200, json=told))
    )
    asked = {"model": "claude-2.1", "max_tokens_to_sample": 9, "prompt": "secret"}
    client.post("/v1/complete", body=asked, cast_to=object)
    attributes = dict(sdks.ended(exporter).attributes or {})
    assert attributes[semconv.OPERATION] == "text_completion"
    assert attributes[semconv.REQUEST_MAX_TOKENS] == 9
    assert attributes[semconv.FINISH_REASONS] == ("stop_sequence",)
    assert settle(attributes).attributes[semconv.UNPRICED_REASON] == "no_usage"
    assert "secret" not in repr(attributes)


def test_counting_tokens_is_free(exporter: InMemorySpanExporter) -> None:
    http = over(lambda _: httpx2.Response(200, json={"input_tokens": 9}))
    client = anthropic.Anthropic(api_key="k", http_client=http)
    client.messages.count_tokens(model="claude-sonnet-5", messages=sdks.MESSAGES)  # type: ignore[arg-type]
    attributes = dict(sdks.ended(exporter).attributes or {})
    assert semconv.INPUT_TOKENS not in attributes
    assert semconv.COST_AMOUNT not in settle(attributes).attributes
