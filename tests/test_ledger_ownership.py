"""One owner per answer: any order, any batching, any redelivery of the same spans, the same rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spans import TRACE, attempt, foreign, hop, owner, span

from tollspan import semconv
from tollspan.collector import stage as stage_module
from tollspan.collector.foreign import normalised, settled
from tollspan.collector.span import Span
from tollspan.collector.stage import Call, Remembered, Stage
from tollspan.local.ledger import Ledger
from tollspan.local.recall import Recall
from tollspan.local.writer import Writer


class Table:
    """What a ReplacingMergeTree keeps: of each key the row with the highest version."""

    def __init__(self) -> None:
        self.spans: dict[str, Span] = {}
        self.calls: dict[str, Call] = {}
        self.hops: dict[tuple[str, int], tuple[int, Any]] = {}
        self.keys: dict[tuple[str, str], None] = {}

    def add(self, spans: Iterable[Span], calls: Iterable[Call]) -> None:
        for each in spans:
            kept = self.spans.get(each.span_id)
            if kept is None or each.version >= kept.version:
                self.spans[each.span_id] = each
        for call in calls:
            there = self.calls.get(call.call_id)
            if there is None or call.version >= there.version:
                self.calls[call.call_id] = call
            told: dict[int, Any] = {each.index: each for each in call.hops}
            for index, each in (told | dict.fromkeys(call.hops_gone)).items():
                if call.version >= self.hops.get((call.call_id, index), (0, None))[0]:
                    self.hops[call.call_id, index] = (call.version, each)

    def recall(self, trace_ids: Sequence[str]) -> Remembered:
        hops: dict[str, list[int]] = {}
        for (call_id, index), (_, told) in self.hops.items():
            if told is not None:
                hops.setdefault(call_id, []).append(index)
        spans = [each for each in self.spans.values() if each.trace_id in trace_ids]
        return Remembered(spans, hops)

    def linked(self, keys: Sequence[str]) -> list[str]:
        return [trace_id for key, trace_id in self.keys if key in keys]

    def rows(self) -> tuple[dict[str, Any], dict[Any, Any]]:
        calls = {
            call.call_id: (call.role, call.owner_span_id, call.attributes, call.span.end_ns)
            for call in self.calls.values()
            if call.role != "gone"
        }
        return calls, {key: hop for key, (_, hop) in self.hops.items() if hop is not None}

    def owners(self) -> set[int]:
        return {int(c.span.span_id, 16) for c in self.calls.values() if c.role == "owner"}


def delivered(*batches: Sequence[Span], fresh_stage: bool = False) -> Table:
    table = Table()
    stage = Stage(settled, normalised, table.recall, table.linked)
    for batch in batches:
        if fresh_stage:
            stage = Stage(settled, normalised, table.recall, table.linked)
        table.add(batch, stage.take(batch))
        table.keys |= stage.keys
    return table


def test_our_call_owns_what_other_instrumentations_tell_again_inside_and_around_it() -> None:
    table = delivered([span(1), foreign(2, 1), owner(3, 2), foreign(4, 3), attempt(5, 4)])

    assert table.owners() == {3}
    assert {call.owner_span_id for call in table.calls.values()} == {f"{3:016x}"}


def test_the_outermost_of_our_calls_owns() -> None:
    assert delivered([owner(3, 2), span(2, 1), owner(1)]).owners() == {1}


def test_two_calls_beside_each_other_both_own() -> None:
    assert delivered([span(1), owner(2, 1), owner(3, 1), foreign(4, 1)]).owners() == {2, 3, 4}


def test_of_foreign_calls_the_outermost_with_usage_owns() -> None:
    assert delivered([foreign(1, tokens=None), foreign(2, 1), foreign(3, 2)]).owners() == {2}


def test_a_foreign_call_is_priced_and_gets_its_path() -> None:
    (call,) = delivered([foreign(1), attempt(2, 1)]).calls.values()

    assert call.attributes[semconv.COST_AMOUNT] == 0.00075  # 1000 in at 0.15, 1000 out at 0.60
    assert call.attributes[semconv.ROUTE] == "openai/gpt-4o-mini"
    assert [each.attributes[semconv.HOP_ROLE] for each in call.hops] == ["model"]


def test_headers_of_a_late_attempt_correct_a_foreign_call() -> None:
    late = attempt(2, 1, x_litellm_version="1.106.2", x_litellm_model_group="fast")
    table = delivered([foreign(1)], [late])

    (call,) = table.calls.values()
    assert call.attributes[semconv.ROUTE].startswith("litellm")


def test_the_missing_link_between_two_calls_arrives_last() -> None:
    table = delivered([foreign(3, 2)], [owner(1)], [span(2, 1)])

    assert table.owners() == {1}


def test_a_sibling_that_logs_the_same_response_at_the_same_time_is_told_again() -> None:
    said = {semconv.RESPONSE_ID: "chatcmpl-1"}
    ours = owner(2, 1, attributes=said, end_ns=owner(2).start_ns + 10**10)
    table = delivered([span(1), ours, foreign(3, 1, attributes=said)])
    later = delivered([span(1), owner(2, 1, attributes=said), foreign(9, 1, attributes=said)])

    assert table.owners() == {2}
    assert later.owners() == {2, 9}, "a cache repeats a response id in a later call"


def test_a_span_that_comes_in_two_copies_stands_as_the_one_with_more_evidence() -> None:
    bare = owner(1)
    bare.attributes = {k: v for k, v in bare.attributes.items() if not k.startswith("tollspan.")}
    bare.attributes.pop(semconv.COST_AMOUNT)

    first, second = delivered([bare], [owner(1)]), delivered([owner(1)], [bare])

    assert first.rows() == second.rows()
    assert next(iter(first.calls.values())).attributes[semconv.COST_AMOUNT] == 0.000123


def test_of_two_copies_with_different_starts_one_row_stays() -> None:
    first, better = owner(1, cost=0.1), owner(1, cost=0.2, start_ns=owner(1).start_ns + 5)

    one, other = delivered([first], [better]), delivered([better], [first])
    restarted = delivered([first], [better], [first], fresh_stage=True)

    assert one.rows() == other.rows() == restarted.rows()
    assert len(one.rows()[0]) == 1


def test_a_circle_of_parents_ends() -> None:
    assert delivered([owner(1, 2), owner(2, 1), owner(3, 3)]).owners() >= {3}


OTHER = "ab" * 16
CALL_ID = {"litellm.call_id": "call-0001", "litellm.provider.model": "openai/gpt-4o-mini"}


def heard(number: int, parent: int, name: str = "x-litellm-call-id") -> Span:
    return span(
        number,
        parent,
        {
            semconv.HTTP_METHOD: "POST",
            semconv.ATTEMPT: 1,
            semconv.RESPONSE_HEADER_PREFIX + name: "call-0001",
        },
        kind="client",
    )


@pytest.mark.parametrize("name", ["x-litellm-call-id", "llm_provider-x-litellm-call-id"])
@pytest.mark.parametrize("late", [0, 1, 2])
def test_the_id_of_a_gateway_joins_the_call_of_its_own_trace(name: str, late: int) -> None:
    spans = [owner(1), heard(2, 1, name), foreign(9, attributes=CALL_ID, trace_id=OTHER)]
    last = spans.pop(late)
    for restarted in (False, True):
        table = delivered(spans, [last], fresh_stage=restarted)
        assert table.owners() == {1}
        assert {call.owner_span_id for call in table.calls.values()} == {f"{1:016x}"}


def test_without_a_watched_client_the_call_of_the_proxy_owns() -> None:
    assert delivered([foreign(9, attributes=CALL_ID, trace_id=OTHER)]).owners() == {9}


def test_what_a_proxy_asks_for_itself_is_paid_besides() -> None:
    judge = {**CALL_ID, "litellm.request.purpose": "llm_as_a_judge_guardrail"}
    assert delivered([owner(1), heard(2, 1), foreign(3, 2, attributes=judge)]).owners() == {1, 3}


def test_a_watched_proxys_call_whose_owner_was_lost_owns_until_it_comes() -> None:
    said = {
        semconv.COST_ROLE: "restated",
        semconv.OWNER_SPAN_ID: f"{1:016x}",
        semconv.RESTATED_INPUT_TOKENS: 1000,
        semconv.RESTATED_OUTPUT_TOKENS: 1000,
        semconv.RESTATED_PREFIX + "cache_read.input_tokens": 0,
    }
    mine = owner(3, 2, cost=None, attributes=said)
    for name in (semconv.INPUT_TOKENS, semconv.OUTPUT_TOKENS, semconv.COST_GRADE):
        del mine.attributes[name]
    table = delivered([mine])
    assert table.owners() == {3}
    (call,) = table.calls.values()
    assert call.attributes[semconv.COST_AMOUNT] == 0.00075
    assert delivered([mine], [owner(1), span(2, 1)]).owners() == {1}


def test_an_id_that_everybody_bears_joins_nothing() -> None:
    many = [foreign(100 + n, attributes=CALL_ID, trace_id=f"{n + 1:032x}") for n in range(70)]
    table = delivered([owner(1), heard(2, 1), *many])
    assert len(table.owners()) == 71


PARTS = st.sampled_from(
    ["app", "owner", "restated", "foreign", "no usage", "beside", "hop", "attempt"]
)


@st.composite
def traces(draw: st.DrawFn) -> list[Span]:
    """A trace of up to eight spans; a parent may be missing."""
    made = []
    for number in range(1, draw(st.integers(1, 8)) + 1):
        parent = draw(st.integers(0, number - 1))
        part = draw(PARTS)
        if part == "owner":
            made.append(owner(number, parent, cost=number / 1000))
        elif part == "restated":
            made.append(owner(number, parent, attributes={semconv.COST_ROLE: "restated"}))
        elif part in ("foreign", "no usage"):
            made.append(foreign(number, parent, tokens=number if part == "foreign" else None))
        elif part == "beside":  # which of several instrumentations may tell of one answer
            told = foreign(number, parent, tokens=draw(st.integers(1, 2)))
            told.scope = draw(st.sampled_from(["another", "framework", "sdk"]))
            told.start_ns -= draw(st.integers(0, 3)) * 10**9
            told.end_ns += draw(st.integers(0, 3)) * 10**9
            made.append(told)
        elif part == "hop":
            made.append(hop(number, parent, draw(st.integers(0, 2)), "proxy", f"p{number}"))
        elif part == "attempt":
            made.append(attempt(number, parent))
        else:
            made.append(span(number, parent))
        if draw(st.integers(0, 5)) == 0:  # a second copy of it that says something else
            copy = owner(number, draw(st.integers(0, number - 1)), cost=9 + number)
            copy.start_ns += draw(st.integers(0, 1))
            made.append(copy)
    return made


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Span], list[list[Span]]]:
    """A trace, and a way for it to come in: shuffled, in batches, some of it several times."""
    trace = draw(traces())
    sent = draw(st.permutations(trace + draw(st.lists(st.sampled_from(trace), max_size=6))))
    batches, at = [], 0
    while at < len(sent):
        size = draw(st.integers(1, 4))
        batches.append(list(sent[at : at + size]))
        at += size
    return trace, batches


@given(deliveries())
@settings(max_examples=300, deadline=None)
def test_any_delivery_gives_the_same_rows(delivery: tuple[list[Span], list[list[Span]]]) -> None:
    trace, batches = delivery
    at_once = delivered(trace)

    assert delivered(*batches).rows() == at_once.rows()
    assert delivered(*batches, fresh_stage=True).rows() == at_once.rows(), "after restarts"


@given(traces())
@settings(max_examples=200, deadline=None)
def test_no_owner_stands_below_another(trace: list[Span]) -> None:
    parents = {e.span_id: e.parent_id for e in sorted(trace, key=lambda e: e.version)}
    owners = {f"{number:016x}" for number in delivered(trace).owners()}

    for each in owners:
        above = parents[each]
        while above in parents:
            assert above not in owners
            above = parents[above]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    made = Ledger(Path(tmp_path_factory.mktemp("ledger")))
    yield made
    made.close()


def written(ledger: Ledger, batches: Iterable[Sequence[Span]]) -> tuple[list[Any], list[Any], Any]:
    """Rows of both views and the sum of the money, after `batches` came in to an empty ledger."""
    for table in ("spans", "llm_calls", "llm_hops", "span_links"):
        ledger._writer.query(f"TRUNCATE TABLE {table}")
    recall = Recall(ledger)
    writer = Writer(ledger, Stage(settled, normalised, recall, recall.linked), lambda calls: None)
    for batch in batches:
        writer.offer(batch).result(30)
    writer.stop()
    return (
        ledger.query("SELECT * FROM tollspan_calls ORDER BY call_id"),
        ledger.query("SELECT * FROM tollspan_hops ORDER BY call_id, hop_index"),
        ledger.query("SELECT sum(cost_usd) AS usd, count() AS calls FROM tollspan_calls"),
    )


@given(deliveries())
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_delivery_gives_the_same_rows_in_the_real_ledger(
    ledger: Ledger, delivery: tuple[list[Span], list[list[Span]]]
) -> None:
    trace, batches = delivery

    assert written(ledger, batches) == written(ledger, [trace])


def test_redelivery_of_everything_changes_no_sum(ledger: Ledger) -> None:
    trace = [span(1), owner(2, 1, cost=0.1), owner(3, 1, cost=0.2), owner(4, 1, cost=1e-12)]
    *_, [once] = written(ledger, [trace])
    *_, [thrice] = written(ledger, [trace, trace, list(reversed(trace))])

    assert once == thrice
    assert Decimal(once["usd"]) == Decimal("0.300000000001")


def test_a_span_that_comes_after_its_trace_was_forgotten_still_finds_its_owner(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_module, "REMEMBERED_SPANS", 1)
    other = "ff" * 16
    batches = [
        [foreign(3, 2)],
        [owner(7, trace_id=other)],
        [owner(1), span(2, 1)],
        [owner(8, trace_id=other)],
    ]
    calls, _, _ = written(ledger, batches)

    assert {row["span_id"] for row in calls if row["trace_id"] == TRACE} == {f"{1:016x}"}
