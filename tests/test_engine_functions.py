"""Functions as SDKs without a client's `request` have them: each call of one is watched."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from types import AsyncGeneratorType, GeneratorType
from typing import Any

import pytest
import sdks
from a_library import Stream, library, watched  # noqa: F401  (the fixture)
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tollspan import semconv


def only(exporter: InMemorySpanExporter) -> dict[str, Any]:
    (span,) = sdks.call_spans(exporter)
    return dict(span.attributes or {})


def test_a_function_and_its_positional_arguments(exporter: InMemorySpanExporter) -> None:
    assert library.ask("m", sdks.MESSAGES, temperature=0.5) is sdks.CHAT_BODY

    found = only(exporter)
    assert found[semconv.PROVIDER] == "a_library"
    assert found[semconv.REQUEST_MODEL] == "m"
    assert found[semconv.REQUEST_TEMPERATURE] == 0.5
    assert found[semconv.OUTPUT_TOKENS] == 7


@pytest.mark.parametrize("name", ["ask_async", "ask_later"])
async def test_what_is_awaited(name: str, exporter: InMemorySpanExporter) -> None:
    assert await getattr(library, name)(model="m") is sdks.CHAT_BODY

    assert only(exporter)[semconv.STATUS] == "success"
    assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_a_coroutine_that_nobody_awaits_is_abandoned(exporter: InMemorySpanExporter) -> None:
    coroutine = library.ask_later(model="m")
    assert coroutine.__qualname__ == "ask_async"
    del coroutine
    sdks.settle()

    assert only(exporter)[semconv.STATUS] == "abandoned"


def test_a_generator(exporter: InMemorySpanExporter) -> None:
    got = library.pieces("m")

    assert type(got) is GeneratorType
    assert list(got) == sdks.CHAT_EVENTS
    assert only(exporter)[semconv.OUTPUT_TOKENS] == 7


def test_a_generator_that_is_dropped(exporter: InMemorySpanExporter) -> None:
    got = library.pieces("m")
    next(got)
    del got
    sdks.settle()

    assert only(exporter)[semconv.STATUS] == "abandoned"


async def test_an_async_generator(exporter: InMemorySpanExporter) -> None:
    got = library.pieces_async("m")

    assert type(got) is AsyncGeneratorType
    assert await sdks.listed(got) == sdks.CHAT_EVENTS
    assert only(exporter)[semconv.OUTPUT_TOKENS] == 7


def test_a_stream_of_a_class_of_its_own(exporter: InMemorySpanExporter) -> None:
    made = Stream(sdks.CHAT_EVENTS)
    library.stream_of = lambda model: made  # type: ignore[attr-defined]
    got = library.stream("m")

    assert got is made
    assert type(got) is Stream
    assert list(got) == sdks.CHAT_EVENTS
    found = only(exporter)
    assert found[semconv.OUTPUT_TOKENS] == 7
    assert found[semconv.TIME_TO_FIRST_CHUNK] > 0


async def test_an_async_stream_of_a_class_of_its_own(exporter: InMemorySpanExporter) -> None:
    assert await sdks.listed(library.stream("m")) == sdks.CHAT_EVENTS

    assert only(exporter)[semconv.OUTPUT_TOKENS] == 7


def test_a_stream_of_a_watched_class_that_nobody_asked_for_is_left_alone(
    exporter: InMemorySpanExporter,
) -> None:
    assert list(Stream([1, 2])) == [1, 2]

    assert exporter.get_finished_spans() == ()


def test_a_stream_that_fails(exporter: InMemorySpanExporter) -> None:
    def failing() -> Iterator[Any]:
        yield sdks.CHAT_EVENTS[0]
        raise KeyError("gone")

    library.stream_of = lambda model: Stream(failing())  # type: ignore[attr-defined]
    got = library.stream("m")
    next(got)
    with pytest.raises(KeyError) as caught:
        next(got)

    assert caught.value.__context__ is None
    assert only(exporter)[semconv.ERROR_TYPE] == "KeyError"


def test_a_dropped_stream_of_a_class_of_its_own(exporter: InMemorySpanExporter) -> None:
    got = library.stream("m")
    next(got)
    del got
    gc.collect()
    sdks.settle()

    assert only(exporter)[semconv.STATUS] == "abandoned"
