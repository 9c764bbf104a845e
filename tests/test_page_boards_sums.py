"""What the boards of the local page compute without drawing: ranges, axes, links, graphs, colours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import browser
import needs
import pytest
from page_api import PageApi
from page_data import DROP, EMOJI, IMAGE

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Runs an expression over a module of the page, `m`, and what it is given, `given`."""
    if why := browser.absent():
        needs.missing("browser", why)
    with (
        browser.chromium() as chromium,
        PageApi() as api,
        browser.opened(chromium, api.url) as watched,
    ):

        def running(module: str, expression: str, given: Any = None) -> Any:
            source = f'async (given) => {{ const m = await import("/{module}.js"); return {expression}; }}'
            return watched.page.evaluate(source, given)

        yield running
        assert watched.problems == []


# --- time -----------------------------------------------------------------------------------------

NOW = 1_779_364_800_000  # 2026-05-21 12:00:00, a Thursday
DAY = 86_400_000
HOUR = 3_600_000


@pytest.mark.parametrize(
    ("said", "start", "end"),
    [
        (("now-6h", "now"), NOW - 6 * HOUR, NOW),
        (("now-2d/d", "now-2d/d"), NOW - 12 * HOUR - 2 * DAY, NOW - 12 * HOUR - DAY - 1),
        (("now/w", "now"), NOW - 12 * HOUR - 3 * DAY, NOW),
        (("now-1M/M", "now-1M/M"), 1_775_001_600_000, 1_777_593_600_000 - 1),
        (("now-3M", "now"), 1_771_675_200_000, NOW),
        ((str(NOW - 5), str(NOW)), NOW - 5, NOW),
        (("2026-05-21 09:00", "2026-05-21T10:00:00Z"), NOW - 3 * HOUR, NOW - 2 * HOUR),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_range_in_grafanas_words_is_a_range_in_utc(
    run: Run, said: tuple[str, str], start: int, end: int
) -> None:
    found = run("timerange", f"m.resolved({{from: given[0], to: given[1]}}, {NOW})", said)

    assert found == {"from": start, "to": end}


@pytest.mark.parametrize(
    "said", [("now", "now-1h"), ("", "now"), ("yesterday", "now"), ("now-1x", "now"), (IMAGE, DROP)]
)
def test_what_is_no_range_is_none(run: Run, said: tuple[str, str]) -> None:
    assert run("timerange", f"m.resolved({{from: given[0], to: given[1]}}, {NOW})", said) is None


def test_a_range_of_31_january_less_a_month_ends_in_february(run: Run) -> None:
    january = 1_774_958_400_000  # 2026-03-31 12:00:00

    assert run("timerange", f"m.instant('now-1M', {january})") == 1_772_280_000_000


def test_ranges_are_said_in_words(run: Run) -> None:
    said = [("now-24h", "now"), ("now-45m", "now"), ("now-1d/d", "now-1d/d")]
    said += [(str(NOW - 3 * HOUR), str(NOW)), (str(NOW - 3 * DAY), str(NOW))]
    found = run("timerange", "given.map(([from, to]) => m.described({from, to}))", said)

    assert found == [
        "Last 24 hours",
        "Last 45 minutes",
        "Yesterday",
        "2026-05-21 09:00 to 12:00",
        "2026-05-18 12:00 to 2026-05-21 12:00",
    ]


# --- axes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("least", "most"), [(0, 0.187), (0, 1e-9), (-3, 7), (0, 0), (5, 5), (0, 1_234_567), (0.1, 0.3)]
)
def test_an_axis_holds_all_values_between_round_ticks(run: Run, least: float, most: float) -> None:
    found = run("scale", "m.linear(given[0], given[1])", [least, most])

    assert found["low"] <= least and found["high"] >= most
    assert 2 <= len(found["ticks"]) <= 8
    assert all(len(f"{tick:.12g}".strip("-0.").replace(".", "")) <= 8 for tick in found["ticks"])


def test_counts_have_no_halves_on_their_axis(run: Run) -> None:
    assert run("scale", "m.linear(0, 2, 5, true).ticks") == [0, 1, 2]


def test_a_new_day_is_said_with_its_name(run: Run) -> None:
    found = run("scale", f"m.timeTicks({NOW - DAY}, {NOW}, 600)")

    labels = [tick["label"] for tick in found]
    assert "21 May" in labels and "18:00" in labels
    assert [tick["label"] for tick in found if tick["day"]] == ["21 May"]
    year = run("scale", f"m.timeTicks({NOW - 400 * DAY}, {NOW}, 700)")
    assert "2026" in [tick["label"] for tick in year]
    assert 4 <= len(year) <= 10


def test_the_marks_of_an_axis_are_told_apart_with_no_more_digits_than_that(run: Run) -> None:
    found = run(
        "display",
        """[[[0, 0.5, 1, 1.5], "currencyUSD"], [[0, 500, 1000, 1500], "sishort"], [[0, 0.05, 0.1], "percentunit"],
           [[0, 1e-12, 2e-12], "currencyUSD"]]
          .map(([ticks, unit]) => m.tickTexts(m.displayOf({ type: "number", values: [] }, { unit }), unit, ticks))""",
    )

    assert found == [
        ["$0", "$0.50", "$1.00", "$1.50"],
        ["0 ", "500 ", "1.0 k", "1.5 k"],
        ["0%", "5%", "10%"],
        ["$0", "$1e-12", "$2e-12"],
    ]


# --- links and addresses --------------------------------------------------------------------------

HOSTILE = [
    IMAGE,
    DROP,
    "a&var-tenant=b#c?d",
    "${tenant}",
    "100%",
    "x y+z",
    "\u202eabc",
    EMOJI[:200],
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_value_in_a_link_stays_one_value(run: Run, text: str) -> None:
    url = "/d/tollspan-versions?var-endpoint=${__value.raw:percentencode}&${tenant:queryparam}&${__url_time_range}"
    scope = {"variables": {"tenant": [text, "b"]}, "from": "now-6h", "to": "now"}
    scope |= {"value": {"raw": text, "text": text}}
    href = run(
        "links", "m.local(m.filled(given.url, given.scope)).href", {"url": url, "scope": scope}
    )
    state = run("board_address", "m.readBoard(given)", href)

    assert state["uid"] == "tollspan-versions"
    assert state["values"] == {"endpoint": [text], "tenant": [text, "b"]}
    assert (state["from"], state["to"]) == ("now-6h", "now")


@pytest.mark.parametrize(
    ("url", "href"),
    [
        ("/d/tollspan-trace?var-trace_id=" + "ab" * 16, "#/trace/" + "ab" * 16),
        ("/d/tollspan-trace?var-trace_id=x", "#/boards/tollspan-trace?var-trace_id=x"),
        ("/d/tollspan-hops/any-name?from=1", "#/boards/tollspan-hops?from=1"),
        ("https://example.com/x", "https://example.com/x"),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("//example.com", None),
        ("", None),
    ],
)
def test_links_lead_into_this_page_or_to_the_web_and_nowhere_else(
    run: Run, url: str, href: str | None
) -> None:
    found = run("links", "m.local(given)", url)

    assert (found and found["href"]) == href


def test_a_link_takes_other_columns_of_its_row_and_leaves_out_what_is_not_there(run: Run) -> None:
    scope = {
        "variables": {},
        "from": "1",
        "to": "2",
        "row": {"of tenant": {"raw": "a b", "text": "A"}},
    }
    url = '/d/x?a=${__data.fields["of tenant"]}&b=${__data.fields.none}&c=${nobody}&d=${__field.labels.x}'

    assert run("links", "m.filled(given[0], given[1])", [url, scope]) == "/d/x?a=a%20b&b=&c=&d="


def test_an_address_says_the_whole_state_of_a_board(run: Run) -> None:
    state = {"uid": "tollspan-hops", "from": "now-1h", "to": "now", "refresh": "5s", "view": 7}
    state |= {"rows": [1, 24], "values": {"tenant": ["a,b", "c&d"], "user": [""]}}

    assert run("board_address", "m.readBoard(m.boardAddress(given))", state) == state
    assert run("board_address", "m.readBoard('#/calls')") is None
    assert run("board_address", "m.readBoard('#/boards/../../x').uid") == "", (
        "no way out of the API"
    )


# --- graphs, timelines, heatmaps ------------------------------------------------------------------


def test_a_graph_stands_from_left_to_right_and_what_leads_back_is_left_out(run: Run) -> None:
    nodes = [{"id": name, "size": 4} for name in ("app", "proxy", "model", "cache")]
    edges = [("app", "proxy", 4), ("proxy", "model", 3), ("proxy", "cache", 1), ("model", "app", 2)]
    edges += [("model", "model", 1), ("nobody", "model", 9)]
    given = [nodes, [dict(zip(("source", "target", "size"), each, strict=True)) for each in edges]]
    found = run(
        "graph_layout",
        "(({nodes, edges, hidden}) => ({nodes, edges, hidden}))(m.laidOut(...given, {width: 500, height: 200}))",
        given,
    )

    at = {node["id"]: node for node in found["nodes"]}
    assert at["app"]["x"] < at["proxy"]["x"] < at["model"]["x"] == at["cache"]["x"]
    assert found["hidden"] == 3
    assert {(edge["source"], edge["target"]) for edge in found["edges"]} == {
        each[:2] for each in edges[:3]
    }
    assert all(node["y"] >= 0 and node["y"] + node["h"] <= 200.5 for node in found["nodes"])


def test_many_nodes_become_one_and_no_call_is_lost(run: Run) -> None:
    nodes = [{"id": f"e{n}", "size": n + 1} for n in range(60)] + [{"id": "m", "size": 1830}]
    edges = [{"source": f"e{n}", "target": "m", "size": n + 1} for n in range(60)]
    found = run("graph_layout", "m.folded(given[0], given[1], 8)", [nodes, edges])

    assert len(found["nodes"]) == 9
    (rest,) = [node for node in found["nodes"] if node.get("more")]
    assert rest["more"] == 53
    assert sum(edge["size"] for edge in found["edges"]) == 1830


def test_a_graph_as_deep_as_it_is_long_is_no_trouble(run: Run) -> None:
    nodes = [{"id": str(n), "size": 1} for n in range(5000)]
    edges = [{"source": str(n), "target": str(n + 1), "size": 1} for n in range(4999)]

    assert (
        run(
            "graph_layout",
            "m.layers(given[0].map((n) => n.id), given[1]).level.get('4999')",
            [nodes, edges],
        )
        == 4999
    )


def test_states_that_touch_are_one_piece_and_a_gap_stays_a_gap(run: Run) -> None:
    series = {"field": {"values": [0, 0, 2, None, 0, 0]}, "times": [0, 10, 20, 30, 40, 70]}

    assert run("panel_timeline", "m.pieces(given, 10)", series) == [
        {"from": 0, "to": 20, "value": 0},
        {"from": 20, "to": 30, "value": 2},
        {"from": 40, "to": 50, "value": 0},
        {"from": 70, "to": 80, "value": 0},
    ]


def test_every_value_is_counted_in_one_cell(run: Run) -> None:
    values = [0.5, 0.9, None, 3, 3, 0]
    cells = run(
        "panel_heatmap",
        "[...m.counted(given[0], given[1], 100, (value) => value > 0 ? Math.floor(value) : null)]",
        [[10, 20, 30, 110, 150, 160], values],
    )

    assert dict(map(tuple, cells)) == {"0|0": 2, "1|3": 2}


def test_rows_without_a_value_stand_last_whichever_way_a_table_is_sorted(run: Run) -> None:
    fields = [{"name": "cost", "label": "cost", "type": "number", "values": [3, None, 11, 2]}]
    found = run(
        "panel_table",
        "[true, false].map((desc) => m.ordered(given, {name: 'cost', desc}))",
        fields,
    )

    assert found == [[2, 0, 3, 1], [3, 0, 2, 1]]


def test_a_name_has_its_colour_wherever_it_stands_and_what_has_no_name_is_grey(run: Run) -> None:
    names = ["openai", "anthropic", "google", "mistral", "groq", "cohere", "(all others)", "-"]
    found = dict(run("palette", "[...m.seriesColours(given)]", names))
    alone = dict(run("palette", "[...m.seriesColours(['openai', 'anthropic'])]"))

    assert len(set(found.values())) == len(names) - 1
    assert found["-"] == found["(all others)"] == "var(--c6)"
    assert {name: found[name] for name in alone} == alone
    assert run("palette", "m.named(given)", f"red;}} {json.dumps(IMAGE)}") == "var(--ink)"
