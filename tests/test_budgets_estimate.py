"""What a request may cost at most is never less than it has, however its messages are counted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollspan.limits import budgets_estimate
from tollspan.limits.budgets_estimate import _FEW, _input_tokens

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
