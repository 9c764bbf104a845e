"""`tollspan.health` tells how a backend is; its guard and `tollspan.failover` keep calls from one that
is down: patched SDKs and plain functions, `def` and `async def`, threads and streams."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import openai
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import tollspan
from tollspan import semconv
from tollspan.chaos import Chaos, hang, ok, slow, status
from tollspan.limits import health
from tollspan.limits.circuits import Policy
from tollspan.limits.outcomes import ANSWERED, SERVER, Outcome
from tollspan.limits.watched import Known, Where

ASKED: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
STEADY = Policy(failures=3, cool_down_s=60, jitter=0, trials_to_close=1)
QUICK = replace(STEADY, cool_down_s=0.1)


clients = contextlib.ExitStack()


@pytest.fixture(autouse=True)
def watched(monkeypatch: pytest.MonkeyPatch, provider: TracerProvider) -> Iterator[None]:
    monkeypatch.setattr(health.known, "policy", STEADY)
    tollspan.instrument(provider)
    yield
    health.unlisten()
    tollspan.uninstrument()
    clients.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, watched: None) -> None:
    """Circuits are open for a tenth of a second only."""
    monkeypatch.setattr(health.known, "policy", QUICK)


@pytest.fixture
def spare() -> Iterator[Chaos]:
    with Chaos() as running:
        yield running


def name(chaos: Chaos) -> str:
    return f"127.0.0.1:{chaos.port}"


def client(chaos: Chaos, **more: Any) -> openai.OpenAI:
    made = openai.OpenAI(base_url=chaos.openai_base_url, api_key="k", max_retries=0, **more)
    return clients.enter_context(made)


def asking(chaos: Chaos, **more: Any) -> Callable[[], Any]:
    asked = client(chaos, **more)
    return lambda: asked.chat.completions.create(**ASKED)


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def fail(chaos: Chaos, times: int = 3) -> None:
    """Calls without a guard that get 500, until they have been told."""
    before = tollspan.health(name(chaos)).outcomes.get(SERVER, 0)
    chaos.script(*[status(500)] * times)
    ask = asking(chaos)
    for _ in range(times):
        with pytest.raises(openai.InternalServerError):
            ask()
    eventually(lambda: tollspan.health(name(chaos)).outcomes.get(SERVER, 0) == before + times)


# --- asked ----------------------------------------------------------------------------------------


def test_what_nobody_knows_is_available() -> None:
    unknown = tollspan.health("nobody-calls-this")

    assert (unknown.available, unknown.state, unknown.since) == (True, "closed", None)
    assert (unknown.reason, unknown.latency_p95_s, unknown.retry_after_s) == ("", None, None)


def test_real_calls_tell_how_a_backend_is_under_its_provider_and_its_host(chaos: Chaos) -> None:
    tollspan.health("openai")
    asking(chaos)()
    eventually(lambda: tollspan.health("openai").outcomes == {ANSWERED: 1})
    fail(chaos)

    for called in ("openai", "127.0.0.1", name(chaos), chaos.openai_base_url):
        found = tollspan.health(called)
        assert found.state == "open"
        assert not found.available
        assert found.reason == "3 of 4 calls failed; the last one answered 5xx"
        assert found.since is not None
        assert 30 < (found.retry_after_s or 0) <= 60
        assert found.latency_p95_s is not None
        assert found.outcomes == {ANSWERED: 1, SERVER: 3}


def test_a_provider_at_two_addresses_is_as_well_as_the_better_one(
    chaos: Chaos, spare: Chaos
) -> None:
    tollspan.health("openai")
    asking(spare)()
    fail(chaos)

    assert not tollspan.health(name(chaos)).available
    assert tollspan.health("openai").available
    assert tollspan.health("openai").state == "closed"


def test_a_rate_limit_is_no_death_and_tells_when_to_come_back(chaos: Chaos) -> None:
    tollspan.health("openai")
    chaos.script(*[status(429, retry_after=30)] * 6)
    for _ in range(6):
        with pytest.raises(openai.RateLimitError):
            asking(chaos)()
    found = tollspan.health(name(chaos))
    eventually(lambda: found.outcomes == {"limited": 6})

    assert found.available
    assert found.is_limited
    assert 29 < (found.retry_after_s or 0) <= 30


def test_timeouts_open_a_circuit(chaos: Chaos) -> None:
    tollspan.health("openai")
    chaos.script(*[hang()] * 3)
    for _ in range(3):
        with pytest.raises(openai.APITimeoutError):
            asking(chaos, timeout=0.05)()
    found = tollspan.health(name(chaos))
    eventually(lambda: found.state == "open")

    assert found.outcomes == {"timeout": 3}


def test_a_name_that_is_no_text_is_refused_in_a_sentence() -> None:
    with pytest.raises(TypeError, match="is no name of a backend: write a provider or a host"):
        tollspan.health(None)  # type: ignore[arg-type]


# --- guarded --------------------------------------------------------------------------------------


def test_no_guarded_call_reaches_a_backend_whose_circuit_is_open(chaos: Chaos) -> None:
    fail(chaos)
    received = len(chaos.log)
    guard = tollspan.health(name(chaos)).guard()
    with pytest.raises(tollspan.CircuitOpen) as refused, guard:
        asking(chaos)()

    assert len(chaos.log) == received
    assert refused.value.backend == f"openai at {name(chaos)}"
    assert 59 < (refused.value.retry_after_s or 0) <= 60
    assert str(refused.value).endswith("s more: 3 of 3 calls failed; the last one answered 5xx")
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)


def test_a_call_inside_of_any_guard_is_asked_of_the_backend_that_it_goes_to(
    chaos: Chaos, spare: Chaos, exporter: InMemorySpanExporter
) -> None:
    tollspan.health("openai")
    asking(spare)()
    fail(chaos)
    received = len(chaos.log)
    with tollspan.health("openai").guard(), pytest.raises(tollspan.CircuitOpen):
        asking(chaos)()

    assert len(chaos.log) == received
    told = exporter.get_finished_spans()[-1].attributes or {}
    assert told[semconv.STATUS] == "blocked"
    assert told[semconv.BLOCKED_BY] == "app"
    assert told[semconv.BACKEND_REASON] == "3 of 3 calls failed; the last one answered 5xx"


def test_the_first_good_guarded_calls_after_the_cool_down_close_the_circuit(
    chaos: Chaos, quick: None
) -> None:
    fail(chaos)
    found = tollspan.health(name(chaos))
    eventually(lambda: found.state == "half_open")
    with found.guard():
        asking(chaos)()
    eventually(lambda: found.state == "closed")

    assert found.reason == "1 trial calls were answered"


def test_of_many_threads_one_tries_a_half_open_backend_and_the_others_are_refused(
    chaos: Chaos, quick: None
) -> None:
    fail(chaos)
    found = tollspan.health(name(chaos))
    eventually(lambda: found.state == "half_open")
    received = len(chaos.log)
    chaos.script(slow(0.3))
    came: list[str] = []
    together = threading.Barrier(8)

    def ask() -> None:
        together.wait()
        try:
            with found.guard():
                asking(chaos)()
            came.append("answer")
        except tollspan.CircuitOpen:
            came.append("refused")

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert sorted(came) == ["answer"] + ["refused"] * 7
    assert len(chaos.log) == received + 1


async def test_of_many_tasks_one_tries_a_half_open_backend_and_the_others_are_refused(
    chaos: Chaos, quick: None
) -> None:
    fail(chaos)
    found = tollspan.health(name(chaos))
    eventually(lambda: found.state == "half_open")
    received = len(chaos.log)
    chaos.script(slow(0.2))
    async with openai.AsyncOpenAI(base_url=chaos.openai_base_url, api_key="k") as asked:

        @found.guard()
        async def ask() -> Any:
            return await asked.chat.completions.create(**ASKED)

        came = await asyncio.gather(*[ask() for _ in range(8)], return_exceptions=True)

    assert sorted(type(each).__name__ for each in came) == ["ChatCompletion"] + ["CircuitOpen"] * 7
    assert len(chaos.log) == received + 1


def test_a_stream_that_is_read_outside_of_its_guard_is_one_trial(chaos: Chaos, quick: None) -> None:
    fail(chaos)
    found = tollspan.health(name(chaos))
    eventually(lambda: found.state == "half_open")
    with found.guard():
        stream = client(chaos).chat.completions.create(stream=True, **ASKED)

    assert not found.available
    assert found.state == "half_open"
    list(stream)
    eventually(lambda: found.state == "closed")


def test_a_loop_inside_of_one_guard_stops_when_the_circuit_opens(chaos: Chaos) -> None:
    chaos.script(*[status(500)] * 20)
    ask = asking(chaos)
    with pytest.raises(tollspan.CircuitOpen), tollspan.health(name(chaos)).guard():
        for _ in range(20):
            with contextlib.suppress(openai.InternalServerError):
                ask()
            failed = len(chaos.log)
            eventually(
                lambda n=failed: tollspan.health(name(chaos)).outcomes == {SERVER: min(n, 3)}  # type: ignore[misc]
            )

    assert len(chaos.log) == 3


def test_a_guard_as_a_decorator_serves_functions_that_nobody_patches() -> None:
    runs = []

    @tollspan.health("own-engine").guard()
    def ask(fails: bool) -> str:
        """Ask it."""
        runs.append(fails)
        if fails:
            raise ConnectionRefusedError
        return "answer"

    assert ask(False) == "answer"
    assert ask.__doc__ == "Ask it."
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            ask(True)
    with pytest.raises(tollspan.CircuitOpen):
        ask(False)

    assert runs == [False, True, True, True]
    found = tollspan.health("own-engine")
    assert found.reason == "3 of 4 calls failed; the last one could not be reached"


async def test_a_guard_as_a_decorator_serves_coroutine_functions() -> None:
    @tollspan.health("own-engine").guard()
    async def ask() -> str:
        await asyncio.sleep(0)
        raise TimeoutError

    assert asyncio.iscoroutinefunction(ask)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await ask()
    with pytest.raises(tollspan.CircuitOpen):
        await ask()


def test_errors_of_the_application_are_its_own_and_say_nothing_of_the_backend() -> None:
    guard = tollspan.health("own-engine").guard()
    for _ in range(10):
        with pytest.raises(KeyError), guard:
            raise KeyError("server_error")

    assert tollspan.health("own-engine").available
    assert tollspan.health("own-engine").outcomes == {}


def test_one_guard_serves_many_threads_at_once() -> None:
    guard = tollspan.health("own-engine").guard()
    inside = threading.Barrier(4)

    def ask() -> None:
        with guard:
            inside.wait(5)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert tollspan.health("own-engine").outcomes == {ANSWERED: 4}


# --- failover -------------------------------------------------------------------------------------


def test_failover_gives_what_the_first_one_gives_that_is_well(chaos: Chaos, spare: Chaos) -> None:
    chaos.script(*[status(500)] * 50)
    spare.script(*[ok(text="spare")] * 50)
    ask = tollspan.failover([(name(chaos), asking(chaos)), (name(spare), asking(spare))])
    for _ in range(3):
        assert ask().choices[0].message.content == "spare"
    eventually(lambda: tollspan.health(name(chaos)).state == "open")
    for _ in range(5):
        assert ask().choices[0].message.content == "spare"

    assert len(chaos.log) == 3


def test_failover_comes_back_to_the_first_when_it_is_well_again(
    chaos: Chaos, spare: Chaos, quick: None
) -> None:
    fail(chaos)
    chaos.script(*[ok(text="first")] * 5)
    ask = tollspan.failover({name(chaos): asking(chaos), name(spare): asking(spare)})
    assert repr(ask) == f"<tollspan.failover: {name(chaos)}, {name(spare)}>"
    eventually(lambda: tollspan.health(name(chaos)).available)

    assert ask().choices[0].message.content == "first"


def test_when_all_fail_the_last_ones_own_error_is_raised(chaos: Chaos, spare: Chaos) -> None:
    chaos.script(status(500))
    spare.script(status(503))
    ask = tollspan.failover([(name(chaos), asking(chaos)), (name(spare), asking(spare))])
    with pytest.raises(openai.InternalServerError) as raised:
        ask()

    assert raised.value.status_code == 503


def test_when_all_are_out_no_call_is_made(chaos: Chaos, spare: Chaos) -> None:
    fail(chaos)
    fail(spare)
    received = len(chaos.log), len(spare.log)
    with pytest.raises(tollspan.CircuitOpen):
        tollspan.failover([(name(chaos), asking(chaos)), (name(spare), asking(spare))])()

    assert (len(chaos.log), len(spare.log)) == received


def test_an_error_of_the_request_is_raised_at_once(chaos: Chaos, spare: Chaos) -> None:
    chaos.script(status(400))
    with pytest.raises(openai.BadRequestError):
        tollspan.failover([(name(chaos), asking(chaos)), (name(spare), asking(spare))])()

    assert spare.log == []


def test_whoever_asked_for_patience_is_asked_last(chaos: Chaos, spare: Chaos) -> None:
    chaos.script(status(429, retry_after=30))
    ask = tollspan.failover([(name(chaos), asking(chaos)), (name(spare), asking(spare))])
    ask()
    eventually(lambda: tollspan.health(name(chaos)).is_limited)
    ask()

    assert (len(chaos.log), len(spare.log)) == (1, 2)


async def test_failover_awaits_coroutine_functions_and_whatever_can_be_awaited(
    chaos: Chaos, spare: Chaos
) -> None:
    chaos.script(*[status(500)] * 2)
    first = openai.AsyncOpenAI(base_url=chaos.openai_base_url, api_key="k", max_retries=0)
    second = openai.AsyncOpenAI(base_url=spare.openai_base_url, api_key="k", max_retries=0)

    async def ask_first() -> Any:
        return await first.chat.completions.create(**ASKED)

    async def ask_second() -> Any:
        return await second.chat.completions.create(**ASKED)

    declared = tollspan.failover([(name(chaos), ask_first), (name(spare), ask_second)])
    plain = tollspan.failover(
        {
            name(chaos): lambda: first.chat.completions.create(**ASKED),
            name(spare): lambda: second.chat.completions.create(**ASKED),
        }
    )
    answers = await asyncio.gather(asyncio.create_task(declared()), plain())
    await first.close()
    await second.close()

    assert {each.object for each in answers} == {"chat.completion"}
    assert (len(chaos.log), len(spare.log)) == (2, 2)
    assert tollspan.health(name(chaos)).outcomes == {SERVER: 2}


async def test_a_cancelled_failover_is_cancelled_and_blames_nobody() -> None:
    started = asyncio.Event()

    async def ask() -> None:
        started.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(tollspan.failover([("one", ask), ("two", ask)])())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert tollspan.health("one").outcomes == {}


def test_a_loop_of_ones_own_chooses_clients_by_their_address(chaos: Chaos, spare: Chaos) -> None:
    chaos.script(status(500))
    asked = []
    for turn in tollspan.failover([client(chaos), client(spare)]):
        with turn:
            asked.append(turn.name)
            answer = turn.candidate.chat.completions.create(**ASKED)

    assert asked == [name(chaos), name(spare)]
    assert answer.object == "chat.completion"


def test_more_exceptions_can_be_a_reason_to_ask_the_next_one() -> None:
    def first() -> str:
        raise KeyError("no such model here")

    ask = [("one", first), ("two", lambda: "answer")]

    assert tollspan.failover(ask, also=KeyError)() == "answer"
    with pytest.raises(KeyError):
        tollspan.failover(ask)()


def test_arguments_go_to_each_candidate() -> None:
    def first(text: str, *, times: int) -> str:
        raise ConnectionError

    def second(text: str, *, times: int) -> str:
        return text * times

    assert tollspan.failover([("one", first), ("two", second)])("a", times=3) == "aaa"


@pytest.mark.parametrize(
    ("candidates", "kind", "sentence"),
    [
        ([], ValueError, "failover needs candidates"),
        ([len], TypeError, "does not say which backend it asks: write"),
        ([(1, len)], TypeError, "does not say which backend it asks: write"),
    ],
)
def test_candidates_that_cannot_be_used_are_refused_in_a_sentence(
    candidates: list[Any], kind: type[Exception], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence):
        tollspan.failover(candidates)


# --- many -----------------------------------------------------------------------------------------


def test_whoever_tells_never_waits_for_who_asks() -> None:
    """The garbage collector ends a dropped stream at any moment, also while its thread asks."""
    known = Known(lambda *_: None, STEADY)
    backend = known.at(Where("p", "h"))
    granted = backend.acquire()
    with backend._lock, known._lock:
        for _ in range(3):
            backend.ended(Outcome(SERVER, 0.1), known.clock(), granted)
        known.at(Where("p", "another")).ended(Outcome(SERVER, 0.1), known.clock())

    assert backend.snapshot().state == "open"


def test_threads_that_tell_at_once_lose_no_call() -> None:
    known = Known(lambda *_: None, Policy(failures=10**6))
    backend = known.at(Where("p", "h"))

    def tell() -> None:
        for _ in range(100):
            backend.ended(Outcome(ANSWERED, 0.1), known.clock())

    threads = [threading.Thread(target=tell) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert backend.snapshot().kinds == {ANSWERED: 800}


def test_the_usual_ports_may_be_named() -> None:
    known = Known(lambda *_: None)
    secure, own = known.at(Where("p", "h")), known.at(Where("p", "h", 8000))

    assert known.called("h:443") == known.called("h:80") == [secure]
    assert known.called("h:8000") == [own]
    assert known.called("h:0") == known.called("h:") == []
    assert known.called("h") == [secure, own]


def test_more_backends_than_can_be_remembered_are_forgotten_one_by_one() -> None:
    known = Known(lambda *_: None)
    known.declare(Where("declared", "d"), "declared", Policy())
    for number in range(1000):
        known.at(Where("p", f"h{number}"))

    assert len(known.every()) == 201
    assert known.called("declared")
    assert known.called("h999")
