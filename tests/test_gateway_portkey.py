"""Portkey's real gateway between the SDK and a provider whose log is the truth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai
import pytest
from gateway_processes import Gateway, portkey, portkey_headers, target
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from upstream_truth import HELLO, USAGE, asked, hops, instrumented, told

from tollspan import semconv
from tollspan.chaos import (
    Chaos,
    disconnect,
    error_in_stream,
    ok,
    repeat,
    slow,
    status,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def upstream() -> Iterator[Chaos]:
    with Chaos() as chaos:
        yield chaos


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with portkey(tmp_path_factory.mktemp("portkey")) as started:
        yield started.ready()


@pytest.fixture
def chaos(upstream: Chaos) -> Chaos:
    """The provider, with an empty log."""
    upstream.reset()
    return upstream


@pytest.fixture(autouse=True)
def application(
    chaos: Chaos, gateway: Gateway, provider: TracerProvider, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    with instrumented(provider, monkeypatch):
        yield


@contextmanager
def through(gateway: Gateway, **config: Any) -> Iterator[openai.OpenAI]:
    """A client whose requests the gateway treats by `config`."""
    with openai.OpenAI(
        base_url=f"{gateway.url}/v1",
        api_key="k",
        max_retries=0,
        default_headers=portkey_headers(**config),
    ) as client:
        yield client


def single(chaos: Chaos, **more: Any) -> dict[str, Any]:
    return target(None, chaos.openai_base_url, **more)


def two(chaos: Chaos, mode: str = "fallback") -> dict[str, Any]:
    """Two targets with another model each, and one retry for each."""
    url = chaos.openai_base_url
    targets = [target("gpt-4o", url), target("gpt-4.1-mini", url)]
    return {"strategy": {"mode": mode}, "retry": {"attempts": 1}, "targets": targets}


def guardrail(word: str, *, deny: bool = True) -> list[dict[str, Any]]:
    return [
        {"default.contains": {"operator": "none", "words": [word]}, "deny": deny, "id": "words"}
    ]


def ask(client: openai.OpenAI, **more: Any) -> Any:
    return client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, **more)


def read(client: openai.OpenAI) -> list[Any]:
    return list(ask(client, stream=True, **USAGE))


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_names_proxy_and_model(
    gateway: Gateway, chaos: Chaos, exporter: InMemorySpanExporter, streamed: bool
) -> None:
    chaos.script(ok(input_tokens=1100, output_tokens=70))
    with through(gateway, **single(chaos)) as client:
        read(client) if streamed else ask(client)
    call = told(exporter, chaos)
    assert call[semconv.INPUT_TOKENS] == 1100
    assert call[semconv.COST_GRADE] == "derived"
    assert call[semconv.ROUTE].startswith("portkey > ")
    assert call[semconv.ROUTE].endswith("gpt-4o-mini")
    assert call[semconv.UPSTREAM_ATTEMPTS] == 1
    assert call[semconv.MODEL_SWAPPED] is False
    assert semconv.BLAME not in call
    assert [hop[semconv.HOP_ROLE] for hop in hops(exporter)][:1] == ["proxy"]


def test_retries_inside_the_proxy_are_seen(
    gateway: Gateway, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    chaos.script(status(429))
    with through(gateway, **single(chaos), retry={"attempts": 2}) as client:
        ask(client)
    assert len(asked(chaos)) == 2
    call = told(exporter, chaos)
    assert call[semconv.APP_ATTEMPTS] == 1
    assert call[semconv.UPSTREAM_ATTEMPTS] == 2


@pytest.mark.parametrize("streamed", [False, True])
def test_a_fallback_shows_the_model_that_answered(
    gateway: Gateway, chaos: Chaos, exporter: InMemorySpanExporter, streamed: bool
) -> None:
    chaos.script(*repeat(status(500), 2), model="gpt-4o")
    with through(gateway, **two(chaos)) as client:
        read(client) if streamed else ask(client)
    assert len(asked(chaos)) == 3
    call = told(exporter, chaos)
    assert call[semconv.MODEL_SERVED].startswith("gpt-4.1-mini")
    assert call[semconv.MODEL_SWAPPED] is True
    assert call[semconv.MODEL_DEPLOYMENT] == "config.targets[1]"
    assert call[semconv.FALLBACK] is True
    assert call[semconv.UPSTREAM_ATTEMPTS] >= 2


def test_a_balanced_call_shows_its_target(
    gateway: Gateway, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    with through(gateway, **two(chaos, "loadbalance")) as client:
        ask(client)
    (answer,) = asked(chaos)
    call = told(exporter, chaos)
    place = 0 if answer.model_asked == "gpt-4o" else 1
    assert call[semconv.MODEL_DEPLOYMENT] == f"config.targets[{place}]"
    assert call[semconv.MODEL_SERVED] == answer.model_served
    assert call.get(semconv.FALLBACK) is not True


def test_all_failing_is_the_providers_fault_and_not_free(
    gateway: Gateway, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    chaos.script(*repeat(status(500, billed=True), 4))
    with (
        through(gateway, **two(chaos)) as client,
        pytest.raises(openai.InternalServerError),
    ):
        ask(client)
    assert len(asked(chaos)) == 4
    call = told(exporter, chaos)
    assert call[semconv.BLAME] == "provider"
    assert semconv.COST_AMOUNT not in call


def test_retries_of_the_sdk_multiply_those_of_the_proxy(
    gateway: Gateway, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    chaos.script(*repeat(status(500), 8))
    with (
        through(gateway, **two(chaos)) as client,
        pytest.raises(openai.InternalServerError),
    ):
        ask(client.with_options(max_retries=1))
    assert len(asked(chaos)) == 8
    call = told(exporter, chaos)
    assert call[semconv.APP_ATTEMPTS] == 2
    assert 2 <= call[semconv.UPSTREAM_ATTEMPTS] <= 8
    assert call[semconv.UPSTREAM_CONFIDENCE] == "at_least"


def test_a_guardrail_before_the_model_is_a_known_zero(
    gateway: Gateway, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    with (
        through(gateway, **single(chaos), input_guardrails=guardrail("hello")) as client,
        pytest.raises(openai.APIStatusError) as caught,
    ):
        ask(client)
    assert caught.value.status_code == 446
    assert asked(chaos) == []
    call = told(exporter, chaos)
    assert (call[semconv.STATUS], call[semconv.BLOCKED_BY]) == ("blocked", "proxy")
    assert call[semconv.BLOCKED_STAGE] == "before"
    assert call[semconv.COST_AMOUNT] == 0


def test_a_guardrail_after_the_model_is_not_free(
    gateway: Gateway, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    chaos.script(ok(text="a secretword"))
    with (
        through(gateway, **single(chaos), output_guardrails=guardrail("secretword")) as client,
        pytest.raises(openai.APIStatusError),
    ):
        ask(client)
    assert len(asked(chaos)) == 1
    call = told(exporter, chaos)
    assert (call[semconv.BLOCKED_BY], call[semconv.BLOCKED_STAGE]) == ("proxy", "after")
    assert call[semconv.UPSTREAM_ATTEMPTS] == 1
    assert call.get(semconv.COST_AMOUNT) != 0


def test_a_guardrail_that_only_warns_is_an_answer_like_any_other(
    gateway: Gateway, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    with through(
        gateway, **single(chaos), input_guardrails=guardrail("hello", deny=False)
    ) as client:
        ask(client)
    call = told(exporter, chaos)
    assert call[semconv.STATUS] == "success"
    assert semconv.BLOCKED_BY not in call
    assert call[semconv.COST_AMOUNT] > 0


def test_a_timeout_of_the_proxy_is_the_providers_and_not_free(
    gateway: Gateway, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    chaos.script(slow(5))
    with (
        through(gateway, **single(chaos), request_timeout=200) as client,
        pytest.raises(openai.APIStatusError) as caught,
    ):
        ask(client)
    assert caught.value.status_code == 408
    call = told(exporter, chaos)
    assert call[semconv.BLAME] == "provider"
    assert semconv.COST_AMOUNT not in call


def test_a_stream_that_ends_in_an_error_is_the_providers(
    gateway: Gateway, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    chaos.script(error_in_stream(after_chunks=2))
    with through(gateway, **single(chaos)) as client, pytest.raises(openai.APIError):
        read(client)
    call = told(exporter, chaos)
    assert (call[semconv.STATUS], call[semconv.BLAME]) == ("error", "provider")
    assert call.get(semconv.COST_AMOUNT) != 0


def test_a_stream_that_breaks_off_is_not_free(
    gateway: Gateway, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    """Portkey ends its own stream in good order, so that the SDK sees no error."""
    chaos.script(disconnect(after_chunks=2))
    with through(gateway, **single(chaos)) as client:
        read(client)
    assert told(exporter, chaos).get(semconv.COST_AMOUNT) != 0


def test_a_gateway_that_refuses_its_own_configuration_is_to_blame(
    gateway: Gateway, chaos: Chaos, exporter: InMemorySpanExporter
) -> None:
    with (
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0) as client,
        pytest.raises(openai.APIStatusError),
    ):
        ask(client)
    assert asked(chaos) == []
    call = told(exporter, chaos)
    assert call[semconv.UPSTREAM_ATTEMPTS] == 0
    assert call[semconv.BLAME] == "proxy"
