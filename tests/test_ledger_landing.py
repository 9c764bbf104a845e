"""What a collector's clickhouse exporter writes becomes the ledger: spans as they were, calls as told."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from spans import START_NS, attempt, foreign, hop, owner, span

from tollspan import semconv
from tollspan.collector.call import Call
from tollspan.collector.foreign import normalised, settled
from tollspan.collector.links import borne, heard
from tollspan.collector.records import requests_of
from tollspan.collector.rows import call_row, hop_rows, span_of
from tollspan.collector.span import Event, Span
from tollspan.collector.stage import Remembered, Stage
from tollspan.collector.told_interactive import read as read_session
from tollspan.collector.told_record import read
from tollspan.local.ledger import Ledger
from tollspan.local.migrations import statements

LANDING = (resources.files("tollspan.local.clickhouse") / "landing.sql").read_text("utf-8")
OF_A_RECORD = {
    "externalRequestId": "order-7",
    "provider": "openai",
    "model": "gpt-4o-mini",
    "timestamp": "2026-05-28T20:26:41Z",
    "revision": 7,
}
OF_A_SESSION = {
    "id": "record-0001",
    "leg": "PTB",
    "timestamp": "2026-05-28T20:26:41Z",
    "model": "gpt-4o-mini",
    "session_id": "session-0002",
}
TABLES = ("spans", "span_links", "llm_calls", "llm_hops")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    made = Ledger(tmp_path_factory.mktemp("ledger"))
    for statement in statements(LANDING):
        made.recall(statement, {})
    yield made
    made.close()


def emptied(ledger: Ledger) -> Ledger:
    for table in TABLES:
        ledger.recall(f"TRUNCATE TABLE {table}", {})
    return ledger


def moment(time_ns: int) -> str:
    at = datetime.fromtimestamp(time_ns // 10**9, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}.{time_ns % 10**9:09d}"


def as_text(value: Any) -> str:
    """A value as pdata's `AsString` writes it."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return "" if value is None else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def exported(each: Span) -> dict[str, Any]:
    """A span as a row that the exporter inserts (exporter_traces.go, 0.161)."""
    duration = each.end_ns - each.start_ns
    return {
        "Timestamp": moment(each.start_ns),
        "TraceId": each.trace_id,
        "SpanId": each.span_id,
        "ParentSpanId": each.parent_id,
        "SpanName": each.name,
        "SpanKind": each.kind.capitalize(),
        "ServiceName": each.service,
        "ResourceAttributes": {key: as_text(value) for key, value in each.resource.items()},
        "ScopeName": each.scope,
        "ScopeVersion": each.scope_version,
        "SpanAttributes": {key: as_text(value) for key, value in each.attributes.items()},
        "Duration": duration if duration >= 0 else duration + 2**64,
        "StatusCode": each.status.capitalize(),
        "StatusMessage": each.status_message,
        "Events.Timestamp": [moment(event.time_ns) for event in each.events],
        "Events.Name": [event.name for event in each.events],
        "Events.Attributes": [
            {key: as_text(value) for key, value in event.attributes.items()}
            for event in each.events
        ],
    }


def stored(ledger: Ledger) -> list[Span]:
    found = ledger.query(
        "SELECT *, toUnixTimestamp64Nano(time) AS time_ns FROM spans FINAL ORDER BY span_id"
    )
    return [span_of(row) for row in found]


def records(calls: Sequence[Call], told_by: str) -> Iterator[dict[str, Any]]:
    """Rows of the records by which a stage tells of calls, as the exporter inserts logs."""
    for body, _ in requests_of(calls, told_by, START_NS):
        for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
            for scope in resource.scope_logs:
                for record in scope.log_records:
                    yield {
                        "Timestamp": moment(record.time_unix_nano),
                        "TraceId": record.trace_id.hex(),
                        "SpanId": record.span_id.hex(),
                        "ScopeName": scope.scope.name,
                        "EventName": record.event_name,
                        "Body": record.body.string_value,
                    }


def told(*batches: Sequence[Span]) -> list[Call]:
    stage = Stage(settled, normalised, lambda trace_ids: Remembered())
    return [call for batch in batches for call in stage.take(batch)]


# --- spans ----------------------------------------------------------------------------------------


def test_a_span_comes_back_as_it_was_with_its_types(ledger: Ledger) -> None:
    emptied(ledger)
    said = {
        semconv.INPUT_TOKENS: 540,
        semconv.COST_AMOUNT: 0.000123,
        semconv.CACHE_HIT: False,
        semconv.FINISH_REASONS: ["stop"],
        semconv.RESPONSE_HEADER_PREFIX + "x-litellm-call-id": ["call-0001"],
        # Texts that look like something else, under names whose values are texts.
        semconv.USER: "42",
        semconv.PROMPT_VERSION: "3",
        semconv.TAG_PREFIX + "year": "2026",
        semconv.REQUEST_ID: "1e5",
        semconv.TENANT: "true",
        "somebody.else": "007",
        "odd": "[1,",
        "note": 'a "quoted" text\nof two lines',
    }
    events = [Event("gen_ai.evaluation", START_NS + 5 * 10**8, {"score": "0.5"})]
    mine = span(1, 7, said, kind="client", status="error", status_message="boom", events=events)

    ledger.insert("otel_traces_in", [exported(mine)])

    (found,) = stored(ledger)
    found.stored_version = 0
    assert found == mine


def test_ids_of_gateways_and_answers_are_found_as_the_stage_finds_them(ledger: Ledger) -> None:
    emptied(ledger)
    call_id = {"litellm.call_id": "call-0001"}
    headers = {
        semconv.RESPONSE_HEADER_PREFIX + "llm_provider-x-litellm-call-id": "call-0002",
        semconv.RESPONSE_HEADER_PREFIX + "x_litellm_call_id": ["call-0003"],
        semconv.RESPONSE_HEADER_PREFIX + "x-other-x-litellm-call-id": "call-0004",
    }
    short = {"litellm.call_id": "short"}
    answered = {semconv.RESPONSE_ID: "chatcmpl-0001"}
    spans = [
        foreign(1, attributes=call_id),
        span(2, 1, headers, kind="client"),
        foreign(3, attributes=short),
        foreign(4, attributes=answered),
        foreign(5, attributes={**answered, semconv.RESPONSE_ID: "chatcmpl-0002"}, status="error"),
        owner(6, attributes={semconv.RESPONSE_ID: "chatcmpl-0003"}),
        owner(7, attributes={semconv.RESPONSE_ID: "chatcmpl-0004", semconv.CACHE_HIT: True}),
        span(8, 6, {semconv.GATEWAY_REQUEST_ID: "gateway-0001", semconv.HOP_ROLE: "proxy"}),
        owner(9, attributes={semconv.REQUEST_ID: "ü" * 100}),
        owner(10, attributes={semconv.REQUEST_ID: "x" * 129}),
        foreign(11, attributes={semconv.REQUEST_ID: "somebody's"}),
        read(OF_A_RECORD, START_NS).span,
        read_session(OF_A_SESSION, START_NS).span,
        span(14, 6, {semconv.RESPONSE_HEADER_PREFIX + "x_b2bua_session_id": ["session-0001"]}),
    ]
    expected = {key for each in spans for key in (*borne(each, normalised(each)), *heard(each))}

    ledger.insert("otel_traces_in", map(exported, spans))

    rows = ledger.query("SELECT key, trace_id FROM span_links FINAL")
    assert {row["key"] for row in rows} == expected
    assert {row["trace_id"] for row in rows} == {each.trace_id for each in spans}
    assert {key.split()[0] for key in expected} == {"request", "answer", "external", "session"}
    kept = {each.trace_id: each.version for each in stored(ledger)}
    for each in spans[-3:-1]:
        assert kept[each.trace_id] == each.version, "told calls say which of two stands"


@pytest.mark.parametrize(
    "change",
    [
        {"TraceId": ""},
        {"SpanId": "abc"},
        {"Timestamp": "1970-01-01 00:00:00.000000000"},
        {"Timestamp": "2262-01-01 00:00:00.000000000"},
    ],
    ids=str,
)
def test_a_span_that_no_ledger_can_keep_fails_nothing(
    ledger: Ledger, change: dict[str, str]
) -> None:
    emptied(ledger)
    ledger.insert("otel_traces_in", [exported(owner(1)), exported(owner(2)) | change])
    assert len(stored(ledger)) == 1


def test_an_end_before_the_start_is_not_known_and_the_kind_and_status_are_ours(
    ledger: Ledger,
) -> None:
    emptied(ledger)
    ledger.insert("otel_traces_in", [exported(span(1, end_ns=START_NS - 5))])
    ledger.insert("otel_traces_in", [exported(span(2)) | {"SpanKind": "", "StatusCode": "Strange"}])
    one, two = stored(ledger)
    assert (one.duration_ns, one.kind) == (None, "internal")
    assert (two.kind, two.status) == ("unspecified", "unset")


copies = st.lists(st.sampled_from([0, 1, 2, 3]), min_size=1, max_size=5)


@given(copies, copies)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_of_differing_copies_the_same_one_stays_whatever_the_order(
    ledger: Ledger, first: list[int], second: list[int]
) -> None:
    """The one with more evidence before all others."""
    variants = [
        exported(foreign(1)),
        exported(foreign(1, attributes={semconv.RESPONSE_MODEL: "x"})),
        exported(owner(1)),
        exported(foreign(1, end_ns=START_NS + 10**10)),
    ]
    kept = []
    for order in ([*first, *second], [*second, *first]):
        emptied(ledger)
        for each in order:
            ledger.insert("otel_traces_in", [variants[each]])
        kept.append(ledger.query("SELECT * FROM spans FINAL"))
    assert kept[0] == kept[1]
    (row,) = kept[0]
    assert (semconv.COST_ROLE in row["attributes"]) == (2 in {*first, *second})


# --- calls ----------------------------------------------------------------------------------------


def test_a_record_is_the_row_that_the_stage_made(ledger: Ledger) -> None:
    emptied(ledger)
    everything = {
        semconv.USER: 'O\'Brien "x" \\ \n\u2028 日本',
        semconv.TAG_PREFIX + "team": "growth",
        semconv.WEB_SEARCHES: 2,
        semconv.COST_DERIVED: 0.000000000001,
        semconv.COST_WASTED: 999.999999999999,
        semconv.REQUEST_STREAM: True,
        semconv.CACHE_HIT: False,
        semconv.FINISH_REASONS: ["stop", "length"],
        semconv.TIME_TO_FIRST_CHUNK: 0.25,
        semconv.REMAINING_TOKENS: 2**52,
        semconv.TOOLS_CALLED: 3,
        semconv.API_KEY_FINGERPRINT: "f00",
        semconv.CACHE_READ_TOKENS: 100,
    }
    calls = told(
        [
            owner(1, attributes=everything),
            foreign(2, attributes={semconv.CACHE_READ_TOKENS: 400}),
            attempt(3, 2, x_litellm_version="1.106.2", x_litellm_model_group="fast"),
            foreign(5, attributes={semconv.STATUS: "error"}, end_ns=0),
            owner(6),
            foreign(7, 6),
            hop(8, 6, 0, "proxy", "litellm"),
            span(9, 6, {semconv.HOP_REDACTION: "leaked"}),
        ]
    )
    ledger.insert("otel_logs_in", records(calls, "stage-1"))
    landed = [ledger.query(f"SELECT * FROM {table} ORDER BY ALL") for table in TABLES[2:]]
    emptied(ledger)
    ledger.insert("llm_calls", (call_row(each) | {"told_by": "stage-1"} for each in calls))
    ledger.insert("llm_hops", (row for each in calls for row in hop_rows(each)))

    assert landed == [ledger.query(f"SELECT * FROM {table} ORDER BY ALL") for table in TABLES[2:]]
    assert len(landed[0]) == len(calls) == 5
    assert {row["redaction"] for row in landed[1]} == {"", "leaked"}
    assert {row["role"] for row in landed[0]} == {"owner", "restated"}


def test_later_records_correct_earlier_ones_in_any_order_however_often(ledger: Ledger) -> None:
    late = attempt(2, 1, x_litellm_version="1.106.2", x_litellm_model_group="fast")
    first, second = told([foreign(1)], [late])
    for order in ([first, second], [second, first], [second, first, second, first]):
        emptied(ledger)
        for each in order:
            ledger.insert("otel_logs_in", records([each], "stage-1"))
        (row,) = ledger.query("SELECT route, cost_usd FROM tollspan_calls")
        assert row["route"].startswith("litellm")
        assert row["cost_usd"] == "0.00075"


@pytest.mark.parametrize(
    "record",
    [
        {"Body": "garbage"},
        {"Body": "{}"},
        {"Body": '{"call": 5, "hops": {}, "told_by": []}'},
        {"Body": '{"call": {"call_id": "x"}, "hops": [{"call_id": 7}]}'},
        {"Body": json.dumps({"call": call_row(told([owner(1)])[0])}), "ScopeName": "another"},
        {"Body": json.dumps({"call": call_row(told([owner(1)])[0])}), "EventName": "another"},
    ],
    ids=range(6),
)
def test_other_logs_and_garbage_are_no_calls_and_fail_nothing(
    ledger: Ledger, record: dict[str, str]
) -> None:
    emptied(ledger)
    good = next(records(told([owner(1)]), "s"))
    ledger.insert("otel_logs_in", [good | record])
    assert ledger.query("SELECT count() AS n FROM llm_calls") == [{"n": 0}]
    ledger.insert("otel_logs_in", [good | record, good])
    assert ledger.query("SELECT count() AS n FROM llm_calls") == [{"n": 1}]


def test_every_column_of_the_ledger_is_filled_and_landing_columns_are_the_exporters() -> None:
    """As `internal/sqltemplates` of the exporter names them, from 0.149 to 0.161."""
    traces, logs = (
        re.findall(r"^    (\w+) ", each.split("ENGINE = Null")[0], re.MULTILINE)
        for each in LANDING.split("CREATE TABLE IF NOT EXISTS ")[1:3]
    )
    assert traces == [
        *("Timestamp", "TraceId", "SpanId", "ParentSpanId", "TraceState", "SpanName", "SpanKind"),
        *("ServiceName", "ResourceAttributes", "ScopeName", "ScopeVersion", "SpanAttributes"),
        *("Duration", "StatusCode", "StatusMessage", "Events", "Links"),
    ]
    assert logs == [
        *("Timestamp", "TraceId", "SpanId", "TraceFlags", "SeverityText", "SeverityNumber"),
        *("ServiceName", "Body", "ResourceSchemaUrl", "ResourceAttributes", "ScopeSchemaUrl"),
        *("ScopeName", "ScopeVersion", "ScopeAttributes", "LogAttributes", "EventName"),
    ]


@pytest.mark.parametrize(
    ("view", "table", "without"),
    [
        ("otel_to_spans", "spans", set()),
        ("otel_to_links", "span_links", set()),
        ("otel_to_calls", "llm_calls", {"repricings"}),
        ("otel_to_hops", "llm_hops", set()),
    ],
)
def test_a_view_fills_every_column(
    ledger: Ledger, view: str, table: str, without: set[str]
) -> None:
    columns = (
        "SELECT name FROM system.columns WHERE database = currentDatabase() "
        "AND table = {table:String} AND default_kind != 'MATERIALIZED'"
    )
    filled, there = (
        {row["name"] for row in ledger.query(columns, {"table": each})} for each in (view, table)
    )
    assert filled == there - without
