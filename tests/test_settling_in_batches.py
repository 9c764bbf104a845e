"""Calls that are settled many at a time tell what they would have told at once, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
import sdks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from test_exactly_once import Asked, asking

import tollspan
from tollspan import calls, ended, guard, semconv

ROOT = Path(__file__).parent.parent
NEVER_MS = 1e7
"""No batch goes out by itself while a test runs."""

VARYING = frozenset(
    {semconv.REQUEST_ID, semconv.OWNER_SPAN_ID, semconv.TIME_TO_FIRST_CHUNK, semconv.WASTED_MS}
)
"""What differs from one run to the next."""


def batching(exporter: InMemorySpanExporter) -> SpanProcessor:
    return BatchSpanProcessor(exporter, schedule_delay_millis=NEVER_MS)


@contextlib.contextmanager
def running(
    processor: SpanProcessor, reader: InMemoryMetricReader | None = None
) -> Iterator[TracerProvider]:
    """Everything switched on, over a provider with `processor`."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    meters = MeterProvider([reader] if reader else [], shutdown_on_exit=False)
    tollspan.instrument(provider, meters)
    try:
        yield provider
    finally:
        tollspan.uninstrument()
        provider.shutdown()
        meters.shutdown()


def ask(**changes: Any) -> Any:
    client = sdks.openai_client(sdks.server_for("chat", **changes))
    return client.chat.completions.create(**sdks.CHAT)


def asleep() -> None:
    """Wait until the thread that settles waits to be woken."""
    deadline = time.monotonic() + 10
    while (ended._waiting or ended._is_awake) and time.monotonic() < deadline:
        time.sleep(0.01)  # poll, with a deadline
    assert not ended._waiting
    assert not ended._is_awake


@pytest.fixture
def unwoken(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is settled by nobody but who asks for it."""
    asleep()
    monkeypatch.setattr(ended, "_wake", lambda: None)


# --- the same as at once --------------------------------------------------------------------------


def told(spans: tuple[ReadableSpan, ...]) -> list[Any]:
    """What spans say, whatever their ids and times are, in an order of its own."""
    names = {each.context.span_id: each.name for each in spans if each.context}
    return sorted(
        (
            each.name,
            each.kind.name,
            each.status.status_code.name,
            str(each.status.description),
            names.get(each.parent.span_id, "?") if each.parent else "",
            str(each.instrumentation_scope and each.instrumentation_scope.name),
            sorted(
                (name, repr(value))
                for name, value in (each.attributes or {}).items()
                if name not in VARYING
            ),
            sorted(VARYING.intersection(each.attributes or {})),
            [event.name for event in each.events],
        )
        for each in spans
    )


def counted(reader: InMemoryMetricReader) -> list[Any]:
    """Names, labels, counts and sums of all metrics; seconds are no two times the same."""
    data = reader.get_metrics_data()
    found = []
    for metric in (
        metric
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ):
        for point in metric.data.data_points:
            many: Any = point
            value = (
                round(many.value, 12)
                if hasattr(many, "value")
                else (many.count, many.sum if metric.unit != "s" else None)
            )
            found.append((metric.name, sorted((point.attributes or {}).items()), value))
    return sorted(found, key=repr)


class Step:
    """One way of asking, that leaves nothing open."""

    def __init__(self, way: str, inside: bool) -> None:
        self.way = way
        self.inside = inside

    def __repr__(self) -> str:
        return f"{self.way}{' inside of two spans' if self.inside else ''}"

    def run(self, provider: TracerProvider) -> None:
        if not self.inside:
            getattr(self, self.way)()
            return
        tracer = provider.get_tracer("application")
        with (
            tracer.start_as_current_span("agent") as told,
            tracer.start_as_current_span("work"),
        ):
            getattr(self, self.way)()
        # A sum that ends last, with a span between it and the call that has ended before it.
        assert not told.is_recording()

    def plain(self) -> None:
        ask()

    def error(self) -> None:
        with contextlib.suppress(openai.APIError):
            ask(status=500)

    def stream(self) -> None:
        list(sdks.opened("chat"))

    def left(self) -> None:
        with sdks.opened("chat") as stream:
            next(stream)

    def other(self) -> None:
        server = sdks.server_for("messages")
        sdks.plain(sdks.client_for("messages", server), "messages")

    def tasks(self) -> None:
        async def one() -> None:
            client = sdks.async_openai_client(sdks.server_for("chat"))
            await client.chat.completions.create(**sdks.CHAT)

        async def all_of_them() -> None:
            await asyncio.gather(*(one() for _ in range(3)))

        asyncio.run(all_of_them())

    def within(self) -> None:
        """A call inside another: a tool of the transport's that asks a model itself."""

        def answer(request: Any) -> Any:
            ask()
            return sdks.server_for("chat")(request)

        sdks.openai_client(answer).chat.completions.create(**sdks.CHAT)  # type: ignore[arg-type]


WAYS = ("plain", "error", "stream", "left", "other", "tasks", "within")
STEPS = st.lists(st.builds(Step, st.sampled_from(WAYS), st.booleans()), min_size=1, max_size=8)


@given(STEPS)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_spans_and_metrics_are_those_of_settling_at_once(steps: list[Step]) -> None:
    seen = []
    for make in (SimpleSpanProcessor, batching):
        exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
        with running(make(exporter), reader) as provider:
            for step in steps:
                step.run(provider)
            sdks.settle()
            metrics = counted(reader)
            provider.force_flush()
            seen.append((told(exporter.get_finished_spans()), metrics))
            assert calls.open_calls == {}

    at_once, in_batches = seen
    assert in_batches[0] == at_once[0]
    assert in_batches[1] == at_once[1]


@given(asking())
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_beside_other_tracers_each_answer_is_owned_once(made: list[Asked]) -> None:
    seen = []
    for make in (SimpleSpanProcessor, batching):
        exporter = InMemorySpanExporter()
        with running(make(exporter)) as provider:
            for each in made:
                each.run(provider)
        spans = exporter.get_finished_spans()
        found = [(each.attributes or {}).get(semconv.COST_AMOUNT) for each in spans]
        seen.append(sorted(amount for amount in found if amount is not None))

    assert seen[1] == seen[0]


def test_a_sum_around_the_call_is_restated_though_the_span_between_them_ended_first(
    unwoken: None,
) -> None:
    exporter = InMemorySpanExporter()
    with running(batching(exporter)) as provider:
        tracer = provider.get_tracer("agents")
        with tracer.start_as_current_span("agent") as agent:
            with provider.get_tracer("work").start_as_current_span("between"):
                ask()
            assert len(ended._waiting) == 1
            agent.set_attributes({"gen_ai.usage.input_tokens": 7, "gen_ai.operation.name": "chat"})

    roles = {
        each.name: (each.attributes or {}).get(semconv.COST_ROLE)
        for each in exporter.get_finished_spans()
    }
    assert roles["agent"] == "restated"


# --- who waits, and until when --------------------------------------------------------------------


def test_a_call_ends_at_its_end_whenever_it_is_settled(unwoken: None) -> None:
    exporter = InMemorySpanExporter()
    with running(batching(exporter)) as provider:
        before = time.time_ns()
        ask()
        after = time.time_ns()
        assert len(ended._waiting) == 1
        while time.time_ns() < after + 5_000_000:
            pass
        provider.force_flush()

    (span,) = sdks.call_spans(exporter)
    assert before <= (span.start_time or 0) < (span.end_time or 0) <= after
    (attempt,) = [each for each in exporter.get_finished_spans() if each.parent]
    assert (attempt.end_time or 0) <= (span.end_time or 0)


def _changed(exporter: InMemorySpanExporter) -> SpanProcessor:
    class Enriching(BatchSpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            super().on_end(span)

    return Enriching(exporter)


@pytest.mark.parametrize("others", [SimpleSpanProcessor, _changed], ids=["simple", "changed"])
def test_who_sees_each_span_end_sees_it_at_once(
    others: Callable[[Any], SpanProcessor], unwoken: None
) -> None:
    exporter, late = InMemorySpanExporter(), InMemorySpanExporter()
    with running(batching(exporter)) as provider:
        ask()
        assert len(ended._waiting) == 1
        provider.add_span_processor(others(late))
        ask()
        provider.force_flush()
        assert len(sdks.call_spans(exporter)) == 2
        assert len(sdks.call_spans(late)) >= 1


def test_a_hook_that_wants_to_know_is_told_at_once(unwoken: None) -> None:
    costs: list[Any] = []
    with running(batching(InMemorySpanExporter())):
        remove = calls.on_after(lambda call: costs.append(call.attributes.get(semconv.COST_AMOUNT)))
        try:
            ask()
            assert costs
            assert costs[0] > 0
        finally:
            remove()


@pytest.mark.parametrize("by", ["force_flush", "shutdown", "uninstrument", "collect"])
def test_whoever_asks_gets_all(by: str, unwoken: None) -> None:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    with running(batching(exporter), reader) as provider:
        for _ in range(3):
            ask()
        assert len(ended._waiting) == 3
        if by == "collect":
            counts = [value for name, _, value in counted(reader) if name.endswith(".duration")]
            assert [count for count, _ in counts] == [3]
        elif by == "uninstrument":
            tollspan.uninstrument()
        else:
            getattr(provider, by)()
        assert not ended._waiting
        assert calls.open_calls == {}
        provider.force_flush()
        assert len(sdks.call_spans(exporter)) == 3


def test_many_are_settled_by_the_thread_in_which_the_last_of_them_ended(
    unwoken: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ended, "MANY", 4)
    with running(batching(InMemorySpanExporter())):
        for number in range(1, 10):
            ask()
            assert len(ended._waiting) == number % 4


def test_the_spans_of_a_call_leave_one_behind_the_other(unwoken: None) -> None:
    exporter = InMemorySpanExporter()
    with running(batching(exporter)) as provider:
        for _ in range(3):
            ask()
        provider.force_flush()
        traces = [each.context.trace_id for each in exporter.get_finished_spans() if each.context]
        assert len(traces) == 6  # each with its attempt
        assert traces[::2] == traces[1::2]
        assert len({*traces}) == 3


def test_few_are_settled_soon_and_the_thread_sleeps_while_there_are_none() -> None:
    exporter = InMemorySpanExporter()
    with running(batching(exporter)):
        ask()
        asleep()
        signal = ended._work_is_there
        assert signal is not None
        assert not signal.is_set()  # it waits for this, without a time-out

        ask()
        assert ended._is_awake


def test_threads_that_end_calls_while_others_settle_lose_none() -> None:
    exporter = InMemorySpanExporter()
    with running(batching(exporter)) as provider:
        client = sdks.openai_client(sdks.server_for("chat"))
        stop = threading.Event()

        def flush() -> None:
            while not stop.is_set():
                ended.settle_all()

        def work() -> None:
            for _ in range(60):
                client.chat.completions.create(**sdks.CHAT)

        flushing = threading.Thread(target=flush)
        flushing.start()
        workers = [threading.Thread(target=work) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        stop.set()
        flushing.join()
        provider.force_flush()

        found = sdks.call_spans(exporter)
        ids = {(each.attributes or {})[semconv.REQUEST_ID] for each in found}
        assert len(found) == len(ids) == 240


@pytest.mark.quiet
def test_a_fault_while_settling_is_quiet_and_costs_the_others_nothing(
    unwoken: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = InMemorySpanExporter()
    with running(batching(exporter)) as provider:
        ask()
        assert calls.settler is not None
        real, broken = calls.settler.settle, [True]

        def settle(call: calls.OpenCall) -> Any:
            if broken:
                broken.pop()
                raise RuntimeError("a fault of ours")
            return real(call)

        monkeypatch.setattr(calls.settler, "settle", settle)
        ask()
        faults = guard.faults.total()
        provider.force_flush()

        assert guard.faults.total() == faults + 1
        found = [(each.attributes or {}) for each in sdks.call_spans(exporter)]
        assert [semconv.COST_AMOUNT in each for each in found] == [False, True]
        assert calls.open_calls == {}


def test_an_interrupt_while_calls_are_settled_takes_nothing_from_the_others(
    unwoken: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = InMemorySpanExporter()
    with running(batching(exporter)) as provider:
        for _ in range(3):
            ask()
        assert calls.settler is not None
        real, asked = calls.settler.settle, []

        def settle(call: calls.OpenCall) -> Any:
            asked.append(call)
            if len(asked) == 2:
                raise KeyboardInterrupt
            return real(call)

        monkeypatch.setattr(calls.settler, "settle", settle)
        with pytest.raises(KeyboardInterrupt):
            ended.settle_all()
        provider.force_flush()

        assert len(asked) == 3
        found = [(each.attributes or {}) for each in sdks.call_spans(exporter)]
        assert [semconv.COST_AMOUNT in each for each in found] == [True, False, True]
        assert [semconv.INPUT_TOKENS in each for each in found] == [True, True, True]
        assert calls.open_calls == {}


def test_where_no_thread_can_start_calls_are_settled_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Refused(threading.Thread):
        def start(self) -> None:
            if self.name == "tollspan-settle":
                raise RuntimeError("can't start new thread")
            super().start()

    asleep()
    monkeypatch.setattr(ended, "_work_is_there", None)
    monkeypatch.setattr(ended.threading, "Thread", Refused)
    with running(batching(InMemorySpanExporter())):
        ask()
        assert not ended._waiting


def test_the_end_of_the_process_waits_for_who_settles_longer_than_anybody_else(
    unwoken: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ended.settle_all, "__defaults__", (0.0,))  # nobody else waits
    monkeypatch.setattr(ended, "_closed", False)
    held, release = threading.Event(), threading.Event()

    def settling() -> None:
        with ended._turn:
            held.set()
            release.wait(20)

    exporter = InMemorySpanExporter()
    with running(batching(exporter)) as provider:
        ask()
        other = threading.Thread(target=settling)
        other.start()
        assert held.wait(20)
        threading.Timer(0.05, release.set).start()
        ended.close()
        other.join()
        assert not ended._waiting
        provider.force_flush()
        assert len(sdks.call_spans(exporter)) == 1


# --- processes ------------------------------------------------------------------------------------

PROGRAM = """
import os, sys; sys.path.insert(0, "tests")
import sdks
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
import tollspan
from tollspan import ended
class Saying(SpanExporter):
    def export(self, spans):
        for span in spans:
            if "tollspan.request_id" in span.attributes:
                os.write(1, f"{os.getpid()} {span.attributes['gen_ai.usage.cost.amount'] > 0}\\n".encode())
        return SpanExportResult.SUCCESS
ended.LONGEST_S = 1000
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(Saying(), schedule_delay_millis=1e7))
trace.set_tracer_provider(provider)
tollspan.instrument()
client = sdks.openai_client(sdks.server_for("chat"))
def ask():
    client.chat.completions.create(**sdks.CHAT)
"""


def said(program: str) -> list[list[str]]:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM + program],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    return [line.split() for line in ran.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["", "raise SystemExit(0)", "provider.shutdown(); ask()"])
def test_the_end_of_a_process_exports_what_waits(way: str) -> None:
    lines = said(f"for _ in range(5): ask()\nassert len(ended._waiting) == 5\n{way}\n")

    assert [line[1] for line in lines] == ["True"] * 5


@pytest.mark.slow
def test_a_forked_worker_tells_its_own_calls_and_its_parent_the_others() -> None:
    lines = said("""
ask(); ask()
assert len(ended._waiting) == 2
children = []
for number in (1, 3):  # as gunicorn with preloading: the application is there before the workers
    child = os.fork()
    if child == 0:
        assert not ended._waiting
        for _ in range(number): ask()
        assert len(ended._waiting) == number
        provider.force_flush()
        os._exit(0)
    children.append(child)
for child in children: assert os.waitpid(child, 0)[1] == 0
ask()
print(os.getpid(), *children, flush=True)
""")

    parent, first, second = next(line for line in lines if len(line) == 3)
    of = [line[0] for line in lines if len(line) == 2]
    assert (of.count(parent), of.count(first), of.count(second)) == (3, 1, 3)


def test_what_a_caller_makes_of_its_answer_is_not_told(
    unwoken: None, exporter: InMemorySpanExporter
) -> None:
    with running(batching(exporter)) as provider:
        answer = ask()
        stated = answer.model, answer.usage.prompt_tokens, answer.choices[0].finish_reason
        answer.model, answer.usage.prompt_tokens = "mine", 0
        answer.choices.clear()
        assert len(ended._waiting) == 1
        provider.force_flush()
    (span,) = [span for span in exporter.get_finished_spans() if span.name.startswith("chat ")]
    told = span.attributes or {}
    names = semconv.RESPONSE_MODEL, semconv.INPUT_TOKENS, semconv.FINISH_REASONS
    assert [told[name] for name in names] == [*stated[:2], (stated[2],)]


def test_of_an_answer_only_its_headers_are_held_while_its_call_waits(
    unwoken: None, exporter: InMemorySpanExporter
) -> None:
    exchanged: list[weakref.ref[Any]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": []}
        response = httpx2.Response(
            200, content=json.dumps(body), headers={"x-request-id": "req_1", "set-cookie": "a"}
        )
        exchanged.extend((weakref.ref(request), weakref.ref(response)))
        return response

    with running(batching(exporter)) as provider:
        with httpx2.Client(transport=httpx2.MockTransport(answer)) as http:
            client = openai.OpenAI(api_key="x", http_client=http)
            client.chat.completions.create(**sdks.CHAT)
        gc.collect()
        assert [each() for each in exchanged] == [None, None]
        assert len(ended._waiting) == 1
        provider.force_flush()
    (attempt,) = [span for span in exporter.get_finished_spans() if span.name == "POST"]
    headers = {name for name in attempt.attributes or {} if name.startswith("http.response.header")}
    assert headers == {"http.response.header.x-request-id"}
