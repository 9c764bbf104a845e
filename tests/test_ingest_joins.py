"""A record of a call that a span tells of, too: restated and never added, whichever comes first."""

from __future__ import annotations

import itertools
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ingesting import OPENER, post, record, rows, spent
from spans import START_NS, attempt, owner, protobuf, span

from tollspan import config, semconv
from tollspan.collector.call import Call
from tollspan.collector.foreign import normalised, settled
from tollspan.collector.rows import call_row
from tollspan.collector.span import Span
from tollspan.collector.stage import Remembered, Stage
from tollspan.collector.told_record import read
from tollspan.local import LocalStack

OTHER = "0" * 31 + "b"


@pytest.fixture(autouse=True)
def usual_settings() -> None:
    config.reload({})


def told(now_ns: int = START_NS + 10**9, **more: Any) -> Span:
    return read(record(1, **more), now_ns).dated(now_ns)


def ours(number: int = 1, request: str = "call-1", **more: Any) -> Span:
    return owner(number, attributes={semconv.REQUEST_ID: request}, **more)


def at_the_end(batches: Sequence[Sequence[Span]]) -> dict[str, Call]:
    """By span id what the ledger has when all is told."""
    stage = Stage(settled, normalised, lambda trace_ids: Remembered())
    last: dict[str, Call] = {}
    for batch in batches:
        for call in stage.take(batch):
            there = last.get(call.call_id)
            if there is None or call.version >= there.version:
                last[call.call_id] = call
    return {call.span.span_id: call for call in last.values()}


def test_whichever_comes_first_the_span_owns_and_the_record_restates() -> None:
    found = []
    for order in itertools.permutations([told(), ours(), ours(2, "other", trace_id=OTHER)]):
        for batches in ([order], [[each] for each in order]):
            ended = at_the_end(batches)
            roles = {each: (call.role, call.owner_span_id) for each, call in ended.items()}
            made = {each: call_row(call) for each, call in ended.items()}
            for row in made.values():
                del row["version"]  # a row that stays as it is keeps its version
            found.append((roles, made))
    span_id = ours().span_id
    assert found[0][0] == {
        told().span_id: ("restated", span_id),
        span_id: ("owner", span_id),
        ours(2).span_id: ("owner", ours(2).span_id),
    }
    assert all(each == found[0] for each in found), "any order, any batches: the same rows"


def test_a_record_of_no_known_call_owns_its_money() -> None:
    ended = at_the_end([[ours(request="another")], [told()]])
    assert {call.role for call in ended.values()} == {"owner"}


def test_a_record_meets_its_call_at_any_time_but_an_answer_only_then() -> None:
    year = 365 * 24 * 3600 * 10**9
    late = told(START_NS + year)
    assert at_the_end([[ours()], [late]])[late.span_id].role == "restated"
    said = {semconv.REQUEST_ID: "another", semconv.RESPONSE_ID: "chatcmpl-0001"}
    call = owner(1, attributes=said)
    for then, role in ((START_NS + 10**9, "restated"), (START_NS + year, "owner")):
        again = told(then + 400_000_000, responseId="chatcmpl-0001")
        assert at_the_end([[call], [again]])[again.span_id].role == role


def test_a_record_joins_by_the_id_that_a_gateway_gave_the_request() -> None:
    call = owner(1, attributes={semconv.REQUEST_ID: "mine"})
    headers = attempt(2, 1, **{"x-litellm-call-id": "5cd3a1f0-aaaa"})
    record_ = told(gatewayRequestId="5cd3a1f0-aaaa", gateway="litellm")
    for order in itertools.permutations([call, headers, record_]):
        ended = at_the_end([[each] for each in order])
        assert ended[record_.span_id].role == "restated"
        assert ended[record_.span_id].owner_span_id == call.span_id


def test_many_calls_under_one_id_join_nothing_and_stay_what_they_are() -> None:
    """A job may put one request id around all of its calls."""
    many = [
        ours(number, "job-7", trace_id=f"{number:032x}", span_id=f"{number:016x}")
        for number in range(1, 101)
    ]
    record_ = read(record(1, externalRequestId="job-7"), START_NS).dated(START_NS)
    ended = at_the_end([many[:50], [record_], many[50:]])
    assert {call.role for call in ended.values()} == {"owner"}
    assert len(ended) == 101


@pytest.mark.slow
def test_the_ledger_remembers_both_ways(tmp_path: Path) -> None:
    """What came before a restart is joined to what comes after it."""
    early = ours(1, "call-1")
    late = ours(2, "call-2", trace_id=OTHER)
    with LocalStack(tmp_path) as stack:
        stack.writer.offer([early]).result(30)
        post(stack, record(2))
        assert spent(stack) == (2, "0.000333", 1540)
    with LocalStack(tmp_path) as stack:
        assert post(stack, [record(1), record(2)])[1]["duplicates"] == 1
        stack.writer.offer([late]).result(30)
        assert [row["span_id"] for row in rows(stack)] == [early.span_id, late.span_id]
        assert spent(stack) == (2, "0.000246", 1080)
        roles = rows(stack, "request_id = 'call-2'", "llm_calls FINAL")
        assert sorted(row["role"] for row in roles) == ["owner", "restated"]


@pytest.mark.slow
def test_spans_that_come_over_otlp_meet_their_records() -> None:
    """Before, after, many at once, and many under one id."""

    def sent(stack: LocalStack, numbers: range, request: str = "") -> None:
        spans = [
            ours(
                number,
                request or f"call-{number}",
                trace_id=f"{number:032x}",
                span_id=f"{number:016x}",
            )
            for number in numbers
        ]
        asked = urllib.request.Request(
            f"{stack.http_endpoint}/v1/traces",
            protobuf(spans),
            {"content-type": "application/x-protobuf"},
        )
        with OPENER.open(asked, timeout=30) as answer:
            assert answer.status == 200

    with LocalStack() as stack:
        sent(stack, range(100, 120))
        assert post(stack, [record(number) for number in range(100, 140)])[0] == 200
        sent(stack, range(120, 140))
        for numbers in (range(1000, 1080), range(1080, 1160)):
            sent(stack, numbers, "a-job-7")
        assert spent(stack, "request_id != 'a-job-7'") == (40, "0.00492", 21_600)
        assert spent(stack, "request_id = 'a-job-7'")[0] == 160
        roles = rows(stack, "scope = 'tollspan.ingest'", "llm_calls FINAL")
        assert {row["role"] for row in roles} == {"restated"} and len(roles) == 40


@pytest.mark.slow
def test_after_a_restart_a_record_is_still_known(tmp_path: Path) -> None:
    for expected in ((1, 0), (0, 1)):
        with LocalStack(tmp_path) as stack:
            answer = post(stack, record(1))[1]
            assert (answer["accepted"], answer["duplicates"]) == expected
            assert spent(stack) == (1, "0.00021", 1000)


@pytest.mark.slow
def test_ids_are_hashed_where_that_is_asked_for() -> None:
    config.reload({"TOLLSPAN_HASH_KEY": "k"})
    with LocalStack() as stack:
        post(stack, record(1, userId="u", sessionId="s"))
        (row,) = rows(stack)
        (kept,) = stack.ledger.query("SELECT toString(attributes) AS said FROM spans")
    for name, value in (("tenant", "acme"), ("user", "u"), ("session", "s")):
        assert row[name].startswith("h:") and row[name] != value
    assert "acme" not in kept["said"]


def test_nothing_but_a_record_bears_the_callers_id() -> None:
    """Two calls of ours under one id are two calls."""
    one, two = ours(1), ours(2, trace_id=OTHER)
    ended = at_the_end([[one], [two]])
    assert {call.role for call in ended.values()} == {"owner"}
    elsewhere = span(5, attributes={semconv.REQUEST_ID: "call-1"}, trace_id=OTHER)
    assert len(at_the_end([[one], [elsewhere]])) == 1
