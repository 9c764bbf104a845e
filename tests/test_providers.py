"""What every SDK's users are promised, through the real SDK against a local server, sync and async.

The drivers in `tests/drivers/` say how each SDK is asked; nothing here knows a provider.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType, MethodDescriptorType
from typing import Any

import pytest
from drivers import KEY, driver, installed
from drivers.cases import CASES, DRIVERS, STREAMS, Case, one
from drivers.faults import entered, functions_of, swapped
from drivers.server import Answer, Served
from drivers.shapes import shapes
from needs import missing
from opentelemetry import context
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from outcomes import call_spans, settle, shown

from tollspan import calls, instrumentation, semconv
from tollspan.instrumentation import PROVIDERS, _open_calls, _patching

ELSEWHERE = {"litellm": ".venv-demo", "vertexai": ".venv-oldest-google"}
"""SDKs that do not fit beside the newest of the others, and the environment that has them."""

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning"
)  # what the SDKs say of themselves


@contextmanager
def watched(provider: TracerProvider, name: str) -> Iterator[None]:
    """The SDK instrumented; nothing may be left open behind."""
    assert instrumentation.instrument(provider, [name]) == [name]
    try:
        yield
    finally:
        instrumentation.uninstrument()
    # LiteLLM logs in a thread of its own, which holds a dropped stream until it has.
    deadline = time.monotonic() + 30
    while _open_calls.live and time.monotonic() < deadline:
        settle()
    assert _open_calls.live == {}
    assert calls.open_calls == {}
    assert calls.current_call.get() is None


@pytest.fixture(autouse=True)
def what_stays_out_of_the_collectors_sight() -> None:
    """SDKs load and build at first use what they keep: of that, too, each `gc.collect()` would look
    at hundreds of thousands of objects."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def served(case: Case) -> Iterator[Served]:
    with case.driver.serve() as running:
        running.answer = case.way.encode(case.way.document)
        yield running


def each(cases: list[Case]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=str)


def said(span: ReadableSpan, case: Case) -> dict[str, Any]:
    return {name: (span.attributes or {}).get(name) for name in case.way.says}


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_row_of_the_table_is_driven_in_some_environment(name: str) -> None:
    if name in installed():
        assert driver(name).name == name
    elif name not in ELSEWHERE:
        missing(f"sdk-{name}", PROVIDERS[name].missing() or "")


# --- answers --------------------------------------------------------------------------------------


@each(CASES)
def test_the_caller_gets_what_the_bare_sdk_gives_and_a_call_is_told(
    case: Case, served: Served, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    bare = case.ask(served.url)
    asked = served.asked
    with watched(provider, case.driver.name):
        got = case.ask(served.url)
    spans = call_spans(exporter)

    assert bare[0] == "returned", bare
    assert got == bare
    assert served.asked == 2 * asked
    assert len(spans) == case.way.calls
    assert said(spans[-1], case) == dict(case.way.says)
    for span in spans:
        attributes = span.attributes or {}
        assert attributes[semconv.STATUS] == "success"
        assert semconv.PROVIDER in attributes
        assert (semconv.TIME_TO_FIRST_CHUNK in attributes) is case.way.streamed
        if case.driver.attempts:
            assert attributes[semconv.APP_ATTEMPTS] == 1
            assert attributes[semconv.SERVER_ADDRESS] == "127.0.0.1"
    for each_span in exporter.get_finished_spans():
        assert "no span may carry" not in each_span.to_json()
        assert KEY not in each_span.to_json()


# --- errors ---------------------------------------------------------------------------------------


@each(CASES)
def test_an_error_status_is_the_sdks_own_error(
    case: Case, served: Served, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    # For embeddings LiteLLM's client of openai tries again, whatever it is told.
    soon = {"content-type": "application/json", "retry-after-ms": "1"}
    body = Answer((json.dumps(case.driver.error).encode(),), soon)
    answers = [body.failing(status) for status in case.driver.error_statuses]
    bare = case.ask_each(served, answers)
    with watched(provider, case.driver.name):
        got = case.ask_each(served, answers)

    assert got == bare
    assert all(outcome[0] != "returned" for outcome in bare), bare
    spans = call_spans(exporter)
    assert len(spans) == len(answers)
    for span in spans:
        assert span.status.status_code is StatusCode.ERROR
        assert (span.attributes or {})[semconv.STATUS] in ("error", "blocked")
        assert (span.attributes or {}).get(semconv.ERROR_TYPE)


@each(one(CASES))
def test_nobody_answers(
    case: Case, served: Served, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    nowhere = "http://127.0.0.1:9"
    bare = case.ask(nowhere)
    with watched(provider, case.driver.name):
        got = case.ask(nowhere)

    assert got == bare
    assert bare[0] != "returned"
    (span,) = call_spans(exporter)
    assert (span.attributes or {})[semconv.STATUS] == "error"


@each(STREAMS)
def test_a_stream_that_breaks_off_breaks_off_for_the_caller(
    case: Case, served: Served, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    answer = case.way.encode(case.way.document)
    served.answer = answer.first(max(1, len(answer.pieces) - 3), "breaks")
    bare = case.ask(served.url)
    with watched(provider, case.driver.name):
        got = case.ask(served.url)

    assert got == bare
    (span,) = call_spans(exporter)
    broken = bare[0] != "returned"
    assert ((span.attributes or {})[semconv.STATUS] == "error") is broken


# --- leaving early --------------------------------------------------------------------------------


def _first(case: Case, leave: str) -> Callable[[Any], Any]:
    """Reads one chunk, then drops, closes or keeps the stream."""

    def asked(client: Any) -> Any:
        stream = case.way.opened(client)  # type: ignore[misc]
        if leave == "unread":
            return None
        chunk = next(iter(stream))
        if leave == "closed":
            stream.close()
        return chunk

    async def asked_async(client: Any) -> Any:
        stream = await case.way.opened_async(client)  # type: ignore[misc]
        if leave == "unread":
            return None
        chunk = await anext(aiter(stream))
        if leave == "closed":
            closing = getattr(stream, "aclose", None) or stream.close
            if (done := closing()) is not None:
                await done
        return chunk

    return asked_async if case.is_async else asked


@each(STREAMS)
@pytest.mark.parametrize("leave", ["dropped", "closed"])
def test_a_stream_that_is_left_early_is_an_abandoned_call(
    case: Case, served: Served, leave: str, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    if leave == "closed" and not case.driver.closes:
        pytest.skip("its streams have no close")
    bare = case.run(served.url, _first(case, leave))
    with watched(provider, case.driver.name):
        got = case.run(served.url, _first(case, leave))
        gc.collect()
        settle()

    assert got == bare
    assert bare[0] == "returned", bare
    (span,) = call_spans(exporter)
    assert (span.attributes or {})[semconv.STATUS] == "abandoned"


@each([case for case in STREAMS if not case.is_async])
def test_a_watched_stream_is_of_the_class_it_was(
    case: Case, served: Served, provider: TracerProvider
) -> None:
    def kind(client: Any) -> Any:
        stream = case.way.opened(client)  # type: ignore[misc]
        names = [type(stream), [name for name in dir(stream) if not name.startswith("_")]]
        list(stream)
        return names

    bare = case.run(served.url, kind)
    with watched(provider, case.driver.name):
        assert case.run(served.url, kind) == bare


@each([case for case in one(CASES) if case.is_async])
def test_a_cancelled_call_is_cancelled_and_told_so(
    case: Case, served: Served, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    served.answer = Answer((), ends="silent")

    async def asked(client: Any) -> Any:
        task = asyncio.ensure_future(case.way.ask_async(client))  # type: ignore[misc]
        while not served.waiting.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            return "cancelled"

    with watched(provider, case.driver.name):
        assert case.run(served.url, asked) == ("returned", shown("cancelled"))

    (span,) = call_spans(exporter)
    assert (span.attributes or {})[semconv.STATUS] == "cancelled"


# --- not watching ---------------------------------------------------------------------------------


@each(one(CASES))
def test_suppressed_nothing_is_told(
    case: Case, served: Served, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    bare = case.ask(served.url)
    with watched(provider, case.driver.name), suppress_instrumentation():
        got = case.ask(served.url)

    assert got == bare
    assert exporter.get_finished_spans() == ()


@pytest.mark.parametrize("name", DRIVERS)
def test_uninstrument_restores_the_identical_objects(name: str, provider: TracerProvider) -> None:
    cases = [case for case in CASES if case.driver.name == name]
    packages = tuple(driver(name).packages) or (PROVIDERS[name].package,)
    for case in cases:
        with case.driver.serve() as running:  # SDKs finish some classes when they are first used
            running.answer = case.way.encode(case.way.document)
            case.ask(running.url)
    before = _held(packages)
    with watched(provider, name):
        changed = {
            place for place, value in _held(packages).items() if value is not before.get(place)
        }
        for case in cases:
            with case.driver.serve() as running:
                running.answer = case.way.encode(case.way.document)
                case.ask(running.url)
    after = _held(packages)

    assert changed
    assert {place for place in before if after.get(place) is not before[place]} == set()
    assert _patching.patched() == []


def _held(packages: tuple[str, ...]) -> dict[str, Any]:
    """What the modules and classes of an SDK hold, by place; but for what pydantic builds late."""
    found: dict[str, Any] = {}
    for name, module in list(sys.modules.items()):
        if module is None or not any(name == p or name.startswith(f"{p}.") for p in packages):
            continue
        for key, value in list(vars(module).items()):
            found[f"{name}.{key}"] = value
            # Native classes say that they are builtins.
            if _is(value, type) and value.__module__ in (name, "builtins"):
                found.update(
                    {
                        f"{name}.{key}.{k}": v
                        for k, v in vars(value).items()
                        if isinstance(v, (*_FUNCTIONS, staticmethod, classmethod, property))
                    }
                )
    return {
        place: value
        for place, value in found.items()
        if "__pydantic_" not in place and _is(value, type, *_FUNCTIONS, property)
    }


_FUNCTIONS = (FunctionType, MethodDescriptorType)


def _is(value: Any, *kinds: type) -> bool:
    """`isinstance`, of which proxies for packages that are not installed would raise."""
    return issubclass(type(value), kinds)


# --- hostile answers, and faults of ours ----------------------------------------------------------


@each([case for case in CASES if case.way.hostile])
def test_whatever_the_provider_sends_the_caller_gets_what_the_bare_sdk_gives(
    case: Case, served: Served, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    named = shapes(case.way.document, fewer=case.is_async)
    answers = [case.way.encode(shape) for _, shape in named]
    bare = case.ask_each(served, answers)
    with watched(provider, case.driver.name):
        got = case.ask_each(served, answers)

    odd = [
        (name, ours, theirs)
        for (name, _), ours, theirs in zip(named, got, bare, strict=True)
        if ours != theirs
    ]
    assert odd == []
    assert len(call_spans(exporter)) >= len(answers)


@pytest.mark.quiet
@each([case for case in CASES if case.way.hostile])
def test_a_fault_of_ours_is_no_fault_of_the_callers(
    case: Case, served: Served, provider: TracerProvider
) -> None:
    bare = case.ask(served.url)
    before = context.get_current()
    functions = functions_of(PROVIDERS[case.driver.name])
    instrumentation.instrument(provider, [case.driver.name])
    try:
        with entered(functions) as reached:
            assert case.ask(served.url) == bare
    finally:
        instrumentation.uninstrument()
    # Each by itself that is reached; the others at once: were one reached after all, it would raise.
    for names in [[name] for name in functions if name in reached] + [functions.keys() - reached]:
        instrumentation.instrument(provider, [case.driver.name])
        undo = [swapped(functions[name]) for name in names]
        try:
            got = case.ask(served.url)
        finally:
            for each_undo in undo:
                each_undo()
            instrumentation.uninstrument()
            calls.current_call.set(None)
            context.attach(before)
            _open_calls.live.clear()
            calls.open_calls.clear()
        assert got == bare, names
