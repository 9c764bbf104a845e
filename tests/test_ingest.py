"""`POST /v1/ingest`: each record once, the good ones kept, the wrong ones told by their path."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ingesting import post, record, rows, spent

from tollspan import config
from tollspan.collector import ingest_http
from tollspan.collector.foreign import normalised, settled
from tollspan.collector.ingest import MOST_RECORDS
from tollspan.collector.ingest_schema import RECORD
from tollspan.collector.receiver import Overloaded
from tollspan.collector.stage import Remembered, Stage
from tollspan.collector.told import Untold
from tollspan.collector.told_record import _BY_NAME, read
from tollspan.local import LocalStack, ingest_api
from tollspan.local.blocks import call_block, span_block
from tollspan.local.ledger import LedgerError

JSON_LINES = "application/x-ndjson"


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    config.reload({})
    with LocalStack() as running:
        yield running


def paths(answer: Any) -> list[tuple[int, str]]:
    return [(each["index"], each["path"]) for each in answer["errors"]]


def counts(answer: Any) -> tuple[int, int, int]:
    return answer["accepted"], answer["duplicates"], answer["rejected"]


def test_a_record_is_in_the_ledger_when_it_is_answered(stack: LocalStack) -> None:
    whole = record(
        100,
        responseModel="gpt-4o-mini-2024-07-18",
        responseId="chatcmpl-100",
        endpointTag="checkout.ai_summary",
        promptName="summary",
        promptVersion="v3",
        userId="u_42",
        sessionId="s_1",
        cacheReadTokens=400,
        cacheWriteTokens=0,
        reasoningTokens=20,
        timeToFirstTokenMs=120.5,
        status="success",
        dataMode="test",
        environment="staging",
        service="shop",
        timestamp="2026-11-20T12:00:00.123456+01:00",
        serviceTier="default",
        serverAddress="api.openai.com",
        finishReasons=["stop"],
        toolCalls=2,
        attempts=3,
        tags={"team": "growth", "beta": True, "shard": 7},
    )
    status, answer = post(stack, whole)
    assert (status, counts(answer)) == (200, (1, 0, 0))
    (row,) = rows(stack, "request_id = 'call-100'")
    expected = {
        "time": "2026-11-20 11:00:00.123456000",
        "duration_s": 0.892,
        "time_to_first_chunk_s": 0.1205,
        "provider": "openai",
        "request_model": "gpt-4o-mini",
        "response_model": "gpt-4o-mini-2024-07-18",
        "response_id": "chatcmpl-100",
        "endpoint": "checkout.ai_summary",
        "prompt": "summary",
        "prompt_version": "v3",
        "tenant": "acme",
        "user": "u_42",
        "session": "s_1",
        "input_tokens": 1000,
        "output_tokens": 100,
        "cache_read_tokens": 400,
        "cache_write_tokens": 0,
        "reasoning_tokens": 20,
        "status": "success",
        "data_mode": "test",
        "environment": "staging",
        "service": "shop",
        "streaming": True,
        "tool_calls": 2,
        "app_attempts": 3,
        "finish_reasons": ["stop"],
        "tags": {"team": "growth", "beta": "true", "shard": "7"},
        "route": "openai/gpt-4o-mini",
        "cost_grade": "derived",
        "cost_usd": "0.00018",
    }
    assert {name: row.get(name) for name in expected} == expected


def test_delivered_again_in_any_way_it_counts_once(stack: LocalStack) -> None:
    undated = record(200)
    dated = record(201, timestamp=1_780_000_000_000)
    for body, kind in (
        ([undated, dated], "application/json"),
        ([undated, dated, undated], "application/json"),
        (f"{json.dumps(dated)}\n\n{json.dumps(undated)}\n".encode(), JSON_LINES),
    ):
        status, answer = post(stack, body, kind=kind, packed=kind == JSON_LINES)
        assert (status, answer["rejected"]) == (200, 0)
    assert post(stack, undated)[1]["duplicates"] == 1
    in_snake_case = {
        "request_id": "call-200",
        "provider": "OpenAI",
        "model": "openai/gpt-4o-mini",
        "input_tokens": 1000,
        "output_tokens": 100,
        "latency_ms": 892,
        "tenant": "acme",
    }
    assert counts(post(stack, in_snake_case)[1]) == (0, 1, 0), "another spelling of the same"
    where = "request_id IN ('call-200', 'call-201')"
    assert spent(stack, where) == (2, "0.00042", 2000)


def test_an_id_with_other_content_is_told_not_swallowed(stack: LocalStack) -> None:
    assert counts(post(stack, record(300))[1]) == (1, 0, 0)
    status, answer = post(stack, [record(300, inputTokens=5), record(301)])
    assert (status, counts(answer), paths(answer)) == (207, (1, 0, 1), [(0, "externalRequestId")])
    assert spent(stack, "request_id = 'call-300'") == (1, "0.00021", 1000)


def test_a_correction_replaces_whatever_the_order(stack: LocalStack) -> None:
    first = record(310)
    second = record(310, inputTokens=2000, revision=1, timestamp="2026-05-05T05:05:05Z")
    third = record(310, inputTokens=3000, revision=2)
    for each in (first, third, second, first, third):
        post(stack, each)
    assert spent(stack, "request_id = 'call-310'") == (1, "0.00051", 3000)
    for each in (record(311, inputTokens=3000, revision=2), record(311)):
        assert post(stack, each)[0] == 200
    assert spent(stack, "request_id = 'call-311'") == (1, "0.00051", 3000)


def test_good_records_are_kept_and_each_fault_is_told_by_its_path(stack: LocalStack) -> None:
    batch = [
        record(400),
        record(401, inputTokens=-1, tags={"team": {"deep": 1}}, statuz="ok"),
        "no object",
        record(402, cacheReadTokens=900, cacheWriteTokens=200, timestamp="yesterday"),
        {"externalRequestId": "call-403", "model": " "},
        record(404),
    ]
    status, answer = post(stack, batch)
    assert (status, counts(answer)) == (207, (2, 0, 4))
    assert paths(answer) == [
        (1, "statuz"),
        (1, "inputTokens"),
        (1, "tags.team"),
        (2, ""),
        (3, "inputTokens"),
        (3, "timestamp"),
        (4, "provider"),
        (4, "model"),
    ]
    assert answer["errors"][0]["error"] == "statuz is unknown: did you mean status?"
    assert {row["request_id"] for row in rows(stack, "request_id LIKE 'call-40%'")} == {
        "call-400",
        "call-404",
    }


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"inputTokens": 1.5}, "inputTokens"),
        ({"inputTokens": "7"}, "inputTokens"),
        ({"inputTokens": True}, "inputTokens"),
        ({"outputTokens": 2**63}, "outputTokens"),
        ({"output_tokens": 1}, "output_tokens"),
        ({"reasoningTokens": 101}, "outputTokens"),
        ({"latencyMs": 10**12}, "latencyMs"),
        ({"latencyMs": -0.5}, "latencyMs"),
        ({"timeToFirstTokenMs": 893}, "timeToFirstTokenMs"),
        ({"costUsd": "NaN"}, "costUsd"),
        ({"costUsd": "a"}, "costUsd"),
        ({"costUsd": 1_000_000}, "costUsd"),
        ({"status": "fine"}, "status"),
        ({"dataMode": "prod"}, "dataMode"),
        ({"dataMode": ["real"]}, "dataMode"),
        ({"timestamp": 1_780_000_000}, "timestamp"),
        ({"timestamp": 4_000_000_000_000}, "timestamp"),
        ({"timestamp": "2026-01-31T12:00:00"}, "timestamp"),
        ({"timestamp": 1e300}, "timestamp"),
        ({"timestamp": True}, "timestamp"),
        ({"tags": ["a"]}, "tags"),
        ({"tags": {str(n): 1 for n in range(33)}}, "tags"),
        ({"streaming": "yes"}, "streaming"),
        ({"revision": -1}, "revision"),
        ({"revision": 65_536}, "revision"),
        ({"finishReasons": "stop"}, "finishReasons"),
        ({"route": "litellm > x"}, "route"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(
    stack: LocalStack, wrong: dict[str, Any], path: str
) -> None:
    status, answer = post(stack, record(500, **wrong))
    assert (status, counts(answer)) == (400, (0, 0, 1))
    assert paths(answer) == [(0, path)]
    assert not rows(stack, "request_id = 'call-500'")


def test_names_of_providers_and_models_are_those_of_the_conventions(stack: LocalStack) -> None:
    asked = {
        "600": ("azure", "azure/my-deployment", "azure.ai.openai", "my-deployment"),
        "601": ("Bedrock", "anthropic.claude-x", "aws.bedrock", "anthropic.claude-x"),
        "602": ("vertex_ai", "vertex_ai/gemini-2.5-pro", "gcp.vertex_ai", "gemini-2.5-pro"),
        "603": ("google", "gemini-2.5-pro", "gcp.gen_ai", "gemini-2.5-pro"),
        "604": ("openrouter", "openai/gpt-4o", "openrouter", "openai/gpt-4o"),
        "605": ("My-Own", "house-7b", "my-own", "house-7b"),
    }
    batch = [record(int(n), provider=p, model=m) for n, (p, m, _, _) in asked.items()]
    assert post(stack, batch)[0] == 200
    found = {row["request_id"]: row for row in rows(stack, "request_id LIKE 'call-60%'")}
    for number, (_, _, provider, model) in asked.items():
        row = found[f"call-{number}"]
        assert (row["provider"], row["request_model"]) == (provider, model)


def test_a_stated_cost_is_the_cost_and_what_is_unknown_is_not_zero(stack: LocalStack) -> None:
    bare = {"externalRequestId": "call-701", "provider": "openai", "model": "gpt-4o-mini"}
    batch = [record(700, costUsd="0.123456789012"), bare, record(702, model="house-7b")]
    assert post(stack, batch)[0] == 200
    billed, unknown, unpriced = (
        rows(stack, f"request_id = 'call-{number}'")[0] for number in (700, 701, 702)
    )
    assert (billed["cost_usd"], billed["cost_grade"]) == ("0.123456789012", "billed")
    assert billed["derived_usd"] == "0.00021"
    nothing = ("cost_usd", "input_tokens", "output_tokens", "duration_s", "time_to_first_chunk_s")
    assert [unknown[name] for name in nothing] == [None] * 5
    assert (unpriced["cost_usd"], unpriced["unpriced_reason"]) == (None, "unknown_model")


def test_errors_are_calls_too(stack: LocalStack) -> None:
    failed = {"externalRequestId": "call-710", "provider": "openai", "model": "gpt-4o-mini"}
    speech = record(711, operation="speech", model="tts-1")
    assert post(stack, [failed | {"errorType": "429"}, speech])[0] == 200
    (row,) = rows(stack, "request_id = 'call-710'")
    assert (row["status"], row["error_type"], row["cost_usd"]) == ("error", "429", None)
    assert rows(stack, "request_id = 'call-711'")[0]["operation"] == "speech"


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"a": NaN}', "application/json", 400),
        (b'{"a": ' + b"1" * 5000 + b"}", "application/json", 400),
        (b'{"externalRequestId": "\\ud800"}', "application/json", 400),
        (b"null", "application/json", 400),
        (b"[]", "application/json", 200),
        (b"", JSON_LINES, 200),
        (b'{"a": 1}\n{', JSON_LINES, 400),
        (b"a=1", "application/x-www-form-urlencoded", 415),
        (b"[" + b"1," * MOST_RECORDS + b"1]", "application/json", 400),
        (b" " * (ingest_http.MOST_BYTES + 1), "application/json", 413),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_body_that_cannot_be_read_gets_a_sentence(
    stack: LocalStack, body: bytes, kind: str, status: int
) -> None:
    answered, answer = post(stack, body, kind=kind)
    assert answered == status
    assert answered == 200 or answer.get("error") or answer["errors"]


@given(
    st.dictionaries(
        st.sampled_from(sorted(_BY_NAME)) | st.text(max_size=8),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.sampled_from(["real", "error", "2026-05-05T05:05:05Z", "\ud800", "1.5"])
            | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
            ),
            max_leaves=6,
        ),
        max_size=8,
    )
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_whatever_a_record_holds_it_is_a_call_or_told_what_is_wrong(said: dict[str, Any]) -> None:
    for whole in (said, record(1) | said):
        try:
            span = read(whole, time.time_ns()).dated(time.time_ns())
        except Untold as wrong:
            assert wrong.faults and all(fault.error for fault in wrong.faults)
        else:
            (call,) = Stage(settled, normalised, lambda trace_ids: Remembered()).take([span])
            assert span_block([span]) and call_block([call])


def test_halves_of_characters_come_back_as_something_that_can_be_sent(stack: LocalStack) -> None:
    for body in (b'[{"\\ud800": 1}]', b'[{"tags": {"\\ud800": {}}}]', b'[{"model": "\\ud800"}]'):
        status, answer = post(stack, body)
        assert (status, answer["rejected"]) == (400, 1)
    tagged = json.dumps(record(990)).encode()[:-1] + b', "tags": {"a\\ud800": "b\\ud800"}}'
    assert counts(post(stack, tagged)[1]) == (1, 0, 0)
    assert rows(stack, "request_id = 'call-990'")[0]["tags"] == {"a": "b"}


def test_a_packed_body_is_bounded_and_must_be_what_it_says(stack: LocalStack) -> None:
    huge = b" " * (ingest_http.MOST_BYTES + 1)
    assert post(stack, huge, packed=True)[0] == 413
    assert post(stack, "[]", "?dry_run=maybe")[0] == 400
    assert post(stack, [], "/nobody")[0] == 404


def test_a_dry_run_says_what_would_be_and_writes_nothing(stack: LocalStack) -> None:
    status, answer = post(stack, [record(800), {}], "?dry_run=true")
    assert (status, counts(answer)) == (207, (1, 0, 1))
    assert not rows(stack, "request_id = 'call-800'")
    assert counts(post(stack, record(800))[1]) == (1, 0, 0)


def test_senders_at_the_same_time_do_not_double_a_record(stack: LocalStack) -> None:
    batch = [record(number) for number in range(9000, 9200)]
    found: list[Any] = []
    senders = [threading.Thread(target=lambda: found.append(post(stack, batch))) for _ in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert [status for status, _ in found] == [200] * 4
    assert sum(answer["accepted"] for _, answer in found) == 200
    assert sum(answer["duplicates"] for _, answer in found) == 600
    assert spent(stack, "request_id LIKE 'call-9___'") == (200, "0.042", 200_000)


def test_a_full_ledger_asks_to_come_again(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Any) -> Future[None]:
        raise Overloaded(2.0)

    monkeypatch.setattr(stack.writer, "offer", full)
    assert post(stack, record(950))[0] == 503
    monkeypatch.undo()
    assert counts(post(stack, record(950))[1]) == (1, 0, 0), "nothing was taken before"


def test_a_commit_that_fails_is_not_answered_as_done(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise LedgerError("the disk is full")

    monkeypatch.setattr(stack.ledger, "append", broken)
    assert post(stack, record(960))[0] == 503
    monkeypatch.undo()
    assert counts(post(stack, record(960))[1]) == (1, 0, 0)


def test_the_document_names_every_field() -> None:
    item = ingest_api.OPERATIONS["/v1/ingest"]["post"]
    assert set(item["responses"]) >= {"200", "207", "400", "503"}
    assert set(RECORD["properties"]) >= {"externalRequestId", "inputTokens", "timestamp"}
    assert RECORD["required"] == ["externalRequestId", "provider", "model"]
