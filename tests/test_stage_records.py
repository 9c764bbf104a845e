"""Records tell the ledger the very row that it would make itself, and always fit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from spans import foreign, hop, owner
from test_ledger_ownership import delivered, traces
from test_stage_bad_input import ABSURD

from tollspan import semconv
from tollspan.collector.call import Call
from tollspan.collector.records import LONG_BYTES, known_row, requests_of
from tollspan.collector.rows import call_row
from tollspan.collector.span import Span

NAMES = st.sampled_from(
    [name for name in semconv.ATTRIBUTES if not name.startswith("tollspan.cost.role")]
    + [semconv.TAG_PREFIX + "team"]
)
VALUES = st.one_of(
    st.text(max_size=5),
    st.integers(-1, 2**64),
    st.floats(),
    st.booleans(),
    st.none(),
    st.lists(st.text(max_size=3), max_size=2),
)


def known(row: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in row.items() if each not in (None, "", [], {})}


def told(calls: list[Call]) -> Iterator[dict[str, Any]]:
    for body, count in requests_of(calls, "me", 7):
        (resource,) = ExportLogsServiceRequest.FromString(body).resource_logs
        (scope,) = resource.scope_logs
        assert scope.scope.name == semconv.LEDGER_SCOPE
        assert len(scope.log_records) == count
        for record in scope.log_records:
            assert (record.event_name, record.observed_time_unix_nano) == (semconv.LEDGER_EVENT, 7)
            yield json.loads(record.body.string_value)


@given(traces(), st.dictionaries(NAMES, VALUES, max_size=12))
@settings(max_examples=100, deadline=None)
def test_a_record_has_the_row_of_the_ledger(trace: list[Span], more: dict[str, Any]) -> None:
    for each in trace:
        each.attributes |= more
    for call in delivered(trace).calls.values():
        assert known_row(call) == known(call_row(call))


@pytest.mark.parametrize("what", ABSURD)
def test_of_absurd_calls_too(what: str) -> None:
    calls = list(delivered([ABSURD[what]]).calls.values())
    for call in calls:
        assert known_row(call) == known(call_row(call))
    for record in told(calls):
        assert len(json.dumps(record)) < 1.1 * LONG_BYTES


def test_zero_and_false_are_known_and_told() -> None:
    said = {semconv.OUTPUT_TOKENS: 0, semconv.FALLBACK: False, semconv.COST_AMOUNT: 0.0}
    (record,) = told(list(delivered([owner(1, attributes=said)]).calls.values()))

    assert (record["call"]["output_tokens"], record["call"]["fallback"]) == (0, False)
    assert record["call"]["cost_usd"] == "0.000000000000"
    assert "error_type" not in record["call"]


def test_requests_stay_small_enough_for_any_collector() -> None:
    calls = list(
        delivered(
            [owner(n, trace_id=f"{n:032x}", name="x" * 2000) for n in range(1, 5001)]
        ).calls.values()
    )
    bodies = [body for body, _ in requests_of(calls, "me", 0)]

    assert len(bodies) > 1
    assert max(map(len, bodies)) < 4 * 1024 * 1024
    assert len(list(told(calls))) == 5000


def test_hops_that_are_gone_are_told_as_gone() -> None:
    table = delivered([foreign(1)], [hop(2, 1, 1, "proxy", "x")])
    (call,) = table.calls.values()
    (record,) = told([call])

    assert [(each["hop_index"], each["owner"]) for each in record["hops"]] == [
        (1, "owner"),
        (0, "gone"),
    ]
