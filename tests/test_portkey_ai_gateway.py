"""Portkey's SDK in front of what its gateway really answered: route, price, and nothing of its secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import portkey_ai
import pytest
from drivers.server import Answer, HttpServed, http
from needs import captures
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from outcomes import call_spans

from tollspan import instrumentation, semconv
from tollspan.processors.spans import adopt_provider

MESSAGES = [{"role": "user", "content": "say hello"}]
SECRETS = {
    "api_key": "pk-secret-1",
    "Authorization": "up-secret-2",
    "virtual_key": "vk-secret-3",
    "config": {"retry": {"attempts": 1}, "api_key": "cfg-secret-4"},
    "metadata": {"_user": "usr-secret-5"},
    "trace_id": "my-trace-1",
}


@pytest.fixture
def served(provider: TracerProvider) -> Iterator[HttpServed]:
    with http() as running:
        undo = adopt_provider(provider)
        instrumentation.instrument(provider, ["portkey_ai"])
        yield running
        instrumentation.uninstrument()
        undo()


def captured(scenario: str) -> tuple[Answer, Any]:
    """The gateway's last answer of a captured scenario, and its body."""
    told = json.loads((captures() / f"portkey--{scenario}.json").read_text())
    last = told["client_attempts"][-1]
    ours = ("content-length", "content-encoding", "connection", "transfer-encoding", "keep-alive")
    headers = {name: value for name, value in last["response_headers"] if name.lower() not in ours}
    body = last["response_body"]
    return Answer((json.dumps(body).encode(),), headers, last["status"]), body


def asked(served: HttpServed, scenario: str) -> Any:
    served.answer, body = captured(scenario)
    client = portkey_ai.Portkey(base_url=f"{served.url}/v1", **SECRETS)
    client.openai_client.max_retries = 0
    try:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    finally:
        client._client.close()
        client.openai_client.close()
    return body


def the_call(exporter: InMemorySpanExporter) -> dict[str, Any]:
    spans: list[ReadableSpan] = call_spans(exporter)
    (span,) = (each for each in spans if semconv.HOP_INDEX not in (each.attributes or {}))
    return dict(span.attributes or {})


@pytest.mark.parametrize("scenario", ["ok-trace-id", "fallback-model", "loadbalance"])
def test_the_answer_is_priced_by_the_provider_that_the_headers_name(
    scenario: str, served: HttpServed, exporter: InMemorySpanExporter
) -> None:
    body = asked(served, scenario)
    found = the_call(exporter)
    assert found[semconv.RESPONSE_MODEL] == found[semconv.MODEL_SERVED] == body["model"]
    assert found[semconv.INPUT_TOKENS] == body["usage"]["prompt_tokens"]
    assert found[semconv.ROUTE].startswith("portkey > openai/")
    assert found[semconv.COST_GRADE] == "derived"
    assert found[semconv.COST_AMOUNT] > 0


def test_no_request_header_reaches_a_span(
    served: HttpServed, exporter: InMemorySpanExporter
) -> None:
    asked(served, "ok-trace-id")
    for span in exporter.get_finished_spans():
        assert "secret-" not in span.to_json()


def test_a_guardrail_that_denies_is_a_blocked_call(
    served: HttpServed, exporter: InMemorySpanExporter
) -> None:
    with pytest.raises(Exception, match="446"):
        asked(served, "guardrail-block")
    assert the_call(exporter)[semconv.STATUS] == "blocked"


def test_a_default_that_is_no_model_is_not_one(
    served: HttpServed, exporter: InMemorySpanExporter
) -> None:
    served.answer, _ = captured("ok-trace-id")
    client = portkey_ai.Portkey(base_url=f"{served.url}/v1", **SECRETS)
    client.chat.completions.create(messages=MESSAGES)
    client._client.close()
    client.openai_client.close()
    found = the_call(exporter)
    assert semconv.REQUEST_MODEL not in found
    assert found[semconv.COST_AMOUNT] > 0


def test_rendering_a_prompt_is_no_call(served: HttpServed, exporter: InMemorySpanExporter) -> None:
    served.answer = Answer((b'{"success": true, "data": {}}',))
    client = portkey_ai.Portkey(base_url=f"{served.url}/v1", **SECRETS)
    client.prompts.render(prompt_id="p", variables={})
    client._client.close()
    client.openai_client.close()
    assert served.asked == 1
    assert call_spans(exporter) == []
