"""What was paid for nothing: broken off answers, and attempts that burned tokens beside the answer."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollspan import semconv
from tollspan.processors.settle import Inner, settle


def call(model: str, tokens: int, output: int, how: str = "success", **more: Any) -> dict[str, Any]:
    stated = {
        semconv.OPERATION: "chat",
        semconv.PROVIDER: "openai",
        semconv.REQUEST_MODEL: model,
        semconv.RESPONSE_MODEL: model,
        semconv.STATUS: how,
        **{getattr(semconv, field): value for field, value in more.items()},
    }
    if tokens or output:
        stated |= {semconv.INPUT_TOKENS: tokens, semconv.OUTPUT_TOKENS: output}
    if how == "error":
        stated[semconv.ERROR_TYPE] = "APIError"
    return stated


def inner(model: str, tokens: int, output: int, how: str = "success") -> Inner:
    return Inner({**call(model, tokens, output, how), semconv.COST_ROLE: "restated"})


USD = {"gpt-4o": (Decimal("2.5e-6"), Decimal("10e-6")), "gpt-4o-mini": (Decimal("0.15e-6"), Decimal("0.6e-6"))}  # fmt: skip


def price(model: str, tokens: int, output: int) -> Decimal:
    return USD[model][0] * tokens + USD[model][1] * output


@pytest.mark.parametrize(
    ("how", "reason"), [("abandoned", "abandoned"), ("cancelled", "abandoned"), ("error", "error")]
)
def test_an_answer_that_nobody_gets_is_wasted_and_at_least_that_much(how: str, reason: str) -> None:
    own = settle(call("gpt-4o", 1_000, 10, how)).attributes
    assert own[semconv.COST_AMOUNT] == own[semconv.COST_WASTED] == 0.0026
    assert own[semconv.WASTE_REASON] == reason
    assert own[semconv.COST_GRADE] == "lower_bound"


def test_a_broken_off_answer_without_usage_is_unknown_not_free() -> None:
    own = settle(call("gpt-4o", 0, 0, "abandoned")).attributes
    assert own[semconv.UNPRICED_REASON] == "no_usage"
    assert semconv.COST_AMOUNT not in own
    assert semconv.COST_WASTED not in own


def test_a_good_answer_wastes_nothing() -> None:
    own = settle(call("gpt-4o", 1_000, 10)).attributes
    assert semconv.COST_WASTED not in own
    assert semconv.WASTE_REASON not in own


def test_attempts_that_burned_tokens_are_added_not_overwritten() -> None:
    """One router call: gpt-4o answers and is refused by the library, gpt-4o-mini answers for good."""
    own = settle(
        call("gpt-4o-mini", 1_200, 300),
        inner=[inner("gpt-4o", 1_000, 500, "error"), inner("gpt-4o-mini", 1_200, 300)],
    ).attributes
    burned, answer = price("gpt-4o", 1_000, 500), price("gpt-4o-mini", 1_200, 300)
    assert Decimal(repr(own[semconv.COST_AMOUNT])) == burned + answer
    assert Decimal(repr(own[semconv.COST_WASTED])) == burned
    assert own[semconv.WASTE_REASON] == "retry"
    assert own[semconv.FALLBACK] is True
    assert own[semconv.MODEL_SWAPPED] is True


def test_failed_attempts_without_usage_add_nothing() -> None:
    own = settle(
        call("gpt-4o-mini", 1_200, 300),
        inner=[inner("gpt-4o", 0, 0, "error"), inner("gpt-4o-mini", 1_200, 300)],
    ).attributes
    assert Decimal(repr(own[semconv.COST_AMOUNT])) == price("gpt-4o-mini", 1_200, 300)
    assert own[semconv.COST_GRADE] == "derived"
    assert semconv.COST_WASTED not in own


def test_a_call_that_failed_after_its_attempts_burned_tokens_is_all_waste() -> None:
    own = settle(
        call("gpt-4o", 0, 0, "error"),
        inner=[inner("gpt-4o", 1_000, 500, "error"), inner("gpt-4o-mini", 10, 5, "error")],
    ).attributes
    burned = price("gpt-4o", 1_000, 500) + price("gpt-4o-mini", 10, 5)
    assert Decimal(repr(own[semconv.COST_AMOUNT])) == burned
    assert own[semconv.COST_WASTED] == own[semconv.COST_AMOUNT]
    assert own[semconv.WASTE_REASON] == "error"
    assert own[semconv.COST_GRADE] == "lower_bound"


def test_a_sum_that_the_outer_call_states_is_not_added_again() -> None:
    parts = [inner("gpt-4o", 100, 50), inner("gpt-4o", 200, 70)]
    own = settle(call("gpt-4o", 300, 120), inner=parts).attributes
    assert Decimal(repr(own[semconv.COST_AMOUNT])) == price("gpt-4o", 300, 120)


def test_the_burned_tokens_of_an_unknown_model_leave_a_lower_bound() -> None:
    own = settle(
        call("gpt-4o", 100, 50), inner=[inner("house", 9, 9, "error"), inner("gpt-4o", 100, 50)]
    ).attributes
    assert Decimal(repr(own[semconv.COST_AMOUNT])) == price("gpt-4o", 100, 50)
    assert (own[semconv.COST_GRADE], own[semconv.GRADE_REASON]) == ("lower_bound", "attempt_lost")


def test_an_inner_call_itself_has_no_amount() -> None:
    assert settle(inner("gpt-4o", 1, 1).attributes).attributes == {}


FAILED = st.tuples(st.sampled_from(sorted(USD)), st.integers(0, 10_000), st.integers(0, 10_000))


@settings(max_examples=150, deadline=None)
@given(
    answer=st.tuples(st.sampled_from(sorted(USD)), st.integers(1, 10_000), st.integers(1, 10_000)),
    failed=st.lists(FAILED, max_size=5),
    data=st.data(),
)
def test_the_bill_is_the_sum_of_all_that_was_answered_in_any_order(
    answer: tuple[str, int, int], failed: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    parts = [inner(*each, "error") for each in failed]
    parts.insert(data.draw(st.integers(0, len(parts))), inner(*answer))
    own = settle(call(*answer), inner=parts).attributes
    bill = price(*answer) + sum((price(*each) for each in failed), Decimal(0))
    assert Decimal(repr(own[semconv.COST_AMOUNT])) == bill
    wasted = own.get(semconv.COST_WASTED, 0.0)
    assert Decimal(repr(own[semconv.COST_AMOUNT])) - Decimal(repr(wasted)) == price(*answer)


# --- time ---------------------------------------------------------------------------------------------

START_NS = 1_780_000_000_000_000_000
FAILED_ATTEMPT = {semconv.HTTP_STATUS: 429, "http.response.header.x-request-id": "r"}
ANSWERED = {semconv.HTTP_STATUS: 200}


def lost(call: dict[str, Any], *attempts: dict[str, Any], **more: Any) -> tuple[Any, Any]:
    """Milliseconds wasted of a call of 2 s whose last attempt started after 1.5 s, and the cause."""
    own = settle(
        call,
        attempts,
        start_ns=START_NS,
        end_ns=START_NS + 2_000_000_000,
        last_ns=START_NS + 1_500_000_000,
        **more,
    ).attributes
    return own.get(semconv.WASTED_MS), own.get(semconv.WASTED_MS_REASON)


def test_time_before_the_request_that_was_answered_is_wasted_by_the_retry() -> None:
    assert lost(call("gpt-4o", 10, 10), FAILED_ATTEMPT, ANSWERED) == (1500.0, "retry")
    assert lost(call("gpt-4o", 10, 10), ANSWERED) == (None, None)


@pytest.mark.parametrize(
    ("how", "reason"), [("error", "error"), ("abandoned", "abandoned"), ("cancelled", "abandoned")]
)
def test_all_the_time_of_a_call_that_gave_nothing_is_wasted(how: str, reason: str) -> None:
    assert lost(call("gpt-4o", 0, 0, how), ANSWERED) == (2000.0, reason)


def test_time_that_a_guardrail_took_is_not_wasted() -> None:
    assert lost(call("gpt-4o", 0, 0, "blocked", BLOCKED_BY="proxy"), ANSWERED) == (None, None)


def test_without_times_nothing_is_said_of_time() -> None:
    own = settle(call("gpt-4o", 0, 0, "error"), (ANSWERED,)).attributes
    assert semconv.WASTED_MS not in own


def test_an_answer_that_was_good_and_paid_for_twice_is_a_duplicate() -> None:
    parts = [inner("gpt-4o", 1_000, 500), inner("gpt-4o", 1_000, 400)]
    own = settle(call("gpt-4o", 1_000, 400), inner=parts).attributes
    assert own[semconv.WASTE_REASON] == "duplicate"
    assert Decimal(repr(own[semconv.COST_WASTED])) == price("gpt-4o", 1_000, 500)
    time = lost(call("gpt-4o", 1_000, 400), ANSWERED, ANSWERED, inner=parts)
    assert time == (1500.0, "duplicate")
