"""A provider API key never seen before is an event, once for each key, whatever was seen by an earlier run."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from spans import owner

from tollspan import semconv
from tollspan.local.points_api import OPERATIONS
from tollspan.local.server import LocalStack

NOW_NS = (time.time_ns() // 10**9 - 7200) * 10**9


def call(number: int, key: str, **more: Any) -> Any:
    times = {"start_ns": NOW_NS + number * 10**9, "end_ns": NOW_NS + number * 10**9 + 1}
    said = {semconv.API_KEY_FINGERPRINT: key}
    return owner(number, trace_id=f"{number:032x}", attributes=said, **times, **more)


def new_keys(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        vars(record)["fingerprint"] for record in caplog.records if record.name == "tollspan.keys"
    ]


def test_each_key_is_told_once_and_not_again_by_the_next_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tollspan.keys")
    with LocalStack(tmp_path) as stack:
        stack.writer.offer([call(1, "h:one"), call(2, "h:one"), call(3, "h:two")]).result(60)
        stack.writer.offer([call(4, "h:one")]).result(60)
        assert stack.flush()
    with LocalStack(tmp_path) as stack:
        resource = {semconv.SERVICE_NAME: "evil\n\x1b[2Jlog line"}
        stack.writer.offer([call(5, "h:two"), call(6, "h:three", resource=resource)]).result(60)
        assert stack.flush()
        answer = httpx.get(f"{stack.page_url}/v1/keys/events")
        later = httpx.get(f"{stack.page_url}/v1/keys/events?last=1s")
        page = httpx.get(f"{stack.page_url}/v1/keys/events?limit=1&service=shop")
        refused = httpx.get(f"{stack.page_url}/v1/keys/events?tenant=x")
        seen = stack.ledger.query("SELECT api_key, calls FROM tollspan_keys ORDER BY api_key")

    assert sorted(new_keys(caplog)) == ["h:one", "h:three", "h:two"]
    assert all(letter.isprintable() for record in caplog.records for letter in record.getMessage())
    schema = OPERATIONS["/v1/keys/events"]["get"]["responses"]["200"]["content"]["application/json"]
    jsonschema.validate(answer.json(), schema["schema"])
    found = answer.json()["events"]
    assert [each["fingerprint"] for each in found] == ["h:three", "h:two", "h:one"]
    assert {each["event"] for each in found} == {semconv.EVENT_NEW_KEY}
    assert later.json()["events"] == []
    assert [each["fingerprint"] for each in page.json()["events"]] == ["h:two"]
    assert refused.status_code == 400
    assert [(row["api_key"], row["calls"]) for row in seen] == [
        *(("h:one", 3), ("h:three", 1)),
        ("h:two", 2),
    ]


def test_so_many_keys_that_they_are_none_are_not_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tollspan.keys")
    with LocalStack() as stack:
        stack.writer.offer([call(number, f"h:{number}") for number in range(1, 1102)]).result(60)
        assert stack.flush()

    assert new_keys(caplog) == []
