"""The path of a call: routes stay few, counts stay true, the blame lands where it belongs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollspan import config, semconv
from tollspan.instrumentation import _hosts
from tollspan.processors.direct import is_provider
from tollspan.processors.gateways import HOSTS, RULES, UNKNOWN
from tollspan.processors.settle import Settled, settle

H = semconv.RESPONSE_HEADER_PREFIX


def ended(*attempts: dict[str, Any], **changes: Any) -> Settled:
    call = {
        semconv.OPERATION: "chat",
        semconv.PROVIDER: "openai",
        semconv.REQUEST_MODEL: "gpt-4o-mini",
        semconv.RESPONSE_MODEL: "gpt-4o-mini-2024-07-18",
        semconv.SERVER_ADDRESS: "127.0.0.1",
        semconv.STATUS: "success",
    }
    for field, value in changes.items():
        call.pop(getattr(semconv, field), None)
        if value is not None:
            call[getattr(semconv, field)] = value
    return settle(call, attempts)


def status(code: int, **headers: str) -> dict[str, Any]:
    named = {H + name.replace("_", "-"): value for name, value in headers.items()}
    return {semconv.HTTP_STATUS: code, **named}


def lost(error: str) -> dict[str, Any]:
    return {semconv.ERROR_TYPE: error}


def test_a_direct_call_is_one_hop_without_a_span() -> None:
    result = ended(status(200))
    assert result.hops == ()
    assert result.attributes[semconv.HOP_COUNT] == 1
    assert result.attributes[semconv.ROUTE] == "openai/gpt-4o-mini"
    assert result.attributes[semconv.MODEL_SERVED] == "gpt-4o-mini-2024-07-18"
    assert result.attributes[semconv.MODEL_SWAPPED] is False
    assert semconv.BLAME not in result.attributes


@pytest.mark.parametrize(
    ("requested", "served", "swapped"),
    [
        ("gpt-4o-mini", "gpt-4o-mini-2024-07-18", False),
        ("gpt-4o", "gpt-4o-mini", True),
        ("gpt-4o", "gpt-4.1-2025-04-14", True),
        ("house-model", "house-model-v2", None),
    ],
)
def test_another_model_than_asked_for_is_noticed(
    requested: str, served: str, swapped: bool | None
) -> None:
    result = ended(status(200), REQUEST_MODEL=requested, RESPONSE_MODEL=served)
    assert result.attributes.get(semconv.MODEL_SWAPPED) is swapped


def test_a_deployment_of_azure_names_no_model() -> None:
    own = ended(
        status(200), PROVIDER="azure.ai.openai", REQUEST_MODEL="prod", RESPONSE_MODEL="gpt-4o-2024-08-06"
    ).attributes  # fmt: skip
    assert semconv.MODEL_SWAPPED not in own
    assert own[semconv.ROUTE] == "azure.ai.openai/gpt-4o"


@pytest.mark.parametrize(
    ("attempts", "count", "confidence"),
    [
        ([status(200)], 1, "exact"),
        ([status(429, x_request_id="r"), status(200)], 2, "exact"),
        ([lost("httpx.ConnectError"), status(200)], 1, "exact"),
        ([lost("httpx2.ReadTimeout"), status(200)], 2, "exact"),
        ([lost("RemoteProtocolError"), status(200)], 1, "at_least"),
        ([status(503), status(200)], 1, "at_least"),  # who said so is not known
    ],
)
def test_requests_that_reached_a_model_are_counted_with_a_confidence(
    attempts: list[dict[str, Any]], count: int, confidence: str
) -> None:
    own = ended(*attempts).attributes
    assert own[semconv.UPSTREAM_ATTEMPTS] == count
    assert own[semconv.UPSTREAM_CONFIDENCE] == confidence


def test_without_attempts_an_answer_still_means_one() -> None:
    own = ended().attributes
    assert (own[semconv.UPSTREAM_ATTEMPTS], own[semconv.UPSTREAM_CONFIDENCE]) == (1, "at_least")
    own = ended(STATUS="error", ERROR_TYPE="ValueError").attributes
    assert semconv.UPSTREAM_ATTEMPTS not in own
    assert own[semconv.UPSTREAM_CONFIDENCE] == "unknown"


@pytest.mark.parametrize(
    ("attempt", "how", "blame"),
    [
        (status(429, x_request_id="r"), "error", "provider"),
        (status(500, x_request_id="r"), "error", "provider"),
        (status(400, x_request_id="r"), "error", "app"),
        (status(401, x_request_id="r"), "error", "app"),
        (status(404, x_request_id="r"), "error", "app"),
        (status(422, x_request_id="r"), "error", "app"),
        (lost("ConnectError"), "error", "network"),
        (lost("ReadTimeout"), "error", "network"),
        ({**status(200), semconv.ERROR_TYPE: "ReadError"}, "error", "network"),
        (status(200), "error", "provider"),  # an error inside a stream
        (status(200), "cancelled", "app"),
        (status(200), "success", None),
    ],
)
def test_blame(attempt: dict[str, Any], how: str, blame: str | None) -> None:
    error = "X" if how == "error" else None
    own = ended(attempt, STATUS=how, ERROR_TYPE=error).attributes
    assert own.get(semconv.BLAME) == blame


def test_a_filter_of_the_model_blocks() -> None:
    own = ended(status(200), FINISH_REASONS=["content_filter"], STATUS="blocked").attributes
    assert own[semconv.BLOCKED_BY] == "model"


def test_openrouter_is_a_hop_known_by_its_host() -> None:
    result = ended(
        status(200, x_generation_id="gen-1"),
        PROVIDER="openrouter",
        REQUEST_MODEL="openai/gpt-oss-120b",
        RESPONSE_MODEL="openai/gpt-oss-120b",
        SERVER_ADDRESS="openrouter.ai",
        RESPONSE_PROVIDER="DeepInfra",
        COST_REPORTED=0.000_01,
    )
    assert result.attributes[semconv.ROUTE] == "openrouter > openai/gpt-oss-120b"
    assert result.attributes[semconv.COST_GRADE] == "billed"
    assert [hop[semconv.HOP_ROLE] for hop in result.hops] == ["proxy", "model"]
    assert result.hops[0][semconv.GATEWAY_REQUEST_ID] == "gen-1"


def test_hostile_headers_of_a_gateway_stay_small_and_countless_numbers_count_as_none() -> None:
    result = ended(
        status(
            200,
            x_litellm_call_id="x" * 5_000,
            x_litellm_version="1\n2",
            x_litellm_model_name="openai/" + "m" * 4_000,
            x_litellm_attempted_retries="99999999999999999999",
            x_litellm_attempted_fallbacks="-3",
            x_litellm_response_cost="NaN",
            x_litellm_overhead_duration_ms="inf",
        )
    )
    own = result.attributes
    assert own[semconv.UPSTREAM_ATTEMPTS] == 1
    assert len(own[semconv.ROUTE]) < 200
    assert semconv.COST_REPORTED not in own
    for hop in result.hops:
        assert all(len(str(value)) <= 512 for value in hop.values())
        assert semconv.HOP_OVERHEAD not in hop
    assert semconv.GATEWAY_VERSION not in result.hops[0]


def test_a_proxy_that_refuses_by_itself_is_to_blame_and_no_model_was_asked() -> None:
    result = ended(status(429, x_litellm_call_id="c"), STATUS="error", ERROR_TYPE="RateLimitError")
    assert result.attributes[semconv.BLAME] == "proxy"
    assert result.attributes[semconv.UPSTREAM_ATTEMPTS] == 0
    assert result.attributes[semconv.UPSTREAM_CONFIDENCE] == "at_least"
    assert result.attributes[semconv.ROUTE] == "litellm"


# --- one answer of each family ------------------------------------------------------------------------


def family(**changes: Any) -> Settled:
    """A call that names no model but an alias, at a host that nobody knows."""
    asked = {"REQUEST_MODEL": "house", "RESPONSE_MODEL": "house", "SERVER_ADDRESS": "gw.acme.dev"}
    attempt = changes.pop("attempt")
    return ended(attempt, **{**asked, **changes})


def counted(own: Mapping[str, Any]) -> tuple[str, int]:
    return own[semconv.UPSTREAM_CONFIDENCE], own[semconv.UPSTREAM_ATTEMPTS]


@pytest.mark.parametrize(
    ("headers", "route", "count", "fallback"),
    [
        (
            {"x_bifrost_request_id": "b", "x_bifrost_routing_info_provider": "openai", "x_bifrost_routing_info_model": "gpt-4o", "x_bifrost_fallback_index": "2"},
            "bifrost > openai/gpt-4o",
            ("at_least", 3),
            True,
        ),
        (
            {"x_bifrost_trace_id": "t", "x_bifrost_provider": "openai", "x_bifrost_resolved_model": "gpt-4o"},
            "bifrost > openai/gpt-4o",
            ("at_least", 1),
            None,
        ),
        ({"cf_aig_log_id": "l", "cf_aig_step": "1"}, "cloudflare-ai-gateway > house", ("at_least", 2), True),
        ({"cf_aig_step": "0"}, "cloudflare-ai-gateway > house", ("at_least", 1), False),
        ({"cf_aig_cache_status": "HIT"}, "cloudflare-ai-gateway > cache", ("exact", 0), None),
        ({"x_kong_llm_model": "openai/gpt-4o"}, "kong > openai/gpt-4o", ("at_least", 1), None),
        (
            {"x_vsr_schema_version": "2", "x_vsr_response_path": "upstream", "x_vsr_selected_model": "math"},
            "vllm-semantic-router",
            ("at_least", 1),
            None,
        ),
        ({"x_vsr_response_path": "looper", "x_vsr_looper_iterations": "4"}, "vllm-semantic-router", ("at_least", 4), None),
        ({"x_vsr_response_path": "cache", "x_vsr_cache_hit": "true"}, "vllm-semantic-router > cache", ("exact", 0), None),
        ({"x_vsr_response_path": "fast_response"}, "vllm-semantic-router", ("exact", 0), None),
        ({"x_vsr_response_path": "blocked"}, "vllm-semantic-router > guardrail", ("exact", 0), None),
        (
            {"x_otoroshi_llm_model": "gpt-4o", "x_otoroshi_llm_provider_kind": "openai"},
            "otoroshi > openai/gpt-4o",
            ("at_least", 1),
            None,
        ),
        ({"x_otoroshi_llm_model": "gpt-4o", "x_cache_status": "Hit"}, "otoroshi > cache", ("exact", 0), None),
        ({"helicone_id": "h", "helicone_fallback_index": "1", "helicone_provider": "openai"}, "helicone > openai/house", ("at_least", 2), True),
        ({"helicone_cache": "HIT"}, "helicone > cache", ("exact", 0), None),
        ({"ngrok_aig_attempts": "3", "ngrok_aig_model": "gpt-4o"}, "ngrok-ai-gateway > gpt-4o", ("exact", 3), None),
        ({"x_tensorzero_gateway_version": "2026.6.0"}, "tensorzero", ("at_least", 1), None),
        ({"x_b2bua_session_id": "llm-b2bua-7"}, "llm-interactive-proxy", ("at_least", 1), None),
        ({"x_b2bua_session_id": "somebody's"}, "openai/house", ("at_least", 1), None),
        ({"x_otari_request_id": "o"}, "otari > house", ("at_least", 1), None),
        ({"x_envoy_upstream_service_time": "7"}, "envoy", ("at_least", 1), None),
        ({"x_kong_upstream_latency": "7"}, "kong > house", ("at_least", 1), None),
    ],
)  # fmt: skip
def test_each_family_is_known_by_its_headers(
    headers: dict[str, str], route: str, count: tuple[str, int], fallback: bool | None
) -> None:
    own = family(attempt=status(200, **headers)).attributes
    assert own[semconv.ROUTE] == route
    assert counted(own) == count
    assert own.get(semconv.FALLBACK) is fallback


@pytest.mark.parametrize(
    ("changes", "route", "count"),
    [
        ({"GATEWAY_STATED": "openrouter", "GATEWAY_ATTEMPTS": 3}, "openrouter > gpt-4o", ("exact", 3)),
        ({"RESPONSE_PROVIDER": "DeepInfra", "RESPONSE_ID": "gen-1"}, "openrouter > gpt-4o", ("at_least", 1)),
        ({"RESPONSE_PROVIDER": "groq", "RESPONSE_ID": "chatcmpl-1"}, "openai/gpt-4o", ("at_least", 1)),
        ({"GATEWAY_STATED": "foundry-model-router", "GATEWAY_ATTEMPTS": 2}, "foundry-model-router > gpt-4o", ("at_least", 2)),
        ({"SERVER_ADDRESS": "ai-gateway.vercel.sh"}, "vercel-ai-gateway > gpt-4o", ("at_least", 1)),
        ({"SERVER_ADDRESS": "gateway.ai.cloudflare.com"}, "cloudflare-ai-gateway > gpt-4o", ("at_least", 1)),
        ({"REQUEST_MODEL": "router-mf-0.11593"}, "routellm > gpt-4o", ("at_least", 1)),
        ({"REQUEST_MODEL": "tensorzero::model_name::x"}, "tensorzero", ("at_least", 1)),
    ],
)  # fmt: skip
def test_each_family_is_known_by_host_body_and_models(
    changes: dict[str, Any], route: str, count: tuple[str, int]
) -> None:
    own = family(attempt=status(200), **{"RESPONSE_MODEL": "gpt-4o", **changes}).attributes
    assert own[semconv.ROUTE] == route
    assert counted(own) == count


def test_a_router_is_told_from_a_proxy() -> None:
    modes = {semconv.GATEWAY_STRATEGY: "conditional"}
    target = status(200, x_portkey_last_used_option_index="config.targets[1]")
    result = ended({**target, **modes})
    assert result.hops[0][semconv.HOP_ROLE] == "router"
    assert semconv.FALLBACK not in result.attributes
    assert result.attributes[semconv.UPSTREAM_ATTEMPTS] == 1
    plain = ended(status(200, x_portkey_last_used_option_index="config"))
    assert plain.hops[0][semconv.HOP_ROLE] == "proxy"


@pytest.mark.parametrize(
    ("index", "modes", "count"),
    [
        ("config.targets[2]", "fallback", 3),
        ("config.targets[2]", "loadbalance", 1),
        ("config.targets[2]", None, 1),
        ("config.targets[1].targets[2]", "fallback>loadbalance", 2),
        ("config.targets[1].targets[2]", "loadbalance>fallback", 3),
        ("config.targets[1].targets[2]", "fallback>fallback", 4),
    ],
)
def test_targets_of_portkey_count_only_where_it_fell_back(
    index: str, modes: str | None, count: int
) -> None:
    attempt = status(200, x_portkey_last_used_option_index=index)
    if modes is not None:
        attempt[semconv.GATEWAY_STRATEGY] = modes
    assert ended(attempt).attributes[semconv.UPSTREAM_ATTEMPTS] == count


# --- several at once ----------------------------------------------------------------------------------


def test_what_litellm_renames_stands_behind_it_at_any_depth_up_to_a_bound() -> None:
    headers = {"x_litellm_call_id": "0"}
    for depth in range(1, 9):
        headers["llm_provider-" * depth + "x_litellm_call_id"] = str(depth)
    result = ended(status(200, **headers))
    gateways = [hop for hop in result.hops if semconv.GATEWAY_NAME in hop]
    said = [hop[semconv.GATEWAY_REQUEST_ID] for hop in gateways]
    assert said == ["0", "1", "2", "3", "4"]


def test_of_two_at_one_depth_the_one_that_keeps_headers_back_is_the_inner_one() -> None:
    result = ended(
        status(200, x_litellm_call_id="c", x_litellm_model_name="openai/gpt-4o", x_portkey_provider="openai")
    )  # fmt: skip
    assert result.attributes[semconv.ROUTE] == "portkey > litellm > openai/gpt-4o"
    assert all(semconv.HOP_ORDER not in hop for hop in result.hops)


def test_of_two_at_one_depth_the_one_at_whose_host_we_asked_is_the_outer_one() -> None:
    result = ended(
        status(200, cf_aig_step="0", x_bifrost_request_id="b"),
        SERVER_ADDRESS="gateway.ai.cloudflare.com",
    )
    assert result.attributes[semconv.ROUTE].startswith("cloudflare-ai-gateway > bifrost")
    assert all(semconv.HOP_ORDER not in hop for hop in result.hops)


def test_an_order_that_nothing_tells_is_called_unknown() -> None:
    result = ended(
        status(200, x_kong_llm_model="openai/gpt-4o", x_bifrost_request_id="b", x_bifrost_fallback_index="3")
    )  # fmt: skip
    assert [hop.get(semconv.HOP_ORDER) for hop in result.hops[:2]] == ["unknown", "unknown"]
    assert result.attributes[semconv.UPSTREAM_ATTEMPTS] == 1, "the smaller of the two counts"


def test_an_exact_count_behind_a_gateway_that_may_have_asked_twice_is_a_bound() -> None:
    own = ended(
        status(200, ngrok_aig_attempts="2", x_portkey_provider="openai"),
        SERVER_ADDRESS="api.portkey.ai",
    ).attributes
    assert counted(own) == ("at_least", 2)


# --- what nobody names --------------------------------------------------------------------------------


MARK = {"openai_processing_ms": "12"}
DATED = {"REQUEST_MODEL": "gpt-4o", "RESPONSE_MODEL": "gpt-4o-2024-08-06"}


@pytest.mark.parametrize(
    ("host", "headers", "models", "passed_on"),
    [
        ("llm.acme.dev", MARK, {}, True),
        ("llm.acme.dev", {}, DATED, True),
        ("10.1.2.3", {}, DATED, True),
        ("llm.acme.dev", {}, {}, False),  # a vLLM server, as far as anybody can tell
        ("llm.acme.dev", {}, {"REQUEST_MODEL": "gpt-4o", "RESPONSE_MODEL": "gpt-4o"}, False),
        ("llm.acme.dev", {}, {"REQUEST_MODEL": "x", "RESPONSE_MODEL": "gpt-oss-120b-2025-08-05"}, False),
        ("127.0.0.1", MARK, DATED, False),
        ("localhost", MARK, DATED, False),
        ("api.openai.com", MARK, DATED, False),
        ("acme.openai.azure.com", MARK, DATED, False),
    ],
)  # fmt: skip
def test_an_unknown_host_is_a_gateway_only_where_something_shows_it(
    host: str, headers: dict[str, str], models: dict[str, str], passed_on: bool
) -> None:
    asked = {"REQUEST_MODEL": "llama", "RESPONSE_MODEL": "llama", **models}
    result = ended(status(200, **headers), SERVER_ADDRESS=host, **asked)
    assert [hop[semconv.HOP_EVIDENCE] for hop in result.hops[:1]] == ["inferred"] * passed_on
    assert result.attributes[semconv.ROUTE].startswith("unknown") is passed_on


@pytest.mark.parametrize(
    ("setting", "host", "passed_on"),
    [
        ("*.acme.dev", "llm.acme.dev", False),
        ("llm.acme.dev", "llm.acme.dev", False),
        ("llm.acme.dev", "other.acme.dev", True),
        ("10.0.0.0/8", "10.1.2.3", False),
        ("private", "10.1.2.3", False),
        ("private", "vllm", False),
        ("private", "llm.acme.dev", True),
        ("", "127.0.0.1", True),
        ("", "::1", True),
    ],
)
def test_hosts_that_serve_models_themselves_are_direct_if_one_says_so(
    setting: str, host: str, passed_on: bool
) -> None:
    config.reload({"TOLLSPAN_DIRECT_HOSTS": setting})
    result = ended(status(200, **MARK), SERVER_ADDRESS=host)
    assert bool(result.hops) is passed_on


def test_at_a_host_that_nobody_knows_nothing_is_exact_unless_one_says_that_it_is_direct() -> None:
    """What answers there may ask others and leave no trace of it, as some gateways do."""
    unknown = {"SERVER_ADDRESS": "llm.acme.dev", "REQUEST_MODEL": "m", "RESPONSE_MODEL": "m"}
    assert counted(ended(status(200), **unknown).attributes) == ("at_least", 1)
    config.reload({"TOLLSPAN_DIRECT_HOSTS": "*.acme.dev"})
    assert counted(ended(status(200), **unknown).attributes) == ("exact", 1)


def test_a_provider_that_serves_in_ones_own_house_is_direct() -> None:
    assert ended(status(200, **MARK), PROVIDER="ollama", SERVER_ADDRESS="llm.acme.dev").hops == ()


@pytest.mark.parametrize(
    "host",
    [
        *_hosts._NAMES,
        "acme.openai.azure.com",
        "acme.services.ai.azure.com",
        "us-central1-aiplatform.googleapis.com",
        "bedrock-runtime.us-east-1.amazonaws.com",
        "bedrock-mantle.us-east-1.api.aws",
        "dbc-1.cloud.databricks.com",
    ],
)
def test_no_host_of_a_provider_that_the_other_half_knows_is_taken_for_a_gateway(host: str) -> None:
    assert is_provider(host) or host in HOSTS


@pytest.mark.parametrize("host", ["api.openai.com", "api.mistral.ai", "127.0.0.1"])
def test_kong_and_envoy_before_a_provider_are_no_gateways(host: str) -> None:
    """OpenAI answers through Envoy, Mistral through Kong."""
    found = {"x_envoy_upstream_service_time": "9", "x_kong_upstream_latency": "9"}
    assert ended(status(200, **found), SERVER_ADDRESS=host).hops == ()


# --- money and time -----------------------------------------------------------------------------------


def test_a_margin_is_charged_beside_what_is_reported() -> None:
    own = ended(
        status(
            200,
            x_litellm_call_id="c",
            x_litellm_model_name="openai/gpt-4o-mini",
            x_litellm_response_cost="0.0011",
            x_litellm_response_cost_original="0.001",
            x_litellm_response_cost_margin_amount="0.0001",
        )
    ).attributes
    assert own[semconv.COST_REPORTED] == 0.001
    assert own[semconv.COST_CHARGED] == own[semconv.COST_AMOUNT] == 0.0011
    assert own[semconv.COST_GRADE] == "billed"


def test_in_a_chain_the_outermost_is_paid_and_the_innermost_is_the_provider() -> None:
    headers = {
        "x_litellm_call_id": "o",
        "x_litellm_response_cost": "0.002",
        "llm_provider-x_litellm_call_id": "i",
        "llm_provider-x_litellm_response_cost": "0.0015",
        "llm_provider-x_litellm_model_name": "openai/gpt-4o-mini",
    }
    own = ended(status(200, **headers)).attributes
    assert (own[semconv.COST_REPORTED], own[semconv.COST_CHARGED]) == (0.0015, 0.002)
    assert own[semconv.COST_AMOUNT] == 0.002


def test_what_a_gateway_spends_on_calls_of_its_own_is_added() -> None:
    own = ended(
        status(
            200,
            x_litellm_call_id="c",
            x_litellm_response_cost="0.001",
            x_litellm_classifier_cost="0.0002",
        )
    ).attributes
    assert (own[semconv.COST_EXTRA], own[semconv.COST_EXTRA_REASON]) == (0.0002, "classifier")
    assert own[semconv.COST_AMOUNT] == 0.0012


def test_tokens_that_a_gateway_counts_anew_are_not_trusted() -> None:
    streamed = status(200, x_b2bua_session_id="llm-b2bua-1")
    used = {"REQUEST_STREAM": True, "INPUT_TOKENS": 8, "OUTPUT_TOKENS": 2}
    own = ended(streamed, **used).attributes
    assert own[semconv.USAGE_UNTRUSTED] is True
    assert (own[semconv.COST_GRADE], own[semconv.GRADE_REASON]) == ("estimated", "untrusted_usage")
    whole = ended(streamed, **{**used, "REQUEST_STREAM": None}).attributes
    assert semconv.USAGE_UNTRUSTED not in whole


@pytest.mark.parametrize(
    ("header", "value", "added"),
    [
        ("x_bifrost_upstream_latency_ms", "80.5", 19.5),
        ("x_kong_upstream_latency", "80", 20.0),
        ("x_bifrost_upstream_latency_ms", "180", None),
        ("x_bifrost_upstream_latency_ms", "soon", None),
    ],
)
def test_overhead_is_what_we_waited_less_what_the_gateway_waited(
    header: str, value: str, added: float | None
) -> None:
    named = {"x_bifrost_request_id": "b"} if "bifrost" in header else {"x_kong_llm_model": "o/m"}
    attempt = status(200, **{header: value}, **named)
    result = ended({**attempt, semconv.ATTEMPT_HEAD_MS: 100.0})
    assert result.hops[0].get(semconv.HOP_OVERHEAD) == added


def test_a_rule_that_nobody_can_read_about_is_no_rule() -> None:
    for rule in (*RULES, UNKNOWN):
        if rule.weak and rule.name == "kong":
            continue  # the row of the other one
        assert rule.tells
        assert rule.hides
        assert rule.switch_on
    assert len({rule.name for rule in RULES}) == 17


NAMES = sorted(
    {name for rule in RULES for name in rule.headers}
    | {"llm_provider-x-litellm-call-id", "llm_provider-llm_provider-x-portkey-provider"}
    | {"x-litellm-attempted-retries", "x-litellm-response-cost", "x-litellm-cache-key"}
    | {"x-litellm-overhead-duration-ms", "x-bifrost-fallback-index", "x-cache-status"}
    | {"x-portkey-retry-attempt-count", "x-portkey-gateway-exception", "openai-processing-ms"}
)
VALUES = st.one_of(
    st.sampled_from(["", "0", "-1", "1", "3", "HIT", "true", "NaN", "1e999", "config.targets[1]", "9" * 400]),
    st.text(max_size=30),
)  # fmt: skip
CODES = st.sampled_from([200, 246, 400, 401, 408, 429, 446, 500, 503])


@settings(max_examples=300, deadline=None)
@given(
    attempts=st.lists(
        st.tuples(CODES, st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=12)),
        min_size=1,
        max_size=3,
    ),
    host=st.sampled_from(["127.0.0.1", "gw.acme.dev", "openrouter.ai", "api.openai.com", ""]),
)
def test_whatever_headers_say_the_path_holds_together(
    attempts: list[tuple[int, dict[str, str]]], host: str
) -> None:
    sent = [status(code, **headers) for code, headers in attempts]
    how = "success" if attempts[-1][0] < 400 else "error"
    error = None if how == "success" else "APIError"
    result = ended(*sent, SERVER_ADDRESS=host, STATUS=how, ERROR_TYPE=error)
    own = result.attributes
    assert result == ended(*sent, SERVER_ADDRESS=host, STATUS=how, ERROR_TYPE=error)
    assert own[semconv.UPSTREAM_ATTEMPTS] >= 0
    assert own.get(semconv.HIDDEN_ATTEMPTS, 0) <= max(0, own[semconv.UPSTREAM_ATTEMPTS] - 1)
    assert [hop[semconv.HOP_INDEX] for hop in result.hops] == list(range(len(result.hops)))
    for attributes in (own, *result.hops):
        for value in attributes.values():
            assert isinstance(value, (str, int, float, bool))
            assert not isinstance(value, str) or (len(value) <= 600 and value.isprintable())
            assert not isinstance(value, float) or math.isfinite(value)
