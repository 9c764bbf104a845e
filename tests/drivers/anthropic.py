"""The anthropic SDK."""

from __future__ import annotations

from typing import Any

import anthropic
from sdk_answers import MESSAGE_BODY, MESSAGE_EVENTS

from drivers import KEY, QUESTION, Driver, Way, sse_named
from tollspan import semconv

MESSAGE: dict[str, Any] = {
    "model": "claude-sonnet-5",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": QUESTION}],
    "tools": [{"name": "look_up", "input_schema": {"type": "object"}}],
}

SAYS = {
    semconv.OPERATION: "chat",
    semconv.PROVIDER: "anthropic",
    semconv.REQUEST_MODEL: "claude-sonnet-5",
    semconv.RESPONSE_MODEL: MESSAGE_BODY["model"],
    semconv.RESPONSE_ID: MESSAGE_BODY["id"],
    semconv.FINISH_REASONS: (MESSAGE_BODY["stop_reason"],),
    semconv.INPUT_TOKENS: 11,
    semconv.OUTPUT_TOKENS: MESSAGE_BODY["usage"]["output_tokens"],
    semconv.TOOLS_SENT: 1,
    semconv.TOOLS_SENT_NAMES: ("look_up",),
    semconv.TOOLS_CALLED: None,
    semconv.SERVER_ADDRESS: "127.0.0.1",
}


async def _stream(client: Any) -> Any:
    return await client.messages.create(**MESSAGE, stream=True)


async def _stream_read(client: Any) -> Any:
    return [each async for each in await _stream(client)]


DRIVER = Driver(
    name="anthropic",
    client=lambda url: anthropic.Anthropic(api_key=KEY, base_url=url, max_retries=0),
    client_async=lambda url: anthropic.AsyncAnthropic(api_key=KEY, base_url=url, max_retries=0),
    error={"type": "error", "error": {"type": "overloaded_error", "message": "m"}},
    ways=(
        Way(
            name="message",
            ask=lambda client: client.messages.create(**MESSAGE),
            ask_async=lambda client: client.messages.create(**MESSAGE),
            document=MESSAGE_BODY,
            says=SAYS,
        ),
        Way(
            name="message stream",
            ask=lambda client: list(client.messages.create(**MESSAGE, stream=True)),
            ask_async=_stream_read,
            opened=lambda client: client.messages.create(**MESSAGE, stream=True),
            opened_async=_stream,
            document=MESSAGE_EVENTS,
            encode=sse_named,
            says=SAYS,
        ),
        Way(
            name="raw message",
            ask=lambda client: client.messages.with_raw_response.create(**MESSAGE).parse(),
            document=MESSAGE_BODY,
            says=SAYS,
            hostile=False,
        ),
        Way(
            name="beta message",
            ask=lambda client: client.beta.messages.create(**MESSAGE),
            ask_async=lambda client: client.beta.messages.create(**MESSAGE),
            document=MESSAGE_BODY,
            says=SAYS,
            hostile=False,
        ),
    ),
)
