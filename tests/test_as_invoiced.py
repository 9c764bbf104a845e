"""What the invoice has beyond tokens at the list price: real SDKs, answers as providers give them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import anthropic
import httpx2
import openai
import pytest
import sdks
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tollspan import semconv
from tollspan.instrumentation._audio import SPEECH
from tollspan.processors.settle import settle

OK = {semconv.ATTEMPT: 1, semconv.HTTP_STATUS: 200}


@pytest.fixture
def watched(provider: TracerProvider) -> Iterator[None]:
    with sdks.watched(provider):
        yield


@pytest.fixture
def paid(watched: None, exporter: InMemorySpanExporter) -> Callable[[Any], dict[str, Any]]:
    """What a call costs: attributes of its span, settled."""

    def paid(call: Callable[[], Any]) -> dict[str, Any]:
        exporter.clear()
        call()
        span = sdks.ended(exporter)
        told = dict(span.attributes or {})
        return told | settle(told, (OK,), start_ns=span.start_time).attributes

    return paid


def transport(answer: Any, status: int = 200) -> httpx2.Client:
    return httpx2.Client(
        transport=httpx2.MockTransport(lambda _: httpx2.Response(status, json=answer))
    )


def client(answer: Any, base_url: str = "https://api.openai.com/v1", status: int = 200) -> Any:
    http = transport(answer, status)
    return openai.OpenAI(api_key="k", base_url=base_url, http_client=http, max_retries=0)


def chat(model: str, usage: dict[str, Any], base_url: str = "https://api.openai.com/v1") -> Any:
    answer = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100, **usage},
    }  # fmt: skip
    made = client(answer, base_url)
    return lambda: made.chat.completions.create(model=model, messages=sdks.MESSAGES)


def respond(model: str, output: list[Any], **more: Any) -> Any:
    usage = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
    answer = {
        "id": "resp_1", "object": "response", "created_at": 1, "model": model, "status": "completed",
        "output": output, "tools": [], "usage": usage, **more,
    }  # fmt: skip
    made = client(answer, more.pop("base_url", "https://api.openai.com/v1"))
    return lambda: made.responses.create(model=model, input="x")


@pytest.mark.parametrize(
    ("base_url", "model", "usage", "usd"),
    [
        ("https://api.x.ai/v1", "grok-4-0709", {"cost_in_usd_ticks": 37_756_000}, "0.0037756"),
        ("https://api.perplexity.ai", "sonar",
         {"search_context_size": "low", "cost": {"input_tokens_cost": 0.001, "output_tokens_cost": 0.0001,
          "request_cost": 0.005, "total_cost": 0.0061}}, "0.0061"),
        ("https://api.perplexity.ai", "sonar", {"cost": {"currency": "USD", "total_cost": 0.0061}}, "0.0061"),
    ],
)  # fmt: skip
def test_what_the_provider_says_it_bills_is_what_was_paid(
    paid: Any, base_url: str, model: str, usage: Any, usd: str
) -> None:
    own = paid(chat(model, usage, base_url))
    assert Decimal(str(own[semconv.COST_AMOUNT])) == Decimal(usd)
    assert own[semconv.COST_GRADE] == "billed"


@pytest.mark.parametrize(
    "cost",
    [{"currency": "EUR", "total_cost": 1.0}, {"total_cost": "1"}, {"total_cost": -1}, [], "1"],
)
def test_what_is_no_amount_of_dollars_is_not_billed(paid: Any, cost: Any) -> None:
    own = paid(chat("gpt-4o", {"cost": cost}))
    assert own[semconv.COST_GRADE] == "derived"
    assert semconv.COST_REPORTED not in own


@pytest.mark.parametrize(
    ("model", "grade", "reason"),
    [
        ("sonar-deep-research", "lower_bound", "missing_usage"),
        ("sonar", "estimated", "unknown_fee"),
    ],
)
def test_searches_that_perplexity_does_not_state_are_in_doubt(
    paid: Any, model: str, grade: str, reason: str
) -> None:
    own = paid(chat(model, {}, "https://api.perplexity.ai"))
    assert (own[semconv.COST_GRADE], own[semconv.GRADE_REASON]) == (grade, reason)


SEARCH = {"type": "web_search_call", "id": "w", "status": "completed", "action": {"type": "search", "query": "q"}}  # fmt: skip
DRAWN = {"type": "image_generation_call", "id": "i", "status": "completed", "result": "aaaa"}
PREVIEW = [{"type": "web_search_preview"}]
TOKENS = Decimal("0.0035")
"""Of 1000 and 100 tokens of gpt-4o."""


@pytest.mark.parametrize(
    ("model", "output", "more", "usd", "grade"),
    [
        # A search of a preview tool costs 25 USD a thousand with models that do not reason.
        ("gpt-4o-2024-08-06", [SEARCH], {"tools": PREVIEW}, TOKENS + Decimal("0.01"), "lower_bound"),
        ("gpt-4o-2024-08-06", [SEARCH], {"tools": [{"type": "web_search"}]}, TOKENS + Decimal("0.01"), "derived"),
        ("o3-2025-04-16", [SEARCH], {"tools": PREVIEW}, Decimal("0.0128"), "derived"),
        ("gpt-4o-2024-08-06", [DRAWN], {}, TOKENS, "lower_bound"),
        # Where the answer counts its billed searches, discounted ones are not among them.
        ("gpt-4o-2024-08-06", [SEARCH, SEARCH, SEARCH], {"tool_usage": {"web_search": {"num_requests": 2}}},
         TOKENS + Decimal("0.02"), "derived"),
        ("gpt-4o-2024-08-06", [SEARCH], {"tool_usage": {"web_search": {"num_requests": 0}}}, TOKENS, "derived"),
    ],
)  # fmt: skip
def test_fees_of_tools_are_counted_or_said_to_be_missing(
    paid: Any, model: str, output: Any, more: Any, usd: Decimal, grade: str
) -> None:
    own = paid(respond(model, output, **more))
    assert Decimal(str(own[semconv.COST_AMOUNT])) == usd
    assert own[semconv.COST_GRADE] == grade
    assert own.get(semconv.GRADE_REASON) == ("unknown_fee" if grade == "lower_bound" else None)


def test_sources_that_were_searched_are_a_fee_that_is_missing(paid: Any) -> None:
    searched = paid(chat("grok-4-0709", {"num_sources_used": 5}, "https://api.x.ai/v1"))
    assert (searched[semconv.COST_GRADE], searched[semconv.GRADE_REASON]) == (
        "lower_bound",
        "unknown_fee",
    )
    plain = paid(chat("grok-4-0709", {"num_sources_used": 0}, "https://api.x.ai/v1"))
    assert plain[semconv.COST_GRADE] == "derived"


@pytest.mark.parametrize("model", ["gpt-4o-search-preview-2025-03-11", "gpt-5-search-api"])
def test_models_that_always_search_cost_more_than_their_tokens(paid: Any, model: str) -> None:
    own = paid(chat(model, {}))
    assert own[semconv.WEB_SEARCHES] == 1
    assert (own[semconv.COST_GRADE], own[semconv.GRADE_REASON]) == ("lower_bound", "unknown_fee")


def test_what_is_spoken_is_paid_by_the_character(paid: Any) -> None:
    def say(status: int = 200) -> Any:
        with pytest.raises(openai.APIStatusError) if status != 200 else nullcontext():
            client({}, status=status).audio.speech.create(
                model="tts-1", voice="alloy", input="grüß" * 25
            )

    own = paid(say)
    assert own[semconv.INPUT_CHARACTERS] == 100
    assert Decimal(str(own[semconv.COST_AMOUNT])) == Decimal("0.0015")
    refused = paid(lambda: say(429))
    assert semconv.COST_AMOUNT not in refused


@pytest.mark.parametrize(
    "content",
    [None, "{}", b"", b"\xff", b"[1]", b'{"input": 7}', b'{"input": ""}', b'{"input": "a"}' + b" " * 70_000,
     b"[" * 60_000],
)  # fmt: skip
def test_a_request_that_does_not_say_what_was_spoken_states_nothing(content: Any) -> None:
    request = SimpleNamespace(content=content)
    audio = SimpleNamespace(response=SimpleNamespace(request=request))
    assert dict(SPEECH.response(audio)) == {}


def claude(answer: dict[str, Any], region: str) -> Any:
    usage = {"input_tokens": 1000, "output_tokens": 100}
    made = anthropic.AnthropicVertex(
        region=region, project_id="p", access_token="t", max_retries=0,
        http_client=transport({"id": "m", "type": "message", "role": "assistant", "content": [],
                               "stop_reason": "end_turn", "usage": usage, **answer}),
    )  # fmt: skip
    model = answer["model"]
    return lambda: made.messages.create(model=model, max_tokens=9, messages=sdks.MESSAGES)


@pytest.mark.parametrize(
    ("region", "model", "usd"),
    [
        ("global", "claude-sonnet-4-5@20250929", "0.0045"),
        ("us-east5", "claude-sonnet-4-5@20250929", "0.00495"),
        ("eu", "claude-opus-4-8", "0.00825"),
        ("us-east5", "claude-3-5-haiku@20241022", "0.0012"),
    ],
)
def test_claude_on_vertex_costs_more_in_one_region(
    paid: Any, region: str, model: str, usd: str
) -> None:
    own = paid(claude({"model": model}, region))
    assert Decimal(str(own[semconv.COST_AMOUNT])) == Decimal(usd)
    assert own[semconv.COST_GRADE] == "derived"


@pytest.mark.parametrize(
    ("host", "model", "usd"),
    [
        ("api.openai.com", "gpt-5.4-2026-03-05", "0.004"),
        ("eu.api.openai.com", "gpt-5.4-2026-03-05", "0.0044"),
        ("us.api.openai.com", "gpt-5.6-terra", "0.00352"),
        ("eu.api.openai.com", "gpt-4o-2024-08-06", "0.0035"),
    ],
)
def test_openai_costs_more_where_data_must_stay(paid: Any, host: str, model: str, usd: str) -> None:
    own = paid(chat(model, {}, f"https://{host}/v1"))
    assert Decimal(str(own[semconv.COST_AMOUNT])) == Decimal(usd)
    assert own[semconv.COST_GRADE] == "derived"
    assert own[semconv.PRICE_VERSION].endswith("+10%") == (
        own[semconv.COST_AMOUNT] in (0.0044, 0.00352)
    )
