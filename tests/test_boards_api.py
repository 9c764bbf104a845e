"""The boards over the local API: the files themselves, frames as Grafana has them, nothing from the browser trusted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import board_data
import httpx
import page_data
import pytest
from board_data import EVERYTHING

from tollspan.local import boards as local_boards
from tollspan.local.ledger import Ledger, LedgerError
from tollspan.local.server import LocalStack

SETS = board_data.data_sets()
DEMO = SETS["demo"]
BOARDS = board_data.boards()
BODY = {"from": int(DEMO.start.timestamp() * 1000), "to": int(DEMO.end.timestamp() * 1000)}
BODY |= {"width_px": 600}
CHOSEN = {"tenant": ["acme"], "data_mode": ["$__all"]}


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with LocalStack() as made:
        board_data.fill(made.ledger, DEMO)
        board_data.fill(made.ledger, SETS["hostile"])
        made.ledger.insert("budgets", board_data.BUDGETS)
        yield made


@pytest.fixture(scope="module")
def web(stack: LocalStack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{stack.page_url}/api", timeout=30) as made:
        yield made


def number(uid: str, title: str) -> int:
    (panel,) = [each for each in board_data.panels(BOARDS[uid]) if each.get("title") == title]
    found: int = panel["id"]
    return found


def panel(web: httpx.Client, uid: str, title: str, **body: Any) -> dict[str, Any]:
    content = json.dumps(BODY | body)  # in ASCII: half a pair is JSON, too
    answer = web.post(f"/boards/{uid}/panels/{number(uid, title)}", content=content)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_list_names_every_board_in_reading_order(web: httpx.Client) -> None:
    listed = web.get("/boards").json()["boards"]

    assert [each["uid"].removeprefix("tollspan-") for each in listed] == [*local_boards.ORDER]
    assert {each["uid"] for each in listed} == set(BOARDS)
    for each in listed:
        assert each["title"] == BOARDS[each["uid"]]["title"]
        assert each["description"] and each["tags"] == ["tollspan"]


@pytest.mark.parametrize("uid", BOARDS)
def test_a_board_is_the_very_file_that_grafana_gets(web: httpx.Client, uid: str) -> None:
    assert web.get(f"/boards/{uid}").json() == BOARDS[uid]


def test_a_time_series_is_one_wide_frame_with_a_field_for_each_set_of_labels(
    stack: LocalStack, web: httpx.Client
) -> None:
    found = panel(web, "tollspan-overview", "Spend by endpoint", variables=CHOSEN)
    (frame,) = found["frames"]
    time, *fields = frame["fields"]
    sql = board_data.statement("overview", "Spend by endpoint")
    bucket_s = found["interval_ms"] // 1000
    rows = stack.ledger.query(board_data.expanded(sql, DEMO, {"tenant": ["acme"]}, bucket_s))

    assert (frame["refId"], frame["name"]) == ("A", "A")
    assert frame["meta"]["type"] == "timeseries-wide"
    assert time["type"] == "time" and time["values"] == sorted(set(time["values"]))
    assert [field["labels"]["series"] for field in fields] == sorted(
        {row["series"] for row in rows}, key=str.encode
    )
    shown = {
        (moment, field["labels"]["series"]): value
        for field in fields
        for moment, value in zip(time["values"], field["values"], strict=True)
        if value is not None
    }
    assert len(shown) == len(rows) > 50
    assert sum(shown.values()) == pytest.approx(sum(float(row["usd"]) for row in rows))


def test_a_table_has_its_columns_in_order_and_numbers_are_numbers(web: httpx.Client) -> None:
    (frame,) = panel(web, "tollspan-attribution", "Most expensive calls")["frames"]
    kinds = {field["name"]: field["type"] for field in frame["fields"]}

    assert list(kinds)[:3] == ["time", "cost", "endpoint"]
    assert (kinds["time"], kinds["cost"], kinds["endpoint"]) == ("time", "number", "string")
    assert frame["meta"] == {"preferredVisualisationType": "table"}
    assert {len(field["values"]) for field in frame["fields"]} == {50}
    (cost,) = [field["values"] for field in frame["fields"] if field["name"] == "cost"]
    assert all(isinstance(value, float) for value in cost) and cost == sorted(cost, reverse=True)


def test_a_graph_has_a_frame_of_nodes_and_one_of_edges(web: httpx.Client) -> None:
    nodes, edges = panel(web, "tollspan-hops", "Where do calls go?")["frames"]

    assert (nodes["name"], edges["name"]) == ("nodes", "edges")


def test_the_spans_of_a_trace_bring_their_tags(web: httpx.Client) -> None:
    trace = {"trace_id": [DEMO.calls[-1]["trace_id"]]}
    (frame,) = panel(web, "tollspan-trace", "Spans", variables=trace)["frames"]
    fields = {field["name"]: field for field in frame["fields"]}

    assert frame["meta"] == {"preferredVisualisationType": "trace"}
    assert fields["tags"]["type"] == "other"
    assert fields["tags"]["values"][0][0]["key"] == "gen_ai.request.model"


def test_a_time_series_of_nothing_has_no_frame_and_a_table_of_nothing_has_no_rows(
    web: httpx.Client,
) -> None:
    nobody = {"variables": {"tenant": ["nobody"]}}

    assert panel(web, "tollspan-overview", "Spend by endpoint", **nobody)["frames"] == []
    (frame,) = panel(web, "tollspan-attribution", "Top endpoints", **nobody)["frames"]
    assert [field["values"] for field in frame["fields"]] == [[]] * 9


def test_what_is_not_chosen_is_as_the_file_has_it(web: httpx.Client) -> None:
    def calls(**variables: list[str]) -> float:
        (frame,) = panel(web, "tollspan-overview", "Calls", variables=variables)["frames"]
        value: float = frame["fields"][0]["values"][0]
        return value

    assert calls() == calls(data_mode=["real"]) < calls(data_mode=["$__all"])
    assert calls(tenant=[]) == calls(tenant=["$__all"]) > calls(tenant=["acme"]) > 0


def test_buckets_are_no_more_than_the_panel_wants_and_the_page_has_pixels(
    web: httpx.Client,
) -> None:
    wide = panel(web, "tollspan-overview", "Spend by endpoint", width_px=2000)
    narrow = panel(web, "tollspan-overview", "Spend by endpoint", width_px=30)

    assert (wide["interval_ms"], narrow["interval_ms"]) == (1_200_000, 3_600_000)


def test_where_there_is_no_prometheus_a_panel_says_so(web: httpx.Client) -> None:
    found = panel(web, "tollspan-pipeline", "Queue")

    assert found["frames"] == [] and "no Prometheus" in found["notice"]
    assert panel(web, "tollspan-overview", "Calls")["notice"] is None


def test_menus_offer_what_calls_have_most_used_first(web: httpx.Client) -> None:
    def offered(name: str, **variables: list[str]) -> list[str]:
        answer = web.post(
            f"/boards/tollspan-overview/variables/{name}", json=BODY | {"variables": variables}
        )
        return [each["value"] for each in answer.json()["options"]]

    calls = [each for each in DEMO.shown() if each["data_mode"] in ("real", None)]
    counts = {
        name: sum((each["tenant"] or "-") == name for each in calls) for name in ("acme", "-")
    }
    assert set(offered("tenant")) == {"acme", "globex", "initech", "umbrella", "-"}
    assert (offered("tenant").index("acme") < offered("tenant").index("-")) == (
        counts["acme"] > counts["-"]
    )
    assert offered("data_mode") == ["real", "test", "replay", "shadow"]
    assert offered("prompt_version", endpoint=["chat.reply"]) == ["v3"]
    assert offered("user") == offered("datasource") == []


def test_marks_stand_where_something_changed(web: httpx.Client) -> None:
    body = BODY | {"variables": {}}
    (mark,) = web.post("/boards/tollspan-overview/annotations", json=body).json()["annotations"]

    assert mark["text"] == "checkout.ai_summary: v3 → v4"
    assert mark["tags"] == ["checkout.ai_summary"] and mark["name"] == "Prompt versions"
    assert BODY["from"] < mark["time"] < BODY["to"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("tollspan-nope/panels/2", 404),
        ("tollspan-overview/panels/1", 404),
        ("tollspan-overview/panels/999", 404),
        ("tollspan-overview/panels/-1", 404),
        ("tollspan-overview/panels/2;DROP", 404),
        ("..%2f..%2fetc%2fpasswd/panels/1", 404),
        ("tollspan-overview/variables/nope", 404),
        ("tollspan-nope/annotations", 404),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(web: httpx.Client, path: str, status: int) -> None:
    answer = web.post(f"/boards/{path}", json=BODY)

    assert answer.status_code == status
    assert len(answer.json()["error"].split()) > 3
    assert web.get("/boards/tollspan-nope").status_code == 404


LONG = {"from": 0, "to": 401 * 86_400_000}
WRONG: dict[str, Any] = {
    "no JSON": b"{",
    "deep": b"[" * 100_000,
    "a list": [],
    "nothing": {},
    "a text for a time": BODY | {"from": "now-1h"},
    "true for a time": BODY | {"from": True},
    "no number at all": b'{"from": NaN, "to": 1e999}',
    "backwards": {"from": 5, "to": 5},
    "a year and more": LONG,
    "after the year 2100": {"from": 0, "to": 10**14},
    "a width of nothing": BODY | {"width_px": 0},
    "a width of miles": BODY | {"width_px": 10**9},
    "variables in a list": BODY | {"variables": ["a"]},
    "a variable that is none": BODY | {"variables": {"rawSql": ["SELECT 1"]}},
    "a number for a value": BODY | {"variables": {"tenant": [1]}},
    "an object for values": BODY | {"variables": {"tenant": {"a": "b"}}},
    "too many values": BODY | {"variables": {"tenant": ["a"] * 501}},
    "too long a value": BODY | {"variables": {"tenant": ["🌉" * 20_000]}},
    "far too long a body": b" " * 500_000,
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("path", ["panels/2", "variables/tenant", "annotations"])
def test_a_body_that_is_none_is_refused_in_a_sentence(
    web: httpx.Client, path: str, wrong: str
) -> None:
    body = WRONG[wrong] if isinstance(WRONG[wrong], bytes) else json.dumps(WRONG[wrong]).encode()
    answer = web.post(f"/boards/tollspan-overview/{path}", content=body)

    assert answer.status_code == 400, answer.text
    assert len(answer.json()["error"].split()) > 3


@pytest.mark.parametrize(
    "text",
    [
        *(page_data.IMAGE, page_data.DROP, page_data.EMOJI[:9000], page_data.BIDI, "%27", "\ud800"),
        *(board_data.BACKSLASH, board_data.QUOTES, board_data.DOLLARS, board_data.COMMAS),
        *("$__timeFilter(time)", "$__toTime", "${tenant}", "$__conditionalAll(1,$tenant)", "{{a}}"),
    ],
)
def test_a_value_is_a_value_whatever_stands_in_it(
    stack: LocalStack, web: httpx.Client, text: str
) -> None:
    """Also one that names a macro: it finds the calls that have it, and no others."""
    found = SETS["hostile"]
    body = {"from": found.start.timestamp() * 1000, "to": found.end.timestamp() * 1000}
    shown = {}
    for name in ("tenant", "user"):
        variables = EVERYTHING | {name: text if name == "user" else [text]}
        del variables["trace_id"]
        (frame,) = panel(web, "tollspan-overview", "Calls", **body, variables=variables)["frames"]
        shown[name] = frame["fields"][0]["values"][0]
    assert shown == {
        name: sum(call.get(name) == text for call in found.calls) for name in ("tenant", "user")
    }


def test_a_statement_that_the_ledger_refuses_is_a_sentence_without_the_statement(
    stack: LocalStack, web: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        local_boards.expand, "browser", lambda *a, **k: "SELECT nonsense FROM nowhere"
    )
    answer = web.post("/boards/tollspan-overview/panels/2", json=BODY)

    assert answer.status_code == 500
    assert answer.json()["error"].startswith("the ledger could not answer")


def test_a_statement_that_takes_too_long_is_given_up(
    stack: LocalStack, web: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = (
        "SELECT sum(number) AS a FROM numbers(1000000000000) SETTINGS max_execution_time = 0.2 --"
    )
    monkeypatch.setattr(local_boards.expand, "browser", lambda *a, **k: slow)
    answer = web.post("/boards/tollspan-overview/panels/2", json=BODY)

    assert answer.status_code == 503
    assert "shorter time range" in answer.json()["error"]


def test_rows_of_a_failed_statement_are_in_nobodys_answer(stack: LocalStack) -> None:
    """What it had written before it failed would stand in front of the connection's next answer."""
    broken = "SELECT toString(number) AS secret, throwIf(number = 99000) FROM numbers(99001)"
    for _ in range(4):
        with pytest.raises(LedgerError):
            stack.ledger.query(broken)
        assert stack.ledger.table("SELECT 1 AS a") == ({"a": "UInt8"}, [[1]])
        with pytest.raises(LedgerError):
            stack.ledger.table(broken)
        assert stack.ledger.query("SELECT 2 AS b") == [{"b": 2}]


def test_a_year_is_not_too_long(web: httpx.Client) -> None:
    begin = DEMO.end - timedelta(days=365)
    year = {"from": begin.timestamp() * 1000, "to": DEMO.end.timestamp() * 1000}
    (frame,) = panel(web, "tollspan-overview", "Calls", **year)["frames"]

    assert frame["fields"][0]["values"][0] > 1000


def test_the_ledger_keeps_no_more_than_readers_may(stack: LocalStack) -> None:
    """A statement of a board is a reader's: it can change nothing."""
    ledger: Ledger = stack.ledger
    before = ledger.query("SELECT count() AS n FROM llm_calls")
    with pytest.raises(RuntimeError):
        ledger.table("INSERT INTO llm_calls (call_id) VALUES ('x')")

    assert ledger.query("SELECT count() AS n FROM llm_calls") == before
