"""Cost of one call: reported beats derived, unknown is never zero, every amount says how sure it is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollspan import semconv
from tollspan.processors.settle import settle

CALL = {
    semconv.OPERATION: "chat",
    semconv.PROVIDER: "openai",
    semconv.REQUEST_MODEL: "gpt-4o-mini",
    semconv.RESPONSE_MODEL: "gpt-4o-mini-2024-07-18",
    semconv.INPUT_TOKENS: 1_000,
    semconv.OUTPUT_TOKENS: 100,
    semconv.SERVER_ADDRESS: "api.openai.com",
    semconv.STATUS: "success",
}
OK = {semconv.ATTEMPT: 1, semconv.HTTP_STATUS: 200}


def cost(*attempts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    call = dict(CALL)
    for field, value in changes.items():
        name = getattr(semconv, field)
        call.pop(name, None)
        if value is not None:
            call[name] = value
    return settle(call, attempts or (OK,)).attributes


def test_a_usual_call_is_derived_from_the_book() -> None:
    own = cost()
    assert own[semconv.COST_AMOUNT] == 0.00021
    assert own[semconv.COST_DERIVED] == 0.00021
    assert own[semconv.COST_CURRENCY] == "USD"
    assert own[semconv.COST_SOURCE] == "local"
    assert own[semconv.COST_GRADE] == "derived"
    assert own[semconv.COST_ROLE] == "owner"
    assert own[semconv.PRICE_VERSION].startswith("genai-prices/")
    assert semconv.COST_REPORTED not in own


def test_what_is_reported_beats_what_is_derived_and_both_are_kept() -> None:
    own = cost(COST_REPORTED=0.5)
    assert own[semconv.COST_AMOUNT] == own[semconv.COST_REPORTED] == 0.5
    assert own[semconv.COST_DERIVED] == 0.00021
    assert own[semconv.COST_GRADE] == "billed"
    assert own[semconv.COST_SOURCE] == "provider"


@pytest.mark.parametrize("stated", [0, 0.0, -1.0, float("nan"), float("inf"), 1e300, True, "x"])
def test_a_report_that_is_no_price_is_none(stated: Any) -> None:
    assert cost(COST_REPORTED=stated)[semconv.COST_GRADE] == "derived"


def test_a_free_model_of_a_seller_that_sends_the_bill_is_a_known_zero() -> None:
    own = cost(
        PROVIDER="openrouter", SERVER_ADDRESS="openrouter.ai", RESPONSE_MODEL="x/y:free", COST_REPORTED=0.0
    )  # fmt: skip
    assert own[semconv.COST_AMOUNT] == 0
    assert own[semconv.COST_GRADE] == "billed"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"INPUT_TOKENS": None, "OUTPUT_TOKENS": None}, "no_usage"),
        ({"INPUT_TOKENS": 0, "OUTPUT_TOKENS": 0}, "no_usage"),
        ({"INPUT_TOKENS": "many", "OUTPUT_TOKENS": True}, "no_usage"),
        ({"RESPONSE_MODEL": "house-model", "REQUEST_MODEL": "house-model"}, "unknown_model"),
        ({"PROVIDER": "acme", "REQUEST_MODEL": "acme-1", "RESPONSE_MODEL": None}, "unknown_model"),
        ({"RESPONSE_MODEL": "tts-1", "REQUEST_MODEL": "tts-1"}, "unknown_unit"),
        ({"CACHE_READ_TOKENS": 2_000}, "inconsistent_usage"),
        ({"INPUT_TOKENS": 2**62}, "inconsistent_usage"),
    ],
)
def test_unknown_is_not_zero(changes: dict[str, Any], reason: str) -> None:
    own = cost(**changes)
    assert own[semconv.UNPRICED_REASON] == reason
    assert own[semconv.COST_GRADE] == "unpriced"
    assert semconv.COST_AMOUNT not in own
    assert semconv.COST_DERIVED not in own


@pytest.mark.parametrize(
    ("changes", "grade", "why"),
    [
        ({"SERVICE_TIER": "flex"}, "estimated", "unknown_tier"),
        ({"SERVICE_TIER": "priority"}, "derived", None),
        ({"PROVIDER": "anthropic", "RESPONSE_MODEL": "claude-opus-5", "SERVICE_TIER": "standard",
          "SPEED": "fast"}, "derived", None),
        ({"PROVIDER": "anthropic", "RESPONSE_MODEL": "claude-haiku-4-5", "SPEED": "fast"},
         "estimated", "unknown_tier"),
        ({"PROVIDER": "anthropic", "RESPONSE_MODEL": "claude-opus-5", "INFERENCE_GEO": "us"},
         "derived", None),
        ({"PROVIDER": "anthropic", "RESPONSE_MODEL": "claude-opus-5", "INFERENCE_GEO": "moon"},
         "estimated", "unknown_region"),
        ({"PROVIDER": "anthropic", "RESPONSE_MODEL": "claude-opus-5", "INFERENCE_GEO": "global"},
         "derived", None),
        ({"CACHE_READ_TOKENS": 400}, "derived", None),
        ({"CACHE_WRITE_TOKENS": 400}, "estimated", "unknown_unit"),
        ({"AUDIO_INPUT_TOKENS": 10}, "lower_bound", "unknown_unit"),
        ({"AUDIO_INPUT_TOKENS": 10, "CACHE_WRITE_TOKENS": 9}, "estimated", "unknown_unit"),
        ({"USAGE_UNTRUSTED": True}, "estimated", "untrusted_usage"),
        ({"OUTPUT_TOKENS": None}, "lower_bound", "missing_usage"),
        ({"STATUS": "abandoned"}, "lower_bound", "partial_answer"),
        ({"STATUS": "error", "ERROR_TYPE": "APIError"}, "lower_bound", "partial_answer"),
        ({"WEB_SEARCHES": 2}, "derived", None),
        (
            {"WEB_SEARCHES": 2, "PROVIDER": "aws.bedrock", "REQUEST_MODEL": "x",
             "RESPONSE_MODEL": "us.anthropic.claude-3-5-sonnet-20240620-v1:0"},
            "lower_bound", "unknown_fee",
        ),
        ({"OPERATION": "embeddings", "REQUEST_MODEL": "text-embedding-3-small",
          "RESPONSE_MODEL": "text-embedding-3-small", "OUTPUT_TOKENS": None}, "derived", None),
    ],
)  # fmt: skip
def test_every_amount_says_how_sure_it_is(
    changes: dict[str, Any], grade: str, why: str | None
) -> None:
    own = cost(**changes)
    assert own[semconv.COST_AMOUNT] > 0
    assert (own[semconv.COST_GRADE], own.get(semconv.GRADE_REASON)) == (grade, why)


def test_a_fast_answer_is_paid_as_one() -> None:
    claude = {"PROVIDER": "anthropic", "RESPONSE_MODEL": "claude-opus-5"}
    assert cost(**claude)[semconv.COST_AMOUNT] == 0.0075
    assert cost(**claude, SPEED="standard")[semconv.COST_AMOUNT] == 0.0075
    assert cost(**claude, SPEED="fast")[semconv.COST_AMOUNT] == 0.015


def test_web_searches_are_paid_each() -> None:
    assert cost(WEB_SEARCHES=3)[semconv.COST_AMOUNT] == 0.03021


def test_five_minute_and_one_hour_cache_writes_have_their_own_price() -> None:
    claude = {"PROVIDER": "anthropic", "RESPONSE_MODEL": "claude-sonnet-4-5"}
    short = cost(**claude, CACHE_WRITE_TOKENS=1_000, CACHE_WRITE_5M_TOKENS=1_000)
    long = cost(**claude, CACHE_WRITE_TOKENS=1_000, CACHE_WRITE_1H_TOKENS=1_000)
    alone = cost(**claude, CACHE_WRITE_1H_TOKENS=1_000)
    older = cost(**claude, CACHE_CREATION_TOKENS=1_000)
    assert short[semconv.COST_AMOUNT] == older[semconv.COST_AMOUNT] == 0.00525
    assert long[semconv.COST_AMOUNT] == alone[semconv.COST_AMOUNT] == 0.0075


@pytest.mark.parametrize("operation", ["count_tokens", "moderation"])
def test_what_is_free_by_nature_has_neither_amount_nor_grade(operation: str) -> None:
    own = cost(OPERATION=operation)
    assert semconv.COST_AMOUNT not in own
    assert semconv.COST_GRADE not in own
    assert semconv.UNPRICED_REASON not in own
    assert own[semconv.ROUTE] == "openai/gpt-4o-mini"


def test_a_failed_call_without_usage_has_no_amount() -> None:
    own = cost(
        {semconv.HTTP_STATUS: 500},
        STATUS="error",
        ERROR_TYPE="500",
        INPUT_TOKENS=None,
        OUTPUT_TOKENS=None,
    )
    assert own[semconv.UNPRICED_REASON] == "no_usage"
    assert semconv.COST_AMOUNT not in own
    assert semconv.COST_WASTED not in own


@pytest.mark.parametrize(
    ("error", "grade"),
    [
        ("httpx2.ReadTimeout", "lower_bound"),
        ("ReadError", "lower_bound"),
        ("httpx.ConnectError", "derived"),
        ("ConnectTimeout", "derived"),
    ],
)
def test_a_lost_attempt_may_have_been_billed(error: str, grade: str) -> None:
    own = cost({semconv.ERROR_TYPE: error}, OK)
    assert own[semconv.COST_GRADE] == grade
    assert own[semconv.COST_AMOUNT] == 0.00021


def test_a_refused_attempt_is_not_billed() -> None:
    assert cost({semconv.HTTP_STATUS: 429}, OK)[semconv.COST_GRADE] == "derived"


def test_settling_twice_adds_nothing() -> None:
    call = {**CALL, **cost()}
    assert settle(call, (OK,)).attributes == {}
    assert settle({**CALL, semconv.COST_ROLE: "restated"}).attributes == {}


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.lists(st.text())
)
HOSTILE = st.dictionaries(
    st.sampled_from(sorted(semconv.ATTRIBUTES.keys() - {semconv.COST_ROLE})), ANYTHING, max_size=25
)


@settings(max_examples=300, deadline=None)
@given(call=HOSTILE, attempts=st.lists(HOSTILE, max_size=3))
def test_any_attributes_settle_and_no_amount_is_a_guess(
    call: dict[str, Any], attempts: list[dict[str, Any]]
) -> None:
    own = settle(call, attempts).attributes
    assert own[semconv.COST_ROLE] == "owner"
    grade = own.get(semconv.COST_GRADE)
    assert (semconv.COST_AMOUNT in own) == (grade not in (None, "unpriced"))
    assert (semconv.UNPRICED_REASON in own) == (grade == "unpriced")
    if (amount := own.get(semconv.COST_AMOUNT)) is not None:
        exact = Decimal(repr(amount))
        assert 0 <= exact < 2_000_000
        assert exact == exact.quantize(Decimal("1e-12"))


@given(tokens=st.integers(1, 50_000_000), output=st.integers(0, 1_000_000))
def test_the_amount_on_the_span_gives_the_decimal_back(tokens: int, output: int) -> None:
    own = cost(INPUT_TOKENS=tokens, OUTPUT_TOKENS=output)
    exact = Decimal(tokens) * Decimal("0.15e-6") + Decimal(output) * Decimal("0.6e-6")
    assert Decimal(repr(own[semconv.COST_AMOUNT])) == exact
