"""Which rules for calls hold with which SDK: what docs/operate/budgets.md says in its table, tried with
the real SDKs, plain and streamed, blocking and awaited.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from drivers.cases import CASES, DRIVERS, STREAMS, Case, one
from drivers.server import Answer, Served
from drivers.trying import SOON, TRIES, trying
from needs import ROOT
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from outcomes import call_spans, settle

import tollspan
from tollspan import calls, instrumentation, semconv
from tollspan.instrumentation import PROVIDERS
from tollspan.limits import health
from tollspan.limits.budgets_file import FILTERS
from tollspan.limits.retries import RetriesExceeded, RetryGuard
from tollspan.processors.spans import adopt_provider

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning"
)  # what the SDKs say of themselves

PAGE = ROOT / "docs" / "operate" / "budgets.md"
COLUMNS = ("refuse", "queue", "model", "max_tokens", "tools", "retries", "circuits")
CHEAP = {
    "bedrock": "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    "litellm": "openai/gpt-4o-mini",
    "tensorzero": "openai::gpt-4o-mini",
}
MOST = 16
"""Tokens; LiteLLM asks for no fewer."""
LIMITS = re.compile(r"max_?(completion_|output_|new_|Output)?tokens|num_predict", re.IGNORECASE)
TALKS = ("chat", "text_completion", "generate_content")
WITHOUT_MODEL = {
    "huggingface_hub": ("text generation", "text generation stream"),
    "portkey_ai": ("saved prompt", "saved prompt stream"),
    "tensorzero": ("inference", "inference stream"),
}
"""Ways of asking that name no model: the server or the gateway knows it."""


def table() -> dict[str, dict[str, str]]:
    """SDK to what the page says of each rule: `yes`, `no`, or `none` for what there is not."""
    part = PAGE.read_text("utf-8").partition("\n## Which rules hold")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|(.+)\|$", part, re.MULTILINE)
    return {
        name: dict(zip(COLUMNS, (cell.split()[0] for cell in cells.split("|")), strict=True))
        for name, cells in rows
    }


SAID = table()


@pytest.fixture(autouse=True)
def nothing_is_left(provider: TracerProvider) -> Iterator[None]:
    undo = adopt_provider(provider)
    yield
    undo()
    health.unlisten()
    calls.retry = None
    assert calls.before == calls.after == ()


@pytest.fixture
def served(case: Case, provider: TracerProvider) -> Iterator[Served]:
    with case.driver.serve() as running:
        running.answer = case.way.encode(case.way.document)
        instrumentation.instrument(provider, [case.driver.name])
        try:
            yield running
        finally:
            instrumentation.uninstrument()


def each(cases: list[Case]) -> Any:
    return pytest.mark.parametrize("case", list(dict.fromkeys(cases)), ids=str)


def outermost(hook: Callable[[calls.OpenCall], float | None]) -> Callable[[], None]:
    return calls.on_before(lambda call: hook(call) if call.outer is None else None)


class Enough(calls.Refusal):
    pass


def test_the_page_has_a_row_for_every_sdk() -> None:
    assert SAID.keys() == PROVIDERS.keys()


def test_the_page_names_every_filter_of_a_budget() -> None:
    part = PAGE.read_text("utf-8").partition("\n## Whose calls")[2].partition("\n## ")[0]
    assert set(re.findall(r"`([a-z_]+)`", part)) >= set(FILTERS)


FEW = [*one(CASES), *one(STREAMS)]


@each(FEW)
def test_a_refused_call_does_not_leave(case: Case, served: Served) -> None:
    def refusing(call: calls.OpenCall) -> None:
        raise Enough("that is enough")

    undo = outermost(refusing)
    try:
        got = case.ask(served.url)
    finally:
        undo()
    assert SAID[case.driver.name]["refuse"] == "yes"
    assert (got[0], served.asked) == (Enough, 0)


@each(FEW)
def test_a_queued_call_waits_and_an_awaited_one_leaves_the_loop_free(
    case: Case, served: Served
) -> None:
    asked: list[asyncio.Handle] = []
    ran: list[bool] = []

    def waiting(call: calls.OpenCall) -> float | None:
        if case.is_async:
            # What is called soon runs only when the loop is free, which it is while it waits.
            asked.append(asyncio.get_running_loop().call_soon(ran.append, True))
        else:
            asked.append(SimpleNamespace())  # type: ignore[arg-type]
            ran.append(True)
        return 0.01 if len(asked) < 3 else None

    undo = outermost(waiting)
    try:
        got = case.ask(served.url)
    finally:
        undo()
    assert got[0] == "returned", got
    waits = len(asked) == 3 and len(ran) >= 2
    assert waits is (SAID[case.driver.name]["queue"] == "yes" or not case.is_async)


@each([case for case in STREAMS if case.is_async and case.driver.name in ("cohere", "xai_sdk")])
def test_a_stream_of_which_nobody_wants_a_chunk_is_asked_about_by_nobody(
    case: Case, served: Served, exporter: InMemorySpanExporter
) -> None:
    """Their streams are async generators: they ask, and can wait, when the first chunk is wanted."""
    asked: list[calls.OpenCall] = []
    undo = outermost(lambda call: asked.append(call))

    async def opened(client: Any) -> None:
        await case.way.opened_async(client)  # type: ignore[misc]

    try:
        case.run(served.url, opened)
        settle()
    finally:
        undo()
    assert (asked, served.asked) == ([], 0)
    (span,) = call_spans(exporter)
    assert (span.attributes or {})[semconv.STATUS] == "abandoned"


GENERATING = [
    case
    for case in CASES
    if case.way.says.get(semconv.OPERATION) in TALKS
    and (not case.is_async or case in one(CASES) or case in one(STREAMS))
]


@each(GENERATING)
def test_a_degraded_call_asks_for_less(case: Case, served: Served) -> None:
    name = case.driver.name
    cheap = CHEAP.get(name, "cheap")
    told: list[bool] = []

    def cheaper(call: calls.OpenCall) -> None:
        if call.sending is not None:
            told.append(call.sending.less(calls.Less(cheap, MOST, no_tools=True)))

    undo = outermost(cheaper)
    try:
        got = case.ask(served.url)
    finally:
        undo()
    assert got[0] == "returned", got
    assert told[:1] == [True]
    path, sent = received(served)
    stated = flat(sent)
    short = cheap.rpartition("/")[2]
    said = SAID[name]
    expected = "no" if case.way.name in WITHOUT_MODEL.get(name, ()) else said["model"]
    models = {value for key, value in stated if key in ("model", "model_name")}
    assert (short in models or re.split(r"/models?/", path)[-1].startswith(quoted(short))) is (
        expected == "yes"
    )
    limits = {value for key, value in stated if LIMITS.fullmatch(key)}
    assert (limits == {MOST}) is (said["max_tokens"] == "yes")
    tools = [
        key for key in ("tools", "toolConfig", "additional_tools", "tool_choice") if sent.get(key)
    ]
    assert (tools == []) is (said["tools"] == "yes")


def quoted(model: str) -> str:
    return model.replace(":", "%3A")


def received(served: Served) -> tuple[str, dict[str, Any]]:
    path, body = served.last
    if path:
        return path, json.loads(body)
    from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
    from xai_sdk.proto import chat_pb2

    request = chat_pb2.GetCompletionsRequest.FromString(body)
    return path, MessageToDict(request, preserving_proto_field_name=True)


def flat(value: Any) -> Iterator[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        for key, each_value in value.items():
            found += [(key, each_value), *flat(each_value)]
    elif isinstance(value, list):
        for each_value in value:
            found += flat(each_value)
    return found  # type: ignore[return-value]


def untiring(case: Case) -> Case | None:
    """As `case`, with a client that tries again."""
    made = trying(case.driver.name)
    if made is None:
        return None
    driver = replace(
        case.driver,
        client=lambda url: made(url, False),
        client_async=lambda url: made(url, True),
    )
    return Case(driver, case.way, case.is_async)


@each(FEW)
def test_the_repeat_beyond_the_cap_does_not_leave(
    case: Case, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = SAID[case.driver.name]["retries"]
    repeating = untiring(case)
    if repeating is None:
        assert said in ("none", "no")
        return
    without_delay(case, monkeypatch)
    failing = Answer((json.dumps(case.driver.error).encode(),), status=503)
    served.answer = replace(failing, headers={**failing.headers, **SOON})
    got = repeating.ask(served.url)
    assert got[0] is not RetriesExceeded
    bare, served.asked = served.asked, 0
    guard = RetryGuard(3)
    guard.start()
    try:
        got = repeating.ask(served.url)
    finally:
        guard.stop()
    if bare == 1:
        assert case.way.streamed, "this SDK opens a stream but once"
        return
    assert bare > TRIES
    held = (True, 3) if said == "yes" else (False, bare)
    assert (got[0] is RetriesExceeded, served.asked) == held


@pytest.mark.skipif("litellm" not in DRIVERS, reason="litellm is not installed here")
def test_repeats_and_fallbacks_of_a_router_count_as_one_calls(provider: TracerProvider) -> None:
    import litellm

    case = next(case for case in CASES if case.driver.name == "litellm")
    with case.driver.serve() as served:
        failing = Answer((json.dumps(case.driver.error).encode(),), status=503)
        served.answer = replace(failing, headers={**failing.headers, **SOON})
        where = {"api_base": f"{served.url}/v1", "api_key": "k", "max_retries": 0}
        router = litellm.Router(
            [
                {"model_name": name, "litellm_params": {"model": "openai/gpt-4o-mini", **where}}
                for name in ("first", "second")
            ],
            fallbacks=[{"first": ["second"]}],
            num_retries=1,
            retry_after=0,
        )
        instrumentation.instrument(provider, ["litellm", "openai"])
        guard = RetryGuard(3)
        guard.start()
        try:
            with pytest.raises(RetriesExceeded) as caught:
                router.completion("first", [{"role": "user", "content": "hello"}])
        finally:
            guard.stop()
            instrumentation.uninstrument()
            case.driver.close({})
    assert (served.asked, caught.value.attempts) == (3, 3)


def without_delay(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    if case.driver.name != "bedrock":
        return

    async def soon(endpoint: Any, delay: float) -> None:
        await asyncio.sleep(0)

    import botocore.endpoint

    monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda _: None))
    if case.is_async:
        from aiobotocore.endpoint import AioEndpoint

        monkeypatch.setattr(AioEndpoint, "_sleep", soon, raising=False)


@each(one(CASES))
def test_calls_open_circuits_and_guarded_ones_do_not_leave(case: Case, served: Served) -> None:
    said = SAID[case.driver.name]["circuits"]
    where = served.url.removeprefix("http://") if said == "yes" else provider_of(case)
    how = tollspan.health(where)
    failing = Answer((json.dumps(case.driver.error).encode(),)).failing(500)
    case.ask_each(served, [failing] * 6)
    assert how.state == "open"
    asked = served.asked

    def guarded() -> Any:
        with how.guard():
            return case.ask(served.url)

    try:
        got = guarded()
    except tollspan.CircuitOpen:
        got = (tollspan.CircuitOpen,)
    assert (got[0], served.asked) == (tollspan.CircuitOpen, asked)


@each(one(CASES))
def test_failover_asks_the_next_backend_when_one_fails(case: Case, served: Served) -> None:
    served.answer = Answer((json.dumps(case.driver.error).encode(),)).failing(500)
    with case.driver.serve() as spare:
        spare.answer = case.way.encode(case.way.document)
        urls = (served.url, spare.url)
        if case.is_async:
            asyncio.run(tollspan.failover([(url, later(case, url)) for url in urls])())
        else:
            tollspan.failover([(url, now(case, url)) for url in urls])()
        assert served.asked >= 1
        assert spare.asked == 1


def now(case: Case, url: str) -> Callable[[], Any]:
    def ask() -> Any:
        client = case.driver.client(url)  # type: ignore[misc]
        try:
            return asking(case)(client)
        finally:
            case.driver.close(client)

    return ask


def later(case: Case, url: str) -> Callable[[], Any]:
    async def ask() -> Any:
        client = case.driver.client_async(url)  # type: ignore[misc]
        try:
            return await asking(case)(client)
        finally:
            closing = case.driver.close_async
            await (client.close() if closing is None else closing(client))

    return ask


def asking(case: Case) -> Callable[[Any], Any]:
    if case.driver.name == "xai_sdk":  # its driver shows other errors than gRPC's own
        from drivers.xai_sdk import _chat

        return lambda client: _chat(client).sample()
    return case.way.ask_async if case.is_async else case.way.ask  # type: ignore[return-value]


def provider_of(case: Case) -> str:
    return str(case.way.says[semconv.PROVIDER])
