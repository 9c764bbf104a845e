"""Whose fault it is, and what shows it: for calls that failed and for calls that were slow."""

from __future__ import annotations

from typing import Any

import pytest

from tollspan import config, semconv
from tollspan.processors.settle import settle

H = semconv.RESPONSE_HEADER_PREFIX
START_NS = 1_780_000_000_000_000_000
LITELLM = {H + "x-litellm-call-id": "c"}
MARKED = {**LITELLM, H + "llm_provider-x-request-id": "r"}
DIRECT = {H + "x-request-id": "r"}


def blamed(*attempts: dict[str, Any], **changes: Any) -> tuple[Any, Any]:
    call = {
        semconv.OPERATION: "chat",
        semconv.PROVIDER: "openai",
        semconv.SERVER_ADDRESS: "api.openai.com",
        semconv.REQUEST_MODEL: "gpt-4o-mini",
        semconv.STATUS: "error",
        semconv.ERROR_TYPE: "APIError",
    }
    call |= {getattr(semconv, name): value for name, value in changes.items() if value is not None}
    for name in [name for name, value in changes.items() if value is None]:
        call.pop(getattr(semconv, name), None)
    own = settle(call, attempts).attributes
    return own.get(semconv.BLAME), own.get(semconv.BLAME_EVIDENCE)


def status(code: int, *headers: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {semconv.HTTP_STATUS: code}
    for each in headers:
        found |= each
    return found


@pytest.mark.parametrize(
    ("code", "direct", "by_itself", "behind"),
    [
        (400, ("app", "bad_request"), ("proxy", "gateway_answered"), ("app", "bad_request")),
        (401, ("app", "bad_key"), ("app", "bad_key"), ("proxy", "gateway_key")),
        (403, ("app", "bad_key"), ("app", "bad_key"), ("proxy", "gateway_key")),
        (404, ("app", "bad_request"), ("proxy", "gateway_answered"), ("app", "bad_request")),
        (408, ("provider", "upstream_timeout"), ("provider", "upstream_timeout"), ("provider", "upstream_timeout")),
        (429, ("provider", "rate_limited"), ("proxy", "gateway_answered"), ("provider", "rate_limited")),
        (500, ("provider", "server_error"), ("proxy", "gateway_answered"), ("provider", "server_error")),
        (502, ("provider", "server_error"), ("proxy", "gateway_answered"), ("provider", "server_error")),
        (503, ("provider", "overloaded"), ("proxy", "gateway_answered"), ("provider", "overloaded")),
        (504, ("provider", "upstream_timeout"), ("provider", "upstream_timeout"), ("provider", "upstream_timeout")),
        (529, ("provider", "overloaded"), ("proxy", "gateway_answered"), ("provider", "overloaded")),
    ],
)  # fmt: skip
def test_a_status_is_blamed_on_who_gave_it(
    code: int, direct: Any, by_itself: Any, behind: Any
) -> None:
    assert blamed(status(code, DIRECT)) == direct
    assert blamed(status(code, LITELLM), SERVER_ADDRESS="127.0.0.1") == by_itself
    assert blamed(status(code, MARKED), SERVER_ADDRESS="127.0.0.1") == behind


@pytest.mark.parametrize(
    ("attempt", "blame"),
    [
        ({semconv.ERROR_TYPE: "httpx.ConnectError"}, ("network", "no_connection")),
        ({semconv.ERROR_TYPE: "httpx2.ReadTimeout"}, ("network", "timeout")),
        ({semconv.ERROR_TYPE: "ConnectTimeout"}, ("network", "timeout")),
        ({semconv.ERROR_TYPE: "RemoteProtocolError"}, ("network", "broken_answer")),
        ({**status(200), semconv.ERROR_TYPE: "ReadError"}, ("network", "broken_answer")),
        (status(200), ("provider", "error_in_answer")),
    ],
)
def test_what_broke_on_the_way_is_blamed_on_the_way(attempt: Any, blame: Any) -> None:
    assert blamed(attempt) == blame


@pytest.mark.parametrize("how", ["cancelled", "abandoned"])
def test_who_leaves_is_to_blame(how: str) -> None:
    assert blamed(status(200), STATUS=how, ERROR_TYPE=None) == ("app", "caller_left")


def test_what_a_guardrail_stops_is_the_guardrails_and_what_a_model_refuses_the_applications() -> (
    None
):
    assert blamed(status(400, LITELLM), STATUS="blocked", BLOCKED_BY="proxy") == (
        "proxy",
        "guardrail",
    )
    assert blamed(status(400), STATUS="blocked", BLOCKED_BY="model") == ("app", "refused_prompt")
    assert blamed(status(200), STATUS="blocked", BLOCKED_BY="model", ERROR_TYPE=None) == (
        None,
        None,
    )


def test_a_gateway_that_says_that_it_failed_is_believed() -> None:
    broken = {H + "x-portkey-provider": "openai", H + "x-portkey-gateway-exception": "true"}
    assert blamed(status(500, broken, DIRECT)) == ("proxy", "gateway_fault")
    refused = {H + "ngrok-aig-request-id": "n", H + "ngrok-aig-attempts": "0"}
    assert blamed(status(403, refused)) == ("proxy", "gateway_fault")


@pytest.mark.parametrize(
    ("behind", "blame"),
    [
        (429, ("provider", "rate_limited")),
        (401, ("proxy", "gateway_key")),
        (500, ("provider", "server_error")),
        (400, ("app", "bad_request")),
    ],
)
def test_what_a_gateway_makes_a_502_is_blamed_by_the_status_behind_it(
    behind: int, blame: Any
) -> None:
    asked = "tensorzero::model_name::mini"
    assert blamed(status(502), REQUEST_MODEL=asked, GATEWAY_UPSTREAM_STATUS=behind) == blame


def test_who_cannot_be_reached_behind_a_gateway_is_to_blame_and_not_the_gateway() -> None:
    assert blamed(status(500, LITELLM), GATEWAY_CUT_OFF=True) == ("provider", "unreachable")


def test_nobody_is_blamed_where_nothing_shows_it() -> None:
    assert blamed(ERROR_TYPE="ValueError") == (None, None)
    assert blamed(status(200), STATUS="success", ERROR_TYPE=None) == (None, None)


# --- slow calls ---------------------------------------------------------------------------------------


def slow(
    *attempts: dict[str, Any], took_s: float = 40.0, last_s: float = 0.0, **changes: Any
) -> tuple[Any, Any]:
    call = {
        semconv.OPERATION: "chat",
        semconv.PROVIDER: "openai",
        semconv.SERVER_ADDRESS: "api.openai.com",
        semconv.REQUEST_MODEL: "gpt-4o-mini",
        semconv.RESPONSE_MODEL: "gpt-4o-mini",
        semconv.INPUT_TOKENS: 10,
        semconv.OUTPUT_TOKENS: 10,
        semconv.STATUS: "success",
        **{getattr(semconv, name): value for name, value in changes.items()},
    }
    own = settle(
        call,
        attempts,
        start_ns=START_NS,
        end_ns=START_NS + int(took_s * 1e9),
        last_ns=START_NS + int(last_s * 1e9),
    ).attributes
    return own.get(semconv.BLAME), own.get(semconv.BLAME_EVIDENCE)


def test_a_slow_direct_answer_is_the_providers() -> None:
    assert slow(status(200)) == ("provider", "slow_answer")
    assert slow(status(200), took_s=29.9) == (None, None)


def test_a_call_that_is_usual_but_slow_is_blamed_all_the_same() -> None:
    for _ in range(2):
        assert slow(status(200), took_s=1) == (None, None)
    assert slow(status(200)) == ("provider", "slow_answer")


def test_how_slow_is_slow_can_be_said() -> None:
    config.reload({"TOLLSPAN_SLOW_S": "0"})
    assert slow(status(200), took_s=4_000) == (None, None)
    config.reload({"TOLLSPAN_SLOW_S": "2"})
    assert slow(status(200), took_s=2) == ("provider", "slow_answer")


def test_a_long_stream_may_wait_for_its_reader() -> None:
    assert slow(status(200), TIME_TO_FIRST_CHUNK=0.4) == (None, None)
    assert slow(status(200), TIME_TO_FIRST_CHUNK=25.0) == ("provider", "slow_answer")


@pytest.mark.parametrize(
    ("first", "who"),
    [
        (status(429, DIRECT), "provider"),
        (status(503, DIRECT), "provider"),
        ({semconv.ERROR_TYPE: "ConnectError"}, "network"),
    ],
)
def test_time_that_retries_took_is_blamed_on_what_made_them_necessary(first: Any, who: str) -> None:
    assert slow(first, status(200), last_s=30) == (who, "retries")
    assert slow(first, status(200), last_s=3) == ("provider", "slow_answer")


def test_a_gateway_is_blamed_for_time_that_is_known_to_be_its_own() -> None:
    bifrost = {H + "x-bifrost-request-id": "b", semconv.ATTEMPT_HEAD_MS: 39_000.0}
    waited = H + "x-bifrost-upstream-latency-ms"
    assert slow(status(200, bifrost | {waited: "2000"})) == ("proxy", "gateway_slow")  # type: ignore[operator]
    assert slow(status(200, bifrost | {waited: "38000"})) == ("provider", "slow_answer")  # type: ignore[operator]


def test_behind_a_gateway_that_keeps_its_time_to_itself_nobody_is_blamed() -> None:
    assert slow(status(200, LITELLM)) == (None, None)
