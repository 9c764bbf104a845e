"""Every statement of every board, run on the real engine, on every data set, in every state."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import board_data
import board_pictures
import pytest
from board_data import Statement

from tollspan.local.ledger import Ledger, LedgerError

STATEMENTS = board_data.statements()
DISTINCT = list({each.sql: each for each in STATEMENTS}.values())
SETS = board_data.data_sets()

ONE = {
    "environment": ["development"],
    "data_mode": ["real"],
    "tenant": ["acme"],
    "team": ["growth"],
    "endpoint": ["checkout.ai_summary"],
    "provider": ["openai"],
    "model": ["gpt-4o-mini-2026-07-18"],
    "prompt_version": ["v3"],
    "user": "u_42",
}
STATES: dict[str, dict[str, Any]] = {
    "all": {},
    "one value": ONE,
    "two values, one with a quote": {
        name: [*ONE[name], "O'Brien \\' --"] for name in ("tenant", "endpoint", "model")
    },
    "a tenant that nobody has, empty text boxes": {"tenant": ["nobody"], "user": ""},
}
NUMBER = re.compile(r"^(Nullable\()?(U?Int|Float|Decimal)")
TEXT = re.compile(r"^(LowCardinality\()?(Nullable\()?String")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    made = board_data.opened(tmp_path_factory.mktemp("boards"), SETS.values())
    yield made
    made.close()


def newest_trace(name: str) -> dict[str, Any]:
    calls = SETS[name].calls
    return {"trace_id": calls[-1]["trace_id"] if calls else ""}


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", [name for name in SETS if name != "hostile"])
def test_every_statement_runs(ledger: Ledger, name: str, state: str) -> None:
    """Also without a single NaN or infinity, which Grafana shows as such."""
    variables = newest_trace(name) | STATES[state]
    sent = [board_data.expanded(each.sql, SETS[name], variables) for each in DISTINCT]
    answers = board_data.ask_all(ledger, sent, "output_format_json_quote_denormals = 1")
    wrong = []
    for each, answer in zip(DISTINCT, answers, strict=True):
        if isinstance(answer, LedgerError):
            wrong.append(f"{each.where}: {answer}")
            continue
        values = {str(value) for row in answer for value in row.values()}
        wrong += [f"{each.where}: {value}" for value in values & {"nan", "-nan", "inf", "-inf"}]

    assert wrong == []


def test_every_panel_shows_something_on_demo_data(ledger: Ledger) -> None:
    sent = [board_data.expanded(each.sql, SETS["demo"], newest_trace("demo")) for each in DISTINCT]
    answers = board_data.ask_all(ledger, sent)

    assert [each.where for each, rows in zip(DISTINCT, answers, strict=True) if not rows] == []


def test_an_alias_means_the_same_under_both_settings_of_the_server(ledger: Ledger) -> None:
    """The embedded ledger prefers columns to aliases, a ClickHouse server as it comes does not."""
    sent = [board_data.expanded(each.sql, SETS["demo"], newest_trace("demo")) for each in DISTINCT]
    ours, theirs = (
        board_data.ask_all(ledger, sent, f"prefer_column_name_to_alias = {value}")
        for value in (1, 0)
    )

    assert ours == theirs


@pytest.fixture(scope="module")
def columns(ledger: Ledger) -> dict[str, dict[str, str]]:
    """Columns and types of the answer to each statement, in order."""
    sent = [f"DESCRIBE ({board_data.expanded(each.sql, SETS['demo'], {})})" for each in DISTINCT]
    answers = board_data.ask_all(ledger, sent)
    return {
        each.sql: {column["name"]: column["type"] for column in answer}  # type: ignore[union-attr]
        for each, answer in zip(DISTINCT, answers, strict=True)
    }


@pytest.mark.parametrize("each", DISTINCT, ids=lambda each: each.where)
def test_the_answer_has_the_shape_that_its_format_needs(
    ledger: Ledger, columns: dict[str, dict[str, str]], each: Statement
) -> None:
    types = columns[each.sql]
    times = [name for name, kind in types.items() if "Date" in kind]
    numbers = [name for name, kind in types.items() if NUMBER.match(kind)]
    texts = [name for name, kind in types.items() if TEXT.match(kind)]
    if each.format == 3:
        assert {"traceID", "spanID", "parentSpanID", "startTime", "duration"} <= set(types)
        return

    assert set(types) == {*times, *numbers, *texts}, "no maps, arrays or tuples"
    if each.format == 0:
        assert times == ["time"] == list(types)[:1]
        assert numbers
        rows = board_data.ask(ledger, each.sql, SETS["demo"])
        moments = [row["time"] for row in rows]
        assert moments == sorted(moments), "long series must come in order of time"
        keys = [tuple(row[name] for name in ("time", *texts)) for row in rows]
        assert len(set(keys)) == len(keys) or each.panel["type"] == "heatmap"  # type: ignore[index]


@pytest.mark.parametrize(
    "each", [each for each in STATEMENTS if each.panel is not None], ids=lambda each: each.where
)
def test_what_a_panel_says_of_a_column_has_that_column(
    columns: dict[str, dict[str, str]], each: Statement
) -> None:
    assert each.panel is not None
    types = columns[each.sql]
    for override in each.panel["fieldConfig"]["overrides"]:
        assert override["matcher"]["options"] in (*types, "/.*/")
        for named in re.findall(r"__data\.fields\.(\w+)", str(override)):
            assert named in types
    for option in each.panel["options"].get("sortBy", []):
        assert option["displayName"] in types
    for named in re.findall(r"__field\.labels\.(\w+)", str(each.panel["fieldConfig"]["defaults"])):
        assert TEXT.match(types[named])


@pytest.mark.slow
def test_two_hundred_endpoints_and_five_thousand_tenants_stay_readable(
    tmp_path_factory: pytest.TempPathFactory, ledger: Ledger
) -> None:
    """The biggest are named, the rest is one line; no panel has more than somebody can look through."""
    found = board_pictures.many_names(SETS["demo"].end - timedelta(days=4000))
    board_data.fill(ledger, found)
    sent = [board_data.expanded(each.sql, found, {}, 900) for each in DISTINCT]
    answers = board_data.ask_all(ledger, sent)
    series: dict[str, int] = {}
    rows: dict[str, int] = {}
    for each, answer in zip(DISTINCT, answers, strict=True):
        assert not isinstance(answer, LedgerError), each.where
        if each.format == 0 and answer and "series" in answer[0]:
            series[each.where] = len({row["series"] for row in answer})
        elif each.format == 1:
            rows[each.where] = len(answer)

    assert max(series.values()) <= 12 and len(series) > 12
    assert {where: n for where, n in rows.items() if n > 200 and "| $" not in where} == {}
    assert {where: n for where, n in rows.items() if n > 500} == {}
    assert rows["tollspan-attribution | Top tenants | A"] == 21, "twenty and all others"


def test_menus_offer_what_calls_have_and_a_dash_for_what_nobody_stated(ledger: Ledger) -> None:
    found = SETS["demo"]
    menus = {
        each.where.split("$")[1]: each.sql
        for each in STATEMENTS
        if each.where.startswith("tollspan-overview | $")
    }
    calls = found.shown()

    for name in ("tenant", "endpoint", "environment", "prompt_version"):
        offered = {row["choice"] for row in board_data.ask(ledger, menus[name], found)}
        assert offered == {each[name] or "-" for each in calls}
    chained = board_data.ask(ledger, menus["prompt_version"], found, {"endpoint": ["chat.reply"]})
    assert [row["choice"] for row in chained] == ["v3"]
