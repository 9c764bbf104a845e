"""TensorZero's native client, to a gateway over HTTP."""

from __future__ import annotations

from dataclasses import fields
from inspect import signature
from typing import Any

import tensorzero
from tensorzero.types import Usage

from drivers import ANSWER, KEY, QUESTION, Driver, Way, sse
from tollspan import semconv

IDS = {
    "inference_id": "01890000-0000-7000-8000-000000000001",
    "episode_id": "01890000-0000-7000-8000-000000000002",
    "variant_name": "cheap",
}
# Fields and arguments that older versions do not have.
_FIELDS = {field.name for field in fields(Usage)}
_BUILT_WITH = signature(tensorzero.TensorZeroGateway.build_http).parameters
SECRET: dict[str, Any] = {"api_key": KEY} if "api_key" in _BUILT_WITH else {}

STATED = {"provider_cache_read_input_tokens": 4, "cost": 0.00012}
USAGE: dict[str, Any] = {
    "input_tokens": 11,
    "output_tokens": 7,
    **{name: value for name, value in STATED.items() if name in _FIELDS},
}
CALL = {
    "type": "tool_call",
    "id": "call_1",
    "raw_name": "weather",
    "raw_arguments": "{}",
    "name": "weather",
    "arguments": {},
}
ANSWERED: dict[str, Any] = {
    **IDS,
    "content": [{"type": "text", "text": ANSWER}, CALL],
    "usage": USAGE,
    "finish_reason": "stop",
}
TEXT = {**IDS, "content": [{"type": "text", "id": "0", "text": ANSWER}]}
PIECE = {"type": "tool_call", "id": "call_1", "raw_name": "weather", "raw_arguments": "{"}
CHUNKS: list[Any] = [
    TEXT,
    {**IDS, "content": [PIECE]},
    {**IDS, "content": [{**PIECE, "raw_name": "", "raw_arguments": "}"}]},
    {**IDS, "content": [], "usage": USAGE, "finish_reason": "stop"},
]
ASKED: dict[str, Any] = {
    "function_name": "summarize",
    "input": {"messages": [{"role": "user", "content": QUESTION}]},
    "params": {"chat_completion": {"temperature": 0.5, "max_tokens": 64}},
    "credentials": {"secret": KEY},
}

SAYS = {
    semconv.OPERATION: "chat",
    semconv.PROVIDER: "tensorzero",
    semconv.REQUEST_MODEL: "tensorzero::function_name::summarize",
    semconv.REQUEST_TEMPERATURE: 0.5,
    semconv.REQUEST_MAX_TOKENS: 64,
    semconv.RESPONSE_ID: IDS["inference_id"],
    semconv.CONVERSATION_ID: IDS["episode_id"],
    semconv.MODEL_DEPLOYMENT: "cheap",
    semconv.FINISH_REASONS: ("stop",),
    semconv.INPUT_TOKENS: 11,
    semconv.CACHE_READ_TOKENS: USAGE.get("provider_cache_read_input_tokens"),
    semconv.OUTPUT_TOKENS: 7,
    semconv.COST_REPORTED: USAGE.get("cost"),
    semconv.TOOLS_CALLED: 1,
    semconv.TOOLS_CALLED_NAMES: ("weather",),
}


def _client(url: str) -> Any:
    return tensorzero.TensorZeroGateway.build_http(gateway_url=url, **SECRET)


class _Later:
    """An async client, which is built by awaiting."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: Any = None

    async def inference(self, **asked: Any) -> Any:
        if self._client is None:
            build = tensorzero.AsyncTensorZeroGateway.build_http
            self._client = await build(gateway_url=self._url, **SECRET)
        return await self._client.inference(**asked)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()


async def _stream(client: Any) -> Any:
    return await client.inference(**ASKED, stream=True)


async def _read(client: Any) -> Any:
    return [each async for each in await _stream(client)]


DRIVER = Driver(
    name="tensorzero",
    client=_client,
    client_async=_Later,
    attempts=False,
    closes=False,
    ways=(
        Way(
            name="inference",
            ask=lambda client: client.inference(**ASKED),
            ask_async=lambda client: client.inference(**ASKED),
            document=ANSWERED,
            says=SAYS,
        ),
        Way(
            name="inference stream",
            ask=lambda client: list(client.inference(**ASKED, stream=True)),
            ask_async=_read,
            opened=lambda client: client.inference(**ASKED, stream=True),
            opened_async=_stream,
            document=CHUNKS,
            encode=sse,
            says={**SAYS, semconv.REQUEST_STREAM: True},
        ),
        Way(
            name="model",
            ask=lambda client: client.inference(
                model_name="openai::gpt-4o-mini", input=ASKED["input"]
            ),
            document={
                **IDS,
                "output": {"raw": ANSWER},
                "usage": {"input_tokens": 11, "output_tokens": 7},
            },
            says={
                semconv.REQUEST_MODEL: "tensorzero::model_name::openai::gpt-4o-mini",
                semconv.INPUT_TOKENS: 11,
                semconv.COST_REPORTED: None,
                semconv.FINISH_REASONS: None,
            },
            hostile=False,
        ),
    ),
)
