"""Realtime sessions over a real websocket: each answer a call, with the usage that its event states."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai
import pytest
import sdks
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from websockets.sync.server import ServerConnection, serve

from tollspan import semconv
from tollspan.processors.settle import settle

# The SDK opens its websockets in a way that the newest websockets package warns of.
pytestmark = pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning")

USAGE = {
    "total_tokens": 253,
    "input_tokens": 132,
    "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119,
        "audio_tokens": 13,
        "image_tokens": 0,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 4, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}


def done(identity: str, status: str = "completed", **more: Any) -> dict[str, Any]:
    own = {"id": identity, "object": "realtime.response", "status": status, "output": []}
    return {"type": "response.done", "event_id": "e", "response": {**own, "usage": USAGE, **more}}


TRANSCRIBED = {
    "type": "conversation.item.input_audio_transcription.completed",
    "event_id": "e",
    "item_id": "i",
    "content_index": 0,
    "transcript": "words that no span may carry",
    "usage": {
        "type": "tokens",
        "input_tokens": 26,
        "output_tokens": 17,
        "total_tokens": 43,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 26},
    },
}
EVENTS: list[dict[str, Any]] = [
    {"type": "session.created", "event_id": "e", "session": {"type": "realtime", "model": "x"}},
    TRANSCRIBED,
    {"type": "response.output_audio.delta", "event_id": "e", "delta": "AAAA"},
    done("resp_a", output=[{"type": "function_call", "name": "look_up", "arguments": "{}"}]),
    done("resp_b", "incomplete", status_details={"reason": "max_output_tokens"}),
    done("resp_c", "failed", usage=None, status_details={"error": {"code": "rate_limit_exceeded"}}),
    {"type": "response.done", "event_id": "e", "response": None},
]


@contextmanager
def session(events: list[dict[str, Any]]) -> Iterator[str]:
    """A server that tells `events` and closes; gives its address."""

    def handle(connection: ServerConnection) -> None:
        for event in events:
            connection.send(json.dumps(event))

    with serve(handle, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()


def client(address: str, kind: Any = openai.OpenAI) -> Any:
    url = f"ws://{address}/v1"
    return kind(api_key="sk-secret", base_url=f"http://{address}/v1", websocket_base_url=url)


@pytest.fixture(autouse=True)
def watched(provider: TracerProvider) -> Iterator[None]:
    with sdks.watched(provider):
        yield


def check(exporter: InMemorySpanExporter, address: str) -> None:
    host, port = address.split(":")
    spans = [dict(span.attributes or {}) for span in sdks.call_spans(exporter)]
    transcribed, called, cut, failed = spans
    for each in spans:
        assert each[semconv.PROVIDER] == "openai"
        assert (each[semconv.SERVER_ADDRESS], each[semconv.SERVER_PORT]) == (host, int(port))
        assert "no span may carry" not in repr(each)
    assert transcribed[semconv.OPERATION] == "transcription"
    assert semconv.REQUEST_MODEL not in transcribed
    assert transcribed[semconv.AUDIO_INPUT_TOKENS] == 26
    expected = {
        semconv.OPERATION: "chat",
        semconv.REQUEST_MODEL: "gpt-realtime",
        semconv.RESPONSE_ID: "resp_a",
        semconv.FINISH_REASONS: ("tool_calls",),
        semconv.INPUT_TOKENS: 132,
        semconv.OUTPUT_TOKENS: 121,
        semconv.CACHE_READ_TOKENS: 64,
        semconv.AUDIO_CACHE_READ_TOKENS: 4,
        semconv.AUDIO_INPUT_TOKENS: 13,
        semconv.AUDIO_OUTPUT_TOKENS: 91,
        semconv.TEXT_INPUT_TOKENS: 119,
        semconv.TEXT_OUTPUT_TOKENS: 30,
        semconv.TOOLS_CALLED: 1,
        semconv.TOOLS_CALLED_NAMES: ("look_up",),
    }
    assert {name: called.get(name) for name in expected} == expected
    settled = settle(called).attributes
    assert settled[semconv.COST_GRADE] == "derived"
    assert settled[semconv.COST_AMOUNT] > 0
    assert cut[semconv.FINISH_REASONS] == ("length",)
    assert failed[semconv.STATUS] == "error"
    assert failed[semconv.ERROR_TYPE] == "rate_limit_exceeded"


@pytest.mark.parametrize("way", ["loop", "recv", "bytes", "handlers"])
def test_each_answer_of_a_session_is_a_call(way: str, exporter: InMemorySpanExporter) -> None:
    seen: list[Any] = []
    with session(EVENTS) as address:
        asked = client(address).realtime.connect(model="gpt-realtime")
        with asked as connection:
            if way == "loop":
                seen.extend(connection)
            elif way == "recv":
                seen.extend(connection.recv() for _ in EVENTS)
            elif way == "bytes":
                seen.extend(connection.parse_event(connection.recv_bytes()) for _ in EVENTS)
            else:
                connection.on("event", seen.append)
                connection.dispatch_events()
        assert [each.type for each in seen] == [each["type"] for each in EVENTS]
        check(exporter, address)


async def test_each_answer_of_an_async_session_is_a_call(exporter: InMemorySpanExporter) -> None:
    with session(EVENTS) as address:
        asked = client(address, openai.AsyncOpenAI).realtime.connect(model="gpt-realtime")
        async with asked as connection:
            seen = [each async for each in connection]
        assert [each.type for each in seen] == [each["type"] for each in EVENTS]
        check(exporter, address)


def test_the_beta_session_too(exporter: InMemorySpanExporter) -> None:
    with session(EVENTS) as address:
        asked = client(address).beta.realtime.connect(model="gpt-realtime")
        with asked as connection:
            assert len(list(connection)) == len(EVENTS)
        check(exporter, address)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.done"},
        {"type": "response.done", "response": {"usage": []}},
        {
            "type": "response.done",
            "response": {"id": 7, "status": [], "usage": {"input_tokens": -1}},
        },
        {"type": TRANSCRIBED["type"], "usage": None},
        {"type": ["response.done"]},
        {"usage": {}},
        [],
        "response.done",
        None,
    ],
    ids=repr,
)
def test_odd_events_change_nothing(event: Any) -> None:
    with session([event]) as address:
        asked = client(address).realtime.connect(model="gpt-realtime")
        with asked as connection:
            list(connection)


def test_the_responses_wire_over_a_socket(exporter: InMemorySpanExporter) -> None:
    from sdk_answers import RESPONSE_EVENTS

    with session(RESPONSE_EVENTS) as address:
        asked = client(address).responses.connect()
        with asked as connection:
            list(connection)
        attributes = dict(sdks.ended(exporter).attributes or {})
    assert attributes[semconv.INPUT_TOKENS] == 11
    assert attributes[semconv.RESPONSE_MODEL] == "gpt-4o-mini-2024-07-18"
    assert settle(attributes).attributes[semconv.COST_AMOUNT] > 0
