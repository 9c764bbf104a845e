"""What a request may cost at most is never less than it has, however its messages are counted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace

from tollspan import semconv
from tollspan.calls import Less, OpenCall
from tollspan.limits import budgets_estimate
from tollspan.limits.budgets_estimate import _FEW, _input_tokens, most_usd
from tollspan.processors.asking_price import asking_price

TEXTS = st.one_of(st.text(max_size=40), st.sampled_from(["", "é" * 30, "\ud800", "a" * 70]))
ROLES = st.one_of(st.sampled_from(["user", "assistant", "", "\ud800"]), st.text(max_size=6))
MESSAGES = st.lists(
    st.one_of(
        st.fixed_dictionaries({"role": ROLES, "content": TEXTS}),
        st.fixed_dictionaries({"role": st.just("user"), "content": st.none() | st.lists(TEXTS)}),
        st.fixed_dictionaries({"role": TEXTS, "content": TEXTS, "name": TEXTS}),
        st.fixed_dictionaries({"role": TEXTS, "text": TEXTS}),
        TEXTS,
    ),
    max_size=2 * _FEW,
)


@settings(max_examples=200)
@given(MESSAGES)
def test_few_messages_are_counted_as_many(messages: list[Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(budgets_estimate, "_INLINE", 60)
        found = _input_tokens({"model": "m", "messages": messages})
        patch.setattr(budgets_estimate, "_plain_talk", lambda _: 0)
        assert found == _input_tokens({"model": "m", "messages": messages})


class Request:
    """What an SDK was given to send."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body

    def send(self, body: Any) -> bool:
        return False

    def less(self, wanted: Less) -> bool:
        return False


def most(provider: str, model: str, host: str, **more: Any) -> float:
    """What one short request for a thousand tokens costs at most."""
    call = OpenCall(trace.INVALID_SPAN, 0)
    call.attributes = {
        semconv.OPERATION: "chat",
        semconv.PROVIDER: provider,
        semconv.REQUEST_MODEL: model,
        semconv.SERVER_ADDRESS: host,
        semconv.REQUEST_MAX_TOKENS: 1000,
    }
    call.sending = Request({"messages": [{"role": "user", "content": "hello"}], **more})
    found = most_usd(call, asking_price)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("provider", "model", "usual", "dearer", "more"),
    [
        ("openai", "gpt-5.4", "api.openai.com", "eu.api.openai.com", {}),
        (
            "gcp.vertex_ai",
            "claude-sonnet-4-5",
            "aiplatform.googleapis.com",
            "europe-west4-aiplatform.googleapis.com",
            {},
        ),
        (
            "anthropic",
            "claude-opus-4-6",
            "api.anthropic.com",
            "api.anthropic.com",
            {"inference_geo": "us"},
        ),
    ],
)
def test_a_dearer_place_is_held_back_for(
    provider: str, model: str, usual: str, dearer: str, more: dict[str, Any]
) -> None:
    as_long = {name: "x" * len(value) for name, value in more.items()}
    listed = most(provider, model, usual, padding=as_long)
    assert most(provider, model, dearer, padding=as_long, **more) >= 1.099 * listed


def test_a_place_that_is_no_text_is_the_callers_own_fault() -> None:
    assert most("openai", "gpt-5.4", "api.openai.com", inference_geo=["us"]) > 0
