"""Where SDK and gateway both try again, the SDK's repeats end at a cap; what else it raises stays."""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import openai
import pytest
import sdks
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import tollspan
from tollspan import calls, config, guard, semconv
from tollspan.limits import retries
from tollspan.limits.retries import RetryGuard
from tollspan.processors.spans import adopt_provider

SOON = {"retry-after-ms": "1", "retry-after": "0.001"}
LITELLM = {
    "x-litellm-call-id": "c-7",
    "x-litellm-attempted-retries": "2",
    "x-litellm-attempted-fallbacks": "0",
}


@pytest.fixture(autouse=True)
def watched(provider: TracerProvider) -> Iterator[None]:
    undo = adopt_provider(provider)
    try:
        with sdks.watched(provider):
            yield
    finally:
        undo()
    assert calls.retry is None
    assert calls.before == ()


@pytest.fixture
def cap() -> Iterator[Any]:
    made: list[RetryGuard] = []

    def capping(*args: Any, **more: Any) -> RetryGuard:
        made.append(RetryGuard(*args, **more))
        made[-1].start()
        return made[-1]

    yield capping
    for each in made:
        each.stop()


def failing(api: str = "chat", **headers: str) -> sdks.Server:
    body = {"error": {"message": "try again"}}
    return sdks.server_for(api, status=500, body=body, headers={**SOON, **headers})


@pytest.mark.parametrize("api", ["chat", "messages"])
def test_the_repeat_beyond_the_cap_does_not_leave_and_says_why(
    api: str, cap: Any, exporter: InMemorySpanExporter
) -> None:
    cap(3)
    server = failing(api)
    with pytest.raises(tollspan.RetriesExceeded) as caught:
        sdks.plain(sdks.client_for(api, server, max_retries=9), api)

    assert len(server.requests) == 3
    error = caught.value
    assert (error.attempts, error.reached, error.reason) == (3, 3, "call")
    assert str(error).endswith("TOLLSPAN_MOST_ATTEMPTS allows 3.")
    assert isinstance(error.__cause__, httpx2.HTTPStatusError)
    assert error.__cause__.response.status_code == 500
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    found = sdks.ended(exporter).attributes or {}
    assert found[semconv.STATUS] == "error"
    assert (found[semconv.APP_ATTEMPTS], found[semconv.RETRIES_OVER]) == (3, "call")


def test_awaited_calls_are_capped_alike(cap: Any) -> None:
    cap(2)
    server = failing()
    with pytest.raises(tollspan.RetriesExceeded):
        asyncio.run(sdks.plain_async(sdks.async_openai_client(server, max_retries=9), "chat"))
    assert len(server.requests) == 2


def test_what_a_gateway_tried_counts_too(cap: Any) -> None:
    cap(4)
    server = failing(**LITELLM)
    with pytest.raises(tollspan.RetriesExceeded) as caught:
        sdks.plain(sdks.openai_client(server, max_retries=9), "chat")
    assert len(server.requests) == 2
    assert (caught.value.attempts, caught.value.reached) == (2, 6)


@pytest.mark.parametrize("stated", ["", "-1", "many", "1e3", "99999999999", "²"])
def test_a_count_that_is_none_is_one_request(stated: str) -> None:
    attempt = calls.Attempt(0)
    attempt.attributes = {
        semconv.RESPONSE_HEADER_PREFIX + "x-litellm-attempted-retries": (stated,),
        semconv.RESPONSE_HEADER_PREFIX + "ngrok-aig-attempts": stated,
    }
    assert retries.reached([attempt]) == 1


def test_a_connection_that_fails_is_the_cause_itself(cap: Any) -> None:
    cap(2)
    asked: list[httpx2.Request] = []

    def unreachable(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        raise httpx2.ConnectError("nobody is there")

    http = httpx2.Client(transport=httpx2.MockTransport(unreachable))
    client = openai.OpenAI(api_key="k", http_client=http, max_retries=9)
    with pytest.raises(tollspan.RetriesExceeded) as caught:
        sdks.plain(client, "chat")
    assert len(asked) == 2
    assert isinstance(caught.value.__cause__, httpx2.ConnectError)


@pytest.mark.parametrize("api", ["chat", "messages"])
def test_who_tries_no_more_gets_what_the_sdk_raises(api: str, cap: Any) -> None:
    cap(3)
    kind = openai.InternalServerError if api == "chat" else anthropic.InternalServerError
    with pytest.raises(kind):
        sdks.plain(sdks.client_for(api, failing(api), max_retries=2), api)
    assert sdks.plain(sdks.client_for(api, sdks.server_for(api)), api) is not None


def test_a_redirect_repeats_nothing_that_failed(cap: Any) -> None:
    cap(1)
    answered = sdks.server_for("chat")

    def moved(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.startswith("/v1/"):
            return httpx2.Response(307, headers={"location": "/moved"})
        return answered(request)

    http = httpx2.Client(transport=httpx2.MockTransport(moved), follow_redirects=True)
    client = openai.OpenAI(api_key="k", http_client=http, max_retries=9)
    assert sdks.plain(client, "chat").id == "chatcmpl-1"


def test_an_endpoint_may_repeat_a_part_of_its_calls_and_ten_in_any_case(cap: Any) -> None:
    now = [1000.0]
    cap(0, 20, clock=lambda: now[0])
    server = failing()
    client = sdks.openai_client(server, max_retries=1)

    def ask(endpoint: str) -> str:
        with tollspan.attribute(endpoint=endpoint):
            try:
                sdks.plain(client, "chat")
            except tollspan.RetriesExceeded as error:
                return error.reason
            except openai.InternalServerError:
                return "repeated"
        return "answered"

    assert [ask("a") for _ in range(11)] == ["repeated"] * 10 + ["endpoint"]
    assert ask("b") == "repeated", "another endpoint"
    now[0] += 61
    assert ask("a") == "repeated", "a minute later"


def test_to_warn_is_to_let_it_go(cap: Any, caplog: pytest.LogCaptureFixture) -> None:
    cap(2, warn_only=True)
    server = failing()
    with caplog.at_level(logging.WARNING, "tollspan"), pytest.raises(openai.InternalServerError):
        sdks.plain(sdks.openai_client(server, max_retries=4), "chat")
    assert len(server.requests) == 5
    (record,) = caplog.records
    assert "TOLLSPAN_MOST_ATTEMPTS allows 2. It is, as TOLLSPAN_RETRIES_WARN says." in (
        record.getMessage()
    )


@pytest.mark.quiet
def test_a_guard_that_fails_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(call: calls.OpenCall) -> None:
        raise RuntimeError("our own fault")

    monkeypatch.setattr(calls, "retry", broken)
    guard.faults.clear()
    server = failing()
    with pytest.raises(openai.InternalServerError):
        sdks.plain(sdks.openai_client(server, max_retries=2), "chat")
    assert len(server.requests) == 3
    assert sum(guard.faults.values()) == 2
    monkeypatch.setattr(calls, "retry", None)


def test_the_settings_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLSPAN_MOST_ATTEMPTS", "2")
    config.reload()
    retries.cap_by_settings()
    try:
        server = failing()
        with pytest.raises(tollspan.RetriesExceeded):
            sdks.plain(sdks.openai_client(server, max_retries=9), "chat")
        assert len(server.requests) == 2
    finally:
        retries.uncap()
