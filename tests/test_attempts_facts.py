"""Each HTTP request inside an open call is one attempt with its facts, whatever client sends it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from email.utils import formatdate
from time import time
from typing import Any

import anthropic
import httpx
import httpx2
import openai
import pytest
import requests
from mirror import CLIENTS, Mirror, Reply, Send, open_call, watching
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from tollspan.calls import OpenCall
from tollspan.instrumentation import _attempts


@pytest.fixture(autouse=True)
def watched(provider: TracerProvider) -> Iterator[None]:
    with watching(provider):
        yield


@pytest.fixture(params=CLIENTS)
def send(request: pytest.FixtureRequest) -> Send:
    return CLIENTS[request.param]


def attempt_spans(exporter: InMemorySpanExporter) -> list[Any]:
    return [span for span in exporter.get_finished_spans() if span.name == "POST"]


def test_an_attempt_has_its_facts_and_a_span_below_the_call(
    send: Send, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    reply = Reply(headers={"x-request-id": "req_1", "set-cookie": "a=b"})
    with Mirror(reply) as mirror, open_call(provider) as call:
        assert send(mirror.url) == 200
        (attempt,) = call.attempts
        assert attempt.end_ns >= attempt.start_ns > 0
    expected = {
        "tollspan.attempt": 1,
        "http.request.method": "POST",
        "server.address": "127.0.0.1",
        "server.port": mirror.port,
        "http.response.status_code": 200,
        "http.response.header.x-request-id": "req_1",
    }
    assert attempt.attributes == expected
    (span,) = attempt_spans(exporter)
    assert dict(span.attributes) == expected
    assert span.kind is SpanKind.CLIENT
    assert span.instrumentation_scope.name == "tollspan"
    assert span.parent.span_id == call.span_id
    assert (span.start_time, span.end_time) == (attempt.start_ns, attempt.end_ns)
    assert span.status.status_code is StatusCode.UNSET


def test_outside_a_call_nothing_is_recorded_and_nothing_is_sent(
    send: Send, exporter: InMemorySpanExporter
) -> None:
    with Mirror() as mirror:
        assert send(mirror.url) == 200
        (headers,) = mirror.received
    assert not {"traceparent", "tracestate", "baggage"} & set(headers)
    assert exporter.get_finished_spans() == ()


def test_an_error_answer_is_an_error_and_says_when_to_come_back(
    send: Send, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    replies = [Reply(429, {"retry-after": "20", "retry-after-ms": "1500"}), Reply(503), Reply()]
    with Mirror(*replies) as mirror, open_call(provider) as call:
        assert [send(mirror.url) for _ in replies] == [429, 503, 200]
    first, second, third = (attempt.attributes for attempt in call.attempts)
    assert first["error.type"] == "429"
    assert first["tollspan.retry_after_s"] == 1.5
    assert "http.request.resend_count" not in first
    assert second["error.type"] == "503"
    assert "tollspan.retry_after_s" not in second
    assert [a["tollspan.attempt"] for a in (first, second, third)] == [1, 2, 3]
    assert third["http.request.resend_count"] == 2
    assert "error.type" not in third
    assert [span.status.status_code.name for span in attempt_spans(exporter)] == [
        "ERROR",
        "ERROR",
        "UNSET",
    ]
    assert {span.status.description for span in attempt_spans(exporter)} == {None}


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "-7"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 99 Oct 2015 07:28:00 GMT"}, None),
        ({"retry-after-ms": "nan", "retry-after": "3"}, 3.0),
    ],
)
def test_retry_after_is_a_number_of_seconds_or_a_date(
    headers: dict[str, str], wait_s: float | None, provider: TracerProvider
) -> None:
    with Mirror(Reply(429, headers)) as mirror, open_call(provider) as call:
        CLIENTS["httpx2"](mirror.url)
    assert call.attempts[0].attributes.get("tollspan.retry_after_s") == wait_s


def test_retry_after_as_a_date_in_the_future(provider: TracerProvider) -> None:
    reply = Reply(429, {"retry-after": formatdate(time() + 60, usegmt=True)})
    with Mirror(reply) as mirror, open_call(provider) as call:
        CLIENTS["requests"](mirror.url)
    assert 55 < call.attempts[0].attributes["tollspan.retry_after_s"] <= 60


def failure(send: Send, url: str, timeout: float = 30) -> type[BaseException]:
    with pytest.raises(Exception) as caught:
        send(url, timeout=timeout)
    assert not [e for e in chain(caught.value) if "tollspan" in type(e).__module__]
    return caught.type


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def test_a_refused_connection_is_an_attempt_with_the_class_of_its_error(
    send: Send, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    with Mirror() as mirror:
        url = mirror.url
    bare = failure(send, url)
    with open_call(provider) as call:
        assert failure(send, url) is bare
        (attempt,) = call.attempts
        assert attempt.end_ns
    assert attempt.attributes["error.type"] == bare.__qualname__
    assert "http.response.status_code" not in attempt.attributes
    (span,) = attempt_spans(exporter)
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description is None
    assert span.events == ()


def test_a_timeout_is_an_attempt_with_the_class_of_its_error(
    send: Send, provider: TracerProvider
) -> None:
    hold = threading.Event()
    with Mirror(Reply(delay=hold)) as mirror, open_call(provider) as call:
        kind = failure(send, mirror.url, timeout=0.05)
        hold.set()
    assert "Timeout" in kind.__qualname__
    assert call.attempts[0].attributes["error.type"] == kind.__qualname__


@pytest.mark.parametrize("name", ["httpx", "httpx async", "httpx2", "httpx2 async"])
def test_a_body_that_breaks_off_is_an_error_of_the_attempt(
    name: str, provider: TracerProvider
) -> None:
    with Mirror(Reply(complete=False)) as mirror, open_call(provider) as call:
        kind = failure(CLIENTS[name], mirror.url)
    (attempt,) = call.attempts
    assert attempt.attributes["http.response.status_code"] == 200
    assert attempt.attributes["error.type"] == kind.__qualname__


def test_an_older_error_that_is_being_handled_is_not_this_attempts(
    provider: TracerProvider,
) -> None:
    with Mirror() as mirror, open_call(provider) as call:
        try:
            raise httpx2.ReadTimeout("of another call")
        except httpx2.ReadTimeout:
            CLIENTS["httpx2"](mirror.url)
    assert "error.type" not in call.attempts[0].attributes


def test_each_redirect_is_an_attempt_of_its_own(
    send: Send, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    with Mirror() as end, Mirror(Reply(307, {"location": end.url})) as start:
        with open_call(provider) as call:
            assert send(start.url) == 200
        assert [a.attributes["http.response.status_code"] for a in call.attempts] == [307, 200]
        assert [a.attributes["server.port"] for a in call.attempts] == [start.port, end.port]
    assert len(attempt_spans(exporter)) == 2
    assert {span.parent.span_id for span in attempt_spans(exporter)} == {call.span_id}


def test_without_sampling_there_are_facts_and_no_span(send: Send) -> None:
    exporter = InMemorySpanExporter()
    off = TracerProvider(sampler=ALWAYS_OFF)
    off.add_span_processor(SimpleSpanProcessor(exporter))
    with watching(off), Mirror() as mirror, open_call(off) as call:
        assert send(mirror.url) == 200
    (attempt,) = call.attempts
    assert attempt.span is None
    assert attempt.attributes["http.response.status_code"] == 200
    assert attempt.end_ns
    assert exporter.get_finished_spans() == ()


def test_attempts_of_an_inner_call_are_the_outer_calls_too(provider: TracerProvider) -> None:
    with Mirror() as mirror, open_call(provider) as outer:
        with open_call(provider, outer=outer) as first:
            CLIENTS["httpx2"](mirror.url)
        with open_call(provider, outer=outer) as second:
            CLIENTS["httpx2"](mirror.url)
    assert outer.attempts == first.attempts + second.attempts
    assert [a.attributes["tollspan.attempt"] for a in outer.attempts] == [1, 2]
    assert second.attempts[0].span.parent.span_id == second.span_id  # type: ignore[union-attr]


def test_fetching_a_token_elsewhere_is_no_attempt(
    send: Send, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    with Mirror() as mirror, open_call(provider, SERVER_ADDRESS="api.example.com") as call:
        send(mirror.url, headers=form)
        assert call.attempts == []
        assert "baggage" not in mirror.received[0]
        send(mirror.url)  # another host with the shape of an answer: a rewriting proxy, a failover
        assert len(call.attempts) == 1


def test_sdk_retries_are_attempts(provider: TracerProvider) -> None:
    chat = b'{"id":"c","object":"chat.completion","model":"m","created":1,"choices":[]}'
    replies = [Reply(429, {"retry-after-ms": "1"}), Reply(500, {"retry-after-ms": "1"})]
    with (
        Mirror(*replies, Reply(body=chat)) as mirror,
        open_call(provider) as call,
        openai.OpenAI(api_key="k", base_url=mirror.url.removesuffix("/chat/completions")) as c,
    ):
        c.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
    assert statuses(call) == [429, 500, 200]
    assert [h["x-stainless-retry-count"] for h in mirror.received] == ["0", "1", "2"]


async def test_sdk_retries_of_an_async_client_are_attempts(provider: TracerProvider) -> None:
    message = (
        b'{"id":"m","type":"message","role":"assistant","model":"m","content":[],'
        b'"usage":{"input_tokens":1,"output_tokens":1}}'
    )
    replies = [Reply(529, {"retry-after-ms": "1"}), Reply(body=message)]
    with Mirror(*replies) as mirror, open_call(provider) as call:
        async with anthropic.AsyncAnthropic(
            api_key="k", base_url=f"http://127.0.0.1:{mirror.port}"
        ) as client:
            await client.messages.create(
                model="m", max_tokens=5, messages=[{"role": "user", "content": "x"}]
            )
    assert statuses(call) == [529, 200]


def statuses(call: OpenCall) -> list[int]:
    return [attempt.attributes["http.response.status_code"] for attempt in call.attempts]


# --- the life of a response ---------------------------------------------------------------------


@pytest.mark.parametrize("module", [httpx, httpx2])
def test_a_streamed_attempt_ends_with_its_body(module: Any, provider: TracerProvider) -> None:
    with Mirror() as mirror, open_call(provider) as call, module.Client() as client:
        with client.stream("POST", mirror.url) as response:
            assert call.attempts[0].end_ns == 0
            assert response.read() == b'{"ok": true}'
            assert call.attempts[0].end_ns
        with client.stream("POST", mirror.url):
            assert call.attempts[1].end_ns == 0
        assert call.attempts[1].end_ns  # closed unread


@pytest.mark.parametrize("module", [httpx, httpx2])
async def test_a_streamed_attempt_ends_with_its_body_async(
    module: Any, provider: TracerProvider
) -> None:
    with Mirror() as mirror, open_call(provider) as call:
        async with module.AsyncClient() as client:
            async with client.stream("POST", mirror.url) as response:
                assert call.attempts[0].end_ns == 0
                assert await response.aread() == b'{"ok": true}'
                assert call.attempts[0].end_ns
            async with client.stream("POST", mirror.url):
                assert call.attempts[1].end_ns == 0
            assert call.attempts[1].end_ns


def test_a_streamed_attempt_of_requests_ends_with_its_body(provider: TracerProvider) -> None:
    with Mirror() as mirror, open_call(provider) as call, requests.Session() as session:
        response = session.post(mirror.url, stream=True)
        assert call.attempts[0].end_ns == 0
        assert response.content == b'{"ok": true}'
        assert call.attempts[0].end_ns
        session.post(mirror.url, stream=True).close()
        assert call.attempts[1].end_ns


def test_an_attempt_whose_response_is_never_read_ends_with_its_call(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    with Mirror() as mirror, httpx2.Client() as client:
        with open_call(provider) as call:
            request = client.build_request("POST", mirror.url)
            response = client.send(request, stream=True)
            assert call.attempts[0].end_ns == 0
            _attempts.close(call)
            ended_ns = call.attempts[0].end_ns
            assert ended_ns
        response.close()
        assert call.attempts[0].end_ns == ended_ns  # once
    assert len(attempt_spans(exporter)) == 1


async def test_a_cancelled_request_is_an_attempt_that_ended(provider: TracerProvider) -> None:
    hold = threading.Event()
    with Mirror(Reply(delay=hold)) as mirror, open_call(provider) as call:
        async with httpx2.AsyncClient() as client:
            task = asyncio.create_task(client.post(mirror.url))
            while not mirror.received:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        hold.set()
    assert call.attempts[0].attributes["error.type"] == "CancelledError"
    assert call.attempts[0].end_ns
