"""What is particular to google-genai: its retries, its two async clients, answers that come later,
and the official instrumentation beside ours."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from drivers.google_genai import BODY, INTERACTION_BODY, MODEL, QUESTION, TLS
from google import genai
from google.genai import errors, types
from needs import recordings
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from replay import Replay, recorded
from sdks import call_spans

import tollspan
from tollspan import instrumentation, semconv

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning"
)

Answers = Callable[[str, str], tuple[int, Any]]
"""Method and path to status and JSON."""


@contextmanager
def server(answers: Answers) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            status, document = answers(self.command, self.path)
            body = json.dumps(document).encode()
            self.send_response_only(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, *_: Any) -> None: ...

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_address[1]}"
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


@pytest.fixture
def instrumented(provider: TracerProvider) -> Iterator[None]:
    assert instrumentation.instrument(provider, ["google_genai"]) == ["google_genai"]
    yield
    instrumentation.uninstrument()


def client(url: str, **more: Any) -> genai.Client:
    options = types.HttpOptions(
        base_url=url,
        **{"client_args": {"verify": TLS}, "async_client_args": {"ssl": TLS}, **more},
    )
    return genai.Client(api_key="secret-key", http_options=options)


AGAIN = types.HttpRetryOptions(attempts=3, initial_delay=0.001, max_delay=0.001, jitter=0.0)


def failing_once() -> Answers:
    answers = iter([(503, {"error": {"code": 503, "status": "UNAVAILABLE"}}), (200, BODY)])
    return lambda method, path: next(answers)


def attributes(exporter: InMemorySpanExporter) -> list[dict[str, Any]]:
    return [dict(span.attributes or {}) for span in call_spans(exporter)]


# --- attempts -------------------------------------------------------------------------------------


def test_a_retry_of_the_sdk_is_an_attempt_of_one_call(
    exporter: InMemorySpanExporter, instrumented: None
) -> None:
    with server(failing_once()) as url, client(url, retry_options=AGAIN) as asked:
        asked.models.generate_content(model=MODEL, contents=QUESTION)

    (call,) = attributes(exporter)
    assert call[semconv.APP_ATTEMPTS] == 2
    assert call[semconv.INPUT_TOKENS] == 16
    assert call[semconv.STATUS] == "success"


@pytest.mark.parametrize("transport", ["aiohttp", "httpx"])
def test_attempts_are_seen_through_either_async_client(
    transport: str, exporter: InMemorySpanExporter, instrumented: None
) -> None:
    more: dict[str, Any] = {}
    if transport == "httpx":  # the SDK takes aiohttp unless somebody brings a transport
        more = {"async_client_args": {"transport": httpx.AsyncHTTPTransport(verify=TLS)}}

    async def ask(url: str) -> None:
        async with client(url, retry_options=AGAIN, **more).aio as asked:
            await asked.models.generate_content(model=MODEL, contents=QUESTION)

    with server(failing_once()) as url:
        asyncio.run(ask(url))

    (call,) = attributes(exporter)
    assert call[semconv.APP_ATTEMPTS] == 2
    assert call[semconv.STATUS] == "success"


@pytest.mark.parametrize(
    ("code", "kind"), [(429, "ClientError"), (400, "ClientError"), (500, "ServerError")]
)
def test_an_error_is_the_sdks_class(
    code: int, kind: str, exporter: InMemorySpanExporter, instrumented: None
) -> None:
    failure = {"error": {"code": code, "message": "a prompt", "status": "SOME"}}
    with (
        server(lambda method, path: (code, failure)) as url,
        client(url) as asked,
        pytest.raises(errors.APIError) as raised,
    ):
        asked.models.generate_content(model=MODEL, contents=QUESTION)

    assert raised.value.code == code
    (call,) = attributes(exporter)
    assert call[semconv.ERROR_TYPE] == kind
    assert "a prompt" not in "".join(span.to_json() for span in exporter.get_finished_spans())


# --- answers that come later, or never ------------------------------------------------------------


def test_a_batch_that_begins_is_no_answer(
    exporter: InMemorySpanExporter, instrumented: None
) -> None:
    begun = {"name": "batches/1", "metadata": {"state": "BATCH_STATE_PENDING"}}
    with server(lambda method, path: (200, begun)) as url, client(url) as asked:
        asked.batches.create(model=MODEL, src=[{"contents": [{"parts": [{"text": QUESTION}]}]}])
        asked.models.get(model=MODEL)

    assert call_spans(exporter) == []


def test_an_interaction_in_the_background_is_counted_once(
    exporter: InMemorySpanExporter, instrumented: None
) -> None:
    begun = {"id": "later-1", "status": "in_progress", "model": "gemini-2.5-flash-001"}
    ended = {**INTERACTION_BODY, "id": "later-1"}
    answers = iter([begun, begun, ended, ended])

    def answer(method: str, path: str) -> tuple[int, Any]:
        return 200, next(answers)

    with server(answer) as url, client(url) as asked:
        asked.interactions.create(model=MODEL, input=QUESTION, background=True)
        for _ in range(3):
            asked.interactions.get(id="later-1")

    first, second = attributes(exporter)
    assert first[semconv.BACKGROUND] is True
    assert semconv.INPUT_TOKENS not in first
    assert (second[semconv.INPUT_TOKENS], second[semconv.RESPONSE_ID]) == (16, "later-1")


def test_an_interaction_that_was_answered_is_not_counted_when_it_is_fetched(
    exporter: InMemorySpanExporter, instrumented: None
) -> None:
    answered = {**INTERACTION_BODY, "id": "now-1"}
    with server(lambda method, path: (200, answered)) as url, client(url) as asked:
        asked.interactions.create(model=MODEL, input=QUESTION)
        asked.interactions.get(id="now-1")

    (call,) = attributes(exporter)
    assert call[semconv.INPUT_TOKENS] == 16


# --- where it goes --------------------------------------------------------------------------------


def test_a_requests_own_address_goes_before_the_clients(
    exporter: InMemorySpanExporter, instrumented: None
) -> None:
    with server(lambda method, path: (200, BODY)) as url, client("http://nowhere.test") as asked:
        asked.models.generate_content(
            model="models/tuned",
            contents=QUESTION,
            config=types.GenerateContentConfig(http_options=types.HttpOptions(base_url=url)),
        )

    (call,) = attributes(exporter)
    assert call[semconv.SERVER_ADDRESS] == "127.0.0.1"
    assert call[semconv.SERVER_PORT] == int(url.rpartition(":")[2])
    assert call[semconv.REQUEST_MODEL] == "tuned"


# --- the official instrumentation beside ours -----------------------------------------------------


@pytest.fixture
def official(provider: TracerProvider) -> Iterator[None]:
    module = pytest.importorskip("opentelemetry.instrumentation.google_genai")
    instrumentor = module.GoogleGenAiSdkInstrumentor()
    # It says that it supports google-genai below 3 only, and works with it all the same.
    instrumentor.instrument(tracer_provider=provider, skip_dep_check=True)
    yield
    instrumentor.uninstrument()


def test_ours_takes_the_place_of_the_span_that_the_official_one_has_open(
    exporter: InMemorySpanExporter, instrumented: None, official: None
) -> None:
    with server(lambda method, path: (200, BODY)) as url, client(url) as asked:
        asked.models.generate_content(model=MODEL, contents=QUESTION)

    calls = [
        span
        for span in exporter.get_finished_spans()
        if semconv.OPERATION in (span.attributes or {})
    ]
    assert [span.instrumentation_scope.name for span in calls if span.instrumentation_scope] == [
        "opentelemetry.instrumentation.google_genai"
    ]
    assert (calls[0].attributes or {})[semconv.REQUEST_ID]
    assert (calls[0].attributes or {})[semconv.RESPONSE_ID] == "answer-1"


def get_weather(location: str) -> dict[str, Any]:
    """Get the weather."""
    return {"location": location, "temperature": 65}


def test_beside_the_official_one_each_answer_of_a_function_calling_turn_is_paid_once(
    provider: TracerProvider, exporter: InMemorySpanExporter, official: None
) -> None:
    recording = recorded(recordings() / "24-gemini-automatic-tools-2-requests.yaml")
    tollspan.instrument(tracer_provider=provider, providers=["google_genai"])
    try:
        with Replay(recording) as server, client(server.origin) as asked:
            asked.models.generate_content(
                model="gemini-2.0-flash",
                contents=QUESTION,
                config=types.GenerateContentConfig(tools=[get_weather]),
            )
        provider.force_flush()
    finally:
        tollspan.uninstrument()

    owners = [
        dict(span.attributes or {})
        for span in exporter.get_finished_spans()
        if (span.attributes or {}).get(semconv.COST_ROLE) == "owner"
    ]
    paid = sorted((each[semconv.INPUT_TOKENS], each[semconv.OUTPUT_TOKENS]) for each in owners)
    assert paid == [(64, 6), (89, 23)]
    assert all(each[semconv.COST_AMOUNT] > 0 for each in owners)
