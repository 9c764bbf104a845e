"""The body of InvokeModel is the caller's, read once in whichever way; its usage is seen as it goes."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from drivers.server import Answer, HttpServed, http
from needs import missing
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sdks import call_spans, settle

from tollspan import instrumentation, semconv
from tollspan.instrumentation import PROVIDERS, _dropped, _open_calls

if (_why := PROVIDERS["bedrock"].missing()) is not None:
    missing("sdk-bedrock", _why)

from botocore.client import BaseClient
from botocore.exceptions import EventStreamError
from botocore.response import StreamingBody
from botocore.stub import Stubber
from drivers.bedrock import (
    CLAUDE,
    CLAUDE_BODY,
    CLAUDE_CHUNKS,
    CONVERSE,
    CONVERSE_EVENTS,
    AsyncClient,
    chunks,
    events,
    failed,
)
from drivers.bedrock import client as new_client
from urllib3.response import HTTPResponse
from wrapt import ObjectProxy

# Connections that are dropped half-read are closed by the garbage collector, whenever that is.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*[Uu]nclosed"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

TEXT = json.dumps({**CLAUDE_BODY, "content": [{"type": "text", "text": "line\n" * 2000}]}, indent=1)


@pytest.fixture
def served() -> Iterator[HttpServed]:
    with http() as running:
        length = str(len(TEXT))
        running.answer = Answer((TEXT[:100].encode(), TEXT[100:].encode()), {
            "content-type": "application/json", "x-length": length,
        })  # fmt: skip
        yield running


_made: list[Any] = []


def client(url: str) -> Any:
    """A client that is closed with the test."""
    _made.append(new_client(url))
    return _made[-1]


@pytest.fixture(autouse=True)
def watching(provider: TracerProvider) -> Iterator[None]:
    instrumentation.instrument(provider, ["bedrock"])
    yield
    instrumentation.uninstrument()
    while _made:
        _made.pop().close()
    settle()
    assert _open_calls.live == {}


def status(exporter: InMemorySpanExporter) -> Any:
    (span,) = call_spans(exporter)
    return (span.attributes or {})[semconv.STATUS]


def usage(exporter: InMemorySpanExporter) -> Any:
    (span,) = call_spans(exporter)
    attributes = span.attributes or {}
    return attributes.get(semconv.INPUT_TOKENS), attributes.get(semconv.OUTPUT_TOKENS)


def _by_pieces(read: Callable[[int], bytes]) -> bytes:
    return b"".join(iter(lambda: read(1000), b""))


def _copied(body: Any) -> bytes:
    copy = io.BytesIO()
    shutil.copyfileobj(body, copy)
    return copy.getvalue()


def _into(body: Any) -> bytes:
    found, buffer = b"", bytearray(1000)
    while count := body.readinto(buffer):
        found += buffer[:count]
    return found


def _raw(body: Any) -> bytes:
    with body as raw:
        assert isinstance(raw, HTTPResponse)
        return bytes(raw.read())


def _raw_stream(body: Any) -> bytes:
    with body as raw:
        return b"".join(raw.stream(1000))


WAYS: dict[str, Callable[[Any], bytes]] = {
    "read": lambda body: body.read(),
    "read(None)": lambda body: body.read(None),
    "read(amt=n)": lambda body: _by_pieces(lambda n: body.read(amt=n)),
    "read(n)": lambda body: _by_pieces(body.read),
    "iter_chunks": lambda body: b"".join(body.iter_chunks(chunk_size=512)),
    "iter_lines": lambda body: b"".join(body.iter_lines(keepends=True)),
    "for": lambda body: b"".join(body),
    "next": lambda body: b"".join(iter(lambda: next(body, b""), b"")),
    "json.load": lambda body: json.dumps(json.load(body), indent=1).encode(),
    "copyfileobj": _copied,
    "with": _raw,
    "with, stream": _raw_stream,
}
if hasattr(StreamingBody, "readinto"):
    WAYS["readinto"] = _into


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_reading_gives_the_same_and_is_seen(
    way: str, served: HttpServed, exporter: InMemorySpanExporter
) -> None:
    made = client(served.url)
    body = made.invoke_model(**CLAUDE)["body"]
    assert type(body) is StreamingBody
    assert call_spans(exporter) == []  # nothing has been read yet
    assert WAYS[way](body) == TEXT.encode()
    assert status(exporter) == "success"
    assert usage(exporter) == (11, 5)
    assert type(body._raw_stream) is HTTPResponse  # as it was
    assert body.read() == b""


def test_the_body_of_an_answer_that_nobody_keeps(
    served: HttpServed, exporter: InMemorySpanExporter
) -> None:
    assert json.loads(client(served.url).invoke_model(**CLAUDE)["body"].read())
    assert usage(exporter) == (11, 5)


@pytest.mark.parametrize("leave", ["dropped", "closed", "left with"])
@pytest.mark.parametrize("read", [0, 50])
def test_a_body_that_is_left_is_an_abandoned_call(
    leave: str, read: int, served: HttpServed, exporter: InMemorySpanExporter
) -> None:
    body = client(served.url).invoke_model(**CLAUDE)["body"]
    body.read(read)
    if leave == "closed":
        body.close()
        assert status(exporter) == "abandoned"
    elif leave == "left with":
        with body:
            pass
        assert status(exporter) == "abandoned"
    gc.disable()
    try:
        del body  # no cycle keeps it
        assert _dropped.settled()
    finally:
        gc.enable()
    assert status(exporter) == "abandoned"


def test_a_body_that_breaks_off_is_an_error(
    served: HttpServed, exporter: InMemorySpanExporter
) -> None:
    served.answer = served.answer.first(1, "breaks")
    body = client(served.url).invoke_model(**CLAUDE)["body"]
    with pytest.raises(Exception, match=r"(?i)connection|incomplete"):
        body.read()
    assert status(exporter) == "error"


def test_a_body_of_the_users_own_is_seen_too(exporter: InMemorySpanExporter) -> None:
    """As a `Stubber` gives it: a file in the place of urllib3's response."""
    made = client("http://127.0.0.1:9")
    with Stubber(made) as stub:
        body = StreamingBody(io.BytesIO(TEXT.encode()), len(TEXT))
        stub.add_response("invoke_model", {"body": body, "contentType": "application/json"})
        got = made.invoke_model(**CLAUDE)["body"]
        assert got is body
        assert got.read() == TEXT.encode()
    assert usage(exporter) == (11, 5)


def test_a_large_body_is_not_parsed_and_its_headers_count(
    served: HttpServed, exporter: InMemorySpanExporter
) -> None:
    large = b'{"images": ["' + b"A" * 9_000_000 + b'"]}'
    counted = {"x-amzn-bedrock-input-token-count": "9", "content-type": "application/json"}
    served.answer = Answer((large,), counted)
    assert client(served.url).invoke_model(**CLAUDE)["body"].read() == large
    assert usage(exporter) == (9, None)


# --- async ----------------------------------------------------------------------------------------


async def _chunks_of(body: Any) -> bytes:
    return b"".join([part async for part in body.iter_chunks(512)])


async def _lines_of(body: Any) -> bytes:
    return b"".join([part async for part in body.iter_lines(keepends=True)])


async def _each_of(body: Any) -> bytes:
    return b"".join([part async for part in body])


async def _read_of(body: Any) -> bytes:
    return bytes(await body.read())


async def _pieces_of(body: Any) -> bytes:
    found = b""
    while part := await body.read(1000):
        found += part
    return found


async def _with(body: Any) -> bytes:
    async with body as stream:
        return bytes(await stream.read())


ASYNC_WAYS = {
    "read": _read_of,
    "read(n)": _pieces_of,
    "iter_chunks": _chunks_of,
    "iter_lines": _lines_of,
    "async for": _each_of,
    "async with": _with,
}


@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_every_async_way_of_reading_gives_the_same_and_is_seen(
    way: str, served: HttpServed, exporter: InMemorySpanExporter
) -> None:
    async def run() -> None:
        made = AsyncClient(served.url)
        try:
            body = (await (await made.real()).invoke_model(**CLAUDE))["body"]
            kind = type(body)
            assert await ASYNC_WAYS[way](body) == TEXT.encode()
            assert type(body) is kind
        finally:
            await made.close()

    asyncio.run(run())
    assert status(exporter) == "success"
    assert usage(exporter) == (11, 5)


@pytest.mark.parametrize("leave", ["dropped", "closed"])
def test_an_async_body_that_is_left_is_an_abandoned_call(
    leave: str, served: HttpServed, exporter: InMemorySpanExporter
) -> None:
    async def run() -> None:
        made = AsyncClient(served.url)
        try:
            body = (await (await made.real()).invoke_model(**CLAUDE))["body"]
            await body.read(50)
            if leave == "closed":
                body.close()
            del body
        finally:
            await made.close()

    asyncio.run(run())
    settle()
    assert status(exporter) == "abandoned"


# --- event streams --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["throttlingException", "modelStreamErrorException"])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_an_exception_inside_a_stream_reaches_the_caller_and_ends_the_call(
    kind: str, is_async: bool, served: HttpServed, exporter: InMemorySpanExporter
) -> None:
    sent = chunks(CLAUDE_CHUNKS[:3])
    served.answer = type(sent)((*sent.pieces, failed(kind, "secret words")), sent.headers)

    async def run() -> None:
        made = AsyncClient(served.url)
        try:
            asked = (await made.real()).invoke_model_with_response_stream(**CLAUDE)
            stream = (await asked)["body"]
            async for _ in stream:
                pass
        finally:
            await made.close()

    with pytest.raises(EventStreamError) as caught:
        if is_async:
            asyncio.run(run())
        else:
            stream = client(served.url).invoke_model_with_response_stream(**CLAUDE)["body"]
            with closing(stream):
                list(stream)
    assert caught.value.response["Error"]["Code"] == kind
    (span,) = call_spans(exporter)
    attributes = dict(span.attributes or {})
    assert attributes[semconv.STATUS] == "error"
    assert attributes[semconv.ERROR_TYPE] == kind
    assert attributes[semconv.INPUT_TOKENS] == 11  # the provider counted it before it failed
    assert "secret" not in span.to_json()


def test_a_stream_that_somebody_else_has_put_a_proxy_around_is_seen(
    served: HttpServed, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    """As OpenTelemetry's instrumentation of botocore does, when it was there before ours."""
    instrumentation.uninstrument()
    original = BaseClient._make_api_call

    def wrapped(self: Any, operation_name: str, api_params: Any) -> Any:
        answer = original(self, operation_name, api_params)
        return {**answer, "stream": ObjectProxy(answer["stream"])}

    served.answer = events(CONVERSE_EVENTS)
    BaseClient._make_api_call = wrapped
    try:
        instrumentation.instrument(provider, ["bedrock"])
        got = list(client(served.url).converse_stream(**CONVERSE)["stream"])
    finally:
        instrumentation.uninstrument()
        BaseClient._make_api_call = original
    assert len(got) == len(CONVERSE_EVENTS)
    assert status(exporter) == "success"
    assert usage(exporter) == (11, 5)
