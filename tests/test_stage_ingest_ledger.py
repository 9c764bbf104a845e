"""Whichever stage a record is sent to, before and after a restart: the ledger counts it once.

A collector and a ledger as in production, stages that know nothing of each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from ingesting import otoroshi_event, record
from pipeline_processes import until
from spans import owner, protobuf
from stage_ledger import BehindStages, behind_stages
from stages import post, send, stage

from tollspan import config, semconv
from tollspan.launcher.stage_process import StageProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

AT = 1_780_000_000_000


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BehindStages]:
    config.reload({})
    with behind_stages(tmp_path_factory.mktemp("path")) as made:
        yield made


def told(made: StageProcess, body: Any, path: str = "") -> tuple[int, int, int]:
    """How many were accepted, there before, and refused."""
    address = f"127.0.0.1:{made.ports.http}"
    _, answer, _ = post(
        address,
        json.dumps(body).encode(),
        path=f"/v1/ingest{path}",
        content_type="application/json",
    )
    found = json.loads(answer)
    return found["accepted"], found["duplicates"], found["rejected"]


def dated(number: int, **more: Any) -> dict[str, Any]:
    return record(number, timestamp=AT + number) | more


def test_a_dated_record_counts_once_however_many_stages_took_it(path: BehindStages) -> None:
    batch = [dated(number) for number in range(1, 21)]
    for _ in range(2):  # two stages, one behind the other, as after a restart
        with stage(path.url) as one, stage(path.url) as other:
            assert told(one, batch[:15]) == (15, 0, 0)
            assert told(other, batch[5:]) == (15, 0, 0)
            event = otoroshi_event()
            told(one, event, "/otoroshi")
            told(other, event, "/otoroshi")
    rows = path.landed(20, "scope = 'tollspan.ingest'")
    assert sum(Decimal(row["cost_usd"]) for row in rows) == Decimal("0.00021") * 20
    assert len(path.landed(1, "scope = 'otoroshi'")) == 1
    (version,) = path.clickhouse.rows("SELECT min(version) AS v FROM spans")
    assert version["v"] >> 56 == 1, "the ledger takes the version that was told"


def test_a_stage_that_may_ask_the_ledger_answers_as_if_it_were_one(path: BehindStages) -> None:
    with stage(path.url, **path.known) as made:
        assert told(made, [record(100), dated(101)]) == (2, 0, 0)
    before = path.landed(2, "request_id IN ('call-100', 'call-101')")
    with stage(path.url, **path.known) as made:
        assert told(made, [record(100), dated(101)]) == (0, 2, 0)
        assert told(made, [record(100, inputTokens=5), dated(101, inputTokens=5)]) == (0, 0, 2)
        assert told(made, [record(100, inputTokens=2000, revision=1)]) == (1, 0, 0)
    until(lambda: path.calls("request_id = 'call-100'")[0]["input_tokens"] == 2000, "corrected")
    after = path.calls("request_id IN ('call-100', 'call-101')")
    assert [row["call_id"] for row in after] == [row["call_id"] for row in before]


def test_one_whose_span_was_not_kept_is_known_by_its_call(path: BehindStages) -> None:
    with stage(path.url, **path.known) as made:
        assert told(made, record(150)) == (1, 0, 0)
        path.landed(1, "request_id = 'call-150'")
        trace_id = path.calls("request_id = 'call-150'")[0]["trace_id"]
        until(
            lambda: path.clickhouse.rows(f"SELECT 1 FROM spans WHERE trace_id = '{trace_id}'"), ""
        )
        path.clickhouse.ledger.recall(
            f"ALTER TABLE spans DELETE WHERE trace_id = '{trace_id}' SETTINGS mutations_sync = 2",
            {},
        )
    with stage(path.url, **path.known) as made:
        assert told(made, record(150)) == (0, 1, 0)
        assert told(made, record(151)) == (1, 0, 0)
    path.landed(1, "request_id = 'call-151'")
    assert len(path.calls("request_id = 'call-150'")) == 1


def test_two_stages_that_took_an_undated_record_at_once_are_mended(path: BehindStages) -> None:
    with stage(path.url, **path.known) as one, stage(path.url, **path.known) as other:
        assert told(one, record(200)) == (1, 0, 0)
        assert told(other, record(200)) == (1, 0, 0), "it was not in the ledger yet"
    where = "request_id = 'call-200'"
    assert len(path.landed(2, where)) == 2
    path.mend()
    (row,) = path.landed(1, where)
    assert row["cost_usd"] == "0.00021"
    hops = path.clickhouse.rows(
        f"SELECT call_id FROM tollspan_hops WHERE trace_id = '{row['trace_id']}'"
    )
    assert [each["call_id"] for each in hops] == [row["call_id"]]


def test_a_correction_with_another_time_leaves_one_call(path: BehindStages) -> None:
    with stage(path.url) as one, stage(path.url) as other:
        told(one, dated(210))
        told(other, dated(210, timestamp=AT + 5_000, inputTokens=2000, revision=1))
    where = "scope = 'tollspan.ingest' AND trace_id IN " + (
        "(SELECT trace_id FROM llm_calls WHERE request_id = 'call-210')"
    )
    path.landed(2, where)
    path.mend()
    (row,) = path.landed(1, where)
    assert row["input_tokens"] == 2000


def test_a_record_and_its_span_at_two_stages_are_one_call(path: BehindStages) -> None:
    """Whichever comes first."""

    def span(number: int) -> bytes:
        said = {semconv.REQUEST_ID: f"call-{number}"}
        ids = {"trace_id": f"{number:032x}", "span_id": f"{number:016x}"}
        return protobuf([owner(1, attributes=said, **ids)])

    with stage(path.url) as one, stage(path.url) as other:
        send(f"127.0.0.1:{other.ports.grpc}", span(300))
        told(one, [dated(300), dated(301), dated(302)])
        send(f"127.0.0.1:{other.ports.grpc}", span(301))
    where = "request_id IN ('call-300', 'call-301', 'call-302')"
    assert len(path.landed(5, where)) == 5
    path.mend()
    rows = path.landed(5, where)
    until(lambda: len(path.calls(where)) == 3, "records restate")
    rows = path.calls(where)
    assert {row["request_id"]: row["scope"] for row in rows} == {
        "call-300": "tollspan",
        "call-301": "tollspan",
        "call-302": "tollspan.ingest",
    }
