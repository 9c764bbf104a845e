"""Response headers are kept by an allow-list: what names the path stays, what could hurt never does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from needs import captures

from tollspan import config
from tollspan.instrumentation._headers import kept

PREFIX = "http.response.header."


def names(*headers: str) -> set[str]:
    """Which of `headers`, sent with some harmless value, are kept."""
    found = kept([(name, "value-1") for name in headers])
    assert all(attribute.startswith(PREFIX) for attribute in found)
    return {attribute.removeprefix(PREFIX) for attribute in found}


def sent(capture: Any) -> Iterator[list[tuple[str, str]]]:
    """Every list of response headers in a capture."""
    if isinstance(capture, dict):
        for key, value in capture.items():
            if key == "response_headers" and value:
                pairs = value.items() if isinstance(value, dict) else value
                yield [(name, text) for name, text in pairs]
            else:
                yield from sent(value)
    elif isinstance(capture, list):
        for each in capture:
            yield from sent(each)


LIMITS = {
    f"x-ratelimit-{kind}-{unit}"
    for kind in ("limit", "remaining", "reset")
    for unit in ("requests", "tokens")
}
LITELLM = {
    *("x-litellm-" + end for end in ("call-id", "version", "model-group", "model-id")),
    *("x-litellm-" + end for end in ("model-name", "attempted-retries", "attempted-fallbacks")),
    *("x-litellm-" + end for end in ("overhead-duration-ms", "response-duration-ms")),
    "x-litellm-response-cost",
    *("x-litellm-response-cost-" + end for end in ("original", "input", "output", "tool-usage")),
    *("x-litellm-response-cost-" + end for end in ("discount-amount", "margin-amount")),
    "x-litellm-response-cost-margin-percent",
}
PORTKEY = {
    "x-portkey-" + end
    for end in ("cache-status", "last-used-option-index", "provider", "retry-attempt-count")
}
PROVIDER = {"openai-processing-ms", "openai-version", "request-id", "x-request-id"}
CAPTURED = {
    *LIMITS | LITELLM | PORTKEY | PROVIDER,
    *("llm_provider-" + name for name in LIMITS | LITELLM | PORTKEY | PROVIDER),
    "llm_provider-anthropic-ratelimit-requests-limit",
    "llm_provider-anthropic-ratelimit-requests-remaining",
    "retry-after",
    "x-b2bua-session-id",
    "x-litellm-cache-key",
    "x-litellm-max-retries",
    *("x-litellm-complexity-router-" + end for end in ("cause", "score", "tier")),
    "x-portkey-trace-id",
}
"""All that is kept of what real gateways sent; each name was read and judged."""


def test_of_real_gateway_traffic_exactly_the_judged_headers_are_kept() -> None:
    found: dict[str, str] = {}
    answers = 0
    for file in captures().glob("*.json"):
        for headers in sent(json.loads(file.read_text())):
            answers += 1
            found |= kept(headers)
            as_bytes = [(name.encode(), value.encode()) for name, value in headers]
            assert kept(as_bytes) == kept(headers)
    assert answers > 80
    assert {attribute.removeprefix(PREFIX) for attribute in found} == CAPTURED
    assert found[PREFIX + "x-litellm-cache-key"] == "present"


def test_no_value_of_real_gateway_traffic_that_is_dropped_comes_in_by_another_name() -> None:
    for file in captures().glob("*.json"):
        for headers in sent(json.loads(file.read_text())):
            secret = {
                value
                for name, value in headers
                if "authorization" in name.lower() or "api-base" in name or "spend" in name
            } - {value for name, value in headers if "cost" in name}
            assert not secret & set(kept(headers).values())


SECRETS = [
    "authorization",
    "Authorization",
    "proxy-authorization",
    "set-cookie",
    "cookie",
    "x-api-key",
    "x-litellm-key-spend",
    "x-litellm-key-max-budget",
    "x-litellm-key-tpm-limit",
    "x-litellm-model-api-base",
    "x-litellm-api-key",
    "x-litellm-fallback-errors",
    "llm_provider-authorization",
    "llm_provider-x-litellm-model-api-base",
    "llm_provider-set-cookie",
    "x-bifrost-routing-info-key",
    "x-bifrost-virtual-key",
    "x-bifrost-auth-token",
    "helicone-auth",
    "helicone-api-key",
    "x-otoroshi-llm-token",
    "x-otari-api-key",
    "x-openrouter-secret",
    "ngrok-aig-access-token",
    "x-vsr-cookie",
    "x-vsr-matched-keywords",
    "openai-organization",
    "anthropic-organization-id",
    "cf-ray",
    "date",
    "x-cache-key",
    "x-request-id-of-someone",
    "my-x-request-id",
    "llm_provider-" * 5 + "x-request-id",
    "x-bifrost-" + "a" * 200,
]


@pytest.mark.parametrize("name", SECRETS)
def test_a_header_that_is_not_listed_is_dropped(name: str) -> None:
    assert names(name) == set()
    assert kept([(name.encode(), b"value-1")]) == {}


def test_what_gateways_say_of_the_path_is_kept() -> None:
    listed = {
        "apim-request-id",
        "x-ms-region",
        "retry-after-ms",
        "anthropic-ratelimit-tokens-reset",
        "x-bifrost-routing-info-model",
        "x-bifrost-upstream-latency-ms",
        "cf-aig-step",
        "x-kong-llm-model",
        "x-vsr-selected-model",
        "x-otoroshi-llm-provider-kind",
        "helicone-cache",
        "helicone-fallback-index",
        "ngrok-aig-attempts",
        "x-tensorzero-gateway-version",
        "x-otari-request-id",
        "x-openrouter-cache-status",
        "x-envoy-upstream-service-time",
        "x-envoy-attempt-count",
        "x-cache-status",
        "x-portkey-gateway-exception",
        "llm_provider-llm_provider-x-litellm-call-id",
    }
    assert names(*listed) == listed
    assert names("X-Request-ID", "X-LiteLLM-Call-Id") == {"x-request-id", "x-litellm-call-id"}


def test_server_is_kept_for_envoy_alone() -> None:
    assert kept([("server", "Envoy/1.30 at 10.1.2.3")]) == {PREFIX + "server": "envoy"}
    assert kept([("server", "internal-host-17")]) == {}


def test_the_cache_key_is_there_but_not_told() -> None:
    for name in ("x-litellm-cache-key", "llm_provider-x-litellm-cache-key"):
        assert kept([(name, "sha-of-a-prompt")]) == {PREFIX + name: "present"}


def test_the_setting_adds_headers_but_no_secrets() -> None:
    wanted = "X-My-Region,authorization,x-my-key,x-my-token-id,cookie2,x-auth,my-secret"
    config.reload({"TOLLSPAN_RESPONSE_HEADERS": wanted, "TOLLSPAN_RAISE": "1"})
    assert names(*wanted.split(","), "x-request-id") == {"x-my-region", "x-request-id"}
    config.reload({"TOLLSPAN_RAISE": "1"})
    assert names("x-my-region") == set()


@pytest.mark.parametrize("value", ["Bearer abcdefgh", "bearer abc", "key sk-abcdefgh12345678"])
def test_a_secret_in_a_listed_header_is_dropped(value: str) -> None:
    assert kept([("x-bifrost-note", value)]) == {}


def test_a_word_that_only_looks_like_a_secret_is_kept() -> None:
    assert kept([("x-vsr-selected-decision", "risk-router")])


def test_values_are_short_and_printable_and_few() -> None:
    found = kept([("x-request-id", "a\r\nb\x00" + "c" * 9999)])
    assert found == {PREFIX + "x-request-id": "ab" + "c" * 510}
    assert len(kept([(f"x-ratelimit-limit-{n}", "v") for n in range(9999)])) == 96
    assert kept([("request-id", "first"), ("request-id", "second")]) == {
        PREFIX + "request-id": "first"
    }


@given(st.lists(st.text(st.sampled_from(" |~a"), min_size=1), min_size=1, max_size=9))
@example([" |~ ", "a"])
@example(["a |~", "a"])
def test_what_is_read_all_at_once_is_what_each_header_said(values: list[str]) -> None:
    assert kept([(f"x-ratelimit-limit-{n}", value) for n, value in enumerate(values)]) == {
        f"{PREFIX}x-ratelimit-limit-{n}": value for n, value in enumerate(values)
    }


@given(st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=600)), max_size=20))
def test_any_bytes_read_as_short_printable_attributes(headers: list[tuple[bytes, bytes]]) -> None:
    for attribute, value in kept(headers).items():
        assert attribute.startswith(PREFIX)
        assert value.isprintable()
        assert 0 < len(value) <= 512
