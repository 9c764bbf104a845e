"""Money on the boards is the ledger's truth, counted here a second time in Python, to the last digit."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import board_data
import pytest
from board_data import EVERYTHING, Statement
from page_data import Call

from tollspan.local.ledger import Ledger

SETS = board_data.data_sets()
DEMO = SETS["demo"]
REAL = {"data_mode": ["real"]}
STATES: dict[str, dict[str, Any]] = {
    "all": {},
    "as a board opens": REAL,
    "a tenant, and calls of none": REAL | {"tenant": ["acme", "-"]},
    "two endpoints": {"endpoint": ["chat.reply", "-"]},
    "one version of one model": {"prompt_version": ["v4"], "model": ["gpt-4o-2026-07-18"]},
    "one user of one team": {"user": "u_42", "team": ["growth"]},
}
FIELDS: dict[str, Callable[[Call], Any]] = {
    "model": lambda call: call["served_model"] or call["response_model"] or call["request_model"],
    "team": lambda call: call["tags"].get("team"),
    "data_mode": lambda call: call["data_mode"] or "real",
}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    made = board_data.opened(tmp_path_factory.mktemp("boards"), SETS.values())
    yield made
    made.close()


def chosen(calls: list[Call], state: dict[str, Any]) -> list[Call]:
    """The calls that the variables leave, without any SQL."""

    def left(call: Call) -> bool:
        for name, wanted in (EVERYTHING | state).items():
            values = [wanted] if isinstance(wanted, str) else wanted
            if name == "trace_id" or values in (["$__all"], [""]):
                continue
            value = FIELDS[name](call) if name in FIELDS else call[name]
            if (value or "-") not in values:
                return False
        return True

    return [each for each in calls if left(each)]


def total(calls: list[Call], column: str = "cost_usd") -> Decimal | None:
    amounts = [Decimal(each[column]) for each in calls if each[column] is not None]
    return sum(amounts, Decimal(0)) if amounts else None


def money(text: Any) -> Decimal | None:
    return None if text is None else Decimal(text)


ADDS_UP = [
    (board, title, column, "cost_usd")
    for board, title, column in (
        ("overview", "Spend", "spend"),
        ("overview", "Spend by endpoint", "usd"),
        ("overview", "Spend by model", "usd"),
        ("attribution", "Spend by provider", "usd"),
        ("attribution", "Top endpoints", "spend"),
        ("attribution", "Top tenants", "spend"),
        ("attribution", "Top users", "spend"),
        ("attribution", "Top teams", "spend"),
        ("attribution", "Top models", "spend"),
        ("hops", "Routes", "spend"),
        ("hops", "Asked for and served", "spend"),
        ("quality", "Grades of cost", "spend"),
        ("quality", "Which price books?", "spend"),
        ("versions", "Each version against the one before", "spend"),
    )
] + [
    ("overview", "Wasted", "wasted", "wasted_usd"),
    ("reliability", "Wasted", "wasted", "wasted_usd"),
    ("reliability", "Money for nothing", "usd", "wasted_usd"),
    ("reliability", "Who wastes it?", "wasted", "wasted_usd"),
    ("attribution", "Does caching help?", "avoided", "avoided_usd"),
    ("hops", "Answered by a cache", "saved", "avoided_usd"),
]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("board", "title", "column", "of"), ADDS_UP)
def test_what_a_panel_shows_adds_up_to_the_truth(
    ledger: Ledger, board: str, title: str, column: str, of: str, state: str
) -> None:
    rows = board_data.ask(ledger, board_data.statement(board, title), DEMO, STATES[state])
    shown = [money(row[column]) for row in rows if row[column] is not None]

    assert (sum(shown, Decimal(0)) if shown else None) == total(  # type: ignore[arg-type]
        chosen(DEMO.shown(), STATES[state]), of
    )


def test_the_states_are_different_and_not_empty() -> None:
    sums = [total(chosen(DEMO.shown(), state)) for state in STATES.values()]

    assert None not in sums and len(set(sums)) == len(sums)


@pytest.mark.parametrize("title", ["Spend by endpoint", "Spend by model"])
def test_each_bar_is_the_truth_of_its_bucket_and_name(ledger: Ledger, title: str) -> None:
    name = title.rsplit(" ", 1)[-1]
    field = FIELDS.get(name, lambda call: call[name])
    truth: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for each in DEMO.shown():
        if each["cost_usd"] is not None:
            at = datetime.fromisoformat(each["time"]).timestamp()
            truth[(str(int(at // 600 * 600)), field(each) or "-")] += Decimal(each["cost_usd"])
    rows = board_data.ask(ledger, board_data.statement("overview", title), DEMO)
    shown = {
        (
            str(int(datetime.fromisoformat(row["time"] + "+00:00").timestamp())),
            row["series"],
        ): money(row["usd"])
        for row in rows
    }
    named = {key: usd for key, usd in shown.items() if key[1] != "(all others)"}

    assert len(named) > 100
    assert named.items() <= truth.items()


def test_the_change_is_against_the_equally_long_time_before(ledger: Ledger) -> None:
    (row,) = board_data.ask(ledger, board_data.statement("overview", "Spend"), DEMO, REAL)
    before = [
        each
        for each in DEMO.shown(since=DEMO.start - timedelta(days=1))
        if datetime.fromisoformat(each["time"]) < DEMO.start
    ]
    now, then = total(chosen(DEMO.shown(), REAL)), total(chosen(before, REAL))

    assert money(row["spend"]) == now
    assert row["change"] == pytest.approx(float(now) / float(then) - 1)  # type: ignore[arg-type]


def test_a_change_beyond_measure_is_words_and_sorts_as_the_number_it_is() -> None:
    """After a quiet day a share is millions of percent, which nobody reads."""
    found = []
    for board in board_data.boards().values():
        for panel in board_data.panels(board):
            for override in panel.get("fieldConfig", {}).get("overrides", []):
                if override["matcher"]["options"].endswith("change"):
                    found.append({each["id"]: each["value"] for each in override["properties"]})
    shares = [each for each in found if each.get("unit") == "percentunit"]
    assert len(shares) >= 8
    for each in shares:
        (mapping,) = each["mappings"]
        assert mapping["type"] == "range" and mapping["options"]["from"] == 9
        assert mapping["options"]["result"] == {"text": "tenfold or more"}


def test_the_month_is_projected_from_what_was_spent_and_the_pace_of_a_week(ledger: Ledger) -> None:
    (row,) = board_data.ask(ledger, board_data.statement("overview", "Month end"), DEMO, REAL)
    begin = DEMO.end.replace(day=1, hour=0)
    month = total(chosen(DEMO.shown(since=begin), REAL))
    week = total(chosen(DEMO.shown(since=DEMO.end - timedelta(days=7)), REAL))
    left = datetime(2026, 6, 1, tzinfo=DEMO.end.tzinfo) - DEMO.end

    assert money(row["so_far"]) == month
    assert row["projected"] == pytest.approx(
        float(month) + float(week) / 7 * (left / timedelta(days=1))  # type: ignore[arg-type]
    )


def test_one_call_of_an_hour_ago_is_one_of_a_week_and_no_pace_of_twenty_four_a_day(
    ledger: Ledger,
) -> None:
    found = SETS["one call"]
    (row,) = board_data.ask(ledger, board_data.statement("overview", "Month end"), found)
    (call,) = found.calls
    end = found.end
    following = (end.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0)

    assert money(row["so_far"]) == Decimal(call["cost_usd"])
    assert row["projected"] == pytest.approx(
        float(call["cost_usd"]) * (1 + (following - end) / timedelta(days=7))
    )


def test_movers_fall_into_three_parts_that_add_up(ledger: Ledger) -> None:
    sql = board_data.statement("overview", "What changed since the time before?")
    rows = board_data.ask(ledger, sql, DEMO, REAL)

    assert len(rows) == 20
    for row in rows:
        parts = row["more_calls"] + row["longer_calls"] + row["dearer_tokens"]
        assert parts == pytest.approx(row["change"], abs=1e-9)
        assert row["change"] == pytest.approx(row["now"] - row["before"], abs=1e-9)
    sizes = [abs(row["change"]) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    longer = sum(row["longer_calls"] for row in rows if row["endpoint"] == "checkout.ai_summary")
    assert longer > 0.3, "the new version writes twice as much"


def test_a_version_is_compared_with_the_one_before(ledger: Ledger) -> None:
    sql = board_data.statement("versions", "Each version against the one before")
    rows = board_data.ask(ledger, sql, DEMO, REAL | {"endpoint": ["checkout.ai_summary"]})
    by_version = {row["prompt_version"]: row for row in rows}
    calls = chosen(DEMO.shown(), REAL | {"endpoint": ["checkout.ai_summary"]})
    each = {}
    for version in ("v3", "v4"):
        priced = [call for call in calls if call["prompt_version"] == version and call["cost_usd"]]
        each[version] = float(total(priced)) / len(priced)  # type: ignore[arg-type]

    assert list(by_version) == ["v4", "v3"]
    assert by_version["v3"]["per_call_change"] is None
    assert by_version["v4"]["per_call"] == pytest.approx(each["v4"])
    assert by_version["v4"]["per_call_change"] == pytest.approx(each["v4"] / each["v3"] - 1)
    assert by_version["v4"]["tokens_change"] > 0.5


def test_deploys_and_changes_of_route_are_marked_once(ledger: Ledger) -> None:
    notes = {
        each.where: [row["text"] for row in board_data.ask(ledger, each.sql, DEMO, REAL)]
        for each in board_data.statements()
        if "annotation" in each.where
    }

    assert notes["tollspan-versions | annotation Prompt versions"] == [
        "checkout.ai_summary: v3 → v4"
    ]
    assert notes["tollspan-hops | annotation Routes"] == [
        "chat.reply: openai/gpt-4o-mini → litellm > openai/gpt-4o-mini"
    ]


@pytest.mark.parametrize("each", board_data.statements(), ids=lambda each: each.where)
def test_where_nothing_is_priced_nothing_costs_zero(ledger: Ledger, each: Statement) -> None:
    """Unknown is no value: everything failed, and nobody knows what it cost.

    Of a budget the limit is known, and the calls without a price stand beside what was spent.
    """
    if each.panel is None or "budgets AS b" in each.sql:
        return
    rows = board_data.ask(ledger, each.sql, SETS["everything failed"])
    dollars = {
        override["matcher"]["options"]
        for override in each.panel["fieldConfig"]["overrides"]
        if {"id": "unit", "value": "currencyUSD"} in override["properties"]
        or {"id": "unit", "value": "prefix:$"} in override["properties"]
    }
    if each.panel["fieldConfig"]["defaults"].get("unit") == "currencyUSD":
        dollars |= {name for row in rows for name in row if name not in ("time", "series")}

    assert [row for row in rows if any(row[name] is not None for name in dollars)] == []


@pytest.mark.parametrize("state", STATES)
def test_hops_are_those_of_the_chosen_calls(ledger: Ledger, state: str) -> None:
    """Also by variables that stand on the call alone: provider, model, prompt version, user, team."""
    calls = chosen(DEMO.shown(), STATES[state])
    passed = Counter(
        f"{hop['role']} {hop['model'] if hop['role'] == 'model' else hop['name']}"
        for call in calls
        for hop in call["hops"]
    ) + Counter(f"endpoint {call['endpoint'] or '-'}" for call in calls)
    sql = board_data.statement("hops", "Where do calls go?")
    rows = board_data.ask(ledger, sql, DEMO, STATES[state])
    edges = board_data.ask(
        ledger, board_data.statement("hops", "Where do calls go?", 1), DEMO, STATES[state]
    )

    assert {row["id"]: row["mainstat"] for row in rows} == dict(passed)
    assert {row[end] for row in edges for end in ("source", "target")} <= set(passed)
    assert sum(row["mainstat"] for row in edges) == sum(len(call["hops"]) for call in calls)


def test_the_time_of_hops_and_models_adds_up_to_that_of_the_calls(ledger: Ledger) -> None:
    rows = board_data.ask(ledger, board_data.statement("hops", "Time by hop"), DEMO)
    measured = [call for call in DEMO.shown() if call["call_id"] in DEMO.overheads]

    assert sum(row["spent_s"] for row in rows) == pytest.approx(
        sum(call["duration_s"] for call in measured)
    )
    assert sum(row["spent_s"] for row in rows if row["series"] == "litellm") == pytest.approx(
        sum(DEMO.overheads[call["call_id"]] for call in measured) / 1000
    )
