"""A backend in a process of its own dies, flaps, answers 500, hangs and comes back: the circuit follows
in the time that it should, and no guarded call is made while it is open."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import openai
import pytest
from backend_process import BackendProcess
from opentelemetry.sdk.trace import TracerProvider

import tollspan
from tollspan.limits import health
from tollspan.limits.circuits import Change, Policy

pytestmark = pytest.mark.slow

POLICY = Policy(
    failures=3, cool_down_s=0.25, cool_down_most_s=1.0, jitter=0, trials_to_close=2, window_s=30
)

ASKED: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


class Came(NamedTuple):
    """What came of one guarded call, and when it was made."""

    at: float
    what: str


class Application:
    """Asks one backend through a guard, again and again, and notes what comes and what changes."""

    def __init__(self, backend: BackendProcess) -> None:
        self._client = openai.OpenAI(base_url=backend.url, api_key="k", max_retries=0)
        self.patience_s = 30.0
        self.health = tollspan.health(backend.name)
        self.came: list[Came] = []
        self.changes: list[Change] = []
        self._remove = health.on_change(lambda watched, change, moment: self.changes.append(change))

    def asks_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, (self.came[-5:], self.changes)
            at = time.monotonic()
            try:
                with self.health.guard():
                    at = time.monotonic()  # the guard let it go before
                    self._client.chat.completions.create(**ASKED, timeout=self.patience_s)
                self.came.append(Came(at, "answer"))
            except tollspan.CircuitOpen:
                self.came.append(Came(at, "refused"))
                time.sleep(0.002)
            except openai.OpenAIError as error:
                self.came.append(Came(at, type(error).__name__))

    def asks_until_it_is(self, state: str) -> None:
        self.asks_until(lambda: self.health.state == state)

    def made_while_open(self) -> list[Came]:
        """Calls that were made while the circuit was open, since a moment after it had opened."""
        opened = [each for each in self.changes if each.after == "open"]
        until = [each for each in self.changes if each.before == "open"]
        ends = [each.at for each in until] + [float("inf")]
        return [
            came
            for came in self.came
            if came.what != "refused"
            for begin, end in zip(opened, ends, strict=False)
            if begin.at < came.at < end - 0.002
        ]

    def close(self) -> None:
        self._remove()
        self._client.close()


@pytest.fixture
def backend() -> Iterator[BackendProcess]:
    with BackendProcess() as running:
        yield running


@pytest.fixture
def app(
    backend: BackendProcess, monkeypatch: pytest.MonkeyPatch, provider: TracerProvider
) -> Iterator[Application]:
    monkeypatch.setattr(health.known, "policy", POLICY)
    tollspan.instrument(provider)
    made = Application(backend)
    made.asks_until(lambda: made.health.outcomes.get("answered", 0) >= 2)
    yield made
    made.close()
    health.unlisten()
    tollspan.uninstrument()


def cool_downs(app: Application) -> list[float]:
    """How long each opening lasted."""
    opened = [each.at for each in app.changes if each.after == "open"]
    ended = [each.at for each in app.changes if each.before == "open"]
    return [round(end - begin, 3) for begin, end in zip(opened, ended, strict=False)]


def test_a_backend_that_dies_and_comes_back(backend: BackendProcess, app: Application) -> None:
    backend.kill()
    app.asks_until_it_is("open")

    assert app.health.outcomes["connect"] == 3
    assert app.health.reason.endswith("the last one could not be reached")
    app.asks_until(lambda: len(cool_downs(app)) == 3)
    assert cool_downs(app) == [0.25, 0.5, 1.0]
    backend.start()
    app.asks_until_it_is("closed")

    assert app.made_while_open() == []
    assert [each.what for each in app.came].count("refused") > 10
    assert app.came[-1].what == "answer"


def test_a_backend_that_answers_500_and_recovers(backend: BackendProcess, app: Application) -> None:
    backend.start("500=1")
    app.asks_until_it_is("open")

    assert app.health.outcomes["server"] == backend.answered() == 3
    app.asks_until(lambda: len(app.changes) == 3)  # open, half-open, open again
    assert backend.answered() == 4  # one trial
    backend.start()
    app.asks_until_it_is("closed")

    assert app.made_while_open() == []
    assert [each.after for each in app.changes[-2:]] == ["half_open", "closed"]


def test_a_backend_that_hangs_and_goes_on(backend: BackendProcess, app: Application) -> None:
    backend.hang()
    app.patience_s = 0.2
    app.asks_until_it_is("open")

    assert app.health.outcomes["timeout"] == 3
    backend.go_on()
    app.patience_s = 30.0
    app.asks_until_it_is("closed")

    assert app.made_while_open() == []


def test_a_backend_that_flaps_is_asked_less_and_less(
    backend: BackendProcess, app: Application
) -> None:
    for _ in range(2):
        backend.kill()
        app.asks_until_it_is("open")
        backend.start()
        app.asks_until_it_is("closed")

    first, *_, last = cool_downs(app)
    assert first == 0.25
    assert last > first
    assert app.made_while_open() == []
