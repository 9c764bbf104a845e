"""A key never seen before is told by the production ledger: once, whichever stage saw it, and after restarts."""

from __future__ import annotations

import csv
import io
import logging
import time
from typing import Any

import pytest
from spans import owner, protobuf
from stage_ledger import behind_stages
from stages import send, stage

from tollspan import semconv
from tollspan.collector.clickhouse import ClickHouse
from tollspan.launcher.command import main
from tollspan.local.key_events import events
from tollspan.local.remote import ClickHouseLedger

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def call(number: int, key: str, started_ns: int) -> bytes:
    said = {semconv.API_KEY_FINGERPRINT: key}
    times = {"start_ns": started_ns, "end_ns": started_ns + 10**9}
    return protobuf([owner(number, attributes=said, trace_id=f"{number:032x}", **times)])


def test_each_key_is_new_once_whoever_forwarded_it(
    tmp_path: Any, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO, "tollspan.keys")
    hour_ns = 3600 * 10**9
    now_ns = time.time_ns() // 10**9 * 10**9
    with behind_stages(tmp_path) as path:
        for start in (1, 4):  # the second time two other stages, as after a restart
            with stage(path.url) as one, stage(path.url) as other:
                at = f"127.0.0.1:{one.ports.grpc}", f"127.0.0.1:{other.ports.grpc}"
                send(at[0], call(start, "h:one", now_ns - 5 * hour_ns + start))
                send(at[1], call(start + 1, "h:one", now_ns - 4 * hour_ns + start))
                send(at[1], call(start + 2, f"h:new-{start}", now_ns - hour_ns + start))
        path.landed(6, "1")
        url = f"{path.clickhouse.url}/default"
        ledger = ClickHouseLedger(ClickHouse(url, "", ""))
        found = events(ledger, [("last", "1d")])["events"]
        late = events(ledger, [("last", "3h")])["events"]
        ledger.close()
        asked = ["usage", "keys", "--new", "--last", "1d", "--clickhouse", url]
        assert main([*asked, "--csv"]) == 0
        lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
        assert main([*asked, "--where", "service=nobody"]) == 0

    assert [each["fingerprint"] for each in found] == ["h:new-4", "h:new-1", "h:one"]
    assert found[-1]["trace_id"] == f"{1:032x}", "the first call that bears it"
    assert [each["fingerprint"] for each in late] == ["h:new-4", "h:new-1"]
    assert [(line["fingerprint"], line["provider"]) for line in lines] == [
        (each["fingerprint"], "openai") for each in found
    ]
    assert "h:" not in capsys.readouterr().out
    assert caplog.records == [], "no stage guesses which keys are new"
