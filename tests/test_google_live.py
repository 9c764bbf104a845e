"""Live sessions: a call for each turn of the model, through the real SDK and a real websocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import types
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sdks import call_spans
from websockets.asyncio.server import serve

from tollspan import instrumentation, semconv

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

MODEL = "gemini-3.1-flash-live-preview"
SAID = {"serverContent": {"modelTurn": {"parts": [{"text": "an answer"}]}}}
COMPLETE = {"serverContent": {"turnComplete": True}}


def usage(prompt: int, answer: int) -> dict[str, Any]:
    return {
        "usageMetadata": {
            "promptTokenCount": prompt,
            "responseTokenCount": answer,
            "totalTokenCount": prompt + answer,
            "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": prompt}],
            "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": answer}],
        }
    }


@pytest.fixture
def instrumented(provider: TracerProvider) -> Iterator[None]:
    assert instrumentation.instrument(provider, ["google_genai"]) == ["google_genai"]
    yield
    instrumentation.uninstrument()


def talk(turns: list[list[dict[str, Any]]], leave_at_once: bool = False) -> list[int]:
    """One session in which the server answers each question with the messages of a turn; gives how
    many messages the caller got in each."""

    async def answer(socket: Any) -> None:
        setup = json.loads(await socket.recv())
        assert setup["setup"]["model"].endswith(MODEL)
        await socket.send(json.dumps({"setupComplete": {}}))
        for messages in turns:
            await socket.recv()
            for message in messages:
                await socket.send(json.dumps(message))
        await socket.wait_closed()

    async def ask() -> list[int]:
        got = []
        async with serve(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            options = types.HttpOptions(base_url=f"http://127.0.0.1:{port}")
            client = genai.Client(api_key="secret-key", http_options=options)
            address = f"ws://127.0.0.1:{port}"
            inner: Any = client._api_client
            inner._websocket_base_url, inner._websocket_ssl_ctx = lambda *_: address, {}
            async with client.aio.live.connect(model=MODEL, config={}) as session:
                for _ in turns:
                    await session.send_client_content(
                        turns=types.Content(role="user", parts=[types.Part(text="a question")])
                    )
                    count = 0
                    async for message in session.receive():
                        count += 1
                        content = message.server_content
                        if leave_at_once and content is not None and content.turn_complete:
                            break
                    got.append(count)
        return got

    return asyncio.run(ask())


@pytest.mark.parametrize("leave_at_once", [False, True])
def test_each_turn_is_a_call_with_its_own_usage(
    leave_at_once: bool, exporter: InMemorySpanExporter, instrumented: None
) -> None:
    turns = [[SAID, SAID, {**COMPLETE, **usage(10, 4)}], [SAID, {**COMPLETE, **usage(20, 6)}]]

    assert talk(turns, leave_at_once) == [3, 2]

    spans = [dict(span.attributes or {}) for span in call_spans(exporter)]
    assert [(each[semconv.INPUT_TOKENS], each[semconv.OUTPUT_TOKENS]) for each in spans] == [
        (10, 4),
        (20, 6),
    ]
    for each in spans:
        assert each[semconv.REQUEST_MODEL] == MODEL
        assert each[semconv.PROVIDER] == "gcp.gemini"
        assert each[semconv.SERVER_ADDRESS] == "127.0.0.1"
        assert each[semconv.FINISH_REASONS] == ("stop",)
        assert each[semconv.AUDIO_INPUT_TOKENS] == each[semconv.INPUT_TOKENS]
        assert each[semconv.STATUS] == "success"
    assert "question" not in "".join(span.to_json() for span in call_spans(exporter))


def test_the_running_total_of_a_turn_is_not_summed(
    exporter: InMemorySpanExporter, instrumented: None
) -> None:
    talk([[SAID, usage(10, 2), SAID, {**COMPLETE, **usage(10, 4)}]])

    (span,) = call_spans(exporter)
    assert (span.attributes or {})[semconv.OUTPUT_TOKENS] == 4


def test_a_turn_that_waits_for_functions_is_a_call_of_its_own(
    exporter: InMemorySpanExporter, instrumented: None
) -> None:
    called = {"toolCall": {"functionCalls": [{"id": "1", "name": "weather", "args": {}}]}}

    talk([[{**called, **usage(10, 2)}, SAID, {**COMPLETE, **usage(15, 5)}]])

    first, second = (dict(span.attributes or {}) for span in call_spans(exporter))
    assert first[semconv.TOOLS_CALLED_NAMES] == ("weather",)
    assert first[semconv.FINISH_REASONS] == ("tool_calls",)
    assert (first[semconv.INPUT_TOKENS], second[semconv.INPUT_TOKENS]) == (10, 15)


def test_a_session_without_an_answer_is_no_call(
    exporter: InMemorySpanExporter, instrumented: None
) -> None:
    assert talk([]) == []
    assert call_spans(exporter) == []
