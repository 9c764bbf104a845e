"""Gateways behind gateways, both ways round, each a real process; the provider's log is the truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import openai
import pytest
import staged
from gateway_processes import (
    LITELLM_KEY,
    Gateway,
    LiteLLMConfig,
    deployment,
    litellm,
    needs_complete_spans,
    portkey,
    portkey_headers,
    target,
)
from mirror import CLIENTS, Send, carried, context_of, ids_of, open_call, watching
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from otlp import Receiver
from upstream_truth import HELLO, USAGE, asked, check, hops, instrumented, told

import tollspan
from tollspan import semconv
from tollspan.chaos import Chaos, repeat, status

pytestmark = pytest.mark.slow

PAIR = "ab"


@dataclass
class Chain:
    """Two LiteLLM proxies and a Portkey gateway; `inner` and `portkey` stand before the provider."""

    chaos: Chaos
    inner: Gateway
    outer: Gateway
    portkey: Gateway
    spans: Receiver
    """Where both LiteLLMs send their own."""

    def client(self, gateway: Gateway, **portkey_config: Any) -> openai.OpenAI:
        if gateway is not self.portkey:
            return openai.OpenAI(base_url=gateway.url, api_key=LITELLM_KEY, max_retries=0)
        headers = portkey_headers(**portkey_config)
        base = f"{gateway.url}/v1"
        return openai.OpenAI(base_url=base, api_key="k", max_retries=0, default_headers=headers)


def _inner(chaos: Chaos) -> LiteLLMConfig:
    models = {"plain": "gpt-4o-mini", "main": "gpt-4o", "backup": "gpt-4.1-mini"}
    return LiteLLMConfig(
        models=[
            deployment(group, f"inner-{group}-{each}", f"openai/{model}", chaos.openai_base_url)
            for group, model in models.items()
            for each in PAIR
        ],
        router={"num_retries": 2, "fallbacks": [{"main": ["backup"]}]},
        settings={"forward_traceparent_to_llm_provider": True},
    )


def _outer(chaos: Chaos, inner: Gateway, portkey: Gateway) -> LiteLLMConfig:
    url = chaos.openai_base_url
    fallback = {
        "strategy": {"mode": "fallback"},
        "targets": [target("gpt-4o", url), target("gpt-4.1-mini", url)],
    }
    through_portkey = {"single": target(None, url), "fallback": fallback}
    return LiteLLMConfig(
        models=[
            *(
                deployment(
                    group, f"outer-{group}-{each}", f"openai/{group}", inner.url, LITELLM_KEY
                )
                for group in ("plain", "main")
                for each in PAIR
            ),
            *(
                deployment(
                    f"portkey-{name}",
                    f"outer-portkey-{name}-{each}",
                    "openai/gpt-4o-mini",
                    f"{portkey.url}/v1",
                    extra_headers=portkey_headers(**config),
                )
                for name, config in through_portkey.items()
                for each in PAIR
            ),
        ],
        router={"num_retries": 2},
    )


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    folder = tmp_path_factory.mktemp("nested")
    with (
        Chaos() as chaos,
        Receiver() as spans,
        portkey(folder / "portkey") as front,
        litellm(_inner(chaos), folder / "inner", otlp=spans.url) as inner,
        litellm(_outer(chaos, inner, front), folder / "outer", otlp=spans.url) as outer,
    ):
        yield Chain(chaos, inner.ready(), outer.ready(), front.ready(), spans)


@pytest.fixture
def chain(
    processes: Chain, provider: TracerProvider, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Chain]:
    processes.chaos.reset()
    with instrumented(provider, monkeypatch):
        yield processes


def ask(client: openai.OpenAI, model: str, streamed: bool = False, **more: Any) -> Any:
    with client:
        if not streamed:
            return client.chat.completions.create(model=model, messages=HELLO, **more)
        return list(
            client.chat.completions.create(
                model=model, messages=HELLO, stream=True, **USAGE, **more
            )
        )


@pytest.mark.parametrize("streamed", [False, True])
def test_two_litellms_in_a_row_are_two_hops(
    chain: Chain, exporter: InMemorySpanExporter, streamed: bool
) -> None:
    ask(chain.client(chain.outer), "plain", streamed)
    call = told(exporter, chain.chaos)
    names = [hop[semconv.HOP_NAME] for hop in hops(exporter)]
    assert names[:2] == ["litellm", "litellm"]
    assert call[semconv.UPSTREAM_ATTEMPTS] == 1
    if not streamed:
        assert call[semconv.ROUTE] == "litellm > litellm > openai/gpt-4o-mini"


def test_a_fallback_of_the_inner_of_two_is_seen(
    chain: Chain, exporter: InMemorySpanExporter
) -> None:
    chain.chaos.script(*repeat(status(500), 3), model="gpt-4o")
    ask(chain.client(chain.outer), "main")
    assert len(asked(chain.chaos)) == 4
    call = told(exporter, chain.chaos)
    assert call[semconv.FALLBACK] is True
    assert call[semconv.ROUTE] == "litellm > litellm > openai/gpt-4.1-mini"
    assert call[semconv.UPSTREAM_ATTEMPTS] >= 2


def test_eighteen_requests_for_one_request_of_the_application(
    chain: Chain, exporter: InMemorySpanExporter
) -> None:
    """Three of the outer proxy times six of the inner, and the SDK does not try again."""
    chain.chaos.script(*repeat(status(500), 18))
    with pytest.raises(openai.InternalServerError):
        ask(chain.client(chain.outer), "main")
    assert len(asked(chain.chaos)) == 18
    call = told(exporter, chain.chaos)
    assert call[semconv.APP_ATTEMPTS] == 1
    assert 1 <= call[semconv.UPSTREAM_ATTEMPTS] <= 18
    assert call[semconv.UPSTREAM_CONFIDENCE] == "at_least"
    assert call[semconv.BLAME] == "provider"


@pytest.mark.parametrize("failing", [False, True])
def test_the_spans_of_both_make_it_exact_and_tell_no_money_twice(
    chain: Chain, provider: TracerProvider, failing: bool
) -> None:
    """The inner proxy's spans are in a trace of their own: an id of its answer joins them."""
    needs_complete_spans()
    chain.spans.forget()
    exporter = OTLPSpanExporter(f"{chain.spans.url}/v1/traces")
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    if failing:
        chain.chaos.script(*repeat(status(500), 3), model="gpt-4o")
    ask(chain.client(chain.outer), "main" if failing else "plain")
    log = asked(chain.chaos)
    provider.force_flush()

    def told_all() -> bool:
        """All has come; spans of calls before may come in between."""
        mine = {call.trace_id for call in chain.spans.calls()}
        return any(
            each.role == "owner"
            and each.span.trace_id in mine
            and each.attributes.get(semconv.UPSTREAM_CONFIDENCE) == "exact"
            for each in staged.calls(chain.spans.bodies)
        )

    chain.spans.wait_for(told_all)
    (trace_id,) = {call.trace_id for call in chain.spans.calls()}
    for bodies in (chain.spans.bodies, list(reversed(chain.spans.bodies))):
        found = staged.calls(bodies)
        (owner,) = (
            each for each in found if each.role == "owner" and each.span.trace_id == trace_id
        )
        restated = {
            each.span.trace_id for each in found if each.owner_span_id == owner.span.span_id
        }
        assert len(restated) == 2  # the outer proxy's in the application's trace, the inner's apart
        check(owner.attributes, log)
        assert owner.attributes[semconv.UPSTREAM_CONFIDENCE] == "exact"


@pytest.mark.parametrize("streamed", [False, True])
def test_portkey_in_front_of_litellm(
    chain: Chain, exporter: InMemorySpanExporter, streamed: bool
) -> None:
    one = target(None, chain.inner.url, LITELLM_KEY)
    ask(chain.client(chain.portkey, **one), "plain", streamed)
    call = told(exporter, chain.chaos)
    assert call[semconv.ROUTE] == "portkey > litellm > openai/gpt-4o-mini"
    assert call[semconv.MODEL_DEPLOYMENT] != "outer"
    assert call[semconv.UPSTREAM_ATTEMPTS] == 1


def test_portkey_falls_back_to_a_litellm_that_falls_back(
    chain: Chain, exporter: InMemorySpanExporter
) -> None:
    chain.chaos.script(*repeat(status(500), 5), model="gpt-4o")
    targets = [
        target("gpt-4o", chain.chaos.openai_base_url),
        target("main", chain.inner.url, LITELLM_KEY),
    ]
    ask(chain.client(chain.portkey, strategy={"mode": "fallback"}, targets=targets), "gpt-4o-mini")
    assert len(asked(chain.chaos)) == 5
    call = told(exporter, chain.chaos)
    assert call[semconv.FALLBACK] is True
    assert call[semconv.ROUTE] == "portkey > litellm > openai/gpt-4.1-mini"
    assert call[semconv.UPSTREAM_ATTEMPTS] >= 2


@pytest.mark.parametrize("streamed", [False, True])
def test_litellm_in_front_of_portkey(
    chain: Chain, exporter: InMemorySpanExporter, streamed: bool
) -> None:
    ask(chain.client(chain.outer), "portkey-single", streamed)
    call = told(exporter, chain.chaos)
    assert [hop[semconv.HOP_NAME] for hop in hops(exporter)][:2] == ["litellm", "portkey"]
    assert call[semconv.UPSTREAM_ATTEMPTS] == 1


def test_litellm_does_not_know_whom_portkey_fell_back_to(
    chain: Chain, exporter: InMemorySpanExporter
) -> None:
    """Its answer names, and its price is of, the model that it asked Portkey for: that would be
    wrong twice, so neither is believed."""
    chain.chaos.script(status(500), model="gpt-4o")
    ask(chain.client(chain.outer), "portkey-fallback")
    assert [answer.model_asked for answer in asked(chain.chaos)] == ["gpt-4o", "gpt-4.1-mini"]
    told(exporter, chain.chaos)


# --- what travels with the requests ---------------------------------------------------------------

WHO = {"ENDPOINT_TAG": "checkout", "TENANT": "acme", "USER": "u_42", "REQUEST_ID": "r1"}


@pytest.mark.parametrize("name", CLIENTS)
def test_portkey_gets_context_and_attribution_and_a_provider_only_what_it_is_told_to_hand_on(
    processes: Chain, exporter: InMemorySpanExporter, provider: TracerProvider, name: str
) -> None:
    send: Send = CLIENTS[name]
    url = f"{processes.portkey.url}/v1/chat/completions"
    processes.chaos.reset()
    for forwarded in (["traceparent", "baggage"], []):
        one = target("gpt-4o-mini", processes.chaos.openai_base_url, forward_headers=forwarded)
        with watching(provider), open_call(provider, **WHO):
            assert send(url, portkey_headers(**one)) == 200
    handed_on, nothing = (answer.headers for answer in asked(processes.chaos))
    sent = next(span for span in exporter.get_finished_spans() if span.name == "POST")
    assert context_of(handed_on) == ids_of(sent)
    arrived = carried(handed_on)
    assert arrived["tollspan.tenant"] == "acme"
    assert arrived["user.id"] == "u_42"
    assert arrived["tollspan.endpoint_tag"] == "checkout"
    assert arrived["tollspan.request_id"] == "r1"
    assert not {"traceparent", "tracestate", "baggage"} & set(nothing)


def test_litellm_gets_the_context_and_hands_on_no_attribution(
    chain: Chain, exporter: InMemorySpanExporter
) -> None:
    with tollspan.attribute(endpoint="checkout", tenant="acme", user="u_42"):
        ask(chain.client(chain.inner), "plain")
    (answer,) = asked(chain.chaos)
    sent = next(span for span in exporter.get_finished_spans() if span.name == "POST")
    assert context_of(answer.headers) == ids_of(sent)  # it hands on the caller's as it came
    assert "baggage" not in answer.headers
    assert "acme" not in str(answer.headers)
