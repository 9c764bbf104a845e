"""An SDK without a client: plain functions, coroutines, generators and streams of a class of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any

import pytest
import sdks
from opentelemetry.sdk.trace import TracerProvider

from tollspan.instrumentation._chat_completions import CHAT
from tollspan.instrumentation._instrumentor import SdkInstrumentor
from tollspan.instrumentation._sdks import Sdk
from tollspan.instrumentation._spec import Chunks, Patch, Provider

library = ModuleType("a_library")


def ask(model: str, messages: Any = None, **kwargs: Any) -> Any:
    return library.answer(model)


async def ask_async(model: str, **kwargs: Any) -> Any:
    await asyncio.sleep(0)
    return library.answer(model)


def ask_later(model: str, **kwargs: Any) -> Any:
    return ask_async(model)


def pieces(model: str) -> Iterator[Any]:
    """A generator function would be one object: this returns one, as SDKs do."""
    return (each for each in sdks.CHAT_EVENTS)


def pieces_async(model: str) -> AsyncIterator[Any]:
    async def made() -> AsyncIterator[Any]:
        for each in sdks.CHAT_EVENTS:
            yield each

    return made()


class Stream:
    def __init__(self, chunks: Any) -> None:
        self.chunks = iter(chunks)

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Any:
        return next(self.chunks)

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Any:
        try:
            return next(self.chunks)
        except StopIteration:
            raise StopAsyncIteration from None


def stream(model: str) -> Stream:
    return library.stream_of(model)


ROWS = ("ask", "ask_async", "ask_later", "pieces", "pieces_async", "stream")


PROVIDER = Provider(
    name="a_library",
    patches=[Patch("a_library", name, CHAT) for name in ROWS],
    chunks=[Chunks("a_library", "Stream")],
)


class Instrumentor(SdkInstrumentor):
    # It requires something that is installed.
    sdk = Sdk("a_library", "a_library", ("openai",), "A library", "all", module=__name__)


@pytest.fixture(autouse=True)
def watched(provider: TracerProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "a_library", library)
    for name in (*ROWS, "Stream"):
        setattr(library, name, globals()[name])
    library.PROVIDER = PROVIDER  # type: ignore[attr-defined]
    library.answer = lambda model: sdks.CHAT_BODY  # type: ignore[attr-defined]
    library.stream_of = lambda model: Stream(sdks.CHAT_EVENTS)  # type: ignore[attr-defined]
    steps = vars(Stream)["__next__"], vars(Stream)["__anext__"]
    Instrumentor().instrument(tracer_provider=provider)
    with sdks.watched(provider):
        yield
    Instrumentor().uninstrument()
    assert all(getattr(library, name) is globals()[name] for name in ROWS)
    assert (vars(Stream)["__next__"], vars(Stream)["__anext__"]) == steps
