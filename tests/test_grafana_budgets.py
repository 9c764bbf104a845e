"""What a budget has cost: the board's sums, the ledger's view and plain Python say the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import board_data
import page_data
import pytest
from board_data import DataSet
from page_data import Call

from grafana.budget_sql import COLUMNS
from tollspan.local.budgets import FILTERS
from tollspan.local.ledger import Ledger

BUDGETS: list[dict[str, Any]] = [
    {"name": "everything", "limit_usd": "1"},
    {"name": "a tenant", "filters": {"tenant": "acme"}, "limit_usd": "0.5", "period": "week"},
    {"name": "no tenant", "filters": {"tenant": ""}, "limit_usd": "9", "period": "day"},
    {"name": "a team", "filters": {"tag.team": "growth"}, "limit_usd": "3", "soft_ratio": 0.1},
    {
        "name": "a team's endpoint",
        "filters": {"endpoint": "chat.reply", "tag.team": "core", "environment": "development"},
        "limit_usd": "2",
    },
    {"name": "a model", "filters": {"model": "gpt-4o-2026-07-18"}, "limit_usd": "0.1"},
    {"name": "another tag", "filters": {"tag.cost centre": "4711"}, "limit_usd": "1"},
    {"name": "nobody", "filters": {"tenant": "nobody"}, "limit_usd": "1"},
    {"name": page_data.DROP, "filters": {"tenant": page_data.DROP}, "limit_usd": "1"},
    {"name": "ended", "limit_usd": "1", "enabled": False},
]


def made(end: datetime) -> list[Call]:
    """A hundred calls of the day until `end`, so that every period holds all of them; tests, replays
    and calls without a price among them."""
    begin = end.replace(hour=0, minute=0, second=0)
    rand = random.Random(3)
    calls = []
    for n in range(100):
        at = begin + (end - begin) * rand.random()
        call = page_data.call(
            n,
            at,
            endpoint=rand.choice(["chat.reply", "agent.plan", None]),
            tenant=rand.choice(["acme", "globex", None, page_data.DROP]),
            tags=rand.choice([{"team": "growth"}, {"team": "core"}, {"cost centre": "4711"}, {}]),
            model=rand.choice(["gpt-4o", "gpt-4o-mini"]),
            data_mode=rand.choice(["real", "real", "real", None, "test", "replay"]),
        )
        calls.append(call | ({"cost_usd": None, "cost_grade": "unpriced"} if n % 9 == 0 else {}))
    return calls


CALLS = made(datetime(2026, 7, 1, 12, tzinfo=UTC))
"""What they cost does not hang on the day."""


def truth(budget: dict[str, Any]) -> Decimal:
    """Spend of a budget's calls, counted in Python."""

    def value(call: Call, key: str) -> str:
        if key == "model":
            return call["served_model"] or ""
        if key.startswith("tag."):
            return call["tags"].get(key.removeprefix("tag.")) or ""
        return call[key] or ""

    return sum(
        (
            Decimal(call["cost_usd"])
            for call in CALLS
            if call["cost_usd"] is not None
            and call["data_mode"] in ("real", None)
            and all(value(call, key) == want for key, want in budget.get("filters", {}).items())
        ),
        Decimal(0),
    )


ENABLED = [each for each in BUDGETS if each.get("enabled", True)]
TRUTH = {each["name"]: truth(each) for each in ENABLED}


@pytest.fixture(scope="module")
def ledger(today: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    opened = Ledger(tmp_path_factory.mktemp("budgets"))
    board_data.fill(opened, today)
    opened.insert("budgets", BUDGETS)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def today() -> DataSet:
    """Today is when the tests run. It ends a second after the last call, so that a budget of today
    still counts it."""
    end = datetime.now(UTC).replace(microsecond=0)
    return DataSet("today", end + timedelta(seconds=1), made(end))


def rows(ledger: Ledger, title: str, today: DataSet) -> dict[str, dict[str, Any]]:
    found = board_data.ask(ledger, board_data.statement("budgets", title), today)
    return {row["budget"]: row for row in found}


def test_the_budgets_are_different_ones() -> None:
    assert len(set(TRUTH.values())) > 6
    assert TRUTH["nobody"] == 0 < TRUTH["a team's endpoint"] < TRUTH["everything"]


def test_the_table_of_budgets_tells_the_truth(ledger: Ledger, today: DataSet) -> None:
    found = rows(ledger, "How much of each budget is used?", today)

    assert {name: Decimal(row["spent"]) for name, row in found.items()} == TRUTH
    for each in ENABLED:
        row, limit = found[each["name"]], Decimal(each["limit_usd"])
        assert row["used"] == pytest.approx(float(TRUTH[each["name"]] / limit))
        soft = limit * Decimal(str(each.get("soft_ratio", 0.8)))
        spent = TRUTH[each["name"]]
        assert row["state"] == ("hard" if spent >= limit else "soft" if spent >= soft else "ok")
    used = [row["used"] for row in found.values()]
    assert used == sorted(used, reverse=True)


def test_what_is_left_is_the_limit_without_the_truth(ledger: Ledger, today: DataSet) -> None:
    found = rows(ledger, "When does it run out?", today)

    assert {
        name: Decimal(row["limit"]) - Decimal(row["unspent"]) for name, row in found.items()
    } == TRUTH
    for row in found.values():
        if row["runs_out_in"] is not None:
            assert 0 <= row["runs_out_in"] <= row["period_ends_in"]


def test_the_course_of_each_budget_ends_where_the_budget_stands(
    ledger: Ledger, today: DataSet
) -> None:
    sql = board_data.statement("budgets", "How did it get there?")
    last: dict[str, float] = {}
    for row in board_data.ask(ledger, sql, today):
        assert row["share"] >= last.get(row["series"], 0), "what was spent stays spent"
        last[row["series"]] = row["share"]
    used = {each["name"]: float(truth(each)) / float(each["limit_usd"]) for each in ENABLED}
    fullest = sorted(used, key=lambda name: (-used[name], name))[:8]

    assert last == pytest.approx({name: used[name] for name in fullest})


def test_a_budget_leads_to_its_calls(ledger: Ledger, today: DataSet) -> None:
    found = rows(ledger, "How much of each budget is used?", today)

    assert found["a tenant"]["of_tenant"] == "acme" and found["a team"]["of_team"] == "growth"
    assert found["a tenant"]["of_endpoint"] == found["everything"]["of_tenant"] == "$__all"
    assert found["a team's endpoint"]["counts"].count(", ") == 2


def test_the_boards_know_every_filter_that_a_budget_may_have() -> None:
    assert set(COLUMNS) == set(FILTERS)
