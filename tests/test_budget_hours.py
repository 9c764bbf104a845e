"""Budgets are exact at any moment: counted by hour or not, whatever is told late, moved, changed, removed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import board_data
import pytest
from counted import counted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tollspan.local import expand
from tollspan.local.counting import Counting
from tollspan.local.ledger import Ledger

NOW = datetime.now(UTC).replace(microsecond=0)
BUDGETS: list[dict[str, Any]] = [
    {"name": "everything", "limit_usd": "50"},
    {"name": "acme's week", "filters": {"tenant": "acme"}, "limit_usd": "20", "period": "week"},
    {"name": "growth's day", "filters": {"tag.team": "growth"}, "limit_usd": "1", "period": "day"},
    {
        "name": "chat of acme",
        "filters": {"endpoint": "chat", "tenant": "acme"},
        "limit_usd": "9",
        "period": "month",
    },
]

Calls = dict[int, dict[str, Any]]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    made = Ledger(tmp_path_factory.mktemp("ledger"))
    with counted("budget_hours"):
        yield made
    made.close()


@pytest.fixture
def ledger(opened: Ledger) -> Ledger:
    for table in ("llm_calls", "budgets", "budget_hours"):
        opened.recall(f"TRUNCATE TABLE {table}", {})
    opened.insert("budgets", [each | {"version": 1} for each in BUDGETS])
    return opened


def call(number: int, hours_ago: float, usd: str | None = "1", **more: Any) -> dict[str, Any]:
    at = NOW - timedelta(hours=hours_ago)
    return {
        "call_id": f"{number:032x}",
        "time": f"{at:%Y-%m-%d %H:%M:%S}",
        "version": 1,
        "role": "owner",
        "data_mode": "real",
        "cost_usd": usd,
        "cost_grade": "derived" if usd else "unpriced",
        "tenant": "acme",
        "endpoint": "chat",
        "tags": {"team": "growth"},
        **more,
    }


def aged(ledger: Ledger) -> None:
    """Every call was told an hour ago: long before anybody counts."""
    column = "ALTER TABLE llm_calls MODIFY COLUMN told_at DateTime('UTC') MATERIALIZED now('UTC')"
    ledger.recall(f"{column} - 3600", {})
    ledger.recall(
        "ALTER TABLE llm_calls MATERIALIZE COLUMN told_at SETTINGS mutations_sync = 2", {}
    )
    ledger.recall(column, {})


def spent(calls: Calls, budgets: list[dict[str, Any]]) -> dict[str, tuple[Decimal, int]]:
    """Spend and calls of each budget, counted in Python; today is another day soon after midnight."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    starts = {
        "day": today,
        "week": today - timedelta(days=today.weekday()),
        "month": today.replace(day=1),
    }

    def counts(one: dict[str, Any], budget: dict[str, Any]) -> bool:
        start = starts[budget.get("period", "month")]
        return (
            datetime.fromisoformat(one["time"]).replace(tzinfo=UTC) >= start
            and one["data_mode"] in ("real", "")
            and all(
                (one["tags"].get(key[4:], "") if key.startswith("tag.") else one[key]) == value
                for key, value in budget.get("filters", {}).items()
            )
        )

    found = {}
    for budget in budgets:
        of = [one for one in calls.values() if counts(one, budget)]
        usd = sum((Decimal(one["cost_usd"]) for one in of if one["cost_usd"]), Decimal(0))
        found[budget["name"]] = (usd, len(of))
    return found


def told(ledger: Ledger) -> dict[str, tuple[Decimal, int]]:
    return {
        row["name"]: (Decimal(row["spent_usd"]), row["calls"])
        for row in ledger.query("SELECT name, spent_usd, calls FROM tollspan_budgets")
    }


places = st.fixed_dictionaries(
    {
        "number": st.integers(0, 7),
        "hours_ago": st.integers(0, 24 * 24).map(float),
        "usd": st.sampled_from(["0.000000000001", "1.5", "3", None]),
        "tenant": st.sampled_from(["acme", "globex"]),
        "endpoint": st.sampled_from(["chat", "mail"]),
        "tags": st.sampled_from([{"team": "growth"}, {}]),
        "data_mode": st.sampled_from(["real", "", "test"]),
    }
)
steps = st.one_of(
    st.lists(places, min_size=1, max_size=4),
    st.sampled_from(["count", "age and count", "change", "remove"]),
)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(steps, min_size=2, max_size=6))
def test_budgets_equal_their_calls_whenever_anybody_counts(
    ledger: Ledger, done: list[list[dict[str, Any]] | str]
) -> None:
    for table in ("llm_calls", "budgets", "budget_hours"):
        ledger.recall(f"TRUNCATE TABLE {table}", {})
    calls: Calls = {}
    has_counted = False
    budgets = [each | {"version": 1} for each in BUDGETS]
    ledger.insert("budgets", budgets)
    for version, step in enumerate(done, start=2):
        if step == "change":
            budgets = [budgets[0], *[each | {"version": version} for each in budgets[1:]]]
            budgets[1] |= {"filters": {"tenant": ["acme", "globex"][version % 2]}}
            ledger.insert("budgets", budgets[1:])
        elif step == "remove":
            ledger.remove("llm_calls", "call_id = {id:String}", {"id": f"{0:032x}"})
            calls.pop(0, None)
        elif isinstance(step, str):
            if step == "age and count":
                if has_counted:  # what is told after a count does not look told before it
                    ledger.count_again()
                aged(ledger)
            ledger.count_again()
            has_counted = True
        else:
            for each in step:
                # A call keeps the time that is a part of its id.
                kept = calls.get(each["number"])
                calls[each["number"]] = call(**each, version=version) | (
                    {"time": kept["time"]} if kept else {}
                )
            ledger.insert("llm_calls", [calls[number] for number in {e["number"] for e in step}])
        assert told(ledger) == spent(calls, budgets), step


def test_what_was_counted_is_not_read_again(ledger: Ledger) -> None:
    ledger.insert("llm_calls", [call(n, n) for n in range(3)])
    aged(ledger)
    ledger.count_again()
    before = told(ledger)
    ledger.recall("TRUNCATE TABLE llm_calls", {})

    assert told(ledger) == before and before["everything"][1] > 0


@pytest.mark.parametrize("counted", [False, True], ids=["from calls", "from sums"])
@pytest.mark.parametrize("hours", [1, 6, 24, 24 * 7])
def test_the_boards_say_the_same_over_any_range(ledger: Ledger, counted: bool, hours: int) -> None:
    calls = {n: call(n, ago) for n, ago in enumerate([0.1, 0.5, 2, 5, 9, 23, 30, 80, 200, 400])}
    ledger.insert("llm_calls", calls.values())
    if counted:
        aged(ledger)
        ledger.count_again()
    truth = spent(calls, BUDGETS)
    end = int(datetime.now(UTC).timestamp()) + 1

    def asked(title: str) -> list[dict[str, Any]]:
        sql = board_data.statement("budgets", title)
        return ledger.query(expand.server(sql, end - hours * 3600, end, 600))

    last = {row["series"]: row["share"] for row in asked("How did it get there?")}
    limits = {each["name"]: Decimal(each["limit_usd"]) for each in BUDGETS}
    assert last == pytest.approx(
        {name: float(usd / limits[name]) for name, (usd, _) in truth.items()}
    )
    left = {row["budget"]: Decimal(row["unspent"]) for row in asked("When does it run out?")}
    assert left == {name: limits[name] - usd for name, (usd, _) in truth.items()}


def test_the_stack_counts_by_itself(ledger: Ledger) -> None:
    ledger.insert("llm_calls", [call(1, 0.1)])
    counting = Counting(ledger, every_s=0.01)
    try:
        until = datetime.now(UTC) + timedelta(seconds=20)
        while datetime.now(UTC) < until and not ledger.query("SELECT 1 FROM budget_hours LIMIT 1"):
            pass
    finally:
        counting.stop()

    assert ledger.query("SELECT budget FROM tollspan_budget_hours WHERE calls = 1 LIMIT 1")
