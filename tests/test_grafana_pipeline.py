"""The board of the pipeline asks for what there is, and says what whoever is called must know."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import board_data
import needs
import page_data
import pytest
import yaml
from test_runbooks import RULES, SECTIONS, anchor

from tollspan.collector.counters import COUNTERS, GAUGES
from tollspan.collector.senders import METRICS, Sender
from tollspan.local.ledger import Ledger

BOARDS = board_data.boards()
EXPRESSIONS = [
    (panel["title"], target["legendFormat"], target["expr"])
    for board in BOARDS.values()
    for panel in board_data.panels(board)
    for target in panel.get("targets") or []
    if "expr" in target
]
OF_SENDERS = {"calls": "status", "tokens": "kind", "unpriced_calls": "reason"}
"""Labels beside a sender's own: collector/senders.py."""

END = datetime(2025, 2, 11, 9, 30, tzinfo=UTC)
HOSTILE = (page_data.IMAGE, page_data.DROP, board_data.BACKSLASH, "other/tracer", "tollspan", None)


def promtool() -> str:
    return shutil.which("promtool") or needs.missing("promtool", "Debian package prometheus")


def ran(*command: str, within: Path) -> str:
    done = subprocess.run(
        command, check=False, cwd=within, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def asked(title: str) -> Iterator[str]:
    """Expressions of a panel as Grafana sends them for a range of an hour."""
    return (
        expression.replace("$__rate_interval", "5m")
        for name, _, expression in EXPRESSIONS
        if name == title
    )


def test_prometheus_reads_every_expression(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{place}", "expr": expression.replace("$__rate_interval", "5m")}
        for place, (_, _, expression) in enumerate(EXPRESSIONS)
    ]
    assert len(rules) > 30 and not any("$" in rule["expr"] for rule in rules)
    text = yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]})
    (tmp_path / "rules.yml").write_text(text)

    ran(promtool(), "check", "rules", "rules.yml", within=tmp_path)


@pytest.mark.parametrize(("title", "legend", "expression"), EXPRESSIONS)
def test_a_metric_of_a_stage_exists_with_the_labels_that_are_asked_of_it(
    title: str, legend: str, expression: str
) -> None:
    grouped = {
        label
        for group in re.findall(r"by \(([\w, ]+)\)", expression)
        for label in group.split(", ")
    }
    assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= grouped, "a legend of nothing"
    for name in re.findall(r"tollspan_stage_(\w+)", expression):
        known = {"instance", "job"}
        if name in GAUGES:
            assert "rate(" not in expression
        else:
            counter = name.removesuffix("_total")
            assert name.endswith("_total") and counter in COUNTERS.keys() | METRICS.keys()
            if counter in METRICS:
                known |= {*Sender._fields, OF_SENDERS.get(counter, "")}
            else:
                known.add(COUNTERS[counter].label)
                for value in re.findall(r'reason="(\w+)"', expression):
                    assert value in COUNTERS[counter].values
        assert grouped <= known


def test_every_count_of_a_stage_that_tells_of_loss_is_on_a_board() -> None:
    shown = " ".join(expression for _, _, expression in EXPRESSIONS)
    quiet = {"received_requests", "request_seconds"}

    for name in (COUNTERS.keys() | METRICS.keys()) - quiet:
        assert f"tollspan_stage_{name}_total" in shown, name


STAGE = [
    ("calls", {"service": "shop", "scope": "a", "status": "success"}, "0+60x20"),
    ("calls", {"service": "shop", "scope": "a", "status": "error"}, "0+6x20"),
    ("calls", {"service": "shop", "scope": "b", "status": "success"}, "0+30x20"),
    ("cost_usd", {"service": "shop", "scope": "a"}, "0+0.6x20"),
    ("tokens", {"service": "shop", "scope": "a", "kind": "input"}, "0+120x20"),
    ("unpriced_calls", {"service": "shop", "scope": "b", "reason": "no_usage"}, "0+6x20"),
    ("refused_requests", {"reason": "malformed"}, "0+60x20"),
    ("released_traces", {"reason": "memory"}, "0+6x20"),
    ("released_traces", {"reason": "window"}, "0+600x20"),
]
ANSWERS: dict[tuple[str, int], dict[str, float]] = {
    ("Calls by tracer", 0): {'{scope="a"}': 1.1, '{scope="b"}': 0.5},
    ("Cost by tracer", 0): {'{scope="a"}': 36.0},
    ("Tokens by tracer", 0): {'{scope="a", kind="input"}': 2.0},
    ("Calls by service", 0): {'{service="shop"}': 1.6},
    ("Why do calls have no price?", 0): {'{scope="b", reason="no_usage"}': 0.1},
    ("Why are requests refused?", 0): {'{reason="malformed"}': 1.0},
    ("What comes late, what is let go early?", 1): {"{}": 0.1},
    ("What waits where?", 0): {'{instance="g", exporter="e", data_type="logs"}': 7.0},
    ("Queue", 0): {'{exporter="e"}': 0.7},
    ("Which stage is ready?", 0): {'{instance="one"}': 1.0, '{instance="two"}': 0.0},
    # Under the older name as under the newer.
    ("What does each collector take and give?", 1): {'{instance="g"}': 3.0, '{instance="h"}': 1.0},
}


def test_prometheus_answers_with_what_was_counted(tmp_path: Path) -> None:
    series = [
        {
            "series": f"tollspan_stage_{name}_total"
            + "{"
            + ",".join(f'{key}="{value}"' for key, value in labels.items())
            + "}",
            "values": values,
        }
        for name, labels, values in STAGE
    ]
    queue = '{instance="g",exporter="e",data_type="logs"}'
    series += [
        {"series": f"otelcol_exporter_queue_size{queue}", "values": "7x20"},
        {"series": f"otelcol_exporter_queue_capacity{queue}", "values": "10x20"},
        {"series": 'tollspan_stage_up{instance="one"}', "values": "1x20"},
        {"series": 'tollspan_stage_up{instance="two"}', "values": "1x5 0x15"},
        {"series": 'otelcol_exporter_sent_spans{instance="g",exporter="e"}', "values": "0+180x20"},
        {"series": 'otelcol_exporter_sent_spans_total{instance="h"}', "values": "0+60x20"},
    ]
    tests = [
        {
            "expr": list(asked(title))[place],
            "eval_time": "20m",
            "exp_samples": [{"labels": labels, "value": value} for labels, value in found.items()],
        }
        for (title, place), found in ANSWERS.items()
    ]
    # What floats make of six in a minute is not six tenths to the last bit.
    for test in tests:
        test["expr"] = f"round({test['expr']}, 0.001)"
    text = yaml.safe_dump(
        {"tests": [{"interval": "1m", "input_series": series, "promql_expr_test": tests}]}
    )
    (tmp_path / "test.yml").write_text(text)

    ran(promtool(), "test", "rules", "test.yml", within=tmp_path)


def places(panel: dict[str, Any]) -> list[str]:
    """Alerts of docs/alerts.md that a panel names."""
    (_, _, named) = panel.get("description", "").partition("What to do: docs/alerts.md, ")
    return re.split(r", | and ", named.removesuffix(".")) if named else []


def test_a_panel_names_alerts_that_there_are_and_an_alert_leads_to_who_names_it() -> None:
    named = {
        name for panel in board_data.panels(BOARDS["tollspan-pipeline"]) for name in places(panel)
    }
    assert {anchor(name) for name in named} <= SECTIONS.keys()
    led = {
        title
        for title, rule in RULES.items()
        if rule["annotations"]["board"].startswith("/d/tollspan-pipeline")
    }

    assert led <= named, "nobody is led to a board that does not say why"
    assert len(led) >= 15


@pytest.mark.parametrize("title", RULES)
def test_the_board_that_an_alert_leads_to_exists(title: str) -> None:
    uid, _, query = RULES[title]["annotations"]["board"].removeprefix("/d/").partition("?")
    variables = {each["name"] for each in BOARDS[uid]["templating"]["list"]}

    assert set(re.findall(r"var-(\w+)=", query)) <= variables
    assert not re.search(r"=\{\{ \$labels\.\w+ \}\}", query), "a value could say more than its own"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ledger, board_data.DataSet]]:
    calls = [
        page_data.call(40_000 + n, END - timedelta(minutes=7 * n + 3), scope=HOSTILE[n % 6])
        | ({"cost_usd": None, "cost_grade": "unpriced"} if n % 5 == 0 else {})
        | ({"input_tokens": None, "output_tokens": None} if n % 7 == 0 else {})
        for n in range(60)
    ]
    data = board_data.DataSet("senders", END, calls)
    made = board_data.opened(tmp_path_factory.mktemp("pipeline"), [data])
    yield made, data
    made.close()


def test_each_sender_has_its_line_whatever_it_is_called(
    found: tuple[Ledger, board_data.DataSet],
) -> None:
    ledger, data = found
    sql = board_data.statement("pipeline", "Who sends calls, and who has fallen silent?")
    lines = {row["tracer"]: row for row in board_data.ask(ledger, sql, data)}

    assert lines.keys() == {name or "-" for name in HOSTILE}
    for name in HOSTILE:
        line, of = lines[name or "-"], [each for each in data.calls if each["scope"] == name]
        newest = max(of, key=lambda each: datetime.fromisoformat(each["time"]))
        priced = [Decimal(each["cost_usd"]) for each in of if each["cost_usd"] is not None]
        silent = data.end - datetime.fromisoformat(newest["time"])
        assert (line["calls"], Decimal(line["spend"])) == (len(of), sum(priced, Decimal(0)))
        assert line["no_price"] == len(of) - len(priced)
        assert line["no_usage"] == sum(each["input_tokens"] is None for each in of)
        assert (line["silent_for"], line["newest"]) == (silent.total_seconds(), newest["trace_id"])


def test_who_came_when_adds_up_to_all_calls(found: tuple[Ledger, board_data.DataSet]) -> None:
    ledger, data = found
    sql = board_data.statement("pipeline", "When did calls come in, from whom?")
    rows = board_data.ask(ledger, sql, data)

    assert sum(row["calls"] for row in rows) == len(data.calls)
    assert {row["series"] for row in rows} == {name or "-" for name in HOSTILE}


def test_where_nothing_came_there_is_no_line(found: tuple[Ledger, board_data.DataSet]) -> None:
    ledger, data = found
    before = board_data.DataSet("before", data.end - timedelta(days=30))

    for panel in board_data.panels(BOARDS["tollspan-pipeline"]):
        for target in panel.get("targets") or []:
            if "rawSql" in target:
                assert board_data.ask(ledger, target["rawSql"], before) == []
