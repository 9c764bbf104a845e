"""Beside other instrumentations, for real: each answer is paid once, whoever was switched on first.

Runs where the others are installed (`.venv-beside`), in a process each.
"""

from __future__ import annotations

from typing import Any

import pytest
from besides import asked

from tollspan import semconv

OTHERS = {
    "openinference": ("openinference.instrumentation.openai",),
    "openllmetry": ("opentelemetry.instrumentation.openai",),
    "official": ("opentelemetry.instrumentation.genai.openai",),
    "openlit": ("openlit",),
    "logfire": ("logfire",),
    "langfuse": ("langfuse",),
    "litellm+openinference": ("litellm", "openinference.instrumentation.litellm"),
}
SILENCES_US = ("logfire", "ours")
"""Logfire suppresses whatever is instrumented inside; wrapped around ours, its spans are all."""


@pytest.mark.slow
@pytest.mark.parametrize("first", ["ours", "theirs"])
@pytest.mark.parametrize("other", OTHERS)
def test_each_answer_is_paid_once(other: str, first: str) -> None:
    for call in asked(other, first, *OTHERS[other]):
        said = [span["attributes"] for span in call["spans"]]
        owners = [each for each in said if semconv.COST_AMOUNT in each]
        assert len(owners) == 1, call
        assert owners[0][semconv.COST_AMOUNT] == pytest.approx(call["truth_usd"]), call
        assert owners[0][semconv.COST_ROLE] == "owner"
        tokens = sum(each.get(semconv.INPUT_TOKENS, 0) for each in said)
        assert tokens == call["truth_input_tokens"], call
        for each in said:
            if each.get(semconv.COST_ROLE) == "restated":
                _check_restated(each, {span["span_id"] for span in call["spans"]})
        if (other, first) != SILENCES_US:
            assert call["tokens_counted"] == call["truth_input_tokens"], "our metric"


def _check_restated(said: dict[str, Any], ids: set[str]) -> None:
    assert said[semconv.OWNER_SPAN_ID] in ids
    assert not [name for name in said if name.startswith(("gen_ai.usage.", "llm.token_count."))]


@pytest.mark.slow
@pytest.mark.parametrize(
    "other", ["openinference", "openllmetry", "openlit", "litellm+openinference"]
)
def test_what_they_tell_stays_beside_the_owner(other: str) -> None:
    """Nothing of theirs is lost: their spans are there, with what they counted, restated."""
    for call in asked(other, "theirs", *OTHERS[other]):
        theirs = [
            span["attributes"]
            for span in call["spans"]
            if span["scope"] not in (semconv.SCOPE, "com.anthropic.sdk.python")
        ]
        assert theirs, call
        assert all(each[semconv.RESTATED_INPUT_TOKENS] == 1000 for each in theirs), call
