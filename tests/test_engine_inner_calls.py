"""Calls inside calls: the outer one owns the money, the inner ones restate it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import sdks
from a_library import Stream, library, watched  # noqa: F401  (the fixture)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tollspan import calls, semconv


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    spans = sdks.call_spans(exporter)
    return {str((span.attributes or {})[semconv.PROVIDER]): span for span in spans}


class Settling:
    def __init__(self) -> None:
        self.seen: list[tuple[str, calls.OpenCall, int]] = []

    def settle(self, call: calls.OpenCall) -> dict[str, Any]:
        name = str(call.attributes[semconv.PROVIDER])
        self.seen.append((name, call, len(call.inner)))
        return {}

    def release(self, call: calls.OpenCall) -> None: ...


@pytest.fixture
def settling() -> Iterator[Settling]:
    made = Settling()
    calls.install(made)
    yield made
    calls.install(None)


def test_an_inner_call_restates_what_the_outer_one_owns(
    exporter: InMemorySpanExporter, settling: Settling
) -> None:
    client = sdks.openai_client(sdks.server_for("chat"))
    library.answer = lambda model: client.chat.completions.create(**sdks.CHAT).model_dump()  # type: ignore[attr-defined]
    library.ask("m")

    outer, inner = by_name(exporter)["a_library"], by_name(exporter)["openai"]
    assert outer.context is not None and outer.attributes and inner.attributes and inner.parent
    assert inner.parent.span_id == outer.context.span_id
    assert inner.attributes[semconv.COST_ROLE] == "restated"
    assert inner.attributes[semconv.OWNER_SPAN_ID] == f"{outer.context.span_id:016x}"
    assert inner.attributes[semconv.RESTATED_INPUT_TOKENS] == 11
    assert inner.attributes[semconv.RESTATED_OUTPUT_TOKENS] == 7
    assert not [name for name in inner.attributes if name.startswith("gen_ai.usage.")]
    assert inner.attributes[semconv.REQUEST_ID] == outer.attributes[semconv.REQUEST_ID]
    assert outer.attributes[semconv.OUTPUT_TOKENS] == 7
    assert outer.attributes[semconv.APP_ATTEMPTS] == 1
    (first, inner_call, _), (second, outer_call, ended_inside) = settling.seen
    assert (first, second, ended_inside) == ("openai", "a_library", 1)
    assert outer_call.inner == [inner_call]
    assert inner_call.outer is outer_call
    assert inner_call.usage[semconv.OUTPUT_TOKENS] == 7


def test_a_failed_inner_call_and_its_fallback_are_one_call_with_two_attempts(
    exporter: InMemorySpanExporter,
) -> None:
    broken = sdks.openai_client(sdks.server_for("chat", status=500))
    healthy = sdks.openai_client(sdks.server_for("chat"))

    def answer(model: str) -> Any:
        try:
            return broken.chat.completions.create(**sdks.CHAT)
        except Exception:  # noqa: BLE001  (a router goes on to the next)
            return healthy.chat.completions.create(**sdks.CHAT)

    library.answer = answer  # type: ignore[attr-defined]
    library.ask("m")

    spans = sdks.call_spans(exporter)
    assert [(span.attributes or {})[semconv.STATUS] for span in spans] == [
        "error",
        "success",
        "success",
    ]
    assert (spans[-1].attributes or {})[semconv.APP_ATTEMPTS] == 2
    numbers = [
        (span.attributes or {})[semconv.ATTEMPT]
        for span in exporter.get_finished_spans()
        if semconv.ATTEMPT in (span.attributes or {})
    ]
    assert numbers == [1, 2]


def test_an_inner_stream_ends_with_the_outer_one(exporter: InMemorySpanExporter) -> None:
    client = sdks.openai_client(sdks.server_for("chat"))
    opened: list[Any] = []

    def stream_of(model: str) -> Stream:
        inner = client.chat.completions.create(**sdks.CHAT, stream=True)
        opened.append(inner)  # held, as a library's wrapper would
        return Stream([next(inner).model_dump()])

    library.stream_of = stream_of  # type: ignore[attr-defined]
    assert len(list(library.stream("m"))) == 1

    assert len(by_name(exporter)) == 2
    assert calls.open_calls == {}


async def test_a_task_that_outlives_the_call_makes_calls_of_its_own(
    exporter: InMemorySpanExporter,
) -> None:
    client = sdks.async_openai_client(sdks.server_for("chat"))
    tasks: list[asyncio.Task[Any]] = []
    over = asyncio.Event()

    async def later() -> None:
        await over.wait()
        await client.chat.completions.create(**sdks.CHAT)

    def answer(model: str) -> Any:
        tasks.append(asyncio.ensure_future(later()))
        return sdks.CHAT_BODY

    library.answer = answer  # type: ignore[attr-defined]
    await library.ask_async("m")
    over.set()
    await tasks[0]

    assert semconv.COST_ROLE not in (by_name(exporter)["openai"].attributes or {})
