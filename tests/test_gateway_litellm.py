"""A real LiteLLM proxy between the SDK and a provider whose log is the truth."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import anthropic
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
)
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from otlp import Receiver
from upstream_truth import HELLO, USAGE, asked, check, hops, instrumented, owners, told

from tollspan import config, semconv
from tollspan.chaos import (
    Chaos,
    bill,
    disconnect,
    error_in_stream,
    ok,
    repeat,
    slow,
    status,
)
from tollspan.collector.stage import Call
from tollspan.instrumentation import _bridges

pytestmark = pytest.mark.slow

CACHED: Any = {"cache": {"use-cache": True}}


def _config(chaos: Chaos) -> LiteLLMConfig:
    """Two deployments in a group: LiteLLM then tries again at once instead of backing off."""
    url = chaos.openai_base_url

    def pair(group: str, model: str) -> list[dict[str, Any]]:
        return [deployment(group, f"{group}-{each}", f"openai/{model}", url) for each in "ab"]

    def words(name: str, mode: str, word: str) -> dict[str, Any]:
        blocked = [{"keyword": word, "action": "BLOCK", "description": "test"}]
        found = {"guardrail": "litellm_content_filter", "mode": mode, "blocked_words": blocked}
        return {"guardrail_name": name, "litellm_params": {**found, "default_on": False}}

    return LiteLLMConfig(
        models=[
            *pair("plain", "gpt-4o-mini"),
            *pair("main", "gpt-4o"),
            *pair("backup", "gpt-4.1-mini"),
            deployment("swap", "swap-a", "openai/gpt-4o", url),
            deployment("swap", "swap-b", "openai/gpt-4o-mini", url),
            deployment("claude", "claude-a", "anthropic/claude-haiku-4-5", chaos.url),
        ],
        router={"num_retries": 2, "fallbacks": [{"main": ["backup"]}]},
        general={"expose_fallback_errors_to_caller": True},
        guardrails=[
            words("words-in", "pre_call", "forbiddenword"),
            words("words-out", "post_call", "secretword"),
        ],
    )


@pytest.fixture(scope="module")
def upstream() -> Iterator[Chaos]:
    with Chaos() as chaos:
        yield chaos


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """Where the proxy's own spans go."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def proxy(
    upstream: Chaos, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("litellm")
    with litellm(_config(upstream), folder, otlp=receiver.url) as gateway:
        yield gateway.ready()


@pytest.fixture
def chaos(upstream: Chaos, proxy: Gateway) -> Chaos:
    """The provider, with an empty log."""
    upstream.reset()
    return upstream


@pytest.fixture(autouse=True)
def application(
    chaos: Chaos, provider: TracerProvider, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    with instrumented(provider, monkeypatch):
        yield


@pytest.fixture
def client(proxy: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=proxy.url, api_key=LITELLM_KEY, max_retries=0) as made:
        yield made


def ask(client: openai.OpenAI, model: str = "plain", **more: Any) -> Any:
    return client.chat.completions.create(model=model, messages=HELLO, **more)


def read(client: openai.OpenAI, model: str = "plain", **more: Any) -> list[Any]:
    return list(ask(client, model, stream=True, **USAGE, **more))


def test_an_answer_names_proxy_group_deployment_and_served_model(
    client: openai.OpenAI, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    ask(client)
    call = told(exporter, chaos)
    assert call[semconv.ROUTE] == "litellm > openai/gpt-4o-mini"
    assert call[semconv.MODEL_ROUTED] == "plain"
    assert call[semconv.MODEL_DEPLOYMENT] in ("plain-a", "plain-b")
    assert call[semconv.FALLBACK] is False
    assert call[semconv.UPSTREAM_ATTEMPTS] == 1
    assert semconv.BLAME not in call
    assert call[semconv.COST_GRADE] == "billed"
    assert [hop[semconv.HOP_ROLE] for hop in hops(exporter)] == ["proxy", "model"]


def test_a_stream_costs_what_its_last_chunk_states(
    client: openai.OpenAI, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    chaos.script(ok(input_tokens=1100, output_tokens=70))
    read(client)
    call = told(exporter, chaos)
    assert call[semconv.INPUT_TOKENS] == 1100
    assert call[semconv.COST_AMOUNT] > 0
    assert call[semconv.ROUTE] == "litellm > openai/gpt-4o-mini"


def test_a_message_of_the_anthropic_sdk_goes_the_same_way(
    proxy: Gateway, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    chaos.script(ok(input_tokens=1000, output_tokens=50))
    with anthropic.Anthropic(base_url=proxy.url, api_key=LITELLM_KEY, max_retries=0) as client:
        client.messages.create(model="claude", max_tokens=100, messages=HELLO)
    call = told(exporter, chaos)
    assert call[semconv.ROUTE] == "litellm > anthropic/claude-haiku-4-5"
    assert call[semconv.COST_AMOUNT] == pytest.approx(0.00125)


@pytest.mark.parametrize("streamed", [False, True])
def test_retries_inside_the_proxy_are_seen(
    client: openai.OpenAI, chaos: Chaos, exporter: InMemorySpanExporter, streamed: bool
) -> None:
    chaos.script(status(429), status(500))
    read(client) if streamed else ask(client)
    call = told(exporter, chaos)
    assert len(asked(chaos)) == 3
    assert call[semconv.APP_ATTEMPTS] == 1
    assert call[semconv.UPSTREAM_ATTEMPTS] == 3
    assert call[semconv.FALLBACK] is False


def test_a_deployment_swap_inside_a_group_is_no_fallback_and_served_is_right(
    client: openai.OpenAI, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    """LiteLLM draws lots, so we ask until the other model answered."""
    for _ in range(60):
        chaos.reset()
        exporter.clear()
        chaos.script(status(429), model="gpt-4o")
        ask(client, "swap")
        call = told(exporter, chaos)
        assert call[semconv.FALLBACK] is False
        log = asked(chaos)
        if log[0].model_asked != log[-1].model_asked:
            break
    assert log[-1].model_asked == "gpt-4o-mini"
    assert call[semconv.MODEL_SERVED] == "gpt-4o-mini"
    assert call[semconv.MODEL_DEPLOYMENT] == "swap-b"
    assert call[semconv.UPSTREAM_ATTEMPTS] == 2


@pytest.mark.parametrize("streamed", [False, True])
def test_a_fallback_is_told_with_the_model_that_answered(
    client: openai.OpenAI, chaos: Chaos, exporter: InMemorySpanExporter, streamed: bool
) -> None:
    chaos.script(*repeat(status(500), 3), model="gpt-4o")
    read(client, "main") if streamed else ask(client, "main")
    assert len(asked(chaos)) == 4
    call = told(exporter, chaos)
    assert call[semconv.FALLBACK] is True
    assert call[semconv.MODEL_ROUTED] == "backup"
    assert call[semconv.ROUTE] == "litellm > openai/gpt-4.1-mini"
    assert call[semconv.UPSTREAM_ATTEMPTS] >= 2
    assert semconv.BLAME not in call


def test_a_stream_that_dies_before_its_first_piece_is_answered_by_the_fallback(
    client: openai.OpenAI, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    """What the dead one read is billed too; that there was one is told, not what it cost."""
    for _ in range(5):
        chaos.script(disconnect(after_chunks=0), model="gpt-4o")
        chaos.script(ok(input_tokens=1000, output_tokens=100), model="gpt-4.1-mini")
        exporter.clear()
        read(client, "main")
        (_, lost), (_, answered) = bill(asked(chaos)[-2:])
        (span,) = owners(exporter)
        call = dict(span.attributes or {})
        # A busy LiteLLM may have sent the head of the dead one's answer before it died: then the
        # headers name that, and it is another case than this one.
        if call.get(semconv.FALLBACK):
            break
    assert call[semconv.ROUTE] == "litellm > openai/gpt-4.1-mini"
    assert call[semconv.HIDDEN_ATTEMPTS] == 1
    assert Decimal(repr(call[semconv.COST_AMOUNT])) == answered
    assert lost is not None and 0 < lost < Decimal("0.0001")


def test_all_failing_is_the_providers_fault_and_not_free(
    client: openai.OpenAI, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    chaos.script(*repeat(status(500, billed=True), 6))
    with pytest.raises(openai.InternalServerError):
        ask(client, "main")
    assert len(asked(chaos)) == 6
    call = told(exporter, chaos)
    assert call[semconv.BLAME] == "provider"
    assert call[semconv.UPSTREAM_ATTEMPTS] >= 1
    assert semconv.COST_AMOUNT not in call  # somebody was billed; what, nobody says


def test_eighteen_requests_for_one_create_are_shown_as_a_bound(
    client: openai.OpenAI, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    """Three of the SDK times three of each of two groups, of which no header says anything."""
    chaos.script(*repeat(status(500), 18))
    with pytest.raises(openai.InternalServerError):
        ask(client.with_options(max_retries=2), "main")
    assert len(asked(chaos)) == 18
    call = told(exporter, chaos)
    assert call[semconv.APP_ATTEMPTS] == 3
    assert 3 <= call[semconv.UPSTREAM_ATTEMPTS] <= 18
    assert call[semconv.UPSTREAM_CONFIDENCE] == "at_least"
    assert call[semconv.BLAME] == "provider"


def test_retries_of_the_sdk_add_to_those_of_the_proxy(
    client: openai.OpenAI, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    chaos.script(*repeat(status(500), 4))
    ask(client.with_options(max_retries=2))
    assert len(asked(chaos)) == 5
    call = told(exporter, chaos)
    assert call[semconv.APP_ATTEMPTS] == 2
    assert call[semconv.UPSTREAM_ATTEMPTS] >= 3  # one of the first request, two of the second
    assert call[semconv.STATUS] == "success"


SERVED = "POST /chat/completions"
"""Name of the proxy's own span of a request."""


def ledger(receiver: Receiver, provider: TracerProvider, requests: int, deployments: int) -> Call:
    """The one owner, out of all spans of application and proxy: its answers to `requests` of the
    SDK, for which it chose `deployments`."""
    provider.force_flush()

    def told_all() -> bool:
        (call,) = receiver.calls() or (None,)
        if call is None:
            return False
        names = [span.name for span in receiver.spans if span.trace_id == call.trace_id]
        chosen = sum(name.startswith("route ") for name in names)
        return names.count(SERVED) >= requests and chosen >= deployments

    receiver.wait_for(told_all)
    (trace_id,) = {call.trace_id for call in receiver.calls()}
    results = []
    for bodies in (receiver.bodies, list(reversed(receiver.bodies))):
        # what the proxy tells of calls before this one may still come in
        (owner,) = (each for each in staged.owning(bodies) if each.span.trace_id == trace_id)
        results.append(owner)
    assert results[0].attributes == results[1].attributes  # whatever came first
    return results[0]


@pytest.fixture
def exported(receiver: Receiver, provider: TracerProvider) -> Receiver:
    """The receiver of the proxy's spans, which gets those of the application too."""
    needs_complete_spans()
    receiver.forget()
    exporter = OTLPSpanExporter(f"{receiver.url}/v1/traces")
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return receiver


def test_the_proxys_own_spans_make_eighteen_exact(
    client: openai.OpenAI, chaos: Chaos, exported: Receiver, provider: TracerProvider
) -> None:
    chaos.script(*repeat(status(500), 18))
    with pytest.raises(openai.InternalServerError):
        ask(client.with_options(max_retries=2), "main")
    log = asked(chaos)
    call = ledger(exported, provider, requests=3, deployments=18).attributes
    check(call, log)
    assert (call[semconv.UPSTREAM_ATTEMPTS], call[semconv.UPSTREAM_CONFIDENCE]) == (18, "exact")
    assert call[semconv.APP_ATTEMPTS] == 3


def test_the_proxys_own_spans_make_a_fallback_exact_and_tell_no_money_twice(
    client: openai.OpenAI, chaos: Chaos, exported: Receiver, provider: TracerProvider
) -> None:
    chaos.script(*repeat(status(500), 3), model="gpt-4o")
    ask(client, "main")
    log = asked(chaos)
    owner = ledger(exported, provider, requests=1, deployments=4)
    call = owner.attributes
    check(call, log)
    assert (call[semconv.UPSTREAM_ATTEMPTS], call[semconv.UPSTREAM_CONFIDENCE]) == (4, "exact")
    assert owner.hops[0].attributes[semconv.HOP_NAME] == "litellm"
    assert owner.hops[0].attributes[semconv.HOP_EVIDENCE] == "observed"


@pytest.mark.parametrize("streamed", [False, True])
def test_a_cache_hit_costs_nothing_and_says_what_it_avoided(
    client: openai.OpenAI, chaos: Chaos, exporter: InMemorySpanExporter, streamed: bool
) -> None:
    question = {"seed": 1 + streamed, "extra_body": CACHED}
    for _ in range(2):
        read(client, **question) if streamed else ask(client, **question)
    (answer,) = asked(chaos)
    missed, hit = (dict(span.attributes or {}) for span in owners(exporter))
    assert missed[semconv.CACHE_HIT] is False
    assert hit[semconv.CACHE_HIT] is True
    assert (hit[semconv.UPSTREAM_ATTEMPTS], hit[semconv.UPSTREAM_CONFIDENCE]) == (0, "exact")
    assert hit[semconv.COST_AMOUNT] == 0
    ((_, price),) = bill([answer])
    assert Decimal(repr(missed[semconv.COST_AMOUNT])) == price
    assert Decimal(repr(hit[semconv.COST_AVOIDED])) == price
    assert hit[semconv.ROUTE] == "litellm > cache"


def test_a_guardrail_before_the_model_is_a_known_zero(
    client: openai.OpenAI, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(
            model="plain",
            messages=[{"role": "user", "content": "a FORBIDDENWORD"}],
            extra_body={"guardrails": ["words-in"]},
        )
    assert asked(chaos) == []
    call = told(exporter, chaos)
    assert (call[semconv.STATUS], call[semconv.BLOCKED_BY]) == ("blocked", "proxy")
    assert call[semconv.BLOCKED_STAGE] == "before"
    assert call[semconv.UPSTREAM_CONFIDENCE] == "exact"
    assert call[semconv.COST_AMOUNT] == 0
    assert call[semconv.ROUTE] == "litellm > guardrail"


def test_a_guardrail_after_the_model_is_not_free(
    client: openai.OpenAI, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    chaos.script(ok(text="a secretword"))
    with pytest.raises(openai.BadRequestError):
        ask(client, extra_body={"guardrails": ["words-out"]})
    assert len(asked(chaos)) == 1
    call = told(exporter, chaos)
    assert (call[semconv.BLOCKED_BY], call[semconv.BLOCKED_STAGE]) == ("proxy", "after")
    assert call[semconv.UPSTREAM_ATTEMPTS] == 1
    assert call.get(semconv.COST_AMOUNT) != 0


def test_a_timeout_of_the_proxy_is_the_providers_and_not_free(
    client: openai.OpenAI, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    chaos.script(*repeat(slow(5), 3))
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client, extra_body={"timeout": 0.3})
    assert caught.value.status_code == 408
    call = told(exporter, chaos)
    assert call[semconv.BLAME] == "provider"
    assert semconv.COST_AMOUNT not in call


@pytest.mark.parametrize("end", [disconnect(after_chunks=2), error_in_stream(after_chunks=2)])
def test_a_stream_that_dies_is_an_error_of_the_provider_and_not_free(
    client: openai.OpenAI, chaos: Chaos, exporter: InMemorySpanExporter, end: Any
) -> None:
    chaos.script(*repeat(end, 8))  # LiteLLM may try again in the middle of a stream
    with pytest.raises(openai.APIError):
        read(client)
    call = told(exporter, chaos)
    assert call[semconv.STATUS] == "error"
    assert call[semconv.BLAME] == "provider"
    assert call.get(semconv.COST_AMOUNT) != 0


def test_a_key_that_the_provider_refuses_is_the_proxys_fault(
    client: openai.OpenAI, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    chaos.script(*repeat(status(401), 3))
    with pytest.raises(openai.AuthenticationError):
        ask(client)
    assert told(exporter, chaos)[semconv.BLAME] == "proxy"


def test_a_model_that_the_proxy_does_not_know_never_reaches_a_provider(
    client: openai.OpenAI, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    with pytest.raises(openai.BadRequestError):
        ask(client, "no-such-group")
    assert asked(chaos) == []
    call = told(exporter, chaos)
    assert call[semconv.UPSTREAM_ATTEMPTS] == 0
    assert semconv.COST_AMOUNT not in call or call[semconv.COST_AMOUNT] == 0


def test_a_request_that_the_provider_refuses_is_the_applications_fault(
    client: openai.OpenAI, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    chaos.script(*repeat(status(400), 3))
    with pytest.raises(openai.BadRequestError):
        ask(client)
    assert told(exporter, chaos)[semconv.BLAME] == "app"


def test_the_bridge_makes_the_proxy_say_what_failed_before_a_fallback(
    client: openai.OpenAI, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    """Asked for only once it has said what it is, and never asked of the provider behind it."""
    config.reload({"TOLLSPAN_BRIDGES": "litellm", "TOLLSPAN_RAISE": "1"})
    _bridges._known.clear()
    chaos.script(*repeat(status(500), 3), *repeat(status(429), 3), model="gpt-4o")
    ask(client, "main")
    ask(client, "main")
    told = [
        (span.attributes or {}).get(semconv.RESPONSE_HEADER_PREFIX + "x-litellm-fallback-errors")
        for span in exporter.get_finished_spans()
        if span.name == "POST"
    ]
    assert told == [None, "429"]
    assert len(asked(chaos)) == 8
    assert all(answer.status in (200, 429, 500) for answer in chaos.log)
