"""The mistralai SDK, which was another package before 2.0."""

from __future__ import annotations

import asyncio
from typing import Any

try:
    from mistralai.client import Mistral
    from mistralai.client.utils import eventstreaming
except ImportError:
    from mistralai import Mistral
    from mistralai.utils import eventstreaming

from drivers import ANSWER, KEY, QUESTION, Driver, Way, sse, sse_named
from drivers.made_once import made_once
from tollspan import semconv

made_once(eventstreaming.__name__.replace("eventstreaming", "serializers"))

MODEL = "mistral-small-latest"
MESSAGES = [{"role": "user", "content": QUESTION}]
CHAT: dict[str, Any] = {"model": MODEL, "messages": MESSAGES, "random_seed": 7}
AGENT: dict[str, Any] = {"agent_id": "ag_1", "messages": MESSAGES}
FIM: dict[str, Any] = {"model": "codestral-2508", "prompt": QUESTION}
DOCUMENT = {"type": "document_url", "document_url": "https://127.0.0.1/a.pdf"}

USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 4},
}
CALLED = {"id": "c1", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
HEAD = {"id": "cmpl-1", "created": 1, "model": MODEL}
CHAT_BODY: dict[str, Any] = {
    **HEAD,
    "object": "chat.completion",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": ANSWER, "tool_calls": [CALLED]},
            "finish_reason": "stop",
        }
    ],
    "usage": USAGE,
}


def _chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {**HEAD, "object": "chat.completion.chunk", "choices": [choice], **more}


CHAT_EVENTS: list[Any] = [
    _chunk({"role": "assistant", "content": ""}),
    _chunk({"content": ANSWER}),
    _chunk({"content": "", "tool_calls": [{**CALLED, "index": 0}]}),
    _chunk({"content": ""}, "stop", usage=USAGE),
]
EMBEDDING_BODY: dict[str, Any] = {
    "id": "emb-1",
    "object": "list",
    "model": "mistral-embed",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}],
    "usage": {"prompt_tokens": 11, "completion_tokens": 0, "total_tokens": 11},
}
OCR_BODY: dict[str, Any] = {
    "model": "mistral-ocr-2512",
    "pages": [
        {
            "index": 0,
            "markdown": ANSWER,
            "images": [],
            "dimensions": {"dpi": 200, "height": 2200, "width": 1700},
        }
    ],
    "usage_info": {"pages_processed": 3, "doc_size_bytes": 1000},
}
CONVERSATION_USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 118,
    "connector_tokens": 100,
    "connectors": {"web_search": 2},
}
CONVERSATION_BODY: dict[str, Any] = {
    "object": "conversation.response",
    "conversation_id": "conv_1",
    "outputs": [
        {
            "object": "entry",
            "type": "tool.execution",
            "name": "web_search",
            "arguments": QUESTION,
            "id": "te_1",
        },
        {
            "object": "entry",
            "type": "message.output",
            "content": ANSWER,
            "model": "mistral-medium-2505",
            "agent_id": "ag_1",
            "id": "msg_1",
            "role": "assistant",
        },
    ],
    "usage": CONVERSATION_USAGE,
}
CONVERSATION_EVENTS: list[Any] = [
    {"type": "conversation.response.started", "conversation_id": "conv_1"},
    {
        "type": "message.output.delta",
        "id": "msg_1",
        "content": ANSWER,
        "model": "mistral-medium-2505",
        "agent_id": "ag_1",
        "role": "assistant",
        "output_index": 0,
        "content_index": 0,
    },
    {"type": "conversation.response.done", "usage": CONVERSATION_USAGE},
]
TRANSCRIPTION_BODY: dict[str, Any] = {
    "model": "voxtral-mini-2602",
    "text": ANSWER,
    "language": "en",
    "segments": [],
    "usage": {
        "prompt_audio_seconds": 203,
        "prompt_tokens": 4,
        "completion_tokens": 635,
        "total_tokens": 3264,
    },
}
MODERATION_BODY: dict[str, Any] = {
    "id": "mod-1",
    "model": "mistral-moderation-latest",
    "results": [{"categories": {"health": False}, "category_scores": {"health": 0.5}}],
}

SAYS = {
    semconv.OPERATION: "chat",
    semconv.PROVIDER: "mistral_ai",
    semconv.REQUEST_MODEL: MODEL,
    semconv.REQUEST_SEED: 7,
    semconv.RESPONSE_MODEL: MODEL,
    semconv.RESPONSE_ID: "cmpl-1",
    semconv.FINISH_REASONS: ("stop",),
    semconv.INPUT_TOKENS: 11,
    semconv.OUTPUT_TOKENS: 7,
    semconv.TOOLS_CALLED_NAMES: ("get_time",),
}
CONVERSES = {
    semconv.OPERATION: "invoke_agent",
    semconv.RESPONSE_MODEL: "mistral-medium-2505",
    semconv.AGENT_ID: "ag_1",
    semconv.CONVERSATION_ID: "conv_1",
    semconv.INPUT_TOKENS: 111,
    semconv.CONNECTOR_TOKENS: 100,
    semconv.OUTPUT_TOKENS: 7,
    semconv.WEB_SEARCHES: 2,
}
TRANSCRIBES = {
    semconv.OPERATION: "transcription",
    semconv.RESPONSE_MODEL: "voxtral-mini-2602",
    semconv.AUDIO_INPUT_SECONDS: 203.0,
    semconv.INPUT_TOKENS: 4,
    semconv.OUTPUT_TOKENS: 635,
}


def _way(name: str, resource: Any, method: str, arguments: dict[str, Any], **more: Any) -> Way:
    """A method that answers, and the async one beside it."""

    def ask(client: Any) -> Any:
        return getattr(resource(client), method)(**arguments)

    def ask_async(client: Any) -> Any:
        return getattr(resource(client), f"{method}_async")(**arguments)

    return Way(name=name, ask=ask, ask_async=ask_async, **more)


def _stream(name: str, resource: Any, method: str, arguments: dict[str, Any], **more: Any) -> Way:
    """A method that streams, and the async one beside it."""

    def opened(client: Any) -> Any:
        return getattr(resource(client), method)(**arguments)

    def opened_async(client: Any) -> Any:
        return getattr(resource(client), f"{method}_async")(**arguments)

    async def read(client: Any) -> Any:
        return [each async for each in await opened_async(client)]

    return Way(
        name=name,
        ask=lambda client: list(opened(client)),
        ask_async=read,
        opened=opened,
        opened_async=opened_async,
        **more,
    )


def _close(client: Any) -> None:
    client.sdk_configuration.client.close()
    asyncio.run(client.sdk_configuration.async_client.aclose())


async def _close_async(client: Any) -> None:
    client.sdk_configuration.client.close()
    await client.sdk_configuration.async_client.aclose()


DRIVER = Driver(
    name="mistralai",
    client=lambda url: Mistral(api_key=KEY, server_url=url),
    client_async=lambda url: Mistral(api_key=KEY, server_url=url),
    close=_close,
    close_async=_close_async,
    # The first streams were generators; then came objects that only a `with` block closed.
    closes=hasattr(getattr(eventstreaming, "EventStream", None), "close")
    or not hasattr(eventstreaming, "EventStream"),
    packages=("mistralai.client", "mistralai.utils", "mistralai.chat", "mistralai.extra.run"),
    ways=(
        _way("chat", lambda c: c.chat, "complete", CHAT, document=CHAT_BODY, says=SAYS),
        _stream(
            "chat stream",
            lambda c: c.chat,
            "stream",
            CHAT,
            document=CHAT_EVENTS,
            encode=sse,
            says={**SAYS, semconv.REQUEST_STREAM: True},
        ),
        _way(
            "cached chat",
            lambda c: c.chat,
            "complete",
            CHAT,
            document=CHAT_BODY,
            says={semconv.INPUT_TOKENS: 11, semconv.CACHE_READ_TOKENS: 4},
            since="1.9.3",  # before, the SDK dropped what it did not know
            hostile=False,
        ),
        _way(
            "fim",
            lambda c: c.fim,
            "complete",
            FIM,
            document=CHAT_BODY,
            says={semconv.OPERATION: "text_completion", semconv.OUTPUT_TOKENS: 7},
            hostile=False,
        ),
        _stream(
            "fim stream",
            lambda c: c.fim,
            "stream",
            FIM,
            document=CHAT_EVENTS,
            encode=sse,
            says={semconv.OPERATION: "text_completion", semconv.OUTPUT_TOKENS: 7},
            hostile=False,
        ),
        _way(
            "agent",
            lambda c: c.agents,
            "complete",
            AGENT,
            document=CHAT_BODY,
            says={
                semconv.OPERATION: "invoke_agent",
                semconv.AGENT_ID: "ag_1",
                semconv.REQUEST_MODEL: None,
                semconv.RESPONSE_MODEL: MODEL,
                semconv.OUTPUT_TOKENS: 7,
            },
            hostile=False,
        ),
        _way(
            "embeddings",
            lambda c: c.embeddings,
            "create",
            {"model": "mistral-embed", "inputs": [QUESTION]},
            document=EMBEDDING_BODY,
            says={
                semconv.OPERATION: "embeddings",
                semconv.INPUT_TOKENS: 11,
                semconv.OUTPUT_TOKENS: 0,
            },
            hostile=False,
        ),
        _way(
            "ocr",
            lambda c: c.ocr,
            "process",
            {"model": "mistral-ocr-latest", "document": DOCUMENT},
            document=OCR_BODY,
            says={
                semconv.OPERATION: "ocr",
                semconv.RESPONSE_MODEL: "mistral-ocr-2512",
                semconv.DOCUMENT_PAGES: 3,
                semconv.ANNOTATED_PAGES: None,
                semconv.INPUT_TOKENS: None,
                semconv.OUTPUT_TOKENS: None,
            },
            since="1.6",
            hostile=False,
        ),
        _way(
            "conversation",
            lambda c: c.beta.conversations,
            "start",
            {"agent_id": "ag_1", "inputs": QUESTION},
            document=CONVERSATION_BODY,
            says=CONVERSES,
            since="1.9",
            hostile=False,
        ),
        _stream(
            "conversation stream",
            lambda c: c.beta.conversations,
            "start_stream",
            {"agent_id": "ag_1", "inputs": QUESTION},
            document=CONVERSATION_EVENTS,
            encode=sse_named,
            says={**CONVERSES, semconv.REQUEST_STREAM: True},
            since="1.9",
            hostile=False,
        ),
        _way(
            "transcription",
            lambda c: c.audio.transcriptions,
            "complete",
            {"model": "voxtral-mini-latest", "file_url": "https://127.0.0.1/a.mp3"},
            document=TRANSCRIPTION_BODY,
            says=TRANSCRIBES,
            since="1.9.3",
            hostile=False,
        ),
        _stream(
            "transcription stream",
            lambda c: c.audio.transcriptions,
            "stream",
            {"model": "voxtral-mini-latest", "file_url": "https://127.0.0.1/a.mp3"},
            document=[
                {"type": "transcription.language", "audio_language": "en"},
                {"type": "transcription.text.delta", "text": ANSWER},
                {**TRANSCRIPTION_BODY, "type": "transcription.done"},
            ],
            encode=sse_named,
            says={**TRANSCRIBES, semconv.REQUEST_STREAM: True},
            since="1.9.3",
            hostile=False,
        ),
        _way(
            "moderation",
            lambda c: c.classifiers,
            "moderate",
            {"model": "mistral-moderation-latest", "inputs": [QUESTION]},
            document=MODERATION_BODY,
            says={
                semconv.OPERATION: "moderation",
                semconv.RESPONSE_MODEL: "mistral-moderation-latest",
                semconv.INPUT_TOKENS: None,
            },
            since="1.2",
            hostile=False,
        ),
    ),
)
