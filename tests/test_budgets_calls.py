"""Calls are held to their budgets before they leave: told of, degraded, queued, refused.

One call of these servers costs 11 tokens of input and 7 of output: 5.85 µ$ of gpt-4o-mini.
"""

from __future__ import annotations

import asyncio
import copy
import fcntl
import json
import logging
import pickle
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sdks
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import tollspan
from tollspan import calls, guard, instrumentation, semconv
from tollspan.limits import (
    budgets,
    budgets_book,
    budgets_count,
    budgets_ledger,
    budgets_metrics,
)
from tollspan.limits.budgets import Keeper
from tollspan.limits.budgets_file import Budget
from tollspan.processors.asking_price import asking_price
from tollspan.processors.spans import adopt_provider

COST = Decimal("0.00000585")


@pytest.fixture(autouse=True)
def watched(
    provider: TracerProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(calls, "price", asking_price)
    undo = adopt_provider(provider)
    try:
        with sdks.watched(provider):
            yield
    finally:
        budgets.let_go()
        undo()
    assert calls.before == calls.after == ()
    assert budgets.blocks.get() == ()


@pytest.fixture
def keep() -> Iterator[Callable[..., Keeper]]:
    made: list[Keeper] = []

    def keeping(*kept: Budget, **more: Any) -> Keeper:
        made.append(Keeper(kept, **more))
        return made[-1]

    yield keeping
    for each in made:
        each.stop()


def all_of(limit: str, action: str = "refuse", **more: Any) -> Budget:
    return Budget("all", Decimal(limit), action=action, **more)


def ask(api: str = "chat", server: sdks.Server | None = None) -> Any:
    return sdks.plain(sdks.client_for(api, server or sdks.server_for(api)), api)


def spent(keeper: Keeper) -> Decimal:
    ((book, standing),) = keeper.standings()
    assert standing.reserved == 0, "a call that has ended holds something back"
    return book.usd(standing.spent)


def last(exporter: InMemorySpanExporter) -> dict[str, Any]:
    return dict(sdks.call_spans(exporter)[-1].attributes or {})


# --- refuse ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", sdks.ALL)
def test_every_way_of_asking_is_counted_and_then_refused(
    way: str, keep: Any, exporter: InMemorySpanExporter
) -> None:
    keeper = keep(all_of("0.000005"))
    sync, awaited = sdks.ALL[way]
    sdks.outcome(lambda: sync(sdks.client_for("chat", sdks.server_for("chat")), "chat"))
    assert spent(keeper) == COST
    assert semconv.BUDGET_NAME not in last(exporter), "there was room"

    server = sdks.server_for("chat")
    with pytest.raises(tollspan.BudgetExceeded):
        sync(sdks.client_for("chat", server), "chat")
    with pytest.raises(tollspan.BudgetExceeded):
        asyncio.run(awaited(sdks.async_client_for("chat", server), "chat"))
    assert server.requests == []
    found = last(exporter)
    assert (found[semconv.STATUS], found[semconv.BLOCKED_BY]) == ("blocked", "app")
    assert (found[semconv.BUDGET_NAME], found[semconv.BUDGET_ACTION]) == ("all", "refused")
    assert semconv.COST_AMOUNT not in found
    assert spent(keeper) == COST


def test_the_refusal_says_which_budget_how_much_until_when_and_whom_to_ask(keep: Any) -> None:
    keep(all_of("0.000005", period="day", owner="ada@example.com", contact="#spend"))
    ask()
    with pytest.raises(tollspan.BudgetExceeded) as caught:
        ask()

    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.budget, error.limit_usd, error.spent_usd) == ("all", Decimal("0.000005"), COST)
    assert (error.owner, error.contact) == ("ada@example.com", "#spend")
    assert error.resets_at.tzinfo is UTC
    assert timedelta(0) < error.resets_at - datetime.now(UTC) <= timedelta(days=1)
    assert str(error) == (
        "The budget 'all' is used up: 0.00000585 USD of 0.000005 USD. "
        f"It begins anew at {error.resets_at:%Y-%m-%d} 00:00 UTC. Ask #spend."
    )


def test_calls_in_flight_hold_back_what_they_may_cost_at_most(keep: Any) -> None:
    keep(all_of("0.00005"))
    server = sdks.server_for("chat", events=sdks.BODIES["chat"][1])
    client = sdks.openai_client(server)
    asked = {**sdks.CHAT, "max_tokens": 100, "stream": True}
    first = client.chat.completions.create(**asked)
    with pytest.raises(tollspan.BudgetExceeded) as caught:
        client.chat.completions.create(**asked)
    assert caught.value.spent_usd == 0
    assert caught.value.reserved_usd > Decimal("0.00006"), "100 tokens at 0.60 USD a million"
    assert " 0.00 USD spent and 0.00007" in str(caught.value)
    assert " USD held for calls in flight, of 0.00005 USD." in str(caught.value)
    list(first)
    client.chat.completions.create(**asked).close()


def test_the_budget_survives_the_process_that_counted(keep: Any) -> None:
    keep(all_of("0.000005"))
    ask()
    keep(all_of("0.000005"))
    with pytest.raises(tollspan.BudgetExceeded):
        ask()


def test_a_new_period_begins_anew_and_a_call_of_the_old_one_ends_in_it(
    keep: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    yesterday = time.time() - 86_400
    with monkeypatch.context() as then:
        then.setattr(budgets_book, "time", SimpleNamespace(time=lambda: yesterday))
        keeper = keep(all_of("0.00005", period="day"))
    (book,) = keeper.books
    old = book.count
    keeper._thread = threading.current_thread()  # nobody tends it before the calls do
    client = sdks.openai_client(sdks.server_for("chat"))
    stream = client.chat.completions.create(**sdks.CHAT, max_tokens=100, stream=True)
    sdks.plain(client, "chat")  # no room in yesterday's
    assert book.count is not old
    list(stream)
    assert [old.standing().calls, book.count.standing().calls] == [1, 1]
    assert old.standing().reserved == 0


@pytest.mark.parametrize(
    ("filters", "counts"),
    [
        ({"tenant": "acme"}, True),
        ({"tenant": "other"}, False),
        ({"tag.team": "growth", "endpoint": "sum"}, True),
        ({"tag.team": "core"}, False),
        ({"user": ""}, True),
        ({"model": "gpt-4o-mini-2024-07-18"}, True),
        ({"request_model": "gpt-4o-mini"}, True),
        ({"response_model": "gpt-4o"}, False),
        ({"provider": "openai", "operation": "chat"}, True),
        ({"environment": ""}, True),
        ({"data_mode": "real"}, True),
        ({"data_mode": "test"}, False),
        ({"prompt_version": "v3", "session": "s_1"}, True),
        ({"session": "s_2"}, False),
        ({"user": "u_1"}, False),
        ({"service": "shop"}, False),
    ],
)
def test_a_budget_counts_the_calls_that_its_filters_mean_as_the_ledger_does(
    filters: dict[str, str], counts: bool, keep: Any
) -> None:
    keeper = keep(all_of("1", filters=filters))
    with tollspan.attribute(
        tenant="acme", endpoint="sum", prompt_version="v3", session="s_1", tags={"team": "growth"}
    ):
        ask()
        ask()
    assert spent(keeper) == (2 * COST if counts else 0)


def test_a_budget_of_a_service_counts_the_calls_of_this_process(
    keep: Any, provider: TracerProvider
) -> None:
    keeper = keep(all_of("1", filters={"service": provider.resource.attributes["service.name"]}))
    ask()
    assert spent(keeper) == COST


def test_a_call_that_is_not_sampled_counts_for_its_service_and_environment(
    keep: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = Resource.create({"service.name": "shop", "deployment.environment.name": "staging"})
    unsampled = TracerProvider(resource=named, sampler=ALWAYS_OFF)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: unsampled)
    instrumentation.uninstrument()
    instrumentation.instrument(unsampled, ["openai", "anthropic"])
    keeper = keep(all_of("1", filters={"service": "shop", "environment": "staging"}))
    ask()
    assert spent(keeper) == COST


def test_a_model_that_only_answers_name_is_refused_from_the_second_call_on(keep: Any) -> None:
    keep(all_of("0.000005", filters={"model": "gpt-4o-mini-2024-07-18"}))
    ask()
    with pytest.raises(tollspan.BudgetExceeded):
        ask()
    ask("messages")


def test_calls_that_cost_no_real_money_are_not_counted(keep: Any) -> None:
    keeper = keep(all_of("1"))
    with tollspan.attribute(data_mode="test"):
        ask()
    assert spent(keeper) == 0


def test_calls_of_another_mode_are_counted_and_refused_by_a_budget_that_names_it(keep: Any) -> None:
    keeper = keep(all_of("0.000005", filters={"data_mode": "test"}))
    ask()
    assert spent(keeper) == 0
    with tollspan.attribute(data_mode="test"):
        ask()
        assert spent(keeper) == COST
        with pytest.raises(tollspan.BudgetExceeded):
            ask()


def test_what_is_told_of_is_counted(keep: Any) -> None:
    keeper = keep(all_of("1"))
    tollspan.record(provider="openai", model="gpt-4o-mini", input_tokens=11, output_tokens=7)
    assert spent(keeper) == COST


def test_a_call_that_fails_gives_back_what_it_held(keep: Any) -> None:
    keeper = keep(all_of("1"))
    server = sdks.server_for("chat", status=500, body={"error": {"message": "no"}})
    with pytest.raises(Exception, match="500"):
        ask(server=server)
    assert spent(keeper) == 0


# --- warn and degrade -----------------------------------------------------------------------------


def test_each_limit_is_told_of_once_in_the_log_and_on_every_span_beyond(
    keep: Any, exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    budget = all_of("0.000012", "stop the batch", soft_ratio=0.4, owner="ada", contact="#spend")
    with caplog.at_level(logging.WARNING, "tollspan"):
        keep(budget)
        for _ in range(4):
            ask()
    lines = [each.getMessage() for each in caplog.records]
    assert [line.split(":")[0] for line in lines] == [
        "The budget 'all' has reached its soft limit",
        "The budget 'all' has reached its hard limit",
    ]
    assert lines[1].endswith("; owner: ada; contact: #spend; action: stop the batch")
    states = [(s.attributes or {}).get(semconv.BUDGET_STATE) for s in sdks.call_spans(exporter)]
    assert states == [None, "soft", "soft", "hard"]
    assert last(exporter)[semconv.BUDGET_RATIO] == pytest.approx(3 * 5.85 / 12)
    assert last(exporter)[semconv.BUDGET_ACTION] == "warned"


TOOLS = {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "auto"}


@pytest.mark.parametrize(
    ("api", "given", "sent"),
    [
        ("chat", {"max_completion_tokens": 900, **TOOLS}, {"max_completion_tokens": 64}),
        ("chat", {"max_tokens": 20}, {"max_tokens": 20}),
        ("chat", {}, {"max_completion_tokens": 64}),
        ("responses", {"max_output_tokens": 900}, {"max_output_tokens": 64}),
        ("messages", {"max_tokens": 900}, {"max_tokens": 64}),
        (
            "messages",
            {"max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 4000}},
            {"max_tokens": 64, "thinking": {"type": "disabled"}},
        ),
    ],
)
def test_a_degraded_call_asks_for_less_and_the_callers_objects_stay(
    api: str, given: dict[str, Any], sent: dict[str, Any], keep: Any, exporter: InMemorySpanExporter
) -> None:
    keep(all_of("0.00001", "degrade model=cheap max_tokens=64 tools=no", soft_ratio=0.1))
    ask()
    server = sdks.server_for(api)
    resource, asked = sdks._resource(sdks.client_for(api, server), api)
    whole = {**asked, **given}
    before = copy.deepcopy(whole)
    resource.create(**whole)

    body = json.loads(server.requests[0].content)
    assert whole == before
    assert {name: body.get(name) for name in sent} == sent
    assert body["model"] == "cheap"
    assert "tools" not in body and "tool_choice" not in body
    found = last(exporter)
    assert found[semconv.BUDGET_ACTION] == "degraded"
    assert found[semconv.REQUEST_MODEL] == "cheap"
    assert found[semconv.BUDGET_MODEL_ASKED] == asked["model"]


def test_tools_that_a_conversation_has_used_stay_declared_and_unused(keep: Any) -> None:
    keep(all_of("0.00001", "degrade tools=no", soft_ratio=0.1))
    ask()
    server = sdks.server_for("chat")
    used = [*sdks.MESSAGES, {"role": "tool", "tool_call_id": "1", "content": "x"}]
    client = sdks.openai_client(server)
    client.chat.completions.create(model="gpt-4o-mini", messages=used, **TOOLS)
    body = json.loads(server.requests[0].content)
    assert (body["tools"], body["tool_choice"]) == (TOOLS["tools"], "none")


# --- queue ----------------------------------------------------------------------------------------


def test_a_queued_call_leaves_when_another_gives_room_and_the_loop_stays_free(
    keep: Any, exporter: InMemorySpanExporter
) -> None:
    keep(all_of("0.00005", "queue 20s"))
    asked = {**sdks.CHAT, "max_tokens": 100}

    async def main() -> None:
        client = sdks.async_openai_client(sdks.server_for("chat"))
        stream = await client.chat.completions.create(**asked, stream=True)
        queued = asyncio.create_task(client.chat.completions.create(**asked))
        for _ in range(3):
            await asyncio.sleep(0.01)
        assert not queued.done()
        assert len(calls.open_calls) == 2
        async for _ in stream:
            pass
        await asyncio.wait_for(queued, 20)

    asyncio.run(main())
    assert last(exporter)[semconv.BUDGET_ACTION] == "queued"


def test_a_queued_call_is_refused_when_its_time_is_over(keep: Any) -> None:
    keep(all_of("0.000005", "queue 1s"))
    ask()
    began = time.monotonic()
    with pytest.raises(tollspan.BudgetExceeded):
        ask()
    assert 0.9 < time.monotonic() - began < 30


def test_a_blocking_call_in_an_event_loop_is_refused_at_once_and_not_queued(keep: Any) -> None:
    keep(all_of("0.000005", "queue 60s"))
    ask()

    async def blocking() -> None:
        ask()

    began = time.monotonic()
    with pytest.raises(tollspan.BudgetExceeded) as caught:
        asyncio.run(blocking())
    assert time.monotonic() - began < 30
    assert caught.value.was_to_wait
    assert "It was not queued: a blocking call in the thread of an event loop" in str(caught.value)


def test_a_blocking_call_in_a_thread_beside_an_event_loop_is_queued(
    keep: Any, exporter: InMemorySpanExporter
) -> None:
    keep(all_of("0.00005", "queue 20s"))
    asked = {**sdks.CHAT, "max_tokens": 100}
    client = sdks.openai_client(sdks.server_for("chat"))

    async def main() -> None:
        stream = client.chat.completions.create(**asked, stream=True)
        queued = asyncio.create_task(asyncio.to_thread(client.chat.completions.create, **asked))
        while len(calls.open_calls) < 2:
            await asyncio.sleep(0)
        list(stream)
        await asyncio.wait_for(queued, 20)

    asyncio.run(main())
    assert last(exporter)[semconv.BUDGET_ACTION] == "queued"


# --- several at once --------------------------------------------------------------------------------


def test_a_call_needs_room_in_every_budget_that_means_it_and_holds_nothing_else(keep: Any) -> None:
    names = {"roomy": "1", "tight": "0.000005", "last": "1"}
    keeper = keep(*(Budget(name, Decimal(usd), action="refuse") for name, usd in names.items()))
    ask()
    with pytest.raises(tollspan.BudgetExceeded, match="tight"):
        ask()
    assert [book.usd(now.spent) for book, now in keeper.standings()] == [COST] * 3
    assert [now.reserved for _, now in keeper.standings()] == [0, 0, 0]


def test_what_another_rule_refuses_holds_nothing_back(keep: Any) -> None:
    keeper = keep(all_of("1"))

    def refusing(call: calls.OpenCall) -> None:
        raise calls.Refusal("not now")

    undo = calls.on_before(refusing)
    with pytest.raises(calls.Refusal, match="not now"):
        sdks.openai_client(sdks.server_for("chat")).chat.completions.create(
            **sdks.CHAT, max_tokens=100
        )
    undo()
    assert spent(keeper) == 0


def test_a_lock_that_somebody_keeps_lets_calls_go_and_loses_none_of_their_costs(keep: Any) -> None:
    keeper = keep(all_of("0.000005"), Budget("other", Decimal("0.000005"), action="refuse"))
    with (tollspan.config.state_home() / "budgets" / "lock").open("r+b") as kept:
        fcntl.flock(kept, fcntl.LOCK_EX)
        ask()
        ask()
    keeper._shared.stuck_until_s = 0
    for book in keeper.books:
        book.count.sweep()
    assert [book.usd(now.spent) for book, now in keeper.standings()] == [2 * COST] * 2


# --- blocks ---------------------------------------------------------------------------------------


def test_a_block_has_a_budget_of_its_own_each_time() -> None:
    for _ in range(2):
        with tollspan.budget(limit_usd="0.00001") as run:
            ask()
            ask()
            assert (run.calls, run.spent_usd, run.remaining_usd) == (2, 2 * COST, 0)
            with pytest.raises(tollspan.BudgetExceeded) as caught:
                ask()
            assert caught.value.resets_at is None
            assert "It ends with its block." in str(caught.value)
    ask()
    assert run.calls == 2
    assert repr(run) == f"<tollspan.budget: ${(2 * COST).normalize():f} of $0.00001, 2 calls>"


def test_blocks_nest_and_a_call_needs_room_in_all_of_them() -> None:
    with tollspan.budget("outer", limit_usd="0.00001") as outer:
        with tollspan.budget("inner", limit_usd="0.000005") as inner:
            ask()
            with pytest.raises(tollspan.BudgetExceeded, match="inner"):
                ask()
        assert outer.reserved_usd == 0, "refused by the inner one"
        ask()
        assert (inner.calls, outer.calls) == (1, 2)
        with (
            tollspan.budget("roomy", limit_usd=1) as roomy,
            pytest.raises(tollspan.BudgetExceeded, match="outer"),
        ):
            ask()
        assert (roomy.calls, roomy.reserved_usd) == (0, 0)


def test_functions_of_every_kind_spend_their_own_budget_each_time() -> None:
    @tollspan.budget(limit_usd="0.000005")
    def plainly() -> None:
        ask()

    @tollspan.budget(limit_usd="0.000005")
    def steps() -> Iterator[int]:
        ask()
        yield 1
        ask()

    @tollspan.budget(limit_usd="0.000005")
    async def awaited() -> None:
        client = sdks.async_openai_client(sdks.server_for("chat"))
        await sdks.plain_async(client, "chat")
        await sdks.plain_async(client, "chat")

    @tollspan.budget(limit_usd="0.000005")
    async def async_steps() -> Any:
        await sdks.plain_async(sdks.async_openai_client(sdks.server_for("chat")), "chat")
        yield 1
        await sdks.plain_async(sdks.async_openai_client(sdks.server_for("chat")), "chat")

    plainly()
    plainly()
    running = steps()
    assert next(running) == 1
    ask()  # the caller's own call, between two steps
    with pytest.raises(tollspan.BudgetExceeded):
        next(running)
    with pytest.raises(tollspan.BudgetExceeded):
        asyncio.run(awaited())
    with pytest.raises(tollspan.BudgetExceeded):
        asyncio.run(sdks.listed(async_steps()))


def test_a_block_of_a_known_budget_counts_for_it_whatever_its_filters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "b.toml"
    file.write_text(
        '[[budgets]]\nname = "growth"\nlimit_usd = 1\nfilters = { tenant = "nobody" }\n'
    )
    monkeypatch.setenv("TOLLSPAN_BUDGETS", str(file))
    tollspan.config.reload()
    budgets.hold_to_settings()
    ask()
    with tollspan.budget("growth") as growth:
        ask()
    assert (growth.calls, growth.spent_usd, growth.limit_usd) == (1, COST, 1)


def test_a_block_of_no_budget_counts_nothing_and_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(2):
        with tollspan.budget("no such budget") as run:
            ask()
        assert (run.limit_usd, run.calls, run.remaining_usd) == (None, 0, None)
    assert [each.getMessage()[:39] for each in caplog.records] == [
        "There is no budget 'no such budget': it"
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "needs limit_usd"),
        ({"name": 0.5}, r"write budget\(limit_usd=0.5\)"),
        ({"limit_usd": 0}, "limit_usd=0: write"),
        ({"limit_usd": float("nan")}, "limit_usd=nan"),
        ({"limit_usd": "much"}, "limit_usd='much'"),
        ({"limit_usd": True}, "limit_usd=True"),
        ({"limit_usd": 1, "action": "refuze"}, "action='refuze': write refuse"),
        ({"limit_usd": 1, "action": "queue soon"}, "as in queue 30s"),
        ({"limit_usd": 1, "action": "degrade"}, "max_tokens=256"),
        ({"limit_usd": 1, "action": "refuse, perhaps"}, "warn, refuse, queue 30s"),
        ({"limit_usd": 1, "soft_ratio": 80}, "soft_ratio=80"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused_at_once(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        tollspan.budget(**given)


# --- failing open ---------------------------------------------------------------------------------


@pytest.mark.quiet
def test_a_count_that_cannot_be_read_lets_every_call_go(
    keep: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(all_of("0.000005"))

    def broken(*_: Any) -> None:
        raise budgets_count.UnreadableCount("both copies")

    monkeypatch.setattr(budgets_count.Count, "_read", broken)
    guard.faults.clear()
    for _ in range(3):
        assert ask().id == "chatcmpl-1"
    assert guard.faults


def test_a_damaged_file_is_counted_anew(keep: Any, caplog: pytest.LogCaptureFixture) -> None:
    first = keep(all_of("0.000005"))
    ask()
    (path,) = (tollspan.config.state_home() / "budgets").glob("*.count")
    first.stop()
    path.write_bytes(b"x" * budgets_count.SIZE)
    keeper = keep(all_of("0.000005"))
    assert "is counted anew" in caplog.text
    ask()
    assert spent(keeper) == COST


def test_a_folder_that_cannot_be_written_leaves_the_count_of_this_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    keeper = Keeper([all_of("0.000005")], folder=tmp_path / "file" / "budgets")
    try:
        ask()
        with pytest.raises(tollspan.BudgetExceeded):
            ask()
    finally:
        keeper.stop()
    assert "counted in this process alone" in caplog.text


def test_a_clock_that_jumps_refuses_nobody_until_it_is_understood(keep: Any) -> None:
    keeper = keep(all_of("0.000005"))
    ask()
    keeper._offset_s -= 3600  # as if the clock were an hour ahead now
    ask()
    keeper.tend()
    with pytest.raises(tollspan.BudgetExceeded):
        ask()


def test_an_unknown_price_is_counted_as_a_call_and_refuses_nobody(keep: Any) -> None:
    keeper = keep(all_of("0.000005"))
    body = {**sdks.CHAT_BODY, "model": "mine"}
    for _ in range(3):
        client = sdks.openai_client(sdks.server_for("chat", body=body))
        client.chat.completions.create(**{**sdks.CHAT, "model": "mine"}, max_tokens=5)
    ((_, standing),) = keeper.standings()
    assert (standing.settled, standing.calls, standing.unpriced) == (0, 3, 3)


def test_a_budget_file_that_is_wrong_is_one_line_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TOLLSPAN_BUDGETS", str(tmp_path / "absent.toml"))
    tollspan.config.reload()
    budgets.hold_to_settings()
    assert budgets.current is None
    assert "cannot be read" in caplog.text and "No call is held to it." in caplog.text
    ask()


def test_a_ledger_that_hangs_or_is_down_holds_nobody_up(
    keep: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets_ledger, "_TIMEOUT_S", 100.0)
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        port = hanging.getsockname()[1]
        keep(all_of("0.00002"), url=f"http://127.0.0.1:{port}", every_s=0)
        ask()
        connection, _ = hanging.accept()  # it is being asked now
        began = time.monotonic()
        for _ in range(3):
            ask()
        with pytest.raises(tollspan.BudgetExceeded):
            ask()
        assert time.monotonic() - began < 50
        connection.close()


# --- metrics --------------------------------------------------------------------------------------


def test_how_much_is_spent_is_a_metric(keep: Any) -> None:
    reader = InMemoryMetricReader()
    meters: metrics.MeterProvider = MeterProvider([reader])
    keep(all_of("0.0000117"))
    budgets_metrics.measure_with(meters)
    ask()
    data = reader.get_metrics_data()
    assert data is not None
    (metric,) = data.resource_metrics[0].scope_metrics[0].metrics
    (point,) = metric.data.data_points
    assert (metric.name, point.value) == (semconv.METRIC_BUDGET_RATIO, 0.5)
    assert dict(point.attributes or {}) == {semconv.BUDGET_NAME: "all"}
