"""The azure-ai-inference SDK: requests below its sync clients, aiohttp below its async ones."""

from __future__ import annotations

import re
from typing import Any

from azure.ai.inference import ChatCompletionsClient, EmbeddingsClient, ImageEmbeddingsClient, aio
from azure.ai.inference.models import ImageEmbeddingInput, UserMessage
from azure.core.credentials import AzureKeyCredential
from sdk_answers import CHAT_BODY, CHAT_EVENTS, EMBEDDING_BODY

from drivers import KEY, QUESTION, Driver, Way, sse
from tollspan import semconv

CHAT: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [UserMessage(content=QUESTION)],
    "temperature": 0.5,
}
EMBEDDING: dict[str, Any] = {"model": "text-embedding-3-small", "input": [QUESTION]}
IMAGE: dict[str, Any] = {"model": "embed-v-4-0", "input": [ImageEmbeddingInput(image=QUESTION)]}

SAYS = {
    semconv.OPERATION: "chat",
    semconv.PROVIDER: "azure.ai.inference",
    semconv.REQUEST_MODEL: "gpt-4o-mini",
    semconv.REQUEST_TEMPERATURE: 0.5,
    semconv.RESPONSE_MODEL: "gpt-4o-mini-2024-07-18",
    semconv.RESPONSE_ID: "chatcmpl-1",
    semconv.FINISH_REASONS: ("stop",),
    semconv.INPUT_TOKENS: 11,
    semconv.OUTPUT_TOKENS: 7,
    semconv.SERVER_ADDRESS: "127.0.0.1",
}
SAYS_EMBEDDINGS = {
    semconv.OPERATION: "embeddings",
    semconv.PROVIDER: "azure.ai.inference",
    semconv.INPUT_TOKENS: 11,
}


class Clients:
    """The three clients of an endpoint."""

    def __init__(self, kinds: Any, url: str) -> None:
        self.chat, self.embeddings, self.images = (
            kind(endpoint=url, credential=AzureKeyCredential(KEY), retry_total=0) for kind in kinds
        )

    def close(self) -> None:
        for each in (self.chat, self.embeddings, self.images):
            each.close()

    async def aclose(self) -> None:
        for each in (self.chat, self.embeddings, self.images):
            await each.close()


async def _chat_stream(client: Clients) -> Any:
    return await client.chat.complete(**CHAT, stream=True)


async def _chat_stream_read(client: Clients) -> Any:
    return [each async for each in await _chat_stream(client)]


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return [_shown(each) for each in value]
    held = getattr(value, "_data", None)
    if held is None:
        return repr(value)
    # What should be a list and is not stands there as a generator.
    return type(value).__name__, re.sub(" at 0x[0-9a-f]+", "", repr(held))


DRIVER = Driver(
    name="azure_ai_inference",
    client=lambda url: Clients(
        (ChatCompletionsClient, EmbeddingsClient, ImageEmbeddingsClient), url
    ),
    client_async=lambda url: Clients(
        (aio.ChatCompletionsClient, aio.EmbeddingsClient, aio.ImageEmbeddingsClient), url
    ),
    close_async=lambda client: client.aclose(),
    shown=_shown,
    ways=(
        Way(
            name="chat",
            ask=lambda client: client.chat.complete(**CHAT),
            ask_async=lambda client: client.chat.complete(**CHAT),
            document=CHAT_BODY,
            says=SAYS,
        ),
        Way(
            name="chat stream",
            ask=lambda client: list(client.chat.complete(**CHAT, stream=True)),
            ask_async=_chat_stream_read,
            opened=lambda client: client.chat.complete(**CHAT, stream=True),
            opened_async=_chat_stream,
            document=CHAT_EVENTS,
            encode=sse,
            says=SAYS,
        ),
        Way(
            name="chat of a body",
            ask=lambda client: client.chat.complete(
                {"model": "gpt-4o-mini", "temperature": 0.5, "messages": []}
            ),
            document=CHAT_BODY,
            says=SAYS,
            hostile=False,
        ),
        Way(
            name="embeddings",
            ask=lambda client: client.embeddings.embed(**EMBEDDING),
            ask_async=lambda client: client.embeddings.embed(**EMBEDDING),
            document=EMBEDDING_BODY,
            says={**SAYS_EMBEDDINGS, semconv.REQUEST_MODEL: "text-embedding-3-small"},
        ),
        Way(
            name="image embeddings",
            ask=lambda client: client.images.embed(**IMAGE),
            ask_async=lambda client: client.images.embed(**IMAGE),
            document=EMBEDDING_BODY,
            says={**SAYS_EMBEDDINGS, semconv.REQUEST_MODEL: "embed-v-4-0"},
            hostile=False,
        ),
    ),
)
