"""Records and events at a stage: the same answers as of the local server, and spans like any other."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc
import pytest
from ingesting import otoroshi_event, record
from sink import Failing, Sink
from spans import START_NS, owner, protobuf
from stages import post, send, stage

import tollspan
from tollspan import config, semconv
from tollspan.collector.enrich import enrich
from tollspan.collector.foreign import normalised, settled
from tollspan.collector.ingest_http import MOST_BYTES
from tollspan.collector.rows import call_row, hop_rows
from tollspan.collector.stage import Remembered, Stage
from tollspan.collector.told_record import read
from tollspan.collector.told_wire import REQUEST_BYTES, requests_of
from tollspan.launcher.command import main

AT = START_NS // 10**6
"""When the calls of these records began, in milliseconds."""


@pytest.fixture(autouse=True)
def usual_settings() -> None:
    config.reload({})


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with Sink() as made:
        yield made


@pytest.fixture(scope="module")
def one(sink: Sink) -> Iterator[Any]:
    with stage(sink.grpc_url) as made:
        yield made


def dated(number: int, **more: Any) -> dict[str, Any]:
    return record(number, timestamp=AT + number) | more


def ingest(made: Any, body: Any, path: str = "", **headers: str) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"content_type": "application/json"} | headers
    status, answer, _ = post(
        f"127.0.0.1:{made.ports.http}", data, path=f"/v1/ingest{path}", **given
    )
    return status, json.loads(answer)


def counts(answer: Any) -> tuple[int, int, int]:
    return answer["accepted"], answer["duplicates"], answer["rejected"]


def named(sink: Sink, request_id: str) -> list[dict[str, Any]]:
    return [row for row in sink.owners() if row.get("request_id") == request_id]


def test_a_record_is_sent_on_as_a_span_and_as_a_call_when_it_is_answered(
    sink: Sink, one: Any
) -> None:
    more = {"tags": {"team": "growth"}, "environment": "staging", "service": "shop", "attempts": 2}
    assert ingest(one, dated(1, endpointTag="checkout", **more)) == (
        200,
        {
            "accepted": 1,
            "duplicates": 0,
            "ignored": 0,
            "rejected": 0,
            "errors": [],
            "more_errors": 0,
        },
    )
    (row,) = named(sink, "call-1")
    expected = {
        "cost_usd": "0.000210000000",
        "tenant": "acme",
        "endpoint": "checkout",
        "provider": "openai",
        "request_model": "gpt-4o-mini",
        "tags": {"team": "growth"},
        "environment": "staging",
        "service": "shop",
        "app_attempts": 2,
        "duration_s": 0.892,
        "route": "openai/gpt-4o-mini",
    }
    assert {name: row.get(name) for name in expected} == expected
    span = sink.spans[row["trace_id"], row["span_id"]]
    said = {each.key: each.value for each in span.attributes}
    assert said[semconv.TOLD_FROM].string_value == "record"
    assert said[semconv.COST_AMOUNT].double_value == 0.00021, "priced on the way, like any span"


def test_what_is_wrong_is_told_by_its_path_and_the_rest_is_kept(sink: Sink, one: Any) -> None:
    batch = [dated(10), dated(11, inputTokens=-1), dated(12, statuz="ok"), "no object"]
    status, answer = ingest(one, batch)
    assert (status, counts(answer)) == (207, (1, 0, 3))
    assert [(each["index"], each["path"]) for each in answer["errors"]] == [
        (1, "inputTokens"),
        (2, "statuz"),
        (3, ""),
    ]
    lines = b"\n".join(json.dumps(each).encode() for each in (dated(10), dated(13)))
    packed = {"content_type": "application/x-ndjson", "content_encoding": "gzip"}
    status, answer = ingest(one, gzip.compress(lines), **packed)
    assert (status, counts(answer)) == (200, (1, 1, 0))
    assert [len(named(sink, f"call-{each}")) for each in (10, 11, 12, 13)] == [1, 0, 0, 1]
    text = one.counters.text()
    assert 'told_records_total{outcome="accepted"}' in text
    assert one.counters.count("told_records", "rejected") >= 3


def test_in_whatever_order_and_by_whichever_stage_the_highest_revision_stands(sink: Sink) -> None:
    first, second, third = (dated(20, inputTokens=1000 * n, revision=n) for n in (1, 2, 3))
    for order in ([first, third, second], [third, first], [second, first, third]):
        with stage(sink.grpc_url) as made, stage(sink.grpc_url) as other:
            for number, each in enumerate(order):
                status, _ = ingest((made, other)[number % 2], each)
                assert status == 200
            (row,) = named(sink, "call-20")
            assert (row["input_tokens"], row["cost_usd"]) == (3000, "0.000510000000")
        with sink.changed:
            sink.records.pop(row["call_id"])


def test_one_id_for_two_calls_is_told_and_a_resend_is_a_duplicate(one: Any) -> None:
    assert counts(ingest(one, dated(30))[1]) == (1, 0, 0)
    assert counts(ingest(one, dated(30))[1]) == (0, 1, 0)
    status, answer = ingest(one, dated(30, inputTokens=7))
    assert (status, counts(answer)) == (400, (0, 0, 1))
    assert answer["errors"][0]["path"] == "externalRequestId"


def test_without_a_ledger_to_ask_a_record_says_when_it_was(sink: Sink, one: Any) -> None:
    status, answer = ingest(one, [record(40), dated(41)])
    assert (status, counts(answer)) == (207, (1, 0, 1))
    assert answer["errors"][0]["path"] == "timestamp"
    assert "TOLLSPAN_CLICKHOUSE_URL" in answer["errors"][0]["error"]
    assert named(sink, "call-40") == []


def test_with_one_that_is_away_too_and_only_then(sink: Sink) -> None:
    with stage(sink.grpc_url, clickhouse_url="http://127.0.0.1:9", mend_every_s=0) as made:
        assert counts(ingest(made, dated(42))[1]) == (1, 0, 0)
        status, answer = ingest(made, record(43))
    assert status == 503
    assert "without a timestamp" in answer["error"]


def test_senders_at_the_same_time_do_not_double_a_record(sink: Sink, one: Any) -> None:
    batch = [dated(number) for number in range(50, 80)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: ingest(one, batch), range(4)))
    assert [status for status, _ in found] == [200] * 4
    assert sum(answer["accepted"] for _, answer in found) == 30
    assert sum(len(named(sink, f"call-{number}")) for number in range(50, 80)) == 30


def test_a_record_restates_the_span_that_the_stage_has(sink: Sink, one: Any) -> None:
    """Whichever comes first."""
    call = owner(1, attributes={semconv.REQUEST_ID: "call-90"}, trace_id=f"{90:032x}")
    other = owner(2, attributes={semconv.REQUEST_ID: "call-91"}, trace_id=f"{91:032x}")
    address = f"127.0.0.1:{one.ports.grpc}"
    send(address, protobuf([call]))
    ingest(one, [dated(90), dated(91)])
    send(address, protobuf([other]))
    for each in (call, other):
        (row,) = named(sink, each.attributes[semconv.REQUEST_ID])
        assert row["span_id"] == each.span_id


def test_events_of_gateways_come_whole_and_their_messages_do_not(sink: Sink, one: Any) -> None:
    event = otoroshi_event()
    assert counts(ingest(one, [event, event], "/otoroshi")[1])[0] == 1
    spend = {
        "request_id": "chatcmpl-77aa",
        "call_type": "acompletion",
        "spend": 0.0002,
        "prompt_tokens": 1000,
        "completion_tokens": 100,
        "startTime": "2026-05-28T20:26:41Z",
        "endTime": "2026-05-28T20:26:42Z",
        "model": "gpt-4o-mini",
        "custom_llm_provider": "openai",
        "status": "success",
        "litellm_call_id": "8d2b1c7e-5a1f-4e0e-9c0a-6a2a3f1f7a11",
        "messages": [{"role": "user", "content": "a secret of the user"}],
    }
    assert counts(ingest(one, spend, "/litellm")[1]) == (1, 0, 0)
    scopes = {row["scope"]: row for row in sink.owners()}
    assert scopes["otoroshi"]["input_tokens"] == event["usage"]["prompt_tokens"]
    assert scopes["litellm.spend_logs"]["cost_usd"] == "0.000210000000"
    assert not any(b"a secret of the user" in body for body in sink.bodies)


def test_what_goes_behind_the_stage_is_what_is_answered(sink: Sink, one: Any) -> None:
    sink.failing = Failing(grpc.StatusCode.UNAVAILABLE, ("logs",), times=1)
    status, answer = ingest(one, dated(100))
    assert (status, named(sink, "call-100")) == (503, [])
    assert answer["error"]
    assert counts(ingest(one, dated(100))[1]) == (1, 0, 0), "it was not there before"
    assert len(named(sink, "call-100")) == 1
    sink.rejects_records = 1
    status, answer = ingest(one, dated(101))
    sink.rejects_records = 0
    assert (status, "some records are ugly" in answer["error"]) == (503, True)


@pytest.mark.parametrize(
    ("body", "kind", "path", "status"),
    [
        (b"{", "application/json", "", 400),
        (b"a=1", "application/x-www-form-urlencoded", "", 415),
        (b" " * (MOST_BYTES + 1), "application/json", "", 413),
        (b"[]", "application/json", "/usage", 404),
        (b"[]", "application/json", "?dry_run=perhaps", 400),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_cannot_be_taken_gets_a_sentence(
    one: Any, body: bytes, kind: str, path: str, status: int
) -> None:
    answered, answer = ingest(one, body, path, content_type=kind)
    assert (answered, bool(answer["error"])) == (status, True)


def test_a_token_is_asked_for_where_there_is_one(sink: Sink) -> None:
    with stage(sink.grpc_url, token="s3cret") as made:
        assert ingest(made, dated(110))[0] == 401
        assert ingest(made, dated(110), authorization="Bearer s3cret")[0] == 200


def test_the_client_and_the_import_send_to_a_stage(
    sink: Sink, one: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"http://127.0.0.1:{one.ports.http}"
    with tollspan.Client(url, service="nightly") as client:
        for number in (120, 121):
            client.record(
                provider="openai", model="gpt-4o-mini", input_tokens=9, request_id=f"call-{number}"
            )
        assert client.flush(20)
        assert client.health()["sent"] == 2
    file = tmp_path / "calls.jsonl"
    file.write_text("".join(json.dumps(dated(number)) + "\n" for number in range(122, 132)))
    assert main(["import", "records", str(file), "--url", url]) == 0
    assert main(["import", "records", str(file), "--url", url]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "10 accepted, 0 duplicates, 0 ignored, 0 rejected",
        "0 accepted, 10 duplicates, 0 ignored, 0 rejected",
    ]
    assert [len(named(sink, f"call-{number}")) for number in range(120, 132)] == [1] * 12


def test_many_records_leave_in_requests_that_any_collector_takes() -> None:
    long = dict.fromkeys("abcd", "x" * 500)
    spans = [read(dated(number, tags=long), START_NS * 2).span for number in range(1500)]
    parts = list(requests_of(spans))
    assert [each for some, _ in parts for each in some] == spans
    assert len(parts) > 1
    assert max(len(body) for _, body in parts) < 1.1 * REQUEST_BYTES
    assert max(len(enrich(body).body) for _, body in parts) < 4 * 1024 * 1024


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"errorType": "429", "userId": "ü", "revision": 3, "finishReasons": ["stop"]},
        {"status": "error", "attempts": 3, "inputTokens": None},
        {"status": "cancelled", "timeToFirstTokenMs": 5},
        {"costUsd": "0.5", "cacheReadTokens": 400, "cacheWriteTokens": 0},
        {"gateway": "litellm", "gatewayRequestId": "5cd3a1f0-aaaa", "cacheHit": True},
        {"operation": "embeddings", "dataMode": "test", "toolCalls": 2},
        {"model": "house-7b", "latencyMs": None},
    ],
    ids=str,
)
def test_the_row_is_the_one_that_the_local_server_makes(more: dict[str, Any]) -> None:
    said = {name: value for name, value in (dated(1) | more).items() if value is not None}
    told = read(said, START_NS * 2).dated(START_NS * 2)
    ((_, body),) = requests_of([told])
    (found,) = enrich(body).relevant()
    (again,) = enrich(enrich(body).body).relevant()
    rows = []
    for each in (told, found, again):
        (call,) = Stage(settled, normalised, lambda trace_ids: Remembered()).take([each])
        rows.append((call_row(call), hop_rows(call)))
    assert rows[1] == rows[0]
    assert rows[2] == rows[0]


def test_the_sum_of_many_with_duplicates_is_exact(sink: Sink) -> None:
    before = sink.usd()
    batch = [dated(number, externalRequestId=f"bulk-{number}") for number in range(200)]
    with stage(sink.grpc_url) as made, stage(sink.grpc_url) as other:
        for body in (batch[:140], batch[60:], batch):
            for each in (made, other):
                assert ingest(each, body)[0] == 200
    assert sink.usd() - before == Decimal("0.00021") * 200
