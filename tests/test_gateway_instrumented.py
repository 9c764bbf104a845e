"""A LiteLLM proxy that tollspan itself watches, behind an application that it watches too.

One owner for each answer, in the application; the proxy's own calls restate it and show every
request that it made. The proxy exports LiteLLM's own spans besides, which tell everything again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest
from gateway_processes import LITELLM_KEY, Gateway, LiteLLMConfig, deployment, litellm
from mirror import carried, context_of
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from otlp import Received, Receiver
from staged import amount, owning
from upstream_truth import HELLO, USAGE, asked, instrumented

import tollspan
from tollspan import semconv, wirefile
from tollspan.chaos import Chaos, bill, repeat, status, verdict
from tollspan.launcher.wire_prove import PROVED, UNKNOWN, prove

pytestmark = pytest.mark.slow


def _config(chaos: Chaos) -> LiteLLMConfig:
    models = {"plain": "gpt-4o-mini", "main": "gpt-4o", "backup": "gpt-4.1-mini"}
    judge = {
        "guardrail": "llm_as_a_judge",
        "mode": "post_call",
        "default_on": False,
        "judge_model": "judge",
        "criteria": [{"name": "polite", "weight": 100, "description": "Is it polite?"}],
        "overall_threshold": 50,
    }
    masks = {
        "guardrail": "litellm_content_filter",
        "mode": "pre_call",
        "default_on": False,
        "patterns": [{"pattern_type": "prebuilt", "pattern_name": "email", "action": "MASK"}],
    }
    return LiteLLMConfig(
        models=[
            *(
                deployment(group, f"{group}-{each}", f"openai/{model}", chaos.openai_base_url)
                for group, model in models.items()
                for each in "ab"
            ),
            deployment("judge", "judge", "openai/gpt-4.1-nano", chaos.openai_base_url),
        ],
        router={"num_retries": 2, "fallbacks": [{"main": ["backup"]}]},
        guardrails=[
            {"guardrail_name": "judged", "litellm_params": judge},
            {"guardrail_name": "masked", "litellm_params": masks},
        ],
    )


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """Where the application and the proxy send their spans."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def upstream() -> Iterator[Chaos]:
    with Chaos() as chaos:
        yield chaos


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the proxy captures what it sends on."""
    return tmp_path_factory.mktemp("proxy") / "wire"


@pytest.fixture(scope="module")
def proxy(
    upstream: Chaos, receiver: Receiver, behind: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    environ = {
        "OTEL_SERVICE_NAME": "proxy",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_EXPORTER": "otlp",
        "TOLLSPAN_RAISE": "1",
        "TOLLSPAN_WIRE": str(behind),
    }
    with litellm(
        _config(upstream),
        tmp_path_factory.mktemp("instrumented"),
        otlp=receiver.url,
        through=["tollspan", "run", "--"],
        environ=environ,
    ) as gateway:
        yield gateway.ready()


@pytest.fixture
def chaos(
    upstream: Chaos, proxy: Gateway, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Chaos]:
    """The provider, with an empty log; the application is instrumented and exports."""
    upstream.reset()
    receiver.forget()
    application = TracerProvider(resource=Resource.create({"service.name": "application"}))
    exporter = OTLPSpanExporter(f"{receiver.url}/v1/traces")
    application.add_span_processor(SimpleSpanProcessor(exporter))
    with instrumented(application, monkeypatch):
        yield upstream
    application.shutdown()


def ask(proxy: Gateway, model: str, streamed: bool = False, **more: Any) -> None:
    given: Any = {"model": model, "messages": HELLO, **more}
    with (
        openai.OpenAI(base_url=proxy.url, api_key=LITELLM_KEY, max_retries=0) as client,
        tollspan.attribute(endpoint="checkout", tenant="acme", user="u_42"),
    ):
        if streamed:
            list(client.chat.completions.create(**given, stream=True, **USAGE))
        else:
            client.chat.completions.create(**given)


def calls_of(receiver: Receiver, service: str) -> list[Received]:
    return [s for s in receiver.calls() if s.resource.get(semconv.SERVICE_NAME) == service]


def attempts_of(receiver: Receiver, service: str) -> list[Received]:
    return [
        span
        for span in receiver.spans
        if semconv.ATTEMPT in span.attributes and span.resource.get(semconv.SERVICE_NAME) == service
    ]


def arrived(receiver: Receiver, upstream_requests: int) -> Received:
    """The application's call, once both have told everything; LiteLLM's own span comes last."""

    def enough() -> bool:
        traces = {each.trace_id for each in calls_of(receiver, "application")}
        # Of calls before this one something may still come in.
        here = [each for each in receiver.spans if each.trace_id in traces]
        own = [s for s in here if s.scope == "litellm" and s.name.startswith("chat ")]
        ends = [s for s in here if s.name == "POST /chat/completions"]
        outer = [s for s in calls_of(receiver, "proxy") if s in here and not _inside(receiver, s)]
        done = [s for s in attempts_of(receiver, "proxy") if s in here]
        return bool(len(done) == upstream_requests and own and ends and outer)

    receiver.wait_for(enough)
    (call,) = calls_of(receiver, "application")
    return call


def _inside(receiver: Receiver, span: Received) -> bool:
    return span.parent_id in {each.span_id for each in calls_of(receiver, "proxy")}


@pytest.mark.parametrize("streamed", [False, True])
def test_the_application_owns_and_the_proxy_restates(
    proxy: Gateway, chaos: Chaos, receiver: Receiver, streamed: bool
) -> None:
    ask(proxy, "plain", streamed)
    (answer,) = asked(chaos)
    call = arrived(receiver, 1)
    assert call.attributes[semconv.COST_ROLE] == "owner"
    ((_, price),) = bill([answer])
    assert Decimal(repr(call.attributes[semconv.COST_AMOUNT])) == price
    inner = calls_of(receiver, "proxy")
    assert inner
    for span in inner:
        assert span.trace_id == call.trace_id
        assert span.attributes[semconv.COST_ROLE] == "restated"
        assert span.attributes[semconv.OWNER_SPAN_ID] == call.span_id
        assert semconv.COST_AMOUNT not in span.attributes
        assert not [name for name in span.attributes if name.startswith("gen_ai.usage.")]


def test_attribution_reaches_the_proxys_spans(
    proxy: Gateway, chaos: Chaos, receiver: Receiver
) -> None:
    ask(proxy, "plain")
    call = arrived(receiver, 1)
    for span in calls_of(receiver, "proxy"):
        for name in (semconv.ENDPOINT_TAG, semconv.TENANT, semconv.USER, semconv.REQUEST_ID):
            assert span.attributes[name] == call.attributes[name], (span.name, name)


def test_each_request_of_the_proxy_is_seen_and_carries_its_own_context(
    proxy: Gateway, chaos: Chaos, receiver: Receiver
) -> None:
    chaos.script(*repeat(status(500), 3), model="gpt-4o")
    ask(proxy, "main")
    log = asked(chaos)
    assert len(log) == 4
    call = arrived(receiver, 4)
    assert call.attributes[semconv.UPSTREAM_ATTEMPTS] <= 4
    (outer,) = (span for span in calls_of(receiver, "proxy") if not _inside(receiver, span))
    assert outer.attributes[semconv.APP_ATTEMPTS] == 4  # of the proxy's own HTTP client
    spans = {(span.trace_id, span.span_id) for span in attempts_of(receiver, "proxy")}
    assert {context_of(answer.headers) for answer in log} == spans
    assert {carried(a.headers)["tollspan.owner_span_id"] for a in log} == {call.span_id}


@pytest.mark.parametrize("model", ["plain", "main"])
def test_the_ledger_counts_the_answer_once_however_often_it_is_told(
    proxy: Gateway, chaos: Chaos, receiver: Receiver, model: str
) -> None:
    """Application, proxy and LiteLLM's own telemetry each tell it; in any order."""
    chaos.script(*repeat(status(500), 3), model="gpt-4o")
    ask(proxy, model)
    log = asked(chaos)
    call = arrived(receiver, len(log))
    due = sum((price for _, price in bill(log) if price is not None), Decimal(0))
    for bodies in (receiver.bodies, list(reversed(receiver.bodies))):
        # what LiteLLM tells of calls before this one may still come in
        found = [each for each in owning(bodies) if each.span.trace_id == call.trace_id]
        assert [each.span.span_id for each in found] == [call.span_id]
        assert amount(found) == due
        assert found[0].hops[0].attributes[semconv.HOP_EVIDENCE] == "observed"


def test_what_the_proxy_asks_for_itself_is_money_besides(
    proxy: Gateway, chaos: Chaos, receiver: Receiver
) -> None:
    """A guardrail that asks a model to judge the answer: nobody's restatement."""
    chaos.script(verdict(90, input_tokens=500, output_tokens=20), model="gpt-4.1-nano")
    ask(proxy, "plain", extra_body={"guardrails": ["judged"]})
    log = asked(chaos)
    assert [answer.model_asked for answer in log] == ["gpt-4o-mini", "gpt-4.1-nano"]
    call = arrived(receiver, 2)
    owners = [span for span in receiver.calls() if span.attributes[semconv.COST_ROLE] == "owner"]
    (judge,) = (span for span in owners if span.span_id != call.span_id)
    assert judge.attributes[semconv.CALL_PURPOSE] == "llm_as_a_judge_guardrail"
    assert judge.attributes[semconv.TENANT] == "acme"
    due = sum((price for _, price in bill(log) if price is not None), Decimal(0))
    assert sum(Decimal(repr(span.attributes[semconv.COST_AMOUNT])) for span in owners) == due


def test_what_the_proxy_s_guardrail_masked_is_proved(
    proxy: Gateway, chaos: Chaos, receiver: Receiver, behind: Path, tmp_path: Path
) -> None:
    messages = [{"role": "user", "content": "I am ann@example.com"}]
    with tollspan.wire(tmp_path / "sent") as sent:
        ask(proxy, "plain", messages=messages, extra_body={"guardrails": ["masked"]})
        ask(proxy, "plain", messages=messages)
    deadline = time.monotonic() + 20
    proofs = []
    while time.monotonic() < deadline:
        exchanges = list(wirefile.exchanges(behind)) if behind.exists() else []
        proofs = prove(list(wirefile.exchanges(sent)), exchanges)
        if all(proof.received for proof in proofs):
            break
        time.sleep(0.05)

    assert [proof.state for proof in proofs] == [PROVED, UNKNOWN]
    assert [fate.where for proof in proofs for fate in proof.fates] == ["masked", "unsure"]
    assert "TOLLSPAN_HASH_KEY" in proofs[1].why
