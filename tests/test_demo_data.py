"""Demo data is one click away, looks like a real week, pollutes no money, and leaves no trace."""

from __future__ import annotations

import http.client
import json
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from spans import owner

from tollspan import semconv
from tollspan.local import LocalStack, sample


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    """A ledger with two real calls and a budget over everything."""
    with LocalStack() as running:
        real = {semconv.DATA_MODE: "real"}
        spans = [owner(n, trace_id=f"{n:032x}", cost=0.25, attributes=real) for n in (1, 2)]
        running.writer.offer(spans).result(30)
        running.ledger.insert("budgets", [{"name": "all", "period": "month", "limit_usd": "1"}])
        yield running


def ask(stack: LocalStack, path: str, method: str = "GET", **headers: str) -> tuple[int, Any]:
    request = urllib.request.Request(stack.page_url + path, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def contents(stack: LocalStack) -> dict[str, list[dict[str, Any]]]:
    """Every row of the ledger's tables, without what engines add."""
    stack.ledger.count_again()
    made = {
        table: stack.ledger.query(f"SELECT * FROM {table} FINAL ORDER BY ALL")
        for table in ("spans", "llm_calls", "llm_hops", "span_links")
    }
    return made | {
        view: stack.ledger.query(f"SELECT * FROM {view} ORDER BY ALL")
        for view in ("tollspan_minutes", "tollspan_hours", "tollspan_tenant_days")
    }


@pytest.fixture(scope="module")
def loaded(stack: LocalStack) -> Iterator[LocalStack]:
    before = contents(stack)
    done = threading.Event()

    def looking() -> None:  # pages that are open meanwhile must not be told a number of then later
        while not done.wait(0.01):
            stack.demo.calls()

    looks = threading.Thread(target=looking)
    looks.start()
    assert ask(stack, "/api/demo", "POST") == (200, {"calls": sample.CALLS})
    done.set()
    looks.join()
    assert ask(stack, "/api/demo")[1] == {"calls": sample.CALLS}
    stack.ledger.count_again()
    yield stack
    assert ask(stack, "/api/demo", "DELETE") == (200, {"calls": sample.CALLS})
    assert contents(stack) == before
    assert ask(stack, "/api/status")[1]["demo_calls"] == 0
    # And once more: ids are new ones, so that nothing remembers the first time.
    assert ask(stack, "/api/demo", "POST") == (200, {"calls": sample.CALLS})
    assert ask(stack, "/api/demo", "DELETE") == (200, {"calls": sample.CALLS})
    assert ask(stack, "/api/demo", "DELETE") == (200, {"calls": 0})
    assert contents(stack) == before


def test_loading_twice_adds_nothing(loaded: LocalStack) -> None:
    before = ask(loaded, "/api/summary")[1]
    assert ask(loaded, "/api/demo", "POST") == (200, {"calls": sample.CALLS})
    assert ask(loaded, "/api/summary")[1] == before
    assert before["calls"] == sample.CALLS + 2


def test_every_demo_call_says_that_it_is_a_test_and_costs_no_budget(loaded: LocalStack) -> None:
    rows = loaded.ledger.query(
        "SELECT data_mode, count() AS n FROM tollspan_calls GROUP BY data_mode ORDER BY n"
    )
    assert rows == [{"data_mode": "real", "n": 2}, {"data_mode": "test", "n": sample.CALLS}]
    (budget,) = ask(loaded, "/api/budgets")[1]["budgets"]
    assert (Decimal(budget["spent_usd"]), budget["calls"]) in {(Decimal(0), 0), (Decimal("0.5"), 2)}


def test_what_arrived_does_not_count_demo_data(loaded: LocalStack) -> None:
    status = ask(loaded, "/api/status")[1]
    assert status["requests_received"] == 0
    assert status["llm_spans"] == 2
    assert status["demo_calls"] == sample.CALLS


def test_everything_that_the_page_tells_apart_happens(loaded: LocalStack) -> None:
    calls = loaded.ledger.query("SELECT * FROM tollspan_calls WHERE data_mode = 'test'")
    seen = Counter(call["status"] for call in calls)
    assert seen["success"] > 1000 and seen["error"] > 10 and seen["abandoned"] > 3
    assert any(call["cache_hit"] for call in calls)
    assert any(call["fallback"] for call in calls)
    assert any(call["app_attempts"] > 1 for call in calls)
    assert any(call["cost_grade"] == "unpriced" and call["input_tokens"] for call in calls)
    assert any(call["cost_grade"] == "lower_bound" for call in calls)
    assert any(call["endpoint"] == "" for call in calls)
    assert any(Decimal(call["wasted_usd"] or 0) for call in calls)
    assert any(Decimal(call["avoided_usd"] or 0) for call in calls)
    versions = {call["prompt_version"] for call in calls if call["endpoint"] == sample.CHECKOUT}
    assert versions == {"v3", "v4"}
    routes = {call["route"] for call in calls}
    assert {"openai/gpt-4o-mini", "litellm > openai/gpt-4.1-mini", "litellm > cache"} <= routes
    days = loaded.ledger.query(
        "SELECT uniqExact(toDate(time)) AS n FROM tollspan_calls WHERE data_mode = 'test'"
    )
    assert days[0]["n"] >= sample.DAYS


def test_a_trace_of_it_has_application_call_attempts_and_hops(loaded: LocalStack) -> None:
    _, found = ask(
        loaded, "/api/calls?data_mode=test&route=litellm+%3E+openai%2Fgpt-4.1-mini&limit=1"
    )
    call = found["calls"][0]
    assert [hop["role"] for hop in call["hops"]] == ["proxy", "model"]
    _, trace = ask(loaded, f"/api/traces/{call['trace_id']}")
    roles = Counter(span["role"] for span in trace["spans"])
    assert roles == {"app": 1, "call": 1, "attempt": call["app_attempts"], "hop": 2}
    assert [span["cost_usd"] for span in trace["spans"] if span["cost_usd"]] == [call["cost_usd"]]


def test_the_money_in_the_ledger_is_the_money_on_the_spans(loaded: LocalStack) -> None:
    (row,) = loaded.ledger.query("SELECT sum(cost_usd) AS usd FROM tollspan_calls")
    (on_spans,) = loaded.ledger.query(
        f"SELECT sum(toDecimal128(attributes['{semconv.COST_AMOUNT}'], 12)) AS usd FROM spans FINAL "
        f"WHERE mapContains(attributes, '{semconv.COST_AMOUNT}')"
    )
    assert Decimal(row["usd"]) == pytest.approx(Decimal(on_spans["usd"]), abs=Decimal("1e-9"))


def test_sums_by_time_have_it_while_it_is_there(loaded: LocalStack) -> None:
    (row,) = loaded.ledger.query("SELECT sum(calls) AS n FROM tollspan_hours")
    assert row["n"] == sample.CALLS + 2


def test_an_open_page_is_told_when_calls_go(loaded: LocalStack) -> None:
    connection = http.client.HTTPConnection(loaded.page_url.removeprefix("http://"), timeout=20)
    connection.request("GET", "/api/live")
    answer = connection.getresponse()
    assert answer.readline().startswith(b"retry:")
    loaded.live.tell_gone()
    assert [answer.readline() for _ in range(2)][1] == b"event: gone\n"
    answer.close()
    connection.close()


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_page_of_another_site_cannot_load_or_remove(stack: LocalStack, method: str) -> None:
    status, said = ask(stack, "/api/demo", method, origin="https://evil.example")
    assert status == 403 and "other sites" in said["error"]
    status, _ = ask(stack, "/api/demo", method, host="evil.example")
    assert status == 403


def test_asking_changes_nothing_and_asking_otherwise_is_a_sentence(stack: LocalStack) -> None:
    before = ask(stack, "/api/summary")[1]["calls"]
    status, said = ask(stack, "/api/demo", "PUT")
    assert status in (404, 405) and said["error"]
    assert ask(stack, "/api/demo")[1] == {"calls": before - 2}
    assert ask(stack, "/api/summary")[1]["calls"] == before
