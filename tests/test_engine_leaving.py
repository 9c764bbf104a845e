"""Streams and answers that the caller does not read to their end, and tasks that are cancelled."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import sdks
from opentelemetry import context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tollspan import semconv


@pytest.fixture(autouse=True)
def watched(provider: TracerProvider) -> Iterator[None]:
    with sdks.watched(provider):
        yield


@pytest.mark.parametrize("api", sdks.STREAMS)
def test_a_half_read_stream_that_is_dropped_is_abandoned(
    api: str, exporter: InMemorySpanExporter
) -> None:
    stream = sdks.opened(api)
    next(stream)
    del stream
    sdks.settle()

    assert sdks.status(exporter) == "abandoned"
    assert semconv.TIME_TO_FIRST_CHUNK in (sdks.ended(exporter).attributes or {})
    assert sdks.ended(exporter).status.status_code is trace.StatusCode.UNSET


@pytest.mark.parametrize("api", sdks.STREAMS)
def test_a_stream_that_is_never_read_is_abandoned(api: str, exporter: InMemorySpanExporter) -> None:
    sdks.opened(api)
    sdks.settle()

    assert sdks.status(exporter) == "abandoned"


@pytest.mark.parametrize("api", sdks.STREAMS)
async def test_an_async_half_read_stream_that_is_dropped_is_abandoned(
    api: str, exporter: InMemorySpanExporter
) -> None:
    stream = await sdks.opened_async(api)
    await stream.__anext__()
    del stream
    gc.collect()
    await asyncio.sleep(0)
    sdks.settle()

    assert sdks.status(exporter) == "abandoned"


@pytest.mark.parametrize("api", sdks.STREAMS)
def test_a_half_read_stream_that_is_closed_is_abandoned_at_once(
    api: str, exporter: InMemorySpanExporter
) -> None:
    stream = sdks.opened(api)
    next(stream)
    stream.close()

    assert sdks.status(exporter) == "abandoned"
    stream.close()
    stream.response.close()
    assert "close" not in vars(stream.response)
    assert len(sdks.call_spans(exporter)) == 1


@pytest.mark.parametrize("api", sdks.STREAMS)
async def test_an_async_half_read_stream_that_is_closed_is_abandoned_at_once(
    api: str, exporter: InMemorySpanExporter
) -> None:
    stream = await sdks.opened_async(api)
    await stream.__anext__()
    await stream.close()

    assert sdks.status(exporter) == "abandoned"
    await stream.close()
    assert "aclose" not in vars(stream.response)
    assert len(sdks.call_spans(exporter)) == 1


def test_usage_that_was_seen_before_leaving_is_kept(exporter: InMemorySpanExporter) -> None:
    stream = sdks.opened("messages")
    next(stream)
    stream.close()

    attributes = sdks.ended(exporter).attributes or {}
    assert attributes[semconv.STATUS] == "abandoned"
    assert attributes[semconv.INPUT_TOKENS] == 11


def test_a_stream_closed_after_the_model_had_finished_is_a_success(
    exporter: InMemorySpanExporter,
) -> None:
    stream = sdks.opened("chat")
    for chunk in stream:
        if chunk.choices[0].finish_reason:
            break
    stream.close()

    assert sdks.status(exporter) == "success"


@pytest.mark.parametrize("api", sdks.STREAMS)
def test_an_error_in_the_callers_with_is_the_callers(
    api: str, exporter: InMemorySpanExporter
) -> None:
    with pytest.raises(ZeroDivisionError) as caught, sdks.opened(api) as stream:
        next(stream)
        1 / 0  # noqa: B018

    assert caught.value.__context__ is None
    assert sdks.status(exporter) == "abandoned"
    assert semconv.ERROR_TYPE not in (sdks.ended(exporter).attributes or {})


@pytest.mark.parametrize("api", sdks.STREAMS)
def test_a_raw_stream_that_is_never_parsed_is_abandoned(
    api: str, exporter: InMemorySpanExporter
) -> None:
    resource, asked = sdks._resource(sdks.client_for(api, sdks.server_for(api)), api)
    resource.with_raw_response.create(**asked, stream=True)
    sdks.settle()

    assert sdks.status(exporter) == "abandoned"


@pytest.mark.parametrize("api", sdks.APIS)
def test_a_streaming_response_that_is_never_read_is_abandoned(
    api: str, exporter: InMemorySpanExporter
) -> None:
    resource, asked = sdks._resource(sdks.client_for(api, sdks.server_for(api)), api)
    with resource.with_streaming_response.create(**asked) as response:
        assert response.status_code == 200

    assert sdks.status(exporter) == "abandoned"
    assert not {"close", "iter_bytes"} & set(vars(response.http_response))


def test_a_raw_response_that_is_never_parsed_says_what_it_cost(
    exporter: InMemorySpanExporter,
) -> None:
    resource, asked = sdks._resource(sdks.openai_client(sdks.server_for("chat")), "chat")
    response = resource.with_raw_response.create(**asked)

    assert (sdks.ended(exporter).attributes or {})[semconv.INPUT_TOKENS] == 11
    assert "parse" not in vars(response)


def test_a_coroutine_that_is_never_awaited_makes_no_call(exporter: InMemorySpanExporter) -> None:
    client = sdks.async_openai_client(sdks.server_for("chat"))
    with pytest.warns(RuntimeWarning, match=r"AsyncCompletions.create.* was never awaited"):
        client.chat.completions.create(**sdks.CHAT)

    assert sdks.call_spans(exporter) == []


@pytest.mark.parametrize("api", sdks.APIS)
async def test_a_cancelled_task_is_cancelled_and_no_error(
    api: str, exporter: InMemorySpanExporter
) -> None:
    started = asyncio.Event()

    async def hang(request: httpx2.Request) -> httpx2.Response:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(hang))
    client = sdks.async_client_for(api, sdks.server_for(api), http_client=http)
    task = asyncio.create_task(sdks.plain_async(client, api))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    span = sdks.ended(exporter)
    assert sdks.status(exporter) == "cancelled"
    assert span.status.status_code is trace.StatusCode.UNSET
    assert semconv.ERROR_TYPE not in (span.attributes or {})
    assert trace.get_current_span() is trace.INVALID_SPAN


async def test_a_task_cancelled_between_chunks_is_cancelled(
    exporter: InMemorySpanExporter,
) -> None:
    reading = asyncio.Event()

    class Hanging(sdks.Pieces):
        async def __aiter__(self) -> Any:
            yield self.pieces[0]
            reading.set()
            await asyncio.Event().wait()

    async def answer(request: httpx2.Request) -> httpx2.Response:
        body = Hanging([sdks.server_for("chat")._event(sdks.CHAT_EVENTS[0])])
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=body)

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    client = sdks.async_openai_client(sdks.server_for("chat"), http_client=http)
    task = asyncio.create_task(sdks.stream_async(client, "chat"))
    await reading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert sdks.status(exporter) == "cancelled"


async def test_a_coroutine_closed_in_another_context_leaves_no_trace_there(
    exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    class Forever:
        def __await__(self) -> Any:
            yield

    async def hang(request: httpx2.Request) -> httpx2.Response:
        await Forever()
        raise AssertionError

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(hang))
    client = sdks.async_openai_client(sdks.server_for("chat"), http_client=http)
    coroutine = sdks.plain_async(client, "chat")
    import contextvars

    contextvars.copy_context().run(coroutine.send, None)
    contextvars.Context().run(coroutine.close)

    assert sdks.status(exporter) == "abandoned"
    assert caplog.records == []
    assert context.get_current() == {}
