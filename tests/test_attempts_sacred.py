"""Watching changes nothing for the caller, whatever breaks in tollspan, and leaves no trace behind."""

from __future__ import annotations

import gc
import pickle
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import aiohttp
import httpx
import httpx2
import openai
import pytest
import requests
import wrapt
from mirror import CLIENTS, Mirror, Reply, Send, open_call, watching
from opentelemetry import context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tollspan.calls import current_call
from tollspan.instrumentation import _attempts, _flight, _headers, _propagation

PLACES: list[tuple[type, str]] = [
    (httpx.Client, "_send_single_request"),
    (httpx.AsyncClient, "_send_single_request"),
    (httpx2.Client, "_send_single_request"),
    (httpx2.AsyncClient, "_send_single_request"),
    (requests.Session, "get_adapter"),
    (aiohttp.ClientSession, "_request"),
]


@pytest.fixture(params=CLIENTS)
def send(request: pytest.FixtureRequest) -> Send:
    return CLIENTS[request.param]


@pytest.fixture
def watched(provider: TracerProvider) -> Iterator[None]:
    with watching(provider):
        yield


def methods() -> list[Any]:
    return [owner.__dict__[name] for owner, name in PLACES]


def test_uninstall_restores_the_identical_methods(provider: TracerProvider) -> None:
    before = methods()
    for _ in range(2):
        with watching(provider):
            inside = methods()
            assert all(isinstance(each, wrapt.FunctionWrapper) for each in inside)
            _attempts.install(provider)  # twice is once
            assert all(a is b for a, b in zip(methods(), inside, strict=True))
        assert all(a is b for a, b in zip(methods(), before, strict=True))


def test_a_wrapper_that_others_put_around_ours_stays_theirs(provider: TracerProvider) -> None:
    original = httpx2.Client.__dict__["_send_single_request"]

    def theirs(self: Any, request: Any) -> Any:
        return inner(self, request)

    try:
        with watching(provider):
            inner = httpx2.Client._send_single_request
            httpx2.Client._send_single_request = theirs  # type: ignore[method-assign]
        assert httpx2.Client.__dict__["_send_single_request"] is theirs
        with watching(provider), Mirror() as mirror, open_call(provider) as call:
            CLIENTS["httpx2"](mirror.url)
        assert len(call.attempts) == 1  # installed again, and not twice
    finally:
        httpx2.Client._send_single_request = original  # type: ignore[method-assign]


ORDER = """
import sys
from tollspan.instrumentation import _attempts
_attempts.install()
loaded = [name for name in ("httpx", "httpx2", "requests", "aiohttp") if name in sys.modules]
assert not loaded, loaded
import httpx2, requests, aiohttp, httpx, wrapt
places = [httpx.Client, httpx2.AsyncClient]
for each in places:
    assert isinstance(each.__dict__["_send_single_request"], wrapt.FunctionWrapper), each
assert isinstance(requests.Session.__dict__["get_adapter"], wrapt.FunctionWrapper)
assert isinstance(aiohttp.ClientSession.__dict__["_request"], wrapt.FunctionWrapper)
"""


def test_clients_are_patched_when_they_are_imported_and_never_imported_by_us() -> None:
    subprocess.run([sys.executable, "-c", ORDER], check=True, timeout=60)


# --- what the caller gets -------------------------------------------------------------------------


@pytest.mark.parametrize("module", [httpx, httpx2])
@pytest.mark.usefixtures("watched")
def test_a_response_is_the_transports_own_and_keeps_no_mark(
    module: Any, provider: TracerProvider
) -> None:
    made: list[Any] = []

    class Subclass(module.Client):  # type: ignore[misc]
        def send(self, request: Any, **kwargs: Any) -> Any:
            return super().send(request, **kwargs)

    class Transport(module.BaseTransport):  # type: ignore[misc]
        def handle_request(self, request: Any) -> Any:
            made.append(module.Response(200, stream=module.ByteStream(b"x")))
            return made[-1]

    with open_call(provider) as call, Subclass(transport=Transport()) as client:
        response = client.post("http://127.0.0.1:9/")
        assert response is made[0]
        assert type(response) is module.Response
        assert not {"close", "aclose"} & set(response.__dict__)
        assert pickle.loads(pickle.dumps(response)).content == b"x"
        with client.stream("POST", "http://127.0.0.1:9/") as streamed:
            assert list(streamed.iter_bytes()) == [b"x"]
        assert not {"close", "aclose"} & set(streamed.__dict__)
    assert len(call.attempts) == 2


@pytest.mark.usefixtures("watched")
def test_an_adapter_is_still_an_adapter(provider: TracerProvider) -> None:
    with requests.Session() as session, open_call(provider):
        adapter = session.get_adapter("http://127.0.0.1/")
        assert isinstance(adapter, requests.adapters.HTTPAdapter)
        assert adapter.max_retries == session.adapters["http://"].max_retries  # type: ignore[attr-defined]


@pytest.mark.usefixtures("watched")
def test_a_response_that_the_caller_drops_goes_at_once(provider: TracerProvider) -> None:
    with Mirror() as mirror, open_call(provider), httpx2.Client() as client:
        gc.disable()
        try:
            response = client.send(client.build_request("POST", mirror.url), stream=True)
            known = weakref.ref(response)
            del response
            assert known() is None
        finally:
            gc.enable()


@pytest.mark.usefixtures("watched")
def test_middlewares_of_the_user_run_around_ours(provider: TracerProvider) -> None:
    import asyncio

    order: list[int] = []

    async def twice(request: Any, handler: Any) -> Any:
        first = await handler(request)
        await first.read()
        order.append(first.status)
        return await handler(request)

    async def run(url: str) -> int:
        async with (
            aiohttp.ClientSession(middlewares=[twice]) as session,
            session.post(url, json={}) as response,
        ):
            return response.status

    with Mirror(Reply(401)) as mirror, open_call(provider) as call:
        assert asyncio.run(run(mirror.url)) == 200
    assert order == [401]
    assert [a.attributes["http.response.status_code"] for a in call.attempts] == [401, 200]


@pytest.mark.usefixtures("watched")
async def test_httpx_over_aiohttp_is_one_attempt(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    with Mirror(Reply(500)) as mirror, open_call(provider) as call:
        client = openai.AsyncOpenAI(
            api_key="k",
            base_url=mirror.url.removesuffix("/chat/completions"),
            max_retries=0,
            http_client=openai.DefaultAioHttpClient(),
        )
        async with client:
            with pytest.raises(openai.InternalServerError):
                await client.chat.completions.create(model="m", messages=[])
    assert len(call.attempts) == 1
    assert [span.name for span in exporter.get_finished_spans()].count("POST") == 1


@pytest.mark.usefixtures("watched")
def test_a_call_that_has_ended_records_nothing_more(send: Send, provider: TracerProvider) -> None:
    with Mirror() as mirror, open_call(provider) as call:
        call.end_ns = 1
        send(mirror.url)
    assert call.attempts == []
    assert "baggage" not in mirror.received[0]


# --- our own faults -------------------------------------------------------------------------------

FAULTS: list[tuple[Any, str]] = [
    (_flight.Flight, "depart"),
    (_flight.Flight, "land"),
    (_flight.Flight, "answered"),
    (_flight.Flight, "failed"),
    (_flight.Flight, "_record"),
    (_flight.Flight, "_start_span"),
    (_flight.Flight, "_send_along"),
    (_flight.Flight, "_note"),
    (_flight, "may_receive"),
    (_attempts, "end"),
    (_flight, "_is_side_request"),
    (_flight, "http_span_in"),
    (_headers, "kept"),
    (_headers, "retry_after_s"),
    (_propagation, "write"),
    (_propagation, "members"),
    (_propagation, "restore"),
]


@pytest.mark.quiet
@pytest.mark.parametrize(("owner", "name"), FAULTS, ids=[name for _, name in FAULTS])
@pytest.mark.usefixtures("watched")
def test_a_fault_of_ours_costs_the_caller_nothing(
    owner: Any, name: str, send: Send, provider: TracerProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("ours")

    with Mirror(Reply(), Reply(429)) as mirror, open_call(provider) as call:
        monkeypatch.setattr(owner, name, broken)
        assert send(mirror.url) == 200
        assert send(mirror.url) == 429
        hold = threading.Event()
        mirror.replies.append(Reply(delay=hold))
        with pytest.raises(Exception) as caught:
            send(mirror.url, timeout=0.05)
        hold.set()
        monkeypatch.undo()
        error: BaseException | None = caught.value
        while error is not None:
            assert "ours" not in str(error)
            error = error.__cause__ or error.__context__
        assert current_call.get() is call


@pytest.mark.quiet
@pytest.mark.parametrize(("owner", "name"), FAULTS, ids=[name for _, name in FAULTS])
@pytest.mark.usefixtures("watched")
def test_a_fault_of_ours_leaves_the_context_as_it_was(
    owner: Any, name: str, provider: TracerProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("ours")

    with Mirror() as mirror, open_call(provider):
        before = context.get_current()
        monkeypatch.setattr(owner, name, broken)
        CLIENTS["httpx2"](mirror.url)
        monkeypatch.undo()
        if name != "land":  # what puts it back is what broke
            assert context.get_current() is before


def test_spans_exported_inside_a_call_are_no_attempts_of_it(send: Send) -> None:
    """An exporter that sends each span as it ends does so from within the call."""
    with Mirror(*[Reply(body=b"{}")] * 4) as collector, Mirror() as mirror:
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=collector.url)))
        with watching(provider), open_call(provider) as call:
            send(mirror.url)
            provider.get_tracer("application").start_span("inside").end()
        provider.shutdown()

    assert len(collector.received) == 3  # the attempt, the span inside, the call
    assert len(mirror.received) == 1
    assert len(call.attempts) == 1
