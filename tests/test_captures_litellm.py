"""What real LiteLLM proxies answered, against the log of the upstream that they really asked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest
from needs import SHARED, captures

from tollspan import semconv
from tollspan.processors.settle import Settled, settle

NAMES = sorted(
    path.stem
    for pattern in ("litellm*.json", "chain--litellm*.json")
    for path in (SHARED / "captures" / "gateways").glob(pattern)
)
SECRETS = ("authorization", "api-key", "cookie", "spend", "api-base", "sk-", "bearer")


def capture(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((captures() / f"{name}.json").read_text())
    return found


def usage_of(found: Mapping[str, Any]) -> Mapping[str, Any]:
    body = found["client_attempts"][-1].get("response_body")
    usage: dict[str, Any] = dict((body.get("usage") if isinstance(body, dict) else None) or {})
    for chunk in found["stream_chunks"] or ():
        usage.update(chunk.get("usage") or (chunk.get("message") or {}).get("usage") or {})
    return usage


def call_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as the engine writes them for this exchange."""
    last = found["client_attempts"][-1]
    body = last.get("response_body")
    body = body if isinstance(body, dict) else {}
    chunks = found["stream_chunks"] or []
    broken = any("error" in chunk for chunk in chunks) or (found["sdk"] or {}).get("exception")
    well = last["status"] == 200 and not broken
    usage = usage_of(found)
    error = body.get("error") or {}
    guarded = (error.get("provider_specific_fields") or {}).get("guardrail_mode")
    url = urlsplit(last["url"])
    stated = {
        semconv.OPERATION: "chat",
        semconv.PROVIDER: "anthropic" if "messages" in url.path else "openai",
        semconv.REQUEST_MODEL: last["request_body"]["model"],
        semconv.RESPONSE_MODEL: body.get("model")
        or next((c["model"] for c in chunks if c.get("model")), None)
        or next((c["message"]["model"] for c in chunks if "message" in c), None),
        semconv.INPUT_TOKENS: usage.get("prompt_tokens", usage.get("input_tokens")),
        semconv.OUTPUT_TOKENS: usage.get("completion_tokens", usage.get("output_tokens")),
        semconv.COST_REPORTED: usage.get("cost"),
        semconv.SERVER_ADDRESS: url.hostname,
        semconv.STATUS: "success" if well else "error",
        semconv.ERROR_TYPE: None if well else str(last["status"]),
        semconv.BLOCKED_BY: "proxy" if guarded else None,
        semconv.BLOCKED_STAGE: "before" if guarded == "pre_call" else None,
    }
    return {name: value for name, value in stated.items() if value is not None}


def attempts_of(found: Mapping[str, Any], *, spelled_by_otel: bool = False) -> list[dict[str, Any]]:
    attempts = []
    for number, each in enumerate(found["client_attempts"], 1):
        attributes: dict[str, Any] = {
            semconv.ATTEMPT: number,
            semconv.HTTP_STATUS: each["status"],
            semconv.SERVER_ADDRESS: urlsplit(each["url"]).hostname,
        }
        for name, value in each["response_headers"]:
            name = name.lower()
            if spelled_by_otel:
                value = [value]
                name = name.replace("-", "_")
            attributes[semconv.RESPONSE_HEADER_PREFIX + name] = value
        attempts.append(attributes)
    return attempts


def settled(name: str) -> tuple[Mapping[str, Any], Settled]:
    found = capture(name)
    return found, settle(call_of(found), attempts_of(found))


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param


def test_all_captures_are_there() -> None:
    captures()
    assert len(NAMES) >= 35


def test_upstream_attempts_never_exceed_what_the_upstream_saw(name: str) -> None:
    found, result = settled(name)
    truth = len(found["upstream_requests"])
    said = result.attributes[semconv.UPSTREAM_ATTEMPTS]
    confidence = result.attributes[semconv.UPSTREAM_CONFIDENCE]
    assert confidence in ("exact", "at_least")
    if confidence == "exact":
        assert said == truth
    else:
        assert said <= truth
    if truth and found["client_attempts"][-1]["status"] == 200:
        assert said >= 1


def test_both_spellings_of_headers_read_the_same(name: str) -> None:
    found = capture(name)
    call = call_of(found)
    ours = settle(call, attempts_of(found))
    assert settle(call, attempts_of(found, spelled_by_otel=True)) == ours


def test_served_model_is_the_one_that_the_upstream_was_asked_for(name: str) -> None:
    found, result = settled(name)
    served = result.attributes.get(semconv.MODEL_SERVED)
    if found["upstream_requests"] and found["client_attempts"][-1]["status"] == 200:
        asked = found["upstream_requests"][-1]["body"]["model"]
        if name == "chain--litellm-to-portkey-inner-fallback":
            assert served is None  # Portkey does not say, and LiteLLM only knows what it asked for
        elif name.startswith("chain--litellm-to-portkey"):
            assert served in (None, asked)
        else:
            assert served == asked


def test_known_zero_for_a_cache_hit_and_its_price_is_avoided(name: str) -> None:
    _, result = settled(name)
    own = result.attributes
    if "cache-hit" in name:
        assert own[semconv.CACHE_HIT] is True
        assert own[semconv.COST_AMOUNT] == 0
        assert own[semconv.COST_AVOIDED] == 5.85e-06
        assert own[semconv.COST_GRADE] == "billed"
        assert own[semconv.ROUTE] == "litellm > cache"
        assert own[semconv.UPSTREAM_ATTEMPTS] == 0
    else:
        assert semconv.COST_AVOIDED not in own


def test_no_header_that_is_secret_gets_out(name: str) -> None:
    _, result = settled(name)
    everything = [*result.attributes.items()]
    for hop in result.hops:
        everything += hop.items()
    said = " ".join(f"{key}={value}" for key, value in everything).lower()
    assert not [word for word in SECRETS if word in said]
    assert "response-cost" not in said


def test_an_answer_is_billed_what_the_proxy_says_and_what_the_book_derives(name: str) -> None:
    """LiteLLM and the public book agree on these models, so one checks the other."""
    found, result = settled(name)
    own = result.attributes
    usage = usage_of(found)
    if found["client_attempts"][-1]["status"] != 200 or "midstream" in name:
        assert semconv.COST_AMOUNT not in own or own[semconv.COST_AMOUNT] == 0
        return
    if not usage:
        assert own[semconv.UNPRICED_REASON] == "no_usage"
        return
    assert own[semconv.COST_ROLE] == "owner"
    if "cache-hit" in name:
        return
    assert own[semconv.COST_AMOUNT] > 0
    if semconv.COST_REPORTED in own:
        assert own[semconv.COST_GRADE] == "billed"
        assert own[semconv.COST_SOURCE] == "provider"
        assert own[semconv.COST_AMOUNT] == own[semconv.COST_REPORTED]
        if semconv.COST_DERIVED in own and not name.startswith("chain--litellm-to-portkey"):
            assert own[semconv.COST_DERIVED] == own[semconv.COST_REPORTED]


ROUTES = {
    "litellm--ok": "litellm > openai/gpt-4o-mini",
    "litellm--stream": "litellm > openai/gpt-4o-mini",
    "litellm--anthropic-messages-ok": "litellm > anthropic/claude-sonnet-4-5",
    "litellm--anthropic-messages-stream": "litellm > anthropic/claude-sonnet-4-5",
    "litellm--guardrail-block": "litellm > guardrail",
    "litellm--unknown-model": "litellm",
    "litellm-otelv2-fwd--fallback-model": "litellm > openai/gpt-4.1-mini",
    "litellm-otelv2-fwd--fallback-stream": "litellm > openai/gpt-4.1-mini",
    "litellm-otelv2-router--complexity-router-complex": "litellm > complexity-router > openai/gpt-4o",
    "chain--litellm-to-litellm-ok": "litellm > litellm > openai/gpt-4o",
    "chain--litellm-to-litellm-inner-fallback": "litellm > litellm > openai/gpt-4.1-mini",
    "chain--litellm-to-portkey-ok": "litellm > portkey",
}


@pytest.mark.parametrize(("which", "route"), ROUTES.items())
def test_route_names_every_hop(which: str, route: str) -> None:
    _, result = settled(which)
    assert result.attributes[semconv.ROUTE] == route
    assert result.attributes[semconv.HOP_COUNT] == len(result.hops) == route.count(">") + 1
    assert [hop[semconv.HOP_INDEX] for hop in result.hops] == list(range(len(result.hops)))


def test_fallback_is_told_from_retry() -> None:
    _, fallback = settled("litellm-otelv2-fwd--fallback-model")
    assert fallback.attributes[semconv.FALLBACK] is True
    assert fallback.attributes[semconv.MODEL_ROUTED] == "chat-backup"
    assert fallback.attributes[semconv.UPSTREAM_ATTEMPTS] == 2  # the truth is 4: a lower bound
    _, retry = settled("litellm-otelv2-fwd--retry-swap-deployment")
    assert retry.attributes[semconv.FALLBACK] is False
    assert retry.attributes[semconv.MODEL_DEPLOYMENT] == "dep-main-b"
    assert retry.attributes[semconv.UPSTREAM_ATTEMPTS] == 3


def test_overhead_only_where_it_means_the_whole_request() -> None:
    _, plain = settled("litellm--ok")
    assert plain.hops[0][semconv.HOP_OVERHEAD] > 0
    for which in ("litellm-otelv2-fwd--fallback-model", "litellm--retry-429-then-ok"):
        _, result = settled(which)
        assert semconv.HOP_OVERHEAD not in result.hops[0]


BLAMES = {
    "litellm--ok": None,
    "litellm--all-fail-500-sdk-retries": "provider",
    "litellm-otelv2-fwd--all-fail-429": "provider",
    "litellm-otelv2-fwd--upstream-401": "proxy",  # the proxy's key, not the application's
    "litellm-otelv2-fwd--unknown-model": "proxy",
    "litellm--guardrail-block": "proxy",
    "litellm-otelv2-fwd--slow-timeout": "provider",
    "litellm--upstream-content-filter": "app",
}


@pytest.mark.parametrize(("which", "blame"), BLAMES.items())
def test_blame(which: str, blame: str | None) -> None:
    assert settled(which)[1].attributes.get(semconv.BLAME) == blame


def test_guardrail_before_the_model_is_a_known_zero() -> None:
    _, result = settled("litellm--guardrail-block")
    assert result.attributes[semconv.COST_AMOUNT] == 0
    assert result.attributes[semconv.UPSTREAM_CONFIDENCE] == "exact"


def test_amounts_are_exact_decimals(name: str) -> None:
    _, result = settled(name)
    amount = result.attributes.get(semconv.COST_AMOUNT)
    if amount is not None:
        exact = Decimal(repr(amount))
        assert exact == exact.quantize(Decimal("1e-12"))
