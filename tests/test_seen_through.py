"""A call of another tracer through a gateway has the price and the path that the gateway's span tells,
and stays the application's."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from spans import attempt, foreign, owner, span
from test_stage_senders import Stage, total

from tollspan import semconv
from tollspan.collector.foreign import normalised, settled
from tollspan.collector.rows import call_row, hop_rows
from tollspan.collector.span import Span
from tollspan.collector.stage import Call, Remembered
from tollspan.collector.stage import Stage as Fold

ALIAS = "house"


def asked(number: int = 2, parent: int = 1, tokens: int | None = 1000, **more: Any) -> Span:
    """The application's call as OpenLLMetry and the like tell it: they know the alias only."""
    said = {semconv.REQUEST_MODEL: ALIAS, semconv.RESPONSE_MODEL: ALIAS, **more}
    return foreign(number, parent, tokens, attributes=said, end_ns=2 * 10**18)


def carried(
    number: int = 5, parent: int = 4, tokens: int | None = 1000, status: str = "ok", **more: Any
) -> Span:
    """LiteLLM's own span of it."""
    said = {
        "gen_ai.system": "openai",
        "llm.request.type": "acompletion",
        semconv.REQUEST_MODEL: "gpt-4o-mini",
        semconv.RESPONSE_MODEL: ALIAS,
        "litellm.model_group": ALIAS,
        "litellm.provider.model": "openai/gpt-4o-mini",
        "litellm.call_id": f"call-{number}",
        "litellm.request.route": "/v1/chat/completions",
    }
    if tokens is not None:
        said |= {semconv.INPUT_TOKENS: tokens, semconv.OUTPUT_TOKENS: tokens}
    return span(number, parent, said | more, scope="litellm", status=status)


SERVER = span(1, scope="web", kind="server")
BETWEEN = [
    attempt(3, 2),
    span(4, 3, scope="litellm", kind="server"),
]


def told(*spans: Span) -> dict[int, Call]:
    """What stands at the end, by the number of the span."""
    fold = Fold(settled, normalised, lambda trace_ids: Remembered())
    found: dict[int, Call] = {}
    for each in spans:
        for call in fold.take([each]):
            number = int(call.span.span_id, 16)
            assert number not in found or call.version > found[number].version
            found[number] = call
    return found


def test_the_application_owns_the_call_and_the_gateway_says_what_it_cost() -> None:
    calls = told(SERVER, asked(), *BETWEEN, carried())
    row = call_row(calls[2])

    assert (row["role"], row["cost_usd"], row["cost_grade"]) == (
        "owner",
        "0.000750000000",
        "derived",
    )
    assert row["route"] == "litellm > openai/gpt-4o-mini"
    assert row["service"] == "shop"
    assert row["unpriced_reason"] == ""
    assert [each["role"] for each in hop_rows(calls[2])] == ["proxy", "model"]
    assert call_row(calls[5])["role"] == "restated"


def test_in_whatever_order_the_spans_come() -> None:
    spans = (asked(), *BETWEEN, carried())
    rows = {str(sorted(call_row(told(*each)[2]).items())) for each in permutations(spans)}

    assert len(rows) == 1


@pytest.mark.parametrize(
    "other",
    [
        carried(tokens=7),
        carried(tokens=None, status="error"),
        owner(5, 4),
        foreign(5, 4),
        carried(**{"litellm.request.purpose": "guardrail"}),
    ],
    ids=["another usage", "a failed attempt", "ours", "no gateway", "the gateway's own call"],
)
def test_what_tells_of_something_else_lends_nothing(other: Span) -> None:
    calls = told(SERVER, asked(), *BETWEEN, other)
    row = call_row(calls[2])

    assert row["cost_usd"] is None
    assert row["route"] == "openai/house"


def test_a_price_that_is_known_stays_and_the_path_is_told() -> None:
    spans = (SERVER, asked(**{semconv.RESPONSE_MODEL: "gpt-4o"}), *BETWEEN, carried())
    row = call_row(told(*spans)[2])

    assert row["cost_usd"] == "0.012500000000", (
        "what the application was told is what it is priced by"
    )
    assert row["route"] == "litellm > openai/gpt-4o-mini"


def test_two_gateways_behind_each_other_lend_what_the_nearest_tells() -> None:
    nested = carried(7, 6, **{"litellm.provider.model": "openai/gpt-4o"})
    calls = told(SERVER, asked(), *BETWEEN, carried(), span(6, 5, scope="litellm"), nested)

    assert call_row(calls[2])["cost_usd"] == "0.000750000000"
    assert {call.role for call in calls.values()} == {"owner", "restated"}
    assert sum(call.role == "owner" for call in calls.values()) == 1


def test_two_calls_of_one_trace_each_have_their_own() -> None:
    second = [asked(12, 1), attempt(13, 12), span(14, 13, scope="litellm"), carried(15, 14)]
    calls = told(SERVER, asked(), *BETWEEN, carried(), *second)

    assert [call_row(calls[each])["cost_usd"] for each in (2, 12)] == ["0.000750000000"] * 2


TRACES = ("0a" * 16, "0b" * 16)


def elsewhere(tokens: int | None, traces: tuple[str, str]) -> list[Span]:
    """The application's call and the gateway's in two traces: only the answer's id joins them."""
    answer = {semconv.RESPONSE_ID: "chatcmpl-1234567"}
    return [
        replace(asked(2, 0, tokens, **answer), trace_id=traces[0]),
        replace(carried(5, 0, **answer), trace_id=traces[1]),
    ]


@pytest.mark.parametrize("traces", [TRACES, TRACES[::-1]])
def test_in_another_trace_likewise_whatever_its_id_and_whichever_comes_first(
    traces: tuple[str, str],
) -> None:
    for spans in permutations(elsewhere(1000, traces)):
        calls = told(*spans)
        row = call_row(calls[2])
        assert (row["role"], row["cost_usd"]) == ("owner", "0.000750000000")
        assert row["route"] == "litellm > openai/gpt-4o-mini"
        assert call_row(calls[5])["role"] == "restated"

    stage = Stage()
    stage.take(*elsewhere(1000, traces))
    stage.later()
    assert total(stage.text, "calls") == 1
    assert str(total(stage.text, "cost_usd", service="shop")) == "0.000750000000"


@pytest.mark.parametrize("traces", [TRACES, TRACES[::-1]])
def test_a_stream_whose_usage_the_gateway_alone_knows_is_told_once(traces: tuple[str, str]) -> None:
    for spans in permutations(elsewhere(None, traces)):
        calls = told(*spans)
        assert [calls[each].role for each in (2, 5)] == ["restated", "owner"]
        assert call_row(calls[5])["cost_usd"] == "0.000750000000"


def test_what_a_stage_counts_of_it_is_the_same() -> None:
    stage = Stage()
    stage.take(SERVER, asked(), *BETWEEN, carried())
    stage.later()

    assert total(stage.text, "calls", service="shop", model="gpt-4o-mini") == 1
    assert str(total(stage.text, "cost_usd")) == "0.000750000000"
    assert total(stage.text, "unpriced_calls") == 0
