"""Hundreds of events that are alike are masked as if each were looked through alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollspan.instrumentation import _wire_events
from tollspan.instrumentation._wire_events import masked_events
from tollspan.redaction import Redactor
from tollspan.redaction_rules import BUILT_IN, Rules

SSE = "text/event-stream"


def chat(number: int, said: str, more: str) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": said}, "finish_reason": None}
    return {"id": "chatcmpl-1", "created": 1700000000, "model": "gpt-4o-mini", "choices": [choice]}


def padded(number: int, said: str, more: str) -> dict[str, Any]:
    return {**chat(number, said, more), "obfuscation": more}


def numbered(number: int, said: str, more: str) -> dict[str, Any]:
    told = {"sequence_number": number, "item_id": "msg_1", "output_index": 0, "delta": said}
    return {"type": "response.output_text.delta", **told, "obfuscation": more}


def block(number: int, said: str, more: str) -> dict[str, Any]:
    delta = {"type": "text_delta", "text": said}
    return {"type": "content_block_delta", "index": 0, "delta": delta}


def secret(number: int, said: str, more: str) -> dict[str, Any]:
    return {"n": number, "api_key": said, "token": more, "delta": said}


def leaking(number: int, said: str, more: str) -> dict[str, Any]:
    return {"by": "ann@example.com", "delta": said, "100%41": more}


def dated(number: int, said: str, more: str) -> dict[str, Any]:
    return {"model": "m", "created_at": f"2026-01-01T00:00:{number:02d}.1Z", "response": said}


SHAPES = (chat, padded, numbered, block, secret, leaking, dated)
PIECES = st.sampled_from(
    [
        *("sk-", "proj-planted", "0123456789", "ann.", "@mail", ".example", ".com", "", " a ", '"'),
        *(
            "\\",
            "\n",
            "é",
            "\r",
            "4111 ",
            "1111 1111",
            " 1111",
            "so ",
            "password=",
            "bearer ",
            "%22",
        ),
        *(
            "sk-proj-plantedPLANTED0123",
            "ann@mail.example.com",
            "%40",
            "+49 170 123 456 7",
            "token",
        ),
        *(
            "-----BEGIN PRIVATE KEY-----",
            "cGxhbnRlZCBzay1wbGFudGVkUExBTlRFRDAxMjM=",
            '":"',
            "x" * 30,
        ),
    ]
)


def stream(events: Sequence[dict[str, Any]], way: int) -> str:
    """The events as servers write them."""
    before, after = [
        ("data: ", "\n\n"),
        ("data:", "\r\n\r\n"),
        ("event: delta\ndata: ", "\n\n"),
        ("", "\n"),
        (": a comment\n\ndata: ", "\n\n"),
    ][way]
    written = [json.dumps(event, ensure_ascii=way == 0) for event in events]
    return "".join(f"{before}{each}{after}" for each in written) + f"{before}[DONE]{after}"


def slowly(parts: list[str], redactor: Redactor) -> tuple[list[str], Counter[str]]:
    """All of the text looked through, and each event taken apart by itself."""
    with patch.object(_wire_events, "alike", lambda *_: None):
        return masked_events(parts, SSE, redactor)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(SHAPES),
    st.lists(st.tuples(st.integers(0, 45), PIECES, PIECES), min_size=1, max_size=6),
    st.lists(st.integers(0, 45), max_size=2),
    st.integers(0, 4),
    st.integers(100, 900),
)
def test_what_is_planted_in_alike_events_is_masked_as_in_single_ones(
    shape: Any, planted: list[tuple[int, str, str]], odd: list[int], way: int, cut: int
) -> None:
    texts = [(f"word {number} ", f"pad{number}") for number in range(45)]
    for at, said, more in planted:
        texts[at : at + 1] = [(said, more)]
    events = [shape(number, *each) for number, each in enumerate(texts)]
    for at in odd:
        events[at : at + 1] = [chat(at, "another", ""), {"usage": {"total_tokens": at}}]
    whole = stream(events, way)
    parts = [whole[at : at + cut] for at in range(0, len(whole), cut)]

    assert masked_events(parts, SSE, Redactor(key="k")) == slowly(parts, Redactor(key="k"))


@pytest.mark.parametrize("shape", SHAPES[:4])
@pytest.mark.parametrize("way", range(5))
def test_a_key_in_many_pieces_between_hundreds_of_events_is_masked(shape: Any, way: int) -> None:
    key = "sk-proj-plantedPLANTED0123"
    texts = [*("w ",) * 300, *key, *(" w",) * 50, " ann@mail.example.com ", *("w",) * 50]
    whole = stream([shape(n, each, f"p{n % 7}") for n, each in enumerate(texts)], way)

    (masked,), found = masked_events([whole], SSE, Redactor())

    assert found == {"api_key": 1, "email": 1}
    assert "ann@mail" not in masked
    assert masked.count("[redacted:api_key]") == 1
    assert not any(f'"{letter}"' in masked for letter in key)


def test_most_events_are_not_looked_through_one_by_one() -> None:
    whole = stream([padded(n, f"word {n}", f"pad{n}") for n in range(500)], 0)
    seen: list[int] = []
    found = Redactor.found

    def noting(redactor: Redactor, text: str) -> Any:
        seen.append(len(text))
        return found(redactor, text)

    with patch.object(Redactor, "found", noting):
        masked_events([whole], SSE, Redactor())

    assert max(seen) < len(whole) / 5


def test_rules_of_the_users_own_are_asked_about_all_of_it() -> None:
    own = Rules((*BUILT_IN,), fields=("finish_reason_of_mine",))
    whole = stream([{"finish_reason_of_mine": f"v{n}", "delta": "x"} for n in range(40)], 0)

    (masked,), found = masked_events([whole], SSE, Redactor(own))

    assert found == {"field": 40}
    assert '"v' not in masked
