"""The panel profile: what boards may use, so that the local page can draw the very same files."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from typing import Any

import board_data
import pytest

BOARDS = board_data.boards()
PANELS = [
    pytest.param(uid, panel, id=f"{uid}-{panel['id']}")
    for uid, board in BOARDS.items()
    for panel in board_data.panels(board)
]
SHOWN = [each for each in PANELS if each.values[1]["type"] != "row"]

KINDS = {"row", "stat", "timeseries", "table", "heatmap", "state-timeline", "nodeGraph", "traces"}
UNITS = {
    *("", "none", "currencyUSD", "prefix:$", "percentunit", "locale", "sishort", "s", "ms", "cps"),
    "suffix:tok/s",
}
COLOR_MODES = {"palette-classic-by-name", "thresholds", "continuous-blues"}
COLORS = {"text", "green", "orange", "red", "blue"}
OVERRIDES = {
    *("unit", "decimals", "links", "min", "max", "color", "thresholds", "noValue", "mappings"),
    *("custom.width", "custom.cellOptions", "custom.hidden"),
}
TABLES = {
    *("tollspan_calls", "tollspan_hops", "tollspan_budgets", "budgets"),
    *("tollspan_budget_hours", "tollspan_budget_doubt", "probes"),
}
COUNTED = {"tollspan_usage_tags_hours", "usage_by_tags_hour", "llm_calls"}
"""What must be read for hours that were counted: them, when, and what was told since."""
EVERY_CELL = {"id": "byRegexp", "options": "/.*/"}
VARIABLES = [
    *("datasource", "environment", "data_mode", "tenant", "team", "endpoint", "provider", "model"),
    *("prompt_version", "user"),
]


def steps(panel: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """All thresholds of a panel, its own and its columns'."""
    config = panel["fieldConfig"]
    found = [config["defaults"]["thresholds"]["steps"]]
    for override in config["overrides"]:
        found += [
            each["value"]["steps"] for each in override["properties"] if each["id"] == "thresholds"
        ]
    return found


@pytest.mark.parametrize(("uid", "panel"), SHOWN)
def test_a_panel_uses_nothing_but_the_profile(uid: str, panel: dict[str, Any]) -> None:
    config = panel["fieldConfig"]
    defaults = config["defaults"]

    assert panel["type"] in KINDS
    assert defaults.get("unit", "") in UNITS
    assert defaults["color"]["mode"] in COLOR_MODES
    assert not panel.get("transformations")
    for override in config["overrides"]:
        matcher = override["matcher"]
        assert matcher["id"] == "byName" or matcher == EVERY_CELL
        for each in override["properties"]:
            assert each["id"] in OVERRIDES
            if each["id"] == "unit":
                assert each["value"] in UNITS
            if each["id"] == "color":
                assert each["value"]["mode"] in COLOR_MODES
    calcs = panel["options"].get("reduceOptions", {}).get("calcs", ["lastNotNull"])
    calcs += panel["options"].get("legend", {}).get("calcs", [])
    assert set(calcs) <= {"lastNotNull", "sum"}


@pytest.mark.parametrize(("uid", "panel"), SHOWN)
def test_a_panel_says_what_it_shows_and_what_it_shows_when_there_is_nothing(
    uid: str, panel: dict[str, Any]
) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".") and len(panel["description"]) > 30
    assert panel["fieldConfig"]["defaults"]["noValue"]
    assert panel["targets"]
    assert [each["refId"] for each in panel["targets"]] == list(
        dict.fromkeys(each["refId"] for each in panel["targets"])
    )


@pytest.mark.parametrize(("uid", "panel"), SHOWN)
def test_colour_is_a_warning_that_somebody_chose(uid: str, panel: dict[str, Any]) -> None:
    """Grafana's untouched default, green and red from 80 on, says nothing."""
    for chosen in steps(panel):
        assert chosen[0]["value"] is None
        assert {each["color"] for each in chosen} <= COLORS
        assert [each.get("value") for each in chosen] != [None, 80]
    assert panel["options"].get("colorMode", "none") in ("none", "value")


@pytest.mark.parametrize(("uid", "panel"), SHOWN)
def test_only_what_adds_up_is_stacked(uid: str, panel: dict[str, Any]) -> None:
    stacking = (panel["fieldConfig"]["defaults"].get("custom") or {}).get("stacking", {})
    if panel["type"] != "timeseries" or stacking.get("mode") != "normal":
        return
    for target in panel["targets"]:
        assert not re.search(
            r"\b(quantile|avg|max|median)\b", target["rawSql"].split(")\nSELECT")[-1]
        )


@pytest.mark.parametrize("uid", BOARDS)
def test_numbers_titles_and_places_are_each_taken_once(uid: str) -> None:
    panels = list(board_data.panels(BOARDS[uid]))
    for name in ("id", "title"):
        twice = [each for each, n in Counter(panel[name] for panel in panels).items() if n > 1]
        assert twice == [], f"{name} used twice"
    cells: Counter[tuple[int, int]] = Counter()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        if panel["type"] == "row":
            assert (place["x"], place["w"], place["h"]) == (0, 24, 1)
        cells.update(
            itertools.product(
                range(place["x"], place["x"] + place["w"]),
                range(place["y"], place["y"] + place["h"]),
            )
        )
    assert [cell for cell, n in cells.items() if n > 1] == []


def test_boards_are_told_apart_by_uid_and_title() -> None:
    assert len({board["title"] for board in BOARDS.values()}) == len(BOARDS)


@pytest.mark.parametrize("uid", BOARDS)
def test_every_board_has_the_same_variables_and_links_carry_them(uid: str) -> None:
    board = BOARDS[uid]
    listed = board["templating"]["list"]
    names = [each["name"] for each in listed]

    assert [name for name in names if name not in ("prometheus", "trace_id")] == VARIABLES
    by_name = {each["name"]: each for each in listed}
    assert by_name["data_mode"]["current"]["value"] == ["real"], "tests never pollute money"
    for each in listed:
        if each["type"] == "query":
            assert each["refresh"] == 2, "choices follow the time range"
            assert each["multi"] and each["includeAll"]
    (link,) = board["links"]
    assert link["keepTime"] and link["includeVars"] and link["tags"] == ["tollspan"]


LINK = re.compile(r"^/d/(tollspan-[a-z]+)\?(.+)&\$\{__url_time_range\}$")


@pytest.mark.parametrize(("uid", "panel"), SHOWN)
def test_a_link_leads_to_a_board_with_time_and_every_variable(
    uid: str, panel: dict[str, Any]
) -> None:
    for override in panel["fieldConfig"]["overrides"]:
        for each in override["properties"]:
            if each["id"] != "links":
                continue
            (link,) = each["value"]
            found = LINK.match(link["url"])
            assert found, link["url"]
            target = {one["name"] for one in BOARDS[found[1]]["templating"]["list"]}
            named = re.findall(r"\$\{(\w+):queryparam\}", found[2])
            named += re.findall(r"var-(\w+)=\$\{__(?:value|data)[\w.]*:percentencode\}", found[2])
            assert set(VARIABLES) <= set(named) <= target
            assert len(named) == len(set(named))


@pytest.mark.parametrize("each", board_data.statements(), ids=lambda each: each.where)
def test_a_statement_reads_calls_hops_and_budgets_and_takes_variables_in_one_form_only(
    each: board_data.Statement,
) -> None:
    """`singlequote` lets a backslash through, a bare variable everything."""
    sql = each.sql
    read = set(re.findall(r"(?:FROM|JOIN) (\w+)", sql)) - set(re.findall(r"(\w+) AS \(", sql))
    allowed = {
        "tollspan-trace | Spans | A": {"spans"},
        "tollspan-attribution | Where does each team's month end? | A": TABLES | COUNTED,
    }

    assert read <= allowed.get(each.where, TABLES)
    without_conditions = re.sub(r", \$\w+\)", ")", sql)
    forms = re.findall(r"\$\{(\w+)(:\w+)?\}|\$(?!__)(\w+)", without_conditions)
    assert {form for name, form, bare in forms if name} <= {":queryparam"}
    assert not any(bare for _, _, bare in forms)
    assert "now(" not in sql and "now64(" not in sql and "today(" not in sql
    assert " --" not in sql and "/*" not in sql


@pytest.mark.parametrize(("uid", "panel"), SHOWN)
def test_a_panel_asks_the_chosen_datasource(uid: str, panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        kind = target["datasource"]["type"]
        if kind == "prometheus":
            assert target["datasource"]["uid"] == "${prometheus}"
            assert target["range"] is True and target["instant"] is False
            assert "_total" not in target["expr"] or "rate(" in target["expr"]
        else:
            assert target["datasource"]["uid"] == "${datasource}"
            assert target["editorType"] == "sql"
            assert (
                target["format"] == {"timeseries": 0, "table": 1, "traces": 3}[target["queryType"]]
            )


def test_every_question_has_its_panel() -> None:
    """The table in grafana/README.md names a board and a panel for each of the 24 questions."""
    text = (board_data.ROOT / "grafana" / "README.md").read_text("utf-8")
    lines = re.findall(r"^\| (\d+) \| [^|]+ \| (\S+) \| ([^|]+) \|$", text, re.MULTILINE)

    assert [int(number) for number, _, _ in lines] == list(range(1, 25))
    for number, board, titles in lines:
        there = {panel["title"] for panel in board_data.panels(BOARDS[f"tollspan-{board}"])}
        assert {title.strip() for title in titles.split(";")} <= there, number


@pytest.mark.parametrize(("uid", "panel"), SHOWN)
def test_a_cell_without_a_value_is_a_dash_and_not_a_sentence(
    uid: str, panel: dict[str, Any]
) -> None:
    """Grafana writes a panel's text for nothing into every empty cell of a table."""
    if panel["type"] != "table":
        return
    first = panel["fieldConfig"]["overrides"][0]

    assert first["matcher"] == EVERY_CELL
    assert first["properties"] == [{"id": "noValue", "value": "–"}]


@pytest.mark.parametrize(("uid", "panel"), SHOWN)
def test_bars_and_lines_have_time_buckets_that_can_be_seen(uid: str, panel: dict[str, Any]) -> None:
    if panel["type"] in ("timeseries", "state-timeline") and "rawSql" in panel["targets"][0]:
        assert panel["maxDataPoints"] == 60
