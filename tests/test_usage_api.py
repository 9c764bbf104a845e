"""The doors of the usage API: who may ask, how often, and what a refusal looks like."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send
from usage_calls import calls

from tollspan import config
from tollspan.local import LocalStack
from tollspan.local.throttle import MOST_CLIENTS, Throttle

TOKEN = "s3cret"
LIMIT = 40


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TOLLSPAN_API_PER_MINUTE", str(LIMIT))
        config.reload()
        with LocalStack(token=TOKEN) as running:
            running.writer.offer(calls(30, time.time_ns())).result(60)
            yield running


def ask(stack: LocalStack, path: str, token: str = TOKEN) -> tuple[int, dict[str, str], bytes]:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(stack.page_url + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def test_nobody_asks_without_the_token(stack: LocalStack) -> None:
    for path in ("stats", "recent", "export", "sessions", "keys"):
        assert ask(stack, f"/v1/usage/{path}", token="")[0] == 401
    assert ask(stack, "/v1/replacement/metrics", token="wrong")[0] == 401
    assert ask(stack, "/v1/openapi.json", token="")[0] == 401
    assert ask(stack, "/v1/openapi.json")[0] == 200


def test_an_export_is_a_file_with_a_name(stack: LocalStack) -> None:
    status, headers, body = ask(stack, "/v1/usage/export?format=csv&data_mode=all")

    assert status == 200 and body.count(b"\r\n") >= 31
    assert headers["content-type"] == "text/csv; charset=utf-8"
    assert headers["content-disposition"].startswith('attachment; filename="tollspan-usage-')
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


def test_a_refusal_is_one_sentence(stack: LocalStack) -> None:
    status, _, body = ask(stack, "/v1/usage/export?format=xlsx")
    said = json.loads(body)

    assert status == 400 and list(said) == ["error"] and "format is unknown" in said["error"]
    assert ask(stack, "/v1/usage/nothing")[0] == 404


def test_who_asks_too_often_is_told_when_to_come_back(stack: LocalStack) -> None:
    seen = [ask(stack, "/v1/usage/recent?limit=1") for _ in range(LIMIT + 5)]
    refused = [each for each in seen if each[0] == 429]

    assert refused and {each[0] for each in seen} == {200, 429}
    assert 1 <= int(refused[0][1]["retry-after"]) <= 2
    assert "requests a minute" in json.loads(refused[0][2])["error"]
    assert ask(stack, "/api/status")[0] == 200, "the page is not the API"


class Client:
    """Asks a throttle whose clock stands still until it is moved."""

    def __init__(self, a_minute: int) -> None:
        self.now = 0.0
        self.throttle = Throttle(self._answer, a_minute, clock=lambda: self.now)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    def ask(self, who: str = "10.0.0.1", *, method: str = "GET", token: str = "") -> int:
        sent: list[Message] = []
        headers = [(b"authorization", token.encode())] if token else []
        scope: dict[str, Any] = {"type": "http", "path": "/v1/x", "method": method}
        scope |= {"headers": headers, "client": (who, 1)}

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            raise AssertionError("nothing is read")

        asyncio.run(self.throttle(scope, receive, send))
        return int(sent[0]["status"])


def test_a_bucket_fills_evenly_and_is_each_clients_own() -> None:
    client = Client(6)
    assert [client.ask() for _ in range(7)] == [200] * 6 + [429]
    assert client.ask("10.0.0.2") == 200
    assert client.ask(token="Bearer a") == 200
    client.now = 9.9
    assert client.ask() == 429
    client.now = 10.1
    assert client.ask() == 200 and client.ask() == 429
    client.now = 10_000.0
    assert [client.ask() for _ in range(7)] == [200] * 6 + [429], "it holds a minute's worth"


def test_what_is_posted_is_not_counted_and_zero_is_no_limit() -> None:
    assert {Client(1).ask(method="POST") for _ in range(5)} == {200}
    free = Client(0)
    assert {free.ask() for _ in range(5)} == {200}


def test_the_memory_of_clients_is_bounded() -> None:
    client = Client(1)
    for number in range(MOST_CLIENTS + 50):
        client.throttle._taken(str(number).encode())

    assert len(client.throttle._left) == MOST_CLIENTS
