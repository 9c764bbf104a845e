"""xAI's SDK, against a gRPC server that answers with messages of the SDK's own stubs."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import xai_sdk
from google.protobuf import json_format
from outcomes import shown
from pydantic import BaseModel
from xai_sdk.chat import Chunk, Response, system, tool, user
from xai_sdk.proto import chat_pb2, image_pb2, usage_pb2

from drivers import ANSWER, KEY, QUESTION, Answer, Driver, Way
from drivers.grpc_server import grpc_serving
from tollspan import semconv

# Fields that older versions do not have.
PRICED = "cost_in_usd_ticks" in usage_pb2.SamplingUsage.DESCRIPTOR.fields_by_name
TIERED = "service_tier" in chat_pb2.GetChatCompletionResponse.DESCRIPTOR.fields_by_name

USAGE = {
    "promptTokens": 11,
    "promptTextTokens": 9,
    "promptImageTokens": 2,
    "cachedPromptTextTokens": 4,
    "completionTokens": 7,
    "reasoningTokens": 5,
    "totalTokens": 23,
    "serverSideToolsUsed": ["SERVER_SIDE_TOOL_WEB_SEARCH", "SERVER_SIDE_TOOL_WEB_SEARCH"],
    "costInUsdTicks": "1234500",
}
CALL = {"id": "call_1", "function": {"name": "weather", "arguments": "{}"}}
ANSWERED = {
    "id": "resp_1",
    "model": "grok-4.3",
    "systemFingerprint": "fp_1",
    "serviceTier": "SERVICE_TIER_PRIORITY",
}
CHAT: dict[str, Any] = {
    **ANSWERED,
    "outputs": [
        {
            "finishReason": "REASON_STOP",
            "message": {"role": "ROLE_ASSISTANT", "content": ANSWER, "toolCalls": [CALL]},
        }
    ],
    "usage": USAGE,
}


def _chunk(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
    output = {"delta": {"role": "ROLE_ASSISTANT", **delta}, **more}
    return {**ANSWERED, "outputs": [output], "usage": {**USAGE, "completionTokens": 1}}


CHUNKS: list[Any] = [
    _chunk({"content": ANSWER}),
    _chunk({"content": ANSWER}),
    _chunk({"toolCalls": [CALL]}),
    {**_chunk({"content": ANSWER}, finishReason="REASON_STOP"), "usage": USAGE},
]
PARSED = {**CHAT, "outputs": [{**CHAT["outputs"][0], "message": {"role": "ROLE_ASSISTANT"}}]}
PARSED["outputs"][0]["message"]["content"] = '{"city": "Paris"}'

SAYS = {
    semconv.OPERATION: "chat",
    semconv.PROVIDER: "x_ai",
    semconv.REQUEST_MODEL: "grok-4.3",
    semconv.RESPONSE_MODEL: "grok-4.3",
    semconv.RESPONSE_ID: "resp_1",
    semconv.REQUEST_TEMPERATURE: 0.7,
    semconv.REQUEST_MAX_TOKENS: 64,
    semconv.REQUEST_REASONING_LEVEL: "high",
    semconv.FINISH_REASONS: ("stop",),
    semconv.INPUT_TOKENS: 11,
    semconv.CACHE_READ_TOKENS: 4,
    semconv.IMAGE_INPUT_TOKENS: 2,
    semconv.OUTPUT_TOKENS: 12,
    semconv.REASONING_TOKENS: 5,
    semconv.WEB_SEARCHES: 2,
    semconv.COST_REPORTED: 0.00012345 if PRICED else None,
    semconv.SERVICE_TIER: "priority" if TIERED else None,
    semconv.SYSTEM_FINGERPRINT: "fp_1",
    semconv.SERVER_ADDRESS: "127.0.0.1",
    semconv.TOOLS_SENT: 1,
    semconv.TOOLS_SENT_NAMES: ("weather",),
}
TOOLED = {**SAYS, semconv.TOOLS_CALLED: 1, semconv.TOOLS_CALLED_NAMES: ("weather",)}


class City(BaseModel):
    city: str


class Refused(Exception):
    """A gRPC error, without the addresses of objects that its text has."""


@contextmanager
def _told() -> Iterator[None]:
    refused = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        try:
            yield
        except grpc.RpcError as error:
            refused = Refused(type(error).__name__, error.code().name, error.details())
    if refused is not None:
        raise refused


def _encoding(make: Callable[[], Any]) -> Callable[[Any], Answer]:
    """Documents as messages; one that fits no message as bytes that are none."""

    def encode(document: Any) -> Answer:
        pieces = []
        for each in document if isinstance(document, list) else [document]:
            try:
                message = json_format.ParseDict(each, make(), ignore_unknown_fields=True)
                pieces.append(message.SerializeToString())
            except (json_format.ParseError, ValueError, TypeError, AttributeError, OverflowError):
                pieces.append(b"\xff\xff")
        return Answer(tuple(pieces))

    return encode


def _chat(client: Any) -> Any:
    weather = tool("weather", QUESTION, {"type": "object", "properties": {}})
    return client.chat.create(
        model="grok-4.3",
        messages=[system(QUESTION), user(QUESTION)],
        temperature=0.7,
        max_tokens=64,
        reasoning_effort="high",
        tools=[weather],
    )


def _asking(ask: Callable[[Any], Any]) -> dict[str, Any]:
    """`ask` and `ask_async` of one way, which differ in who waits."""

    def plain(client: Any) -> Any:
        with _told():
            found = ask(client)
            return list(found) if inspect.isgenerator(found) else found

    async def waiting(client: Any) -> Any:
        with _told():
            found = ask(client)
            return [each async for each in found] if inspect.isasyncgen(found) else await found

    return {"ask": plain, "ask_async": waiting}


async def _opened_async(client: Any) -> Any:
    return _chat(client).stream()


def _client(kind: Any) -> Callable[[str], Any]:
    def made(url: str) -> Any:
        return kind(
            api_key=KEY,
            api_host=url.removeprefix("http://"),
            use_insecure_channel=True,
            channel_options=[("grpc.enable_retries", 0), ("grpc.service_config", "{}")],
        )

    return made


def _shown(value: Any) -> Any:
    if isinstance(value, (Response, Chunk)):
        return type(value).__name__, repr(value.proto)
    return [_shown(each) for each in value] if isinstance(value, (list, tuple)) else shown(value)


CHATS = _encoding(chat_pb2.GetChatCompletionResponse)

DRIVER = Driver(
    name="xai_sdk",
    client=_client(xai_sdk.Client),
    client_async=_client(xai_sdk.AsyncClient),
    shown=_shown,
    serve=grpc_serving("/GetCompletionChunk"),
    attempts=False,
    ways=(
        Way(
            name="sample",
            **_asking(lambda client: _chat(client).sample()),
            document=CHAT,
            encode=CHATS,
            says=TOOLED,
        ),
        Way(
            name="stream",
            **_asking(lambda client: _chat(client).stream()),
            opened=lambda client: _chat(client).stream(),
            opened_async=_opened_async,
            document=CHUNKS,
            encode=_encoding(chat_pb2.GetChatCompletionChunk),
            says={**TOOLED, semconv.REQUEST_STREAM: True},
        ),
        Way(
            name="parse",
            **_asking(lambda client: _chat(client).parse(City)),
            document=PARSED,
            encode=CHATS,
            says={**SAYS, semconv.OUTPUT_TYPE: "json"},
            hostile=False,
        ),
        Way(
            name="sample batch",
            **_asking(lambda client: _chat(client).sample_batch(2)),
            document={**CHAT, "outputs": [CHAT["outputs"][0], {**CHAT["outputs"][0], "index": 1}]},
            encode=CHATS,
            says={**SAYS, semconv.REQUEST_CHOICE_COUNT: 2, semconv.FINISH_REASONS: ("stop",) * 2},
            hostile=False,
        ),
        Way(
            name="image",
            **_asking(lambda client: client.image.sample(QUESTION, "grok-imagine-image")),
            document={
                "images": [{"url": "https://127.0.0.1/1.png"}],
                "model": "grok-imagine-image",
                "usage": {"costInUsdTicks": "200000000"},
            },
            encode=_encoding(image_pb2.ImageResponse),
            says={
                semconv.OPERATION: "image_generation",
                semconv.REQUEST_MODEL: "grok-imagine-image",
                semconv.RESPONSE_MODEL: "grok-imagine-image",
                semconv.COST_REPORTED: 0.02 if PRICED else None,
                semconv.INPUT_TOKENS: None,
            },
        ),
    ),
)
