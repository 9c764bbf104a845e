"""The real openai and anthropic SDKs over a transport that answers from memory, in pieces."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anthropic
import httpx2
import openai
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from outcomes import *
from outcomes import call_spans, settle
from sdk_answers import *
from sdk_answers import BODIES
from sdk_ways import *
from sdk_ways import _resource

from tollspan import calls, instrumentation, semconv
from tollspan.instrumentation import _open_calls

STREAMS = ["chat", "responses", "messages", "beta"]
APIS = [*STREAMS, "embeddings"]


@contextmanager
def watched(provider: TracerProvider) -> Iterator[None]:
    """Both SDKs instrumented; nothing may be left open behind."""
    instrumentation.instrument(provider, ["openai", "anthropic"])
    try:
        yield
    finally:
        instrumentation.uninstrument()
    if _open_calls.live:
        settle()
    assert _open_calls.live == {}
    assert calls.open_calls == {}
    assert calls.current_call.get() is None


class Pieces(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that comes in pieces; `breaks` is raised after the last one."""

    def __init__(self, pieces: list[bytes], breaks: Exception | None = None) -> None:
        self.pieces, self.breaks, self.closed = pieces, breaks, 0

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces
        if self.breaks is not None:
            raise self.breaks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece
        if self.breaks is not None:
            raise self.breaks

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


@dataclass
class Server:
    """Answers with `body`, or with `events` if a stream was asked for; keeps what it was asked."""

    body: Any = None
    events: list[Any] = field(default_factory=list)
    named: bool = False
    """Events carry their type as the SSE event name, as Anthropic's do."""
    status: int = 200
    breaks: Exception | None = None
    requests: list[httpx2.Request] = field(default_factory=list)
    bodies: list[Pieces] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        asked = json.loads(request.content) if request.content[:1] == b"{" else {}
        if asked.get("stream") and self.status == 200:
            pieces, kind = [self._event(each) for each in self.events], "text/event-stream"
            if not self.named and self.breaks is None:
                pieces.append(b"data: [DONE]\n\n")
        else:
            text = self.body if isinstance(self.body, str) else json.dumps(self.body)
            pieces, kind = [text[:9].encode(), text[9:].encode()], "application/json"
        body = Pieces(pieces, self.breaks)
        self.bodies.append(body)
        return httpx2.Response(
            self.status, headers={"content-type": kind, **self.headers}, stream=body
        )

    def _event(self, event: Any) -> bytes:
        if isinstance(event, str):
            return event.encode()
        name = f"event: {event['type']}\n" if self.named and isinstance(event, dict) else ""
        return f"{name}data: {json.dumps(event)}\n\n".encode()

    async def answer(self, request: httpx2.Request) -> httpx2.Response:
        return self(request)


def openai_client(server: Server, **kwargs: Any) -> openai.OpenAI:
    http = httpx2.Client(transport=httpx2.MockTransport(server))
    return openai.OpenAI(
        **{"api_key": "sk-secret", "http_client": http, "max_retries": 0, **kwargs}
    )


def async_openai_client(server: Server, **kwargs: Any) -> openai.AsyncOpenAI:
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(server.answer))
    return openai.AsyncOpenAI(
        **{"api_key": "sk-secret", "http_client": http, "max_retries": 0, **kwargs}
    )


def anthropic_client(server: Server, **kwargs: Any) -> anthropic.Anthropic:
    http = httpx2.Client(transport=httpx2.MockTransport(server))
    return anthropic.Anthropic(
        **{"api_key": "sk-secret", "http_client": http, "max_retries": 0, **kwargs}
    )


def async_anthropic_client(server: Server, **kwargs: Any) -> anthropic.AsyncAnthropic:
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(server.answer))
    return anthropic.AsyncAnthropic(
        **{"api_key": "sk-secret", "http_client": http, "max_retries": 0, **kwargs}
    )


def server_for(api: str, **changes: Any) -> Server:
    body, events = BODIES[api]
    given = {"body": body, "events": events, "named": api in ("messages", "beta"), **changes}
    return Server(**given)


def client_for(api: str, server: Server, **kwargs: Any) -> Any:
    make = anthropic_client if api in ("messages", "beta") else openai_client
    return make(server, **kwargs)


def async_client_for(api: str, server: Server, **kwargs: Any) -> Any:
    make = async_anthropic_client if api in ("messages", "beta") else async_openai_client
    return make(server, **kwargs)


def opened(api: str, **changes: Any) -> Any:
    """A stream that is open, nothing of it read."""
    resource, asked = _resource(client_for(api, server_for(api, **changes)), api)
    return resource.create(**asked, stream=True)


async def opened_async(api: str, **changes: Any) -> Any:
    resource, asked = _resource(async_client_for(api, server_for(api, **changes)), api)
    return await resource.create(**asked, stream=True)


def ended(exporter: InMemorySpanExporter) -> ReadableSpan:
    """The one call that ended."""
    (span,) = call_spans(exporter)
    return span


def status(exporter: InMemorySpanExporter) -> Any:
    return (ended(exporter).attributes or {})[semconv.STATUS]
