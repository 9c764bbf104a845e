"""What is found out once is found out once, and no hostile key is kept."""

from __future__ import annotations

from typing import Any

import pytest

from tollspan.instrumentation import _chat_glance
from tollspan.instrumentation._chat_completions import CHAT
from tollspan.remembered import LONGEST, Remembered


def test_a_key_is_looked_at_once() -> None:
    asked: list[str] = []

    def found(key: str) -> int:
        asked.append(key)
        return len(key)

    table = Remembered(found, 2)

    assert [table[key] for key in ("a", "bb", "a")] == [1, 2, 1]
    assert asked == ["a", "bb"]
    assert table["ccc"] == 3
    assert list(table) == ["ccc"]  # it was full


@pytest.mark.parametrize(
    "key",
    ["k" * (LONGEST + 1), ("k" * LONGEST, "k"), (("k",) * LONGEST, (("k",),))],
    ids=["long", "long together", "nested"],
)
def test_a_key_as_only_hostile_ones_are_is_not_kept(key: Any) -> None:
    table: Remembered[Any, int] = Remembered(len, 8)

    assert table[key] == len(key)
    assert not table


def test_an_answer_of_fifty_thousand_keys_leaves_nothing_behind() -> None:
    assert CHAT.glance is not None
    hostile = {f"key_{number}": number for number in range(50_000)}
    answer = hostile | {
        "id": "a",
        "choices": [{"finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5},
    }
    before = len(_chat_glance._FORMS)

    found = CHAT.response(CHAT.glance(answer))

    assert found["gen_ai.usage.input_tokens"] == 5
    assert len(_chat_glance._FORMS) <= before
