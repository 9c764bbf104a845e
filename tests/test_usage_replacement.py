"""The model that was asked for against the one that answered: a story whose numbers are known."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from spans import owner

from tollspan import semconv
from tollspan.collector.span import Span
from tollspan.local import LocalStack
from tollspan.local.queries import BadFilter
from tollspan.local.usage_replacement import replacement

NOW_NS = time.time_ns()
EVERY = [("last", "1h")]


def call(
    number: int,
    session: str,
    asked: str,
    answered: str,
    *,
    cost: float,
    took_s: float,
    known: bool = True,
    opted_out: bool = False,
    route: str = "router > x",
) -> Span:
    start_ns = NOW_NS - (100 - number) * 10**9
    said: dict[str, Any] = {
        semconv.SESSION: session,
        semconv.REQUEST_MODEL: asked,
        semconv.RESPONSE_MODEL: answered,
        semconv.MODEL_SERVED: answered,
        semconv.ROUTE: route,
        semconv.INPUT_TOKENS: 900,
        semconv.OUTPUT_TOKENS: 100,
    }
    if known:
        said[semconv.MODEL_SWAPPED] = asked != answered
    if opted_out:
        said[f"{semconv.TAG_PREFIX}replacement"] = "off"
    return owner(
        number,
        cost=cost,
        trace_id=f"{number:032x}",
        start_ns=start_ns,
        end_ns=start_ns + int(took_s * 1e9),
        attributes=said,
    )


CALLS = [
    # A session that is moved to a cheaper, faster model with its third turn.
    call(1, "a", "big", "big", cost=0.10, took_s=4.0),
    call(2, "a", "big", "big", cost=0.30, took_s=6.0),
    call(3, "a", "big", "small", cost=0.02, took_s=1.0),
    call(4, "a", "big", "big", cost=0.20, took_s=5.0),
    # One that is moved at once, and one whose caller wants none of it.
    call(5, "b", "big", "small", cost=0.04, took_s=2.0),
    call(6, "c", "big", "big", cost=0.20, took_s=5.0, opted_out=True),
    call(7, "c", "big", "small", cost=0.03, took_s=1.5, opted_out=True),
    # A model that nobody replaces, and a call of which nobody knows.
    call(8, "d", "tiny", "tiny", cost=0.01, took_s=0.5, route="openai/tiny"),
    call(9, "d", "big", "big", cost=0.99, took_s=9.0, known=False),
]


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with LocalStack() as running:
        running.writer.offer(CALLS).result(60)
        yield running


def test_rates_opt_outs_and_turns(stack: LocalStack) -> None:
    found = replacement(stack.ledger, EVERY)

    assert (found["calls"], found["calls_not_known"], found["replaced_calls"]) == (8, 1, 3)
    assert found["activation_rate"] == 3 / 8
    assert found["replaceable_calls"] == 7 and found["replaceable_activation_rate"] == 3 / 7
    assert found["kept_calls"] == 3, "big, answered by big, by callers who had not opted out"
    assert (found["opt_out_calls"], found["opt_out_ignored_calls"]) == (2, 1)
    turns = found["turns_before_replacement"]
    assert (turns["sessions"], turns["replaced_sessions"]) == (4, 3)
    assert (turns["mean"], turns["p50"], turns["max"]) == (1.0, 1.0, 2), "after 2, 0 and 1 turns"


def test_what_it_saves_is_said_against_calls_that_were_not_replaced(stack: LocalStack) -> None:
    (pair,) = replacement(stack.ledger, EVERY)["by_pair"]

    assert (pair["requested_model"], pair["served_model"]) == ("big", "small")
    assert pair["replaced"]["calls"] == 3 and pair["replaced"]["cost_per_call_usd"] == "0.03"
    assert pair["kept"]["calls"] == 4 and pair["kept"]["cost_per_call_usd"] == "0.2"
    assert pair["replaced"]["cost_per_1k_tokens_usd"] == "0.03"
    assert pair["difference"] == {
        "cost_per_call_usd": "-0.17",
        "cost_per_1k_tokens_usd": "-0.17",
        "duration_p50_s": -3.5,
        "time_to_first_chunk_p50_s": None,
    }


def test_rates_by_route_and_by_model(stack: LocalStack) -> None:
    found = replacement(stack.ledger, EVERY)

    assert found["by_route"] == [
        {"route": "router > x", "calls": 7, "replaced_calls": 3, "activation_rate": 3 / 7},
        {"route": "openai/tiny", "calls": 1, "replaced_calls": 0, "activation_rate": 0.0},
    ]
    assert [each["requested_model"] for each in found["by_request_model"]] == ["big", "tiny"]


def test_another_tag_may_say_who_opted_out(stack: LocalStack) -> None:
    found = replacement(stack.ledger, [*EVERY, ("opt_out", "tag.router:never")])

    assert found["opt_out_calls"] == 0 and found["kept_calls"] == 4
    for wrong in ("replacement:off", "tag.x", "tag.:off", "tag.x:"):
        with pytest.raises(BadFilter, match="opt_out is no tag"):
            replacement(stack.ledger, [*EVERY, ("opt_out", wrong)])


def test_nothing_is_known_of_no_calls(stack: LocalStack) -> None:
    found = replacement(stack.ledger, [*EVERY, ("tenant", "nobody")])

    assert found["calls"] == 0 and found["activation_rate"] is None
    assert found["turns_before_replacement"]["p50"] is None
    assert found["by_pair"] == []
