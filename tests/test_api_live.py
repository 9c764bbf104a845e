"""Open pages hear of new calls, and do not keep the stack from stopping."""

from __future__ import annotations

import http.client
import json
import time
import urllib.request

import pytest
from spans import owner

from tollspan.local import LocalStack, live


def opened(stack: LocalStack) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(stack.page_url.removeprefix("http://"), timeout=20)
    connection.request("GET", "/api/live")
    answer = connection.getresponse()
    assert answer.readline().startswith(b"retry:")
    assert answer.readline() == b"\n"
    return connection, answer


def test_an_open_page_hears_of_new_calls() -> None:
    with LocalStack() as stack:
        connection, answer = opened(stack)
        assert answer.headers["content-type"].startswith("text/event-stream")
        stack.writer.offer([owner(1), owner(2)]).result(30)
        event, data = answer.readline(), json.loads(answer.readline().removeprefix(b"data: "))
        with urllib.request.urlopen(f"{stack.page_url}/api/calls/{data['ids'][0]}") as found:
            assert json.load(found)["span_id"] == f"{1:016x}"
        answer.close()
        connection.close()

    assert event == b"event: calls\n"
    assert data["calls"] == len(data["ids"]) == 2


def test_a_quiet_page_is_kept_open_by_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.05)
    with LocalStack() as stack:
        connection, answer = opened(stack)
        assert answer.readline().startswith(b":")
        answer.close()
        connection.close()


def test_a_stack_with_an_open_page_stops() -> None:
    stack = LocalStack().start()
    connection, answer = opened(stack)
    began = time.monotonic()
    stack.stop()

    assert time.monotonic() - began < 10
    assert answer.read() == b""
    answer.close()
    connection.close()
