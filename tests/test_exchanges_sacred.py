"""Wire capture changes nothing for the caller: every SDK, sync and async, plain, streamed, failing,
left early, gets what it gets without."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from drivers import KEY
from drivers.server import Answer, Served
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from outcomes import settle
from test_providers import CASES, STREAMS, Case, _first, each, one, watched

import tollspan
from tollspan import semconv, wirefile
from tollspan.instrumentation import _wire_frames
from tollspan.wirefile import Exchange

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning"
)
SEEN = [case for case in one(CASES) if case.driver.attempts]
SEEN_STREAMS = [case for case in one(STREAMS) if case.driver.attempts]
CLIENTS = ("openai", "groq", "azure_ai_inference", "bedrock")
"""SDKs that together use every HTTP client: httpx2, httpx, requests, aiohttp, botocore, aiobotocore."""
FEW = [case for case in SEEN if case.driver.name in CLIENTS]
FEW_STREAMS = [case for case in SEEN_STREAMS if case.driver.name in CLIENTS]


@pytest.fixture
def served(case: Case) -> Iterator[Served]:
    with case.driver.serve() as running:
        running.answer = case.way.encode(case.way.document)
        yield running


def stored(folder: Path) -> list[Exchange]:
    return list(wirefile.exchanges(folder))


def body(exchange: Exchange) -> bytes:
    """The bytes that came, as far as they are kept."""
    framed = [frame for chunk in exchange.chunks for frame in chunk.get("frames", ())]
    return b"".join(map(_wire_frames.written, framed)) or exchange.body.encode(
        "utf-8", "surrogateescape"
    )


@each(list(dict.fromkeys([*SEEN, *SEEN_STREAMS])))
def test_the_caller_gets_the_same_and_the_exchange_is_kept(
    case: Case,
    served: Served,
    tmp_path: Path,
    provider: TracerProvider,
    exporter: InMemorySpanExporter,
) -> None:
    bare = case.ask(served.url)
    asked = served.asked
    with watched(provider, case.driver.name), tollspan.wire(tmp_path / "wire") as folder:
        got = case.ask(served.url)
        gc.collect()

    assert got == bare
    assert bare[0] == "returned", bare
    exchanges = stored(folder)
    assert len(exchanges) == served.asked - asked
    sent = b"".join(served.answer.pieces)
    for exchange in exchanges:
        assert exchange.response is not None
        assert exchange.response["status"] == 200
        assert exchange.end["how"] in ("complete", "closed", "dropped")
        if exchange.end["how"] == "complete":
            assert exchange.response["size"] == len(sent)
            assert exchange.response.get("omitted") or body(exchange) == sent
        else:
            assert body(exchange) and sent.startswith(body(exchange))
    told = {
        (span.attributes or {}).get(semconv.WIRE_ID) for span in exporter.get_finished_spans()
    } - {None}
    assert told == {exchange.id for exchange in exchanges}
    for file in folder.iterdir():
        assert KEY.encode() not in wirefile._unpacked(file)


@each(FEW)
def test_errors_are_the_sdks_own_and_are_kept(
    case: Case, served: Served, tmp_path: Path, provider: TracerProvider
) -> None:
    whole = Answer((json.dumps(case.driver.error).encode(),))
    answers = [whole.failing(status) for status in case.driver.error_statuses]
    bare = case.ask_each(served, answers)
    with watched(provider, case.driver.name), tollspan.wire(tmp_path / "wire") as folder:
        got = case.ask_each(served, answers)

    assert got == bare
    statuses = [(each.response or {}).get("status") for each in stored(folder)]
    assert statuses == list(case.driver.error_statuses)


@each(FEW)
def test_nobody_answers(
    case: Case, served: Served, tmp_path: Path, provider: TracerProvider
) -> None:
    bare = case.ask("http://127.0.0.1:9")
    with watched(provider, case.driver.name), tollspan.wire(tmp_path / "wire") as folder:
        got = case.ask("http://127.0.0.1:9")

    assert got == bare
    (exchange,) = stored(folder)
    assert exchange.response is None
    assert exchange.end["how"] == "failed"
    assert exchange.end["error"]


@each(FEW_STREAMS)
def test_a_stream_that_breaks_off_breaks_off_as_before(
    case: Case, served: Served, tmp_path: Path, provider: TracerProvider
) -> None:
    answer = case.way.encode(case.way.document)
    served.answer = answer.first(max(1, len(answer.pieces) - 3), "breaks")
    bare = case.ask(served.url)
    with watched(provider, case.driver.name), tollspan.wire(tmp_path / "wire") as folder:
        got = case.ask(served.url)
        gc.collect()

    assert got == bare
    (exchange,) = stored(folder)
    assert exchange.end["how"] in ("broken", "dropped", "closed")
    assert body(exchange) == b"".join(served.answer.pieces)


@each(FEW_STREAMS)
@pytest.mark.parametrize("leave", ["dropped", "closed"])
def test_a_stream_may_be_left_early(
    case: Case, served: Served, leave: str, tmp_path: Path, provider: TracerProvider
) -> None:
    if leave == "closed" and not case.driver.closes:
        pytest.skip("its streams have no close")
    bare = case.run(served.url, _first(case, leave))
    with watched(provider, case.driver.name), tollspan.wire(tmp_path / "wire") as folder:
        got = case.run(served.url, _first(case, leave))
        gc.collect()
        settle()

    assert got == bare
    (exchange,) = stored(folder)
    assert exchange.end["how"] in ("closed", "dropped", "complete", "cancelled", "broken")
    assert b"".join(served.answer.pieces).startswith(body(exchange))
