"""What the caller holds is of the class that the SDK made."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import anthropic
import openai
import pytest
import sdks
from opentelemetry.sdk.trace import TracerProvider


@pytest.fixture(autouse=True)
def watched(provider: TracerProvider) -> Iterator[None]:
    with sdks.watched(provider):
        yield


@pytest.mark.parametrize("api", sdks.STREAMS)
def test_a_stream_keeps_its_class_and_its_methods(api: str) -> None:
    stream = sdks.opened(api)
    kind = anthropic.Stream if api in ("messages", "beta") else openai.Stream

    assert isinstance(stream, kind)
    assert type(stream) is kind
    assert type(iter(stream)).__name__ == "generator"
    assert list(stream)


@pytest.mark.parametrize("api", sdks.STREAMS)
async def test_an_async_stream_keeps_its_class_and_its_methods(api: str) -> None:
    stream = await sdks.opened_async(api)
    kind = anthropic.AsyncStream if api in ("messages", "beta") else openai.AsyncStream

    assert type(stream) is kind
    assert await sdks.listed(stream)


def test_a_half_read_anthropic_stream_is_closed_as_promptly_as_without_us() -> None:
    """The SDK sees to it that a dropped stream closes its body without the garbage collector."""
    server = sdks.server_for("messages")
    gc.collect()
    gc.disable()
    try:
        stream = sdks.anthropic_client(server).messages.create(**sdks.MESSAGE, stream=True)
        next(stream)
        assert server.bodies[0].closed == 0
        del stream
        assert server.bodies[0].closed == 1
    finally:
        gc.enable()
