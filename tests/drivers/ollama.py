"""The ollama SDK: JSON lines, asked for when the first chunk is wanted."""

from __future__ import annotations

from typing import Any

import ollama

from drivers import ANSWER, KEY, QUESTION, Driver, Way, ndjson
from tollspan import semconv

ASKED: dict[str, Any] = {
    "model": "llama3.2",
    "options": {"temperature": 0.5, "num_predict": 64, "stop": ["END"]},
}
MESSAGES = [{"role": "user", "content": QUESTION}]
TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}

DONE: dict[str, Any] = {
    "model": "llama3.2",
    "created_at": "2026-01-01T00:00:00Z",
    "done": True,
    "done_reason": "stop",
    "total_duration": 2_500_000_000,
    "load_duration": 500_000_000,
    "prompt_eval_count": 11,
    "prompt_eval_duration": 250_000_000,
    "eval_count": 7,
    "eval_duration": 1_500_000_000,
}
CALL = {"function": {"name": "weather", "arguments": {"city": ANSWER}}}
CHAT = {**DONE, "message": {"role": "assistant", "content": ANSWER, "tool_calls": [CALL]}}
CHAT_CHUNKS = [
    {"model": "llama3.2", "done": False, "message": {"role": "assistant", "thinking": ANSWER}},
    {"model": "llama3.2", "done": False, "message": {"role": "assistant", "tool_calls": [CALL]}},
    {"model": "llama3.2", "done": False, "message": {"role": "assistant", "content": ANSWER}},
    {**DONE, "message": {"role": "assistant", "content": ""}},
]
GENERATED = {**DONE, "response": ANSWER, "context": [1, 2]}
GENERATED_CHUNKS = [
    {"model": "llama3.2", "done": False, "response": ANSWER},
    {"model": "llama3.2", "done": False, "response": ANSWER},
    {"model": "llama3.2", "done": False, "response": ANSWER},
    {**DONE, "response": ""},
]

SAYS = {
    semconv.OPERATION: "chat",
    semconv.PROVIDER: "ollama",
    semconv.REQUEST_MODEL: "llama3.2",
    semconv.RESPONSE_MODEL: "llama3.2",
    semconv.REQUEST_TEMPERATURE: 0.5,
    semconv.REQUEST_MAX_TOKENS: 64,
    semconv.REQUEST_STOP_SEQUENCES: ("END",),
    semconv.FINISH_REASONS: ("stop",),
    semconv.INPUT_TOKENS: 11,
    semconv.OUTPUT_TOKENS: 7,
    semconv.SERVER_TIME: 2.5,
    semconv.LOAD_TIME: 0.5,
    semconv.INPUT_TIME: 0.25,
    semconv.OUTPUT_TIME: 1.5,
}
TOOLED = {**SAYS, semconv.TOOLS_CALLED: 1, semconv.TOOLS_CALLED_NAMES: ("weather",)}
SENT = {semconv.TOOLS_SENT: 1, semconv.TOOLS_SENT_NAMES: ("weather",)}


def _chat(client: Any, **more: Any) -> Any:
    return client.chat(**ASKED, messages=MESSAGES, tools=[TOOL], **more)


async def _chat_stream(client: Any) -> Any:
    return await _chat(client, stream=True)


async def _generate_stream(client: Any) -> Any:
    return await client.generate(**ASKED, prompt=QUESTION, stream=True)


async def _chat_read(client: Any) -> Any:
    return [each async for each in await _chat_stream(client)]


async def _generate_read(client: Any) -> Any:
    return [each async for each in await _generate_stream(client)]


HEADERS = {"Authorization": f"Bearer {KEY}"}

DRIVER = Driver(
    name="ollama",
    client=lambda url: ollama.Client(host=url, headers=HEADERS),
    client_async=lambda url: ollama.AsyncClient(host=url, headers=HEADERS),
    # Before 0.6.1 its clients could not be closed.
    close=lambda client: client._client.close(),
    close_async=lambda client: client._client.aclose(),
    error={"error": "model 'llama3.2' not found"},
    ways=(
        Way(
            name="chat",
            ask=_chat,
            ask_async=_chat,
            document=CHAT,
            says={**TOOLED, **SENT},
        ),
        Way(
            name="chat stream",
            ask=lambda client: list(_chat(client, stream=True)),
            ask_async=_chat_read,
            opened=lambda client: _chat(client, stream=True),
            opened_async=_chat_stream,
            document=CHAT_CHUNKS,
            encode=ndjson,
            says={**TOOLED, **SENT, semconv.REQUEST_STREAM: True},
        ),
        Way(
            name="generate",
            ask=lambda client: client.generate(**ASKED, prompt=QUESTION),
            ask_async=lambda client: client.generate(**ASKED, prompt=QUESTION),
            document=GENERATED,
            says={**SAYS, semconv.OPERATION: "text_completion"},
            hostile=False,
        ),
        Way(
            name="generate stream",
            ask=lambda client: list(client.generate(**ASKED, prompt=QUESTION, stream=True)),
            ask_async=_generate_read,
            opened=lambda client: client.generate(**ASKED, prompt=QUESTION, stream=True),
            opened_async=_generate_stream,
            document=GENERATED_CHUNKS,
            encode=ndjson,
            says={**SAYS, semconv.OPERATION: "text_completion"},
            hostile=False,
        ),
        Way(
            name="embed",
            ask=lambda client: client.embed(model="all-minilm", input=QUESTION),
            ask_async=lambda client: client.embed(model="all-minilm", input=QUESTION),
            document={
                "model": "all-minilm",
                "embeddings": [[0.5, 0.25]],
                "total_duration": 2_500_000_000,
                "prompt_eval_count": 8,
            },
            says={
                semconv.OPERATION: "embeddings",
                semconv.REQUEST_MODEL: "all-minilm",
                semconv.RESPONSE_MODEL: "all-minilm",
                semconv.INPUT_TOKENS: 8,
                semconv.OUTPUT_TOKENS: None,
                semconv.SERVER_TIME: 2.5,
            },
        ),
        Way(
            name="embeddings",
            ask=lambda client: client.embeddings(model="all-minilm", prompt=QUESTION),
            ask_async=lambda client: client.embeddings(model="all-minilm", prompt=QUESTION),
            document={"embedding": [0.5, 0.25]},
            says={semconv.OPERATION: "embeddings", semconv.INPUT_TOKENS: None},
            hostile=False,
        ),
    ),
)
