"""What is blocked says by whom, and costs what it cost: nothing before the model, unknown after."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import openai
import pytest
import sdks
from needs import captures
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tollspan import semconv
from tollspan.processors.spans import adopt_provider

SECRET = "a question that no span may carry"
LITELLM = {"x-litellm-call-id": "call-7", "x-litellm-response-cost": "0"}
PORTKEY = {"x-portkey-last-used-option-index": "config", "x-portkey-provider": "openai"}


@pytest.fixture(autouse=True)
def watched(provider: TracerProvider) -> Iterator[None]:
    undo = adopt_provider(provider)
    try:
        with sdks.watched(provider):
            yield
    finally:
        undo()


def own(exporter: InMemorySpanExporter) -> Mapping[str, Any]:
    assert SECRET not in "".join(span.to_json() for span in exporter.get_finished_spans())
    return sdks.ended(exporter).attributes or {}


def refused(status: int, body: Any, headers: dict[str, str]) -> None:
    server = sdks.server_for("chat", status=status, body=body, headers=headers)
    with pytest.raises(openai.APIStatusError):
        sdks.plain(sdks.openai_client(server), "chat")


def guardrail(mode: Any) -> dict[str, Any]:
    said = {"guardrail_name": "block-words", "guardrail_mode": mode, "keyword": SECRET}
    return {"error": {"message": SECRET, "code": "400", "provider_specific_fields": said}}


def hooks(*, before: bool, after: bool) -> dict[str, Any]:
    return {
        "error": {"message": "checks failed", "type": "hooks_failed", "code": None},
        "hook_results": {
            "before_request_hooks": [{"verdict": not before, "checks": [{"data": SECRET}]}],
            "after_request_hooks": [{"verdict": False}] if after else [],
        },
    }


def test_a_prompt_that_the_model_refuses_is_blocked_by_the_model(
    exporter: InMemorySpanExporter,
) -> None:
    refused(400, {"error": {"message": SECRET, "code": "content_filter"}}, {"x-request-id": "r"})
    found = own(exporter)
    assert (found[semconv.STATUS], found[semconv.BLOCKED_BY]) == ("blocked", "model")
    assert found[semconv.BLAME] == "app"
    assert semconv.COST_AMOUNT not in found, "whether the check was billed is not known"
    assert semconv.WASTE_REASON not in found


def test_an_answer_that_the_model_stops_is_blamed_on_nobody_and_paid(
    exporter: InMemorySpanExporter,
) -> None:
    choice = {**sdks.CHAT_BODY["choices"][0], "finish_reason": "content_filter"}
    server = sdks.server_for("chat", body={**sdks.CHAT_BODY, "choices": [choice]})
    sdks.plain(sdks.openai_client(server), "chat")
    found = own(exporter)
    assert (found[semconv.STATUS], found[semconv.BLOCKED_BY]) == ("blocked", "model")
    assert semconv.BLAME not in found
    assert found[semconv.COST_GRADE] == "derived"
    assert found[semconv.COST_AMOUNT] > 0


def test_a_guardrail_before_the_model_is_a_known_zero(exporter: InMemorySpanExporter) -> None:
    refused(400, guardrail("pre_call"), LITELLM)
    found = own(exporter)
    assert (found[semconv.STATUS], found[semconv.BLOCKED_BY]) == ("blocked", "proxy")
    assert found[semconv.BLOCKED_STAGE] == "before"
    assert found[semconv.BLAME] == "proxy"
    assert (found[semconv.COST_AMOUNT], found[semconv.COST_GRADE]) == (0, "billed")
    assert found[semconv.ROUTE] == "litellm > guardrail"
    assert (found[semconv.UPSTREAM_ATTEMPTS], found[semconv.UPSTREAM_CONFIDENCE]) == (0, "exact")


@pytest.mark.parametrize("mode", ["post_call", "during_call"])
def test_a_guardrail_after_the_model_was_paid_for_and_nobody_says_how_much(
    mode: str, exporter: InMemorySpanExporter
) -> None:
    refused(400, guardrail(mode), LITELLM)
    found = own(exporter)
    assert (found[semconv.STATUS], found[semconv.BLOCKED_BY]) == ("blocked", "proxy")
    assert found[semconv.BLOCKED_STAGE] == "after"
    assert semconv.COST_AMOUNT not in found
    assert found[semconv.UNPRICED_REASON] == "no_usage"
    assert found[semconv.UPSTREAM_ATTEMPTS] == 1


@pytest.mark.parametrize("mode", [None, "logging_only", ["pre_call", "post_call"]])
def test_a_guardrail_that_does_not_say_when_is_no_zero(
    mode: Any, exporter: InMemorySpanExporter
) -> None:
    refused(400, guardrail(mode), LITELLM)
    found = own(exporter)
    assert found[semconv.BLOCKED_BY] == "proxy"
    assert semconv.BLOCKED_STAGE not in found
    assert semconv.COST_AMOUNT not in found


@pytest.mark.parametrize(("before", "stage", "cost"), [(True, "before", 0), (False, "after", None)])
def test_hooks_of_portkey_say_when(
    before: bool, stage: str, cost: float | None, exporter: InMemorySpanExporter
) -> None:
    refused(446, hooks(before=before, after=not before), PORTKEY)
    found = own(exporter)
    assert (found[semconv.STATUS], found[semconv.BLOCKED_BY]) == ("blocked", "proxy")
    assert found[semconv.BLOCKED_STAGE] == stage
    assert found.get(semconv.COST_AMOUNT) == cost


@pytest.mark.parametrize("body", ["no json", {"hook_results": 7}, {"hook_results": {}}])
def test_hooks_that_nobody_can_read_block_all_the_same(
    body: Any, exporter: InMemorySpanExporter
) -> None:
    refused(446, body, PORTKEY)
    found = own(exporter)
    assert (found[semconv.STATUS], found[semconv.BLOCKED_BY]) == ("blocked", "proxy")
    assert semconv.COST_AMOUNT not in found


def test_a_router_that_answers_in_the_models_place_blocks_for_nothing(
    exporter: InMemorySpanExporter,
) -> None:
    """vLLM's semantic router says so in a header of an answer that looks like any other."""
    headers = {"x-vsr-schema-version": "2", "x-vsr-response-path": "blocked"}
    sdks.plain(sdks.openai_client(sdks.server_for("chat", headers=headers)), "chat")
    found = own(exporter)
    assert (found[semconv.STATUS], found[semconv.BLOCKED_BY]) == ("blocked", "proxy")
    assert found[semconv.BLOCKED_STAGE] == "before"
    assert (found[semconv.BLAME], found[semconv.BLAME_EVIDENCE]) == ("proxy", "guardrail")
    assert (found[semconv.COST_AMOUNT], found[semconv.COST_GRADE]) == (0, "billed")
    assert (found[semconv.UPSTREAM_ATTEMPTS], found[semconv.UPSTREAM_CONFIDENCE]) == (0, "exact")


@pytest.mark.parametrize(
    "message",
    [
        "litellm.ContentPolicyViolationError: AzureException - no",
        "litellm.BadRequestError: The response was filtered due to the prompt triggering a policy",
        'All variants failed with errors: a: Error 400 Bad Request: {"code": "content_filter"}',
    ],
)
def test_a_filters_code_that_a_gateway_lost_is_found_in_its_message(
    message: str, exporter: InMemorySpanExporter
) -> None:
    refused(400, {"error": {"message": message, "code": "400"}}, LITELLM)
    found = own(exporter)
    assert (found[semconv.STATUS], found[semconv.BLOCKED_BY]) == ("blocked", "model")
    assert found[semconv.BLAME] == "app"


CAPTURED = {
    "litellm--guardrail-block": "before",
    "portkey--guardrail-block": "before",
    "portkey--guardrail-output-block": "after",
}


@pytest.mark.parametrize(("which", "stage"), CAPTURED.items())
def test_what_real_gateways_answered(
    which: str, stage: str, exporter: InMemorySpanExporter
) -> None:
    found = json.loads((captures() / f"{which}.json").read_text())
    last = found["client_attempts"][-1]
    headers = {n: v for n, v in last["response_headers"] if n not in ("content-length", "date")}
    refused(last["status"], last["response_body"], headers)
    assert own(exporter)[semconv.BLOCKED_STAGE] == stage
    assert own(exporter).get(semconv.COST_AMOUNT) == (0 if stage == "before" else None)


# --- what a body says that it cost, and what nobody saw ---------------------------------------------


@pytest.mark.parametrize(
    ("url", "reported"), [("http://127.0.0.1:4000", None), ("https://openrouter.ai/api/v1", 0)]
)
def test_zero_in_a_body_is_a_price_only_from_who_sends_the_bill(
    url: str, reported: float | None, exporter: InMemorySpanExporter
) -> None:
    usage = {**sdks.CHAT_BODY["usage"], "cost": 0}
    server = sdks.server_for("chat", body={**sdks.CHAT_BODY, "usage": usage})
    sdks.plain(sdks.openai_client(server, base_url=url), "chat")
    found = own(exporter)
    assert found.get(semconv.COST_REPORTED) == reported
    assert (found[semconv.COST_AMOUNT] == 0) is (reported == 0)


def test_an_abandoned_stream_is_waste_of_an_unknown_amount(exporter: InMemorySpanExporter) -> None:
    stream = sdks.opened("chat")
    next(stream)
    stream.close()
    found = own(exporter)
    assert (found[semconv.STATUS], found[semconv.WASTE_REASON]) == ("abandoned", "abandoned")
    assert found[semconv.UNPRICED_REASON] == "no_usage"
    assert semconv.COST_WASTED not in found
    assert found[semconv.BLAME] == "app"


def failing(error: Exception) -> sdks.Server:
    class Failing(sdks.Server):
        def __call__(self, request: httpx2.Request) -> httpx2.Response:
            raise error

    return Failing()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (httpx2.ReadTimeout("waited"), "error"),
        (httpx2.RemoteProtocolError("gone"), "error"),
        (httpx2.ConnectError("nobody there"), None),
        (httpx2.ConnectTimeout("nobody there"), None),
    ],
)
def test_only_what_was_sent_may_have_been_paid_for(
    error: Exception, reason: str | None, exporter: InMemorySpanExporter
) -> None:
    with pytest.raises(openai.APIConnectionError):
        sdks.plain(sdks.openai_client(failing(error)), "chat")
    found = own(exporter)
    assert found.get(semconv.WASTE_REASON) == reason
    assert semconv.COST_AMOUNT not in found
    assert found[semconv.BLAME] == "network"


@pytest.mark.parametrize("code", [400, 401, 429, 500])
def test_an_error_of_the_server_is_no_waste(code: int, exporter: InMemorySpanExporter) -> None:
    refused(code, {"error": {"message": SECRET}}, {"x-request-id": "r"})
    assert semconv.WASTE_REASON not in own(exporter)


async def test_a_call_that_the_application_cancels_is_its_own_waste(
    exporter: InMemorySpanExporter,
) -> None:
    async def silent(request: httpx2.Request) -> httpx2.Response:
        await asyncio.Event().wait()
        raise AssertionError

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(silent))
    client = openai.AsyncOpenAI(api_key="sk", http_client=http, max_retries=0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await sdks.plain_async(client, "chat")
    found = own(exporter)
    assert (found[semconv.STATUS], found[semconv.BLAME]) == ("cancelled", "app")
    assert found[semconv.WASTE_REASON] == "abandoned"
    assert semconv.COST_AMOUNT not in found
    assert semconv.ERROR_TYPE not in found
