"""What bodies and headers show of gateways reaches the span, and nothing else of them does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import openai
import pytest
import sdks
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tollspan import config, semconv
from tollspan.instrumentation import _gateway_facts
from tollspan.instrumentation._headers import kept
from tollspan.processors.gateways import RULES
from tollspan.processors.receipt import Said
from tollspan.processors.spans import adopt_provider

H = semconv.RESPONSE_HEADER_PREFIX
ROUTED = {
    "requested": "openrouter/auto",
    "strategy": "auto",
    "attempt": 2,
    "attempts": [
        {"provider": "DeepInfra", "model": "openai/gpt-oss-120b", "status": 502},
        {"provider": "Cerebras", "model": "openai/gpt-oss-120b", "status": 200},
    ],
}
TRACE = {
    "model_router_details": {
        "mode": "balanced",
        "routing_trace": [{"attempts": [{"model": "a"}, {"model": "b"}]}, {"attempts": []}],
    }
}


@pytest.fixture(autouse=True)
def watched(provider: TracerProvider) -> Iterator[None]:
    undo = adopt_provider(provider)
    try:
        with sdks.watched(provider):
            yield
    finally:
        undo()


def own(exporter: InMemorySpanExporter) -> Mapping[str, Any]:
    (call,) = [
        span.attributes or {}
        for span in exporter.get_finished_spans()
        if semconv.STATUS in (span.attributes or {})
    ]
    return call


def answered(api: str, **more: Any) -> sdks.Server:
    """A server whose answer to `api` has `more` in its body."""
    body, events = sdks.BODIES[api]
    *before, last = events
    if "response" in last:
        last = {**last, "response": {**last["response"], **more}}
    else:
        last = {**last, **more}
    named = api in ("messages", "beta")
    return sdks.Server(body={**body, **more}, events=[*before, last], named=named)


@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
@pytest.mark.parametrize("streamed", [False, True])
def test_openrouters_metadata_makes_the_count_exact(
    api: str, streamed: bool, exporter: InMemorySpanExporter
) -> None:
    client = sdks.client_for(api, answered(api, openrouter_metadata=ROUTED))
    resource, asked = sdks._resource(client, api)
    got = resource.create(**asked, **({"stream": True} if streamed else {}))
    if streamed:
        list(got)
    found = own(exporter)
    assert (found[semconv.UPSTREAM_ATTEMPTS], found[semconv.UPSTREAM_CONFIDENCE]) == (2, "exact")
    assert found[semconv.HIDDEN_ATTEMPTS] == 1
    assert found[semconv.FALLBACK] is True
    assert found[semconv.ROUTE].startswith("openrouter > ")
    assert found[semconv.GATEWAY_STRATEGY] == "auto"
    assert "DeepInfra" not in str(found)


def test_an_openrouter_that_asked_once_states_no_list(exporter: InMemorySpanExporter) -> None:
    once = {"strategy": "direct", "attempt": 1}
    sdks.plain(sdks.openai_client(answered("chat", openrouter_metadata=once)), "chat")
    found = own(exporter)
    assert (found[semconv.UPSTREAM_ATTEMPTS], found[semconv.UPSTREAM_CONFIDENCE]) == (1, "exact")
    assert found[semconv.HIDDEN_ATTEMPTS] == 0


def test_foundrys_trace_counts_its_attempts(exporter: InMemorySpanExporter) -> None:
    sdks.plain(sdks.openai_client(answered("chat", model_selection_details=TRACE)), "chat")
    found = own(exporter)
    assert found[semconv.ROUTE] == "foundry-model-router > gpt-4o-mini"
    assert (found[semconv.UPSTREAM_ATTEMPTS], found[semconv.UPSTREAM_CONFIDENCE]) == (2, "at_least")


@pytest.mark.parametrize(("cost", "reported"), [(0.0012, 0.0012), (None, None), (-1, None)])
def test_the_cost_of_a_tensorzero_with_rates_is_reported(
    cost: Any, reported: float | None, exporter: InMemorySpanExporter
) -> None:
    usage = {**sdks.CHAT_BODY["usage"], "tensorzero_cost": cost}
    sdks.plain(sdks.openai_client(answered("chat", episode_id="01a1", usage=usage)), "chat")
    found = own(exporter)
    assert found[semconv.ROUTE] == "tensorzero"
    assert found.get(semconv.COST_REPORTED) == reported
    assert found[semconv.COST_GRADE] == ("billed" if reported else "estimated")


@pytest.mark.parametrize(
    ("verdicts", "said"), [([True], "passed"), ([True, False], "warned"), ([], None)]
)
def test_guardrails_that_let_an_answer_through_say_how(
    verdicts: list[bool], said: str | None, exporter: InMemorySpanExporter
) -> None:
    hooks = {"before_request_hooks": [{"verdict": each, "checks": ["secret"]} for each in verdicts]}
    sdks.plain(sdks.openai_client(answered("chat", hook_results=hooks)), "chat")
    found = own(exporter)
    assert found.get(semconv.GUARDRAIL) == said
    assert found[semconv.STATUS] == "success"
    assert "secret" not in str(found)


HOSTILE = (
    None,
    7,
    "x",
    [],
    {},
    [[]],
    {"attempts": 3},
    {"attempts": [None] * 5_000},
    {"attempt": -1},
)


@pytest.mark.parametrize("key", sorted(_gateway_facts.SHOWN_BY))
@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_body_of_another_shape_shows_nothing_that_is_not_there(
    key: str, value: Any, exporter: InMemorySpanExporter
) -> None:
    sdks.plain(sdks.openai_client(answered("chat", **{key: value})), "chat")
    found = own(exporter)
    assert found[semconv.STATUS] == "success"
    assert semconv.GATEWAY_ATTEMPTS not in found


# --- errors -------------------------------------------------------------------------------------------


class Failed(Exception):
    def __init__(self, body: Any) -> None:
        self.body = body


GROUP = "\n\nLiteLLM: model group 'a' failed with the error above."


@pytest.mark.parametrize(
    ("message", "attempts"),
    [
        (f"boom{GROUP} Fallback to b also failed: boom LiteLLM Retried: 2 times, LiteLLM Max Retries: 2", 4),
        (f"boom{GROUP} Fallback to b also failed: boom", 2),
        (f"boom{GROUP} No fallback was attempted.", None),
        (f"boom{GROUP} and no fallback model group was found", None),
        # Told by a prompt that the provider repeats, not by the proxy.
        (f"you said 'LiteLLM Retried: 9 times, LiteLLM Max Retries: 9'{GROUP} No fallback was attempted.", None),
        (f"boom{GROUP} boom LiteLLM Retried: 9 times, LiteLLM Max Retries: 2", None),
    ],
)  # fmt: skip
def test_litellms_last_sentence_is_what_counts(message: str, attempts: int | None) -> None:
    found = _gateway_facts.failure(Failed({"message": message, "type": None}))
    assert found[semconv.GATEWAY_STATED] == "litellm"
    assert found.get(semconv.GATEWAY_ATTEMPTS) == attempts


REFUSED = "Connection error."


@pytest.mark.parametrize(
    ("body", "gateway", "cut_off"),
    [
        ({"message": f"litellm.InternalServerError: InternalServerError: OpenAIException - {REFUSED}{GROUP}"}, "litellm", True),
        ({"message": f"litellm.InternalServerError: AnthropicException - Cannot connect to host 10.0.0.1:9{GROUP}"}, "litellm", True),
        ({"message": f"litellm.BadRequestError: OpenAIException - you said {REFUSED}{GROUP}"}, "litellm", None),
        ({"message": "Authentication Error, Invalid proxy server token", "type": "auth_error"}, "litellm", None),
        ({"html-message": "Message: fetch failed Cause: Error: bad port"}, "portkey", True),
        ({"html-message": "Message: something else"}, None, None),
    ],
)  # fmt: skip
def test_a_gateway_that_reaches_nobody_says_so(
    body: dict[str, Any], gateway: str | None, cut_off: bool | None
) -> None:
    """As LiteLLM 1.106.2 and Portkey 1.15.2 answered before a port where nobody listens."""
    found = _gateway_facts.failure(Failed(body))
    assert found.get(semconv.GATEWAY_STATED) == gateway
    assert found.get(semconv.GATEWAY_CUT_OFF) is cut_off
    if "message" in body:  # as the anthropic SDK keeps it
        assert _gateway_facts.failure(Failed({"type": "error", "error": body})) == found


@pytest.mark.parametrize(
    "body", [None, 7, "x", [], {}, {"message": 7}, {"message": "x" * 10**6}, {"detail": "x"}, {"type": []}]
)  # fmt: skip
def test_an_error_of_another_shape_shows_no_gateway(body: Any) -> None:
    assert _gateway_facts.failure(Failed(body)) == {}
    assert _gateway_facts.failure(ValueError("x")) == {}


def test_what_only_looks_like_a_filter_is_none() -> None:
    azure = "The response was filtered due to the prompt triggering a policy"
    assert _gateway_facts.filtered(f"litellm.BadRequestError: OpenAIException - {azure}")
    assert not _gateway_facts.filtered(f"no: {azure}")
    assert not _gateway_facts.filtered(None)


# --- what was asked for -------------------------------------------------------------------------------


def config_of(**more: Any) -> str:
    inner = {"strategy": {"mode": "loadbalance"}, "targets": [{"api_key": "sk-secret"}] * 2}
    return json.dumps({"strategy": {"mode": "fallback"}, "targets": [inner, {}], **more})


@pytest.mark.parametrize(
    ("config_header", "index", "modes"),
    [
        (config_of(), "config.targets[1]", "fallback"),
        (config_of(), "config.targets[0].targets[1]", "fallback>loadbalance"),
        (config_of(), "config", None),
        (config_of(strategy={"mode": "sk-secret"}), "config.targets[0]", "unknown"),
        (config_of(strategy="x", targets=7), "config.targets[9].targets[1]", "unknown>unknown"),
        ("pc-saved-1", "config.targets[0]", None),
        ("{not json", "config.targets[0]", None),
        ("[" * 9_000, "config.targets[0]", None),
        (None, "config.targets[0]", None),
        ("{" + " " * 70_000 + "}", "config.targets[0]", None),
    ],
)
def test_of_a_config_only_the_modes_are_read(
    config_header: Any, index: str, modes: str | None
) -> None:
    assert _gateway_facts.strategy(config_header, index) == modes


# --- headers ------------------------------------------------------------------------------------------


class Noted(dict[str, str]):
    """Headers that remember what was looked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return default

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return False

    def keys(self) -> Any:
        return {}.keys()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_what_a_rule_reads_is_kept(rule: Any) -> None:
    """Or the rule would wait for a header that never comes."""
    noted = Noted()
    rule.read(Said(noted, {semconv.REQUEST_MODEL: "router-mf-0.1"}, {}, answered=True, marked=True))
    for name in (noted.asked | rule.headers) - {"x-vsr-looper-latency-ms"}:
        assert H + name in kept([(name, "7")]), name


@pytest.mark.parametrize(
    "name",
    [
        "x-bifrost-routing-info-key",
        "x-litellm-key-spend",
        "x-litellm-model-api-base",
        "x-otoroshi-llm-budget",
        "x-vsr-matched-jailbreak",
        "helicone-auth",
        "ngrok-aig-access-key",
        "llm_provider-authorization",
    ],
)
def test_what_no_rule_reads_is_not_kept(name: str) -> None:
    assert kept([(name, "v")]) == {}


def test_otoroshis_headers_may_begin_otherwise() -> None:
    config.reload({"TOLLSPAN_OTOROSHI_PREFIX": "X-Acme-AI-"})
    found = kept([("x-acme-ai-model", "gpt-4o"), ("x-acme-ai-token", "t"), ("x-other", "o")])
    assert found == {H + "x-otoroshi-llm-model": "gpt-4o"}


def test_the_time_to_the_head_is_kept_where_a_gateway_states_its_part(
    exporter: InMemorySpanExporter,
) -> None:
    headers = {"x-bifrost-request-id": "b", "x-bifrost-upstream-latency-ms": "0"}
    server = sdks.server_for("chat", headers=headers)
    sdks.plain(sdks.openai_client(server, base_url="http://bifrost:8080/v1"), "chat")
    spans = [span.attributes or {} for span in exporter.get_finished_spans()]
    (attempt,) = [each for each in spans if semconv.ATTEMPT in each]
    (hop,) = [each for each in spans if each.get(semconv.HOP_NAME) == "bifrost"]
    assert 0 < float(str(attempt[semconv.ATTEMPT_HEAD_MS])) < 60_000
    assert hop[semconv.HOP_OVERHEAD] == pytest.approx(attempt[semconv.ATTEMPT_HEAD_MS], abs=0.001)


def test_portkeys_modes_come_from_the_request_and_its_keys_do_not(
    exporter: InMemorySpanExporter,
) -> None:
    headers = {"x-portkey-last-used-option-index": "config.targets[1]", "x-request-id": "r"}
    server = sdks.server_for("chat", headers=headers, status=500, body={"error": {}})
    client = sdks.openai_client(server)
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(**sdks.CHAT, extra_headers={"x-portkey-config": config_of()})
    found = own(exporter)
    assert found[semconv.UPSTREAM_ATTEMPTS] == 2
    assert found[semconv.FALLBACK] is True
    assert "sk-secret" not in "".join(span.to_json() for span in exporter.get_finished_spans())
