"""xAI's SDK traces itself: its span tells our call's answer again, and the context stays its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
import xai_sdk
from drivers import QUESTION
from drivers.grpc_server import GrpcServed
from drivers.xai_sdk import CHAT, CHATS, CHUNKS, DRIVER, USAGE, _encoding
from opentelemetry import context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from outcomes import call_spans, settle
from xai_sdk.chat import user
from xai_sdk.proto import chat_pb2

from tollspan import instrumentation, semconv
from tollspan.instrumentation.xai_sdk import PROVIDER
from tollspan.processors.spans import adopt_provider

STREAMED = _encoding(chat_pb2.GetChatCompletionChunk)(CHUNKS)


@pytest.fixture
def served() -> Iterator[GrpcServed]:
    with DRIVER.serve() as running:
        assert isinstance(running, GrpcServed)
        yield running


@pytest.fixture
def client(served: GrpcServed) -> Iterator[Any]:
    assert DRIVER.client is not None
    made = DRIVER.client(served.url)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def watched(provider: TracerProvider) -> Iterator[None]:
    instrumentation.instrument(provider, ["xai_sdk"])
    yield
    instrumentation.uninstrument()


@pytest.fixture
def native(provider: TracerProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The SDK's own spans, which go to the global provider, come to ours; and our processor."""
    for kind in ("sync", "aio"):
        name = f"xai_sdk.{kind}.chat"
        monkeypatch.setattr(f"{name}.tracer", provider.get_tracer(name))
    undo = adopt_provider(provider)
    yield
    undo()


def _chat(client: Any) -> Any:
    return client.chat.create(model="grok-4.3", messages=[user(QUESTION)])


def _theirs(exporter: InMemorySpanExporter) -> ReadableSpan:
    (span,) = (
        each
        for each in exporter.get_finished_spans()
        if each.instrumentation_scope is not None
        and each.instrumentation_scope.name.startswith("xai_sdk.")
    )
    return span


def _has_the_money_once(exporter: InMemorySpanExporter) -> None:
    (ours,) = call_spans(exporter)
    theirs = _theirs(exporter)
    assert (ours.attributes or {})[semconv.COST_AMOUNT] == pytest.approx(0.00012345)
    assert (ours.attributes or {})[semconv.COST_ROLE] == "owner"
    assert ours.context is not None and theirs.parent is not None
    assert theirs.parent.span_id == ours.context.span_id
    assert (theirs.attributes or {})[semconv.COST_ROLE] == "restated"
    assert semconv.COST_AMOUNT not in (theirs.attributes or {})
    assert semconv.INPUT_TOKENS not in (theirs.attributes or {})


def test_the_sdks_own_span_owns_no_money(
    client: Any, served: GrpcServed, native: None, exporter: InMemorySpanExporter
) -> None:
    served.answer = CHATS(CHAT)
    _chat(client).sample()
    _has_the_money_once(exporter)


def test_nor_does_that_of_a_stream(
    client: Any, served: GrpcServed, native: None, exporter: InMemorySpanExporter
) -> None:
    served.answer = STREAMED
    list(_chat(client).stream())
    _has_the_money_once(exporter)


@pytest.mark.parametrize("leave", ["read", "closed", "dropped"])
def test_a_stream_leaves_the_context_as_the_bare_sdk_does(
    leave: str, client: Any, served: GrpcServed, native: None, exporter: InMemorySpanExporter
) -> None:
    """The SDK's own span is current between two chunks, and gone with the stream."""
    served.answer = STREAMED
    before = context.get_current()
    stream = _chat(client).stream()
    assert context.get_current() == before
    next(stream)
    assert "xai_sdk" in str(getattr(trace.get_current_span(), "instrumentation_scope", ""))
    if leave == "read":
        list(stream)
    elif leave == "closed":
        stream.close()
    del stream
    assert context.get_current() == before
    settle()
    (ours,) = call_spans(exporter)
    status = "success" if leave == "read" else "abandoned"
    assert (ours.attributes or {})[semconv.STATUS] == status


def test_an_async_stream_leaves_the_context_as_it_was(
    served: GrpcServed, native: None, exporter: InMemorySpanExporter
) -> None:
    served.answer = STREAMED

    async def asked() -> None:
        assert DRIVER.client_async is not None
        client = DRIVER.client_async(served.url)
        before = context.get_current()
        assert len([each async for each in _chat(client).stream()]) == len(CHUNKS)
        assert context.get_current() == before
        await client.close()

    asyncio.run(asked())
    _has_the_money_once(exporter)


def test_an_answer_that_must_be_asked_for_again_is_one_call(
    client: Any, served: GrpcServed, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xai_sdk.proto import deferred_pb2

    chat = _chat(client)
    answer = chat_pb2.GetChatCompletionResponse.FromString(CHATS(CHAT).pieces[0])
    done = chat_pb2.GetDeferredCompletionResponse(
        status=deferred_pb2.DeferredStatus.DONE, response=answer
    )
    pieces = iter([b"", done.SerializeToString()])
    monkeypatch.setattr(served, "reply_once", lambda request, context: next(pieces))
    chat.defer()
    (span,) = call_spans(exporter)
    assert (span.attributes or {})[semconv.INPUT_TOKENS] == USAGE["promptTokens"]


def test_tokenizing_is_no_call(
    client: Any, served: GrpcServed, exporter: InMemorySpanExporter
) -> None:
    served.answer = CHATS({})
    client.tokenize.tokenize_text(QUESTION, "grok-4.3")
    assert served.asked == 1
    assert call_spans(exporter) == []


@pytest.mark.parametrize("secure", [True, False])
def test_the_address_is_where_the_channel_leads(secure: bool) -> None:
    asked = {"api_key": "k", "use_insecure_channel": not secure}
    client = xai_sdk.Client(**asked)  # type: ignore[arg-type]
    chat = _chat(client)
    assert PROVIDER.base_url({"self": chat}) == "https://api.x.ai"
    assert PROVIDER.base_url({"self": client.image}) == "https://api.x.ai"
    client.close()
    assert PROVIDER.base_url({"self": chat}) == "https://api.x.ai"

    async def asynchronously() -> None:
        client = xai_sdk.AsyncClient(api_host="eu.api.x.ai:8443", **asked)  # type: ignore[arg-type]
        chat = _chat(client)
        assert PROVIDER.base_url({"self": chat}) == "https://eu.api.x.ai:8443"
        await client.close()
        assert PROVIDER.base_url({"self": chat}) == "https://eu.api.x.ai:8443"

    asyncio.run(asynchronously())


def test_a_refusal_has_the_name_of_its_class(
    client: Any, served: GrpcServed, exporter: InMemorySpanExporter
) -> None:
    served.answer = CHATS(CHAT).failing(429)
    with pytest.raises(grpc.RpcError):
        _chat(client).sample()
    (span,) = call_spans(exporter)
    assert (span.attributes or {})[semconv.STATUS] == "error"
    assert semconv.APP_ATTEMPTS not in (span.attributes or {})
