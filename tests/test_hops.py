"""The path of a call: routes stay few, counts stay true, the blame lands where it belongs."""

from __future__ import annotations

from typing import Any

import pytest

from tollspan import semconv
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
